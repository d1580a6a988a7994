//! A model that loops: the same piece of content again and again, until somebody pays for the longest answer there is.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;

use crate::{Class, Fault};

/// The text of one event, as far as comparing it with the next one needs it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Piece {
    hash: u64,
    /// Has a letter and more than two characters.
    is_text: bool,
}

/// Counts equal pieces that follow one another.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Repeats {
    /// 0: any number is fine.
    limit: u32,
    last: Option<Piece>,
    count: u32,
}

/// Rules of dashes, indentation and rows of zeros are content too, and come one short piece at a time. A thousand of those
/// in a row are still a loop: line breaks without end are what a model in JSON mode gets stuck in.
const SHORT_FACTOR: u32 = 10;

// === impl Piece ===

impl Piece {
    /// `index` is the answer's or block's number: the same word at the start of each of several answers is no loop.
    pub(crate) fn of(index: u64, text: &str) -> Self {
        let is_text = text.chars().nth(2).is_some() && text.chars().any(char::is_alphabetic);
        Self { hash: FixedState::default().hash_one((index, text)), is_text }
    }

    /// Two texts of one event.
    pub(crate) const fn and(self, other: Self) -> Self {
        Self { hash: self.hash.rotate_left(1) ^ other.hash, is_text: self.is_text || other.is_text }
    }
}

// === impl Repeats ===

impl Repeats {
    pub(crate) const fn at_most(limit: u32) -> Self {
        Self { limit, last: None, count: 0 }
    }

    /// Takes the next piece. A fault if it is one too many of its kind.
    pub(crate) fn add(&mut self, piece: Piece) -> Result<(), Fault> {
        if self.last != Some(piece) {
            self.last = Some(piece);
            self.count = 0;
        }
        self.count = self.count.saturating_add(1);
        let limit = if piece.is_text { self.limit } else { self.limit.saturating_mul(SHORT_FACTOR) };
        if limit == 0 || self.count < limit {
            return Ok(());
        }
        let message = format!("the model repeats itself: the same piece of content came {limit} times in a row");
        Err(Fault::own(Class::InternalServerError, message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After how many of these, in turn, the stream is ended.
    fn ends_after(limit: u32, pieces: &[(u64, &str)]) -> Option<usize> {
        let mut repeats = Repeats::at_most(limit);
        pieces
            .iter()
            .cycle()
            .take(2_000)
            .position(|(index, text)| repeats.add(Piece::of(*index, text)).is_err())
            .map(|at| at + 1)
    }

    #[test]
    fn only_the_same_piece_in_a_row_is_a_loop() {
        type Row<'a> = (&'a str, u32, &'a [(u64, &'a str)], Option<usize>);
        let rows: [Row<'_>; 9] = [
            ("a word", 100, &[(0, " the")], Some(100)),
            ("another bound", 3, &[(0, " the")], Some(3)),
            ("no bound", 0, &[(0, " the")], None),
            ("two words in turn", 100, &[(0, "the"), (0, "end")], None),
            ("one word of two answers", 100, &[(0, "the"), (1, "the")], None),
            ("a rule of dashes", 100, &[(0, "-----")], Some(1_000)),
            ("indentation", 100, &[(0, "\n        ")], Some(1_000)),
            ("a short word", 100, &[(0, "a")], Some(1_000)),
            ("not only English", 100, &[(0, "東京都")], Some(100)),
        ];
        for (row, limit, pieces, want) in rows {
            assert_eq!(ends_after(limit, pieces), want, "{row}");
        }
    }
}
