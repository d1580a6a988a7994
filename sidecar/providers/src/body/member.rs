//! Members of JSON objects, looked for as bytes: what a look decides is whether it is worth parsing.

use memchr::{memchr_iter, memmem};

/// What comes after each place that reads `"name":`, whatever object it is in; `name` has its quotes. A text may hold the same
/// bytes: that there is none is certain, that there is one is not.
pub(crate) fn values_of<'a>(json: &'a [u8], name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    memmem::find_iter(json, name).filter_map(move |at| value_after(json.get(at + name.len()..)?))
}

/// What comes after the colon behind a name.
pub(crate) fn value_after(rest: &[u8]) -> Option<&[u8]> {
    Some(rest.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start())
}

/// Whether any of these words, each with its quotes, is in it: in one pass, where each search for a word would make its own.
pub(crate) fn holds_any(json: &[u8], words: &[&[u8]]) -> bool {
    memchr_iter(b'"', json).any(|at| {
        let rest = json.get(at..).unwrap_or_default();
        words.iter().any(|word| rest.starts_with(word))
    })
}
