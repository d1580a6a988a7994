//! Against the reference implementation, token by token and text by text.

use std::collections::HashMap;

use proptest::prelude::*;
use tiktoken_rs::{CoreBPE, cl100k_base_singleton, o200k_base_singleton};

use super::*;

type Reference = fn() -> &'static CoreBPE;

const ENCODINGS: [(Pattern, Reference); 2] =
    [(Pattern::O200k, o200k_base_singleton), (Pattern::Cl100k, cl100k_base_singleton)];

thread_local! {
    static LOADED: HashMap<&'static str, Vocabulary> = HashMap::from([
        ("O200k", Vocabulary::load(Pattern::O200k)), ("Cl100k", Vocabulary::load(Pattern::Cl100k))]);
}

/// The tokens of a text.
fn encode(vocabulary: &Vocabulary, text: &str) -> Vec<u32> {
    let (mut scratch, mut counting) = (Scratch::default(), Scratch::default());
    counting.expect(LONG_TEXT);
    let mut all = Vec::new();
    for piece in vocabulary.pieces(text) {
        let first = vocabulary.trie.longest(piece, &mut scratch.steps);
        vocabulary.encode(piece, first, &mut scratch);
        for time in ["first", "second"] {
            assert_eq!(vocabulary.count(piece, &mut counting), scratch.tokens.len() as u64, "{time} time");
        }
        all.extend_from_slice(&scratch.tokens);
    }
    all
}

fn same(text: &str) {
    for (pattern, reference) in ENCODINGS {
        let ours = LOADED.with(|loaded| encode(&loaded[format!("{pattern:?}").as_str()], text));
        assert_eq!(ours, reference().encode_ordinary(text), "{pattern:?}: {text:?}");
    }
}

#[test]
fn every_token_of_the_reference_is_one_of_ours() {
    for (pattern, reference) in ENCODINGS {
        let ours = Vocabulary::load(pattern);
        let mut scratch = Scratch::default();
        for token in 0..ours.halves.len() as u32 {
            let bytes = reference().decode_bytes(&[token]).unwrap();
            assert_eq!(ours.length(token), bytes.len(), "{pattern:?} {token}");
            assert_eq!(ours.trie.longest(&bytes, &mut scratch.steps), token, "{pattern:?} {token}");
            // By its merges alone, too.
            if bytes.len() > 1 {
                let shorter = ours.shorter[token as usize];
                assert!(bytes.starts_with(&reference().decode_bytes(&[shorter]).unwrap()), "{pattern:?} {token}");
                let [left, right] = ours.halves[token as usize];
                assert!(left < token && right < token, "{pattern:?} {token}");
                assert_eq!(ours.pairs.get(left, right, &ours.halves), Some(token), "{pattern:?} {token}");
            }
        }
        let next = ours.halves.len() as u32;
        let is_text = reference().decode_bytes(&[next]).is_ok_and(|bytes| !bytes.starts_with(b"<|"));
        assert!(!is_text, "{pattern:?}: a token more");
    }
}

#[test]
fn texts_of_every_kind_are_cut_and_merged_as_the_reference_does() {
    let rows = [
        "",
        " ",
        "hello world",
        "Hello, WORLD! It's what they'Ve said; WE'LL see, I'm he'd 'tis it'ſ",
        "HTMLElement getElementById XMLHttpRequest iPhone ʰA ʰAA AʰA",
        "x  y   z \t w\n\n  v \r\n\r\n u\n   ",
        "trailing   ",
        "trailing\n  ",
        "trailing \n",
        "\u{a0}a\u{a0}\u{a0}b\u{3000}c\u{2028}d",
        "1 12 123 1234 12345678 ½⅓¼⅕ ٠١٢٣٤ x1y22z",
        "-- ==== //// a/b/c http://x.y/z\n/\n// !!!\n\n??? ....../",
        "e\u{301}e\u{301} \u{301} !\u{301}a \u{301}\u{301}A \u{301}AA",
        "你好，世界。こんにちは 안녕하세요 สวัสดี नमस्ते مرحبا שלום Привет ΓΕΙΑ Ǆǅǆ",
        "😀😃👨‍👩‍👧‍👦🏳️‍🌈 ❤️ 🇩🇪",
        "<|endoftext|> <|im_start|>user<|im_end|><|fim_prefix|>",
        "fn main() {\n    println!(\"{}\", 1 + 2);\n}\n\n\n\tlet x = y[0];",
        "\u{0}\u{1}\u{7f}\u{80}\u{10ffff}\u{e000}",
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0",
    ];
    for row in rows {
        same(row);
    }
    for unit in ["a", "A", " ", "\n", "\t ", "=", "-", "😀", "é", "你", "aA", "ab", "0", "\u{301}", "!?", "ʰA"] {
        for length in [2, 3, 7, 64, 127, 128, 129, 500] {
            same(&unit.repeat(length));
            same(&format!("x{}y", unit.repeat(length)));
        }
    }
}

/// Each of them again and again: runs, of which the long tokens are made, and what is almost one.
const REPEATED: &str = "a A z = - * # . _ / 0 ~ + \\ [ é ا ـ ก 你 哈 的 한 ー － … ▬ ━ ★ █ 😀 \u{301} \u{10ffff} \
    aA ab ba ʰA !? =- -=- --= \\n [{\" ndefined aaaaaaab antidisestablishment abcdefghijklmnopqrstuvwxyz";

/// Work, not time: four times as long takes four times as much, whatever it is.
#[test]
fn no_text_takes_more_than_linear_work() {
    let vocabulary = Vocabulary::load(Pattern::O200k);
    let work = |text: &str| {
        let mut scratch = Scratch::default();
        vocabulary.pieces(text).for_each(|piece| _ = vocabulary.count(piece, &mut scratch));
        scratch.steps
    };
    for unit in REPEATED.split_whitespace().chain([" ", "\n", "\t", "\r\n", "\u{a0}", "\u{3000}"]) {
        let (short, long) = (work(&unit.repeat((16 << 10) / unit.len())), work(&unit.repeat((64 << 10) / unit.len())));
        assert!(long <= short * 41 / 10 + 1_000, "{unit:?}: {short} steps, {long} for four times as much");
        assert!(long <= 12 * (64 << 10), "{unit:?}: {long} steps");
    }
}

/// A text that has some of everything the patterns tell apart.
fn mixed() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "the",
        " The",
        "'s",
        "'LL",
        "’s",
        "'ſ",
        "ing",
        "\n",
        "\r\n",
        "  ",
        " ",
        "\t",
        "\u{a0}",
        "\u{301}",
        "12",
        "1234",
        "½",
        "/",
        "//",
        "<|endoftext|>",
        "==",
        "😀",
        "👨‍👩‍👧",
        "你好",
        "ǅ",
        "ʰ",
        "É",
        "ß",
        "İ",
        "K",
    ]);
    let part = prop_oneof![
        words.prop_map(str::to_owned),
        any::<char>().prop_map(String::from),
        "[a-zA-Z]{1,12}",
        "\\PC{0,6}",
        "[\\p{L}\\p{M}]{1,5}",
        "\\s{1,4}",
    ];
    prop::collection::vec(part, 0..40).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn any_text_has_the_tokens_of_the_reference(text in mixed()) {
        same(&text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn long_runs_have_the_tokens_of_the_reference(
        runs in prop::collection::vec((prop::sample::select(vec!["-", "=", "*", "/", "#", "_", "-=", "\u{301}"]), 1..400usize), 8..16),
    ) {
        same(&runs.iter().map(|(unit, times)| unit.repeat(*times)).collect::<String>());
    }
}
