//! Short pieces that were counted of late. A long text is made of the same words again and again, and to know one again is
//! several times as fast as to look it up among all there are.

/// Pieces remembered at once: a power of two, and forty kilobytes.
const PIECES: usize = 1 << 11;

/// A piece of at most this many bytes fits beside its length.
const LONGEST: usize = 15;

#[derive(Default)]
pub(super) struct Recent {
    pieces: Vec<u128>,
    counts: Vec<u8>,
}

/// A piece as a number, and where it would be.
#[derive(Clone, Copy)]
pub(super) struct Place {
    piece: u128,
    slot: usize,
}

// === impl Recent ===

impl Recent {
    /// From now on.
    pub(super) fn begin(&mut self) {
        self.pieces.resize(PIECES, 0);
        self.counts.resize(PIECES, 0);
    }

    /// None: it is too long, or nothing is remembered.
    pub(super) fn place(&self, piece: &[u8]) -> Option<Place> {
        if piece.len() > LONGEST || self.pieces.is_empty() {
            return None;
        }
        let mut bytes = [0; LONGEST + 1];
        bytes[..piece.len()].copy_from_slice(piece);
        bytes[LONGEST] = piece.len() as u8;
        let piece = u128::from_le_bytes(bytes);
        // The bits of the golden ratio mix; the uppermost ones are mixed best.
        let hash = ((piece >> 64) as u64 ^ (piece as u64).rotate_left(23)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Some(Place { piece, slot: (hash >> (u64::BITS - PIECES.trailing_zeros())) as usize })
    }

    pub(super) fn get(&self, Place { piece, slot }: Place) -> Option<u64> {
        (self.pieces[slot] == piece).then(|| self.counts[slot].into())
    }

    pub(super) fn put(&mut self, Place { piece, slot }: Place, count: u64) {
        // There is a token a byte at most.
        self.pieces[slot] = piece;
        self.counts[slot] = count as u8;
    }
}
