//! What the encodings' patterns ask of a character: a letter of which kind, a number, white space, the end of a line.
//!
//! The sets are those of the pattern engine the reference is built on, read from it once: sixty kilobytes.

use std::sync::LazyLock;

use regex_syntax::hir::{Class, Hir, HirKind};

use super::room;

/// May open a word: upper case, title case, letters without a case, marks.
pub(super) const UPPER: u8 = 1;
/// May end a word: lower case, letters without a case, marks.
pub(super) const LOWER: u8 = 1 << 1;
pub(super) const LETTER: u8 = 1 << 2;
pub(super) const NUMBER: u8 = 1 << 3;
pub(super) const SPACE: u8 = 1 << 4;
/// `\r` and `\n`, which are [`SPACE`] too.
pub(super) const BREAK: u8 = 1 << 5;
/// Punctuation and symbols.
pub(super) const SYMBOL: u8 = 1 << 6;
/// Marks, which are [`UPPER`] and [`LOWER`] too.
pub(super) const MARK: u8 = 1 << 7;

const CATEGORIES: [(&str, u8); 9] = [
    (r"\p{Lu}", UPPER | LETTER),
    (r"\p{Lt}", UPPER | LETTER),
    (r"\p{Ll}", LOWER | LETTER),
    (r"\p{Lm}", UPPER | LOWER | LETTER),
    (r"\p{Lo}", UPPER | LOWER | LETTER),
    (r"\p{M}", UPPER | LOWER | MARK),
    (r"\p{N}", NUMBER),
    (r"\p{P}", SYMBOL),
    (r"\p{S}", SYMBOL),
];

/// Characters in one block of the table.
const BLOCK: usize = 1 << 8;

pub(super) static CLASSES: LazyLock<Classes> = LazyLock::new(Classes::new);

/// Blocks of characters; equal ones are there once.
pub(super) struct Classes {
    cells: Vec<u8>,
    /// Where in `cells` each block begins, in blocks. The first begins at the first.
    blocks: Vec<u16>,
}

// === impl Classes ===

impl Classes {
    fn new() -> Self {
        let mut flat = room::list();
        flat.resize(char::MAX as usize + 1, 0);
        for (pattern, class) in CATEGORIES {
            for (from, to) in ranges(pattern) {
                flat[from as usize..=to as usize].iter_mut().for_each(|cell| *cell |= class);
            }
        }
        for space in (0..=0xffff).filter_map(char::from_u32).filter(|c| c.is_whitespace()) {
            flat[space as usize] |= if matches!(space, '\r' | '\n') { SPACE | BREAK } else { SPACE };
        }
        let mut classes = Self { cells: Vec::new(), blocks: Vec::with_capacity(flat.len() / BLOCK) };
        for block in flat.chunks(BLOCK) {
            let known = classes.cells.chunks(BLOCK).position(|known| known == block);
            let index = known.unwrap_or_else(|| {
                classes.cells.extend_from_slice(block);
                classes.cells.len() / BLOCK - 1
            });
            classes.blocks.push(u16::try_from(index).unwrap_or(0));
        }
        classes.cells.shrink_to_fit();
        classes
    }

    pub(super) fn of(&self, c: char) -> u8 {
        let c = c as usize;
        self.cells[usize::from(self.blocks[c / BLOCK]) * BLOCK + c % BLOCK]
    }

    /// [`Self::of`] for a character of one byte.
    pub(super) fn of_ascii(&self, byte: u8) -> u8 {
        self.cells[usize::from(byte)]
    }
}

fn ranges(pattern: &str) -> Vec<(char, char)> {
    match regex_syntax::parse(pattern).map(Hir::into_kind) {
        Ok(HirKind::Class(Class::Unicode(class))) => class.iter().map(|range| (range.start(), range.end())).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_what_unicode_says() {
        let rows = [
            ('a', LOWER | LETTER),
            ('Z', UPPER | LETTER),
            ('ǅ', UPPER | LETTER),
            ('ʰ', UPPER | LOWER | LETTER),
            ('你', UPPER | LOWER | LETTER),
            ('\u{301}', UPPER | LOWER | MARK),
            ('7', NUMBER),
            ('Ⅷ', NUMBER),
            ('½', NUMBER),
            (' ', SPACE),
            ('\u{a0}', SPACE),
            ('\u{3000}', SPACE),
            ('\n', SPACE | BREAK),
            ('!', SYMBOL),
            ('😀', SYMBOL),
            ('\u{200d}', 0),
            ('𐐀', UPPER | LETTER),
            ('\u{10ffff}', 0),
        ];
        for (c, class) in rows {
            assert_eq!(CLASSES.of(c), class, "{c:?}");
        }
        for byte in 0..128u8 {
            assert_eq!(CLASSES.of_ascii(byte), CLASSES.of(byte.into()), "{byte}");
        }
    }
}
