//! A body that arrives in pieces.

use bytes::{Bytes, BytesMut};

/// What has arrived. Most bodies come in one piece, which is kept as it is; only a second one makes a copy.
#[derive(Default)]
pub(super) struct Pieces {
    first: Bytes,
    all: BytesMut,
    /// What is known of the whole size.
    expected: usize,
}

// === impl Pieces ===

impl Pieces {
    pub(super) fn expecting(bytes: Option<u64>) -> Self {
        let expected = bytes.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(0);
        Self { expected, ..Self::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.first.len() + self.all.len()
    }

    pub(super) fn push(&mut self, piece: Bytes) {
        if self.len() == 0 {
            self.first = piece;
            return;
        }
        if self.all.is_empty() {
            self.all.reserve(self.expected.max(self.first.len() + piece.len()));
            self.all.extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.all.extend_from_slice(&piece);
    }

    pub(super) fn join(self) -> Bytes {
        if self.all.is_empty() { self.first } else { self.all.freeze() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_in_comes_out_in_order_and_a_single_piece_is_not_copied() {
        for parts in [&[][..], &["a"], &["a", "b"], &["a", "", "bc", "d"], &["", "a"]] {
            let mut pieces = Pieces::expecting(Some(4));
            for part in parts {
                pieces.push(Bytes::from_static(part.as_bytes()));
            }
            assert_eq!(pieces.len(), parts.concat().len(), "{parts:?}");
            assert_eq!(pieces.join(), parts.concat(), "{parts:?}");
        }
        let only = Bytes::from(vec![b'x'; 100]);
        let mut pieces = Pieces::default();
        pieces.push(only.clone());
        assert_eq!(pieces.join().as_ptr(), only.as_ptr());
    }
}
