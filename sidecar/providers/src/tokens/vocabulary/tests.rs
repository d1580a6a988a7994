//! Against the reference implementation, token by token and text by text.

use std::collections::HashMap;

use proptest::prelude::*;

use super::{
    super::classes::{CLASSES, LETTER, MARK, NUMBER, SPACE, SYMBOL},
    *,
};

/// An encoding, and what the reference calls its first token.
const ENCODINGS: [(Pattern, u32); 5] = [
    (Pattern::O200k, 0),
    (Pattern::Cl100k, 0),
    (Pattern::Qwen, 0),
    // Its own marks come first.
    (Pattern::DeepSeek, 3),
    (Pattern::Tekken, 1_000),
];

enum Reference {
    Rs(&'static tiktoken_rs::CoreBPE),
    Other(&'static tiktoken::CoreBpe),
}

impl Reference {
    fn of(pattern: Pattern) -> Self {
        let other = |name| Self::Other(tiktoken::get_encoding(name).unwrap());
        match pattern {
            Pattern::O200k => Self::Rs(tiktoken_rs::o200k_base_singleton()),
            Pattern::Cl100k => Self::Rs(tiktoken_rs::cl100k_base_singleton()),
            Pattern::Qwen => other("qwen2"),
            Pattern::DeepSeek => other("deepseek_v3"),
            Pattern::Tekken => other("mistral_v3"),
        }
    }

    fn encode(&self, text: &str) -> Vec<u32> {
        match self {
            Self::Rs(reference) => reference.encode_ordinary(text),
            Self::Other(reference) => reference.encode(text),
        }
    }

    /// Empty: there is no such token.
    fn decode(&self, token: u32) -> Vec<u8> {
        match self {
            Self::Rs(reference) => reference.decode_bytes(&[token]).unwrap_or_default(),
            Self::Other(reference) => reference.decode(&[token]),
        }
    }
}

thread_local! {
    static LOADED: HashMap<u32, Vocabulary> =
        ENCODINGS.into_iter().map(|(pattern, _)| (pattern as u32, Vocabulary::load(pattern))).collect();
}

/// The tokens of a text.
fn encode(vocabulary: &Vocabulary, text: &str) -> Vec<u32> {
    let (mut scratch, mut counting) = (Scratch::default(), Scratch::default());
    counting.expect(LONG_TEXT);
    let mut all = Vec::new();
    for piece in vocabulary.pieces(text) {
        let first = vocabulary.trie.longest(piece, &mut scratch.steps);
        if vocabulary.length(first) == piece.len() {
            scratch.tokens = vec![first];
        } else {
            vocabulary.encode(piece, first, &mut scratch);
        }
        for time in ["first", "second"] {
            assert_eq!(vocabulary.count(piece, &mut counting), scratch.tokens.len() as u64, "{time} time");
        }
        all.extend_from_slice(&scratch.tokens);
    }
    all
}

/// Tokens of the same lengths are the same tokens.
fn same(text: &str) {
    for (pattern, _) in ENCODINGS {
        if pattern == Pattern::DeepSeek && has_unmatched(text) {
            continue;
        }
        let ours: Vec<usize> = LOADED.with(|loaded| {
            let vocabulary = &loaded[&(pattern as u32)];
            encode(vocabulary, text).into_iter().map(|token| vocabulary.length(token)).collect()
        });
        let reference = Reference::of(pattern);
        let theirs: Vec<usize> =
            reference.encode(text).into_iter().map(|token| reference.decode(token).len()).collect();
        assert_eq!(ours, theirs, "{pattern:?}: {text:?}");
    }
}

/// Whether characters that DeepSeek's pattern has no word for stand side by side. They are one piece, as its own tokenizer
/// has it; the reference cuts between them.
fn has_unmatched(text: &str) -> bool {
    const KNOWN: u8 = LETTER | MARK | NUMBER | SPACE | SYMBOL;
    let unmatched = |c: char| CLASSES.of(c) & KNOWN == 0;
    text.chars().zip(text.chars().skip(1)).any(|(c, next)| unmatched(c) && unmatched(next))
}

#[test]
fn what_deepseeks_pattern_has_no_word_for_is_one_piece() {
    let pieces = |text| LOADED.with(|loaded| loaded[&(Pattern::DeepSeek as u32)].pieces(text).count());
    for (text, want) in [("\u{200d}", 1), ("\u{1}\u{2}\u{3}", 1), ("\u{1}\u{2}a", 2), ("a\u{1}\u{2} \u{1}!\u{1}7", 7)] {
        assert_eq!(pieces(text), want, "{text:?}");
    }
}

#[test]
fn every_token_of_the_reference_is_one_of_ours() {
    for (pattern, first) in ENCODINGS {
        let (ours, reference) = (Vocabulary::load(pattern), Reference::of(pattern));
        let (mut scratch, mut seen) = (Scratch::default(), vec![false; ours.halves.len()]);
        for theirs in 0..ours.halves.len() as u32 {
            let bytes = reference.decode(theirs + first);
            let token = ours.trie.longest(&bytes, &mut scratch.steps);
            assert_eq!(ours.length(token), bytes.len(), "{pattern:?} {theirs}");
            assert_eq!(token, theirs, "{pattern:?}");
            assert!(!std::mem::replace(&mut seen[token as usize], true), "{pattern:?} {theirs}");
            // By its merges alone, too.
            if bytes.len() > 1 {
                let shorter = ours.shorter[token as usize];
                assert!(bytes.starts_with(&piece(&ours, shorter)), "{pattern:?} {theirs}");
                let [left, right] = ours.halves[token as usize];
                assert!(left < token && right < token, "{pattern:?} {theirs}");
                assert_eq!(ours.pairs.get(left, right, &ours.halves), Some(token), "{pattern:?} {theirs}");
            }
        }
        let more = reference.decode(ours.halves.len() as u32 + first);
        assert!(more.is_empty() || more.starts_with(b"<"), "{pattern:?}: a token more");
    }
}

/// The bytes of a token.
fn piece(vocabulary: &Vocabulary, token: u32) -> Vec<u8> {
    match vocabulary.halves[token as usize] {
        [left, right] if left == token && right == token => {
            let spells = |byte: &u8| vocabulary.trie.longest(&[*byte], &mut 0) == token;
            (0..=u8::MAX).filter(spells).collect()
        }
        [left, right] => [piece(vocabulary, left), piece(vocabulary, right)].concat(),
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
        "a你b你好1你, 你 、ア・イ゛か\u{3099} 123你  5  你\n 你 \n5 !a?b'c \\d ~~e",
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
    ENCODINGS.into_iter().for_each(|(pattern, _)| takes_linear_work(pattern));
}

fn takes_linear_work(pattern: Pattern) {
    let vocabulary = Vocabulary::load(pattern);
    let work = |text: &str| {
        let mut scratch = Scratch::default();
        vocabulary.pieces(text).for_each(|piece| _ = vocabulary.count(piece, &mut scratch));
        scratch.steps
    };
    for unit in REPEATED.split_whitespace().chain([" ", "\n", "\t", "\r\n", "\u{a0}", "\u{3000}"]) {
        let (short, long) = (work(&unit.repeat((16 << 10) / unit.len())), work(&unit.repeat((64 << 10) / unit.len())));
        assert!(long <= short * 41 / 10 + 1_000, "{pattern:?} {unit:?}: {short} steps, {long} for four times as much");
        assert!(long <= 12 * (64 << 10), "{pattern:?} {unit:?}: {long} steps");
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
