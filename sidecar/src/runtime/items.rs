//! What answers of the Responses API said, for requests that name an item of one instead of sending it.
//!
//! OpenAI keeps answers, and SDKs count on it: a conversation goes on with `{"type": "item_reference", "id": …}`. Behind a
//! translation nobody keeps anything, and where OpenAI itself answers nothing is kept unless a route says so. So the newest
//! items stay here, in memory and within a bound, for the one pod that was told them. What is not here any more is refused by
//! its name; nothing is ever made up.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Of all of them together, ids included.
const MAX_BYTES: usize = 4 << 20;
/// A longer one would push out all others.
const MAX_ITEM_BYTES: usize = 512 << 10;
/// Longer than any id; some hold an encrypted thought.
const MAX_ID_BYTES: usize = 1 << 10;
/// What one costs beside its bytes.
const OVERHEAD: usize = 160;

/// The newest items.
#[derive(Debug, Default)]
pub(crate) struct Items {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// None: two different ones came with this id, from a server that gives the same id to all.
    items: HashMap<Box<str>, Option<Box<[u8]>>>,
    oldest_first: VecDeque<Box<str>>,
    bytes: usize,
}

// === impl Items ===

impl Items {
    /// Keeps an item, as it was told.
    pub(crate) fn keep(&self, id: &str, item: &[u8]) {
        if id.is_empty() || id.len() > MAX_ID_BYTES || item.len() > MAX_ITEM_BYTES {
            return;
        }
        let mut kept = self.lock();
        if let Some(known) = kept.items.get_mut(id) {
            if known.as_deref().is_none_or(|known| known == item) {
                return;
            }
            let freed = known.take().map_or(0, |item| item.len());
            kept.bytes -= freed;
            return;
        }
        kept.bytes += size(id, item.len());
        kept.items.insert(id.into(), Some(item.into()));
        kept.oldest_first.push_back(id.into());
        while kept.bytes > MAX_BYTES {
            let Some(oldest) = kept.oldest_first.pop_front() else { return };
            let item = kept.items.remove(&oldest).flatten();
            kept.bytes -= size(&oldest, item.map_or(0, |item| item.len()));
        }
    }

    /// What was told with this id.
    pub(crate) fn recall(&self, id: &str) -> Option<Box<[u8]>> {
        self.lock().items.get(id).cloned().flatten()
    }

    /// Nothing is half done when it is let go of.
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const fn size(id: &str, item: usize) -> usize {
    // The id is there twice.
    2 * id.len() + item + OVERHEAD
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_is_recalled_and_an_id_that_stands_for_two_things_for_neither() {
        let items = Items::default();
        items.keep("msg_1", b"one");
        items.keep("msg_1", b"one");
        assert_eq!(items.recall("msg_1").as_deref(), Some(&b"one"[..]));
        items.keep("msg_1", b"other");
        items.keep("msg_1", b"one");
        assert_eq!((items.recall("msg_1"), items.recall("msg_2")), (None, None));
    }

    #[test]
    fn the_oldest_goes_first_and_what_is_counted_is_what_there_is() {
        let items = Items::default();
        let item = vec![b'x'; 64 << 10];
        for index in 0..200 {
            items.keep(&format!("msg_{index}"), &item);
            items.keep(&format!("msg_{}", index / 2), b"another");
        }
        assert!(items.recall("msg_0").is_none() && items.recall("msg_199").is_some());
        items.keep("large", &vec![0; MAX_ITEM_BYTES + 1]);
        items.keep(&"i".repeat(MAX_ID_BYTES + 1), b"x");
        let kept = items.lock();
        let counted: usize =
            kept.items.iter().map(|(id, item)| size(id, item.as_ref().map_or(0, |item| item.len()))).sum();
        assert_eq!((kept.bytes, kept.items.len()), (counted, kept.oldest_first.len()));
        assert!(kept.bytes <= MAX_BYTES && !kept.items.contains_key("large"));
    }
}
