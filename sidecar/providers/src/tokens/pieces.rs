//! A text cut into pieces, as an encoding's pattern cuts it. Tokens never reach across a cut.
//!
//! The patterns are fixed, so they are written out here as what they do. Each alternative below names the part of the
//! pattern it stands for; a run of one kind of character is gone over twice at most, so that no text takes more than
//! linear time.

use super::classes::{BREAK, CLASSES, Classes, LETTER, LOWER, MARK, NUMBER, SPACE, SYMBOL, UPPER};

/// Whose cuts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    O200k,
    Cl100k,
    Qwen,
    DeepSeek,
    Tekken,
}

// === impl Pattern ===

impl Pattern {
    pub(super) const ALL: [Self; 5] = [Self::O200k, Self::Cl100k, Self::Qwen, Self::DeepSeek, Self::Tekken];
}

/// The pieces of a text, in order, together all of it.
pub(super) struct Pieces<'a> {
    text: &'a str,
    at: usize,
    pattern: Pattern,
    classes: &'static Classes,
}

/// Letters from some place on.
enum Word {
    /// Ends with what may end a word.
    Ended(usize),
    /// Upper case alone.
    Upper(usize),
    None,
}

// === impl Pieces ===

impl<'a> Pieces<'a> {
    pub(super) fn new(text: &'a str, pattern: Pattern) -> Self {
        Self { text, at: 0, pattern, classes: &CLASSES }
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    /// The class of the character there, and its length.
    fn class(&self, at: usize) -> Option<(u8, usize)> {
        let byte = self.byte(at)?;
        if byte < 0x80 {
            return Some((self.classes.of_ascii(byte), 1));
        }
        let c = self.text[at..].chars().next()?;
        Some((self.classes.of(c), c.len_utf8()))
    }

    /// The end of the run of characters whose class passes.
    fn run(&self, mut at: usize, passes: impl Fn(u8) -> bool) -> usize {
        while let Some((class, length)) = self.class(at) {
            if !passes(class) {
                break;
            }
            at += length;
        }
        at
    }

    fn end(&self, start: usize) -> Option<usize> {
        let (class, length) = self.class(start)?;
        Some(match self.pattern {
            Pattern::O200k | Pattern::Tekken => self.end_o200k(start, class, length),
            Pattern::Cl100k | Pattern::Qwen => self.end_cl100k(start, class, length),
            Pattern::DeepSeek => self.end_deepseek(start, class, length),
        })
    }

    fn end_o200k(&self, start: usize, class: u8, length: usize) -> usize {
        if class & LETTER != 0 {
            return match self.word(start) {
                Word::Ended(end) | Word::Upper(end) => self.contracted(end),
                Word::None => start + length,
            };
        }
        if class & NUMBER != 0 {
            return self.numbers(start);
        }
        // `[^\r\n\p{L}\p{N}]?` before a word. A mark is both this and part of a word; as this it comes first, and a word
        // that ends as it should comes before one that does not.
        if class & BREAK == 0 {
            let is_mark = class & UPPER != 0;
            match (self.word(start + length), is_mark) {
                (Word::Ended(end), _) | (Word::Upper(end), false) => return self.contracted(end),
                (Word::Upper(_) | Word::None, true) => {
                    if let Word::Ended(end) = self.word(start) {
                        return self.contracted(end);
                    }
                }
                (Word::None, false) => {}
            }
        }
        self.symbols(start, class, |byte| matches!(byte, b'\r' | b'\n' | b'/')).unwrap_or_else(|| self.space(start))
    }

    fn end_cl100k(&self, start: usize, class: u8, length: usize) -> usize {
        let contracted = self.contraction(start);
        if contracted > start {
            return contracted;
        }
        if class & NUMBER != 0 {
            return self.numbers(start);
        }
        // `[^\r\n\p{L}\p{N}]?+\p{L}++`
        if class & BREAK == 0 {
            let from = if class & LETTER == 0 { start + length } else { start };
            let end = self.run(from, |class| class & LETTER != 0);
            if end > from {
                return end;
            }
        }
        self.symbols(start, class, |byte| matches!(byte, b'\r' | b'\n')).unwrap_or_else(|| {
            if self.pattern != Pattern::Cl100k {
                return self.space(start);
            }
            let (end, line, last) = self.spaces(start);
            match line {
                // `\s*[\r\n]`, unless the text ends with the run: `\s++$`.
                Some(line) if end < self.text.len() => line,
                _ => self.without_last(start, end, last),
            }
        })
    }

    /// Numbers, then ideographs and kana are cut out of the text before anything else is looked for, so nothing reaches across
    /// their borders.
    fn end_deepseek(&self, start: usize, class: u8, length: usize) -> usize {
        if class & NUMBER != 0 {
            return self.numbers(start);
        }
        if self.is_apart(start) {
            // `[一-龥\u3040-\u309f\u30a0-\u30ff]+`
            let mut end = start + length;
            while self.is_apart(end) {
                end += self.class(end).map_or(1, |(_, length)| length);
            }
            return end;
        }
        self.deepseek_word(start, class, length).unwrap_or_else(|| {
            let symbols = if self.byte(start) == Some(b' ') { start + 1 } else { start };
            let mut end = self.together(symbols, |class| class & SYMBOL != 0);
            if end > symbols {
                while self.byte(end).is_some_and(|byte| matches!(byte, b'\r' | b'\n')) {
                    end += 1;
                }
                return end;
            }
            if class & SPACE != 0 { self.space(start) } else { self.unmatched(start) }
        })
    }

    /// ``[!-/:-@[-`{-~][A-Za-z]+`` and `[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+`.
    fn deepseek_word(&self, start: usize, class: u8, length: usize) -> Option<usize> {
        let bytes = self.text.as_bytes();
        if bytes[start].is_ascii_punctuation() {
            let letters = bytes[start + 1..].iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
            if letters > 0 {
                return Some(start + 1 + letters);
            }
        }
        let of_word = |class: u8| class & (LETTER | MARK) != 0;
        let end = |from| Some(self.together(from, of_word)).filter(|end| *end > from);
        // A mark is both what may stand in front and part of a word.
        let front = class & (BREAK | LETTER | SYMBOL) == 0;
        front.then(|| end(start + length)).flatten().or_else(|| end(start))
    }

    /// What no part of the pattern has a word for, up to where one has.
    fn unmatched(&self, start: usize) -> usize {
        let mut at = start;
        while let Some((class, length)) = self.class(at) {
            let known = class & (NUMBER | SPACE | SYMBOL) != 0 || self.is_apart(at);
            if known || self.deepseek_word(at, class, length).is_some() {
                break;
            }
            at += length;
        }
        at
    }

    /// The end of a run that no border of what is cut out before is in.
    fn together(&self, mut at: usize, passes: impl Fn(u8) -> bool) -> usize {
        while let Some((class, length)) = self.class(at) {
            if !passes(class) || self.is_apart(at) {
                break;
            }
            at += length;
        }
        at
    }

    /// Whether an ideograph or kana stands there.
    fn is_apart(&self, at: usize) -> bool {
        // Those are three bytes each, from U+3040 on.
        self.byte(at).is_some_and(|byte| (0xe3..=0xe9).contains(&byte))
            && matches!(self.text[at..].chars().next(), Some('\u{3040}'..='\u{30ff}' | '一'..='龥'))
    }

    /// `U*L+` and, where that is not to be had, `U+L*`, where the last of U are in L as well.
    fn word(&self, start: usize) -> Word {
        let (mut end, mut ended) = (start, None);
        while let Some((class, length)) = self.class(end) {
            if class & UPPER == 0 {
                if class & LOWER != 0 {
                    return Word::Ended(self.run(end, |class| class & LOWER != 0));
                }
                break;
            }
            end += length;
            if class & LOWER != 0 {
                ended = Some(end);
            }
        }
        match ended {
            Some(ended) => Word::Ended(ended),
            None if end > start => Word::Upper(end),
            None => Word::None,
        }
    }

    /// The end of a word, where it goes on as one.
    fn contracted(&self, at: usize) -> usize {
        if self.pattern == Pattern::Tekken { at } else { self.contraction(at) }
    }

    /// `(?i:'s|'t|'re|'ve|'m|'ll|'d)?`: the end of it, or where it would begin. The long s is an s here.
    fn contraction(&self, at: usize) -> usize {
        let Some([b'\'', rest @ ..]) = self.text.as_bytes().get(at..) else { return at };
        match *rest {
            [b's' | b'S' | b't' | b'T' | b'm' | b'M' | b'd' | b'D', ..] => at + 2,
            [b'r' | b'R' | b'v' | b'V', b'e' | b'E', ..] | [b'l' | b'L', b'l' | b'L', ..] | [0xc5, 0xbf, ..] => at + 3,
            _ => at,
        }
    }

    /// `\p{N}{1,3}`, or `\p{N}`.
    fn numbers(&self, start: usize) -> usize {
        let most = if matches!(self.pattern, Pattern::Qwen | Pattern::Tekken) { 1 } else { 3 };
        let mut end = start;
        for _ in 0..most {
            match self.class(end) {
                Some((class, length)) if class & NUMBER != 0 => end += length,
                _ => break,
            }
        }
        end
    }

    /// ` ?[^\s\p{L}\p{N}]+` and what may trail it.
    fn symbols(&self, start: usize, class: u8, trails: impl Fn(u8) -> bool) -> Option<usize> {
        let from = match self.byte(start) {
            Some(b' ') => start + 1,
            _ if class & SPACE != 0 => return None,
            _ => start,
        };
        let mut end = self.run(from, |class| class & (SPACE | LETTER | NUMBER) == 0);
        if end == from {
            return None;
        }
        while self.byte(end).is_some_and(&trails) {
            end += 1;
        }
        Some(end)
    }

    /// White space: its end, the end of its last line break, and the length of its last character.
    fn spaces(&self, start: usize) -> (usize, Option<usize>, usize) {
        let (mut end, mut line, mut last) = (start, None, 0);
        while let Some((class, length)) = self.class(end) {
            if class & SPACE == 0 {
                break;
            }
            end += length;
            last = length;
            if class & BREAK != 0 {
                line = Some(end);
            }
        }
        (end, line, last)
    }

    /// `\s*[\r\n]+`, else what comes before the last.
    fn space(&self, start: usize) -> usize {
        let (end, line, last) = self.spaces(start);
        line.unwrap_or_else(|| self.without_last(start, end, last))
    }

    /// `\s+(?!\S)`, else `\s+`: what follows keeps one for itself.
    fn without_last(&self, start: usize, end: usize, last: usize) -> usize {
        let is_end = match self.class(end) {
            None => true,
            // What is cut out before is not seen from here.
            Some((class, _)) => self.pattern == Pattern::DeepSeek && (class & NUMBER != 0 || self.is_apart(end)),
        };
        if is_end || end - last == start { end } else { end - last }
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.at;
        self.at = self.end(start)?;
        self.text.as_bytes().get(start..self.at)
    }
}
