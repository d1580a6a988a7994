//! What a text comes to where nobody knows its tokenizer. Rather too many than too few, and not by more than the double where
//! that can be helped: what depends on it is whether a prompt fits.

/// A token, in the parts of one that are added up here.
const TOKEN: u64 = 14;

/// What a run of one character comes to in any case, and how many more of it are another token: vocabularies have words for
/// indents, rulers and frames.
const RUN: u64 = 2 * TOKEN;
const RUN_LENGTH: u64 = 16;

pub(super) fn estimate(text: &str) -> u64 {
    let mut parts: u64 = 0;
    let (mut last, mut run) = ('\0', 0);
    for next in text.chars() {
        if next == last {
            run += 1;
            continue;
        }
        parts = parts.saturating_add(of_run(last, run));
        (last, run) = (next, 1);
    }
    parts.saturating_add(of_run(last, run)).div_ceil(TOKEN)
}

/// So many times the same.
fn of_run(c: char, times: u64) -> u64 {
    let plain = times.saturating_mul(of(c));
    let is_drawn = c.is_ascii() || matches!(c, '\u{2500}'..='\u{259f}');
    if is_drawn { plain.min(RUN.saturating_add(times.saturating_mul(TOKEN) / RUN_LENGTH)) } else { plain }
}

/// Seven characters of English are two tokens. Of the alphabets that vocabularies of today have words of (Greek and Cyrillic,
/// Hebrew and Arabic, those of India, Thai), two characters are one at most; of anything else, one is.
const fn of(c: char) -> u64 {
    match c {
        '\0'..='\u{7f}' => TOKEN * 2 / 7,
        '\u{370}'..='\u{52f}' | '\u{590}'..='\u{6ff}' | '\u{900}'..='\u{e7f}' => TOKEN / 2,
        _ => TOKEN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens::{Encoding, count_text};

    /// Of a text that repeats itself a vocabulary sees each part anew.
    #[test]
    fn a_text_is_not_taken_for_less_than_two_thirds_or_more_than_two_and_a_half_times_what_it_is_today() {
        let rows = [
            "The quick brown fox jumps over the lazy dog, and nobody remembers why it began. ",
            "Die Übergabe erfolgt nächste Woche; größere Änderungen müssen früher angekündigt werden. ",
            "Сегодня утром мы обсуждали новый проект, и все согласились, что сроки слишком короткие. ",
            "Σήμερα το πρωί συζητήσαμε το νέο έργο και όλοι συμφώνησαν ότι οι προθεσμίες είναι σύντομες. ",
            "הבוקר דנו בפרויקט החדש, וכולם הסכימו שלוחות הזמנים קצרים מדי לעבודה כל כך גדולה. ",
            "ناقشنا هذا الصباح المشروع الجديد، واتفق الجميع على أن المواعيد قصيرة جدا لمثل هذا العمل. ",
            "आज सुबह हमने नई परियोजना पर चर्चा की, और सभी सहमत थे कि समय सीमा बहुत कम है। ",
            "เมื่อเช้านี้เราได้พูดคุยเกี่ยวกับโครงการใหม่ และทุกคนเห็นด้วยว่ากำหนดเวลาสั้นเกินไป ",
            "今天早上我们讨论了新项目，大家都认为对于这么大的工作来说期限太短了。",
            "오늘 아침 우리는 새 프로젝트에 대해 논의했고, 기한이 너무 짧다는 데 동의했습니다. ",
            "{\n                \"name\": \"value\",\n                \"list\": [\n                    1\n                ]\n}\n",
        ];
        for row in rows {
            let text = row.repeat(20);
            let (today, guess) = (count_text(&text, Encoding::O200k, &|| true), estimate(&text));
            assert!(guess * 3 >= today * 2 && guess * 2 <= today * 5, "{row}: {guess} for {today}");
        }
    }

    #[test]
    fn a_run_of_one_character_is_a_few_words() {
        for (c, most) in [(' ', 70), ('-', 70), ('─', 70), ('你', 1_000), ('😀', 1_000)] {
            let guess = estimate(&c.to_string().repeat(1_000));
            assert!(guess <= most && guess >= 1_000 / 128, "{c:?}: {guess}");
        }
        assert_eq!((estimate(""), estimate("a"), estimate("ab cd e")), (0, 1, 2));
    }
}
