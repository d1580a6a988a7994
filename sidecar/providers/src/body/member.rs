//! Members of JSON objects, looked for as bytes: what a look decides is whether it is worth parsing.

use memchr::memmem;

/// What comes after each place that reads `"name":`, whatever object it is in; `name` has its quotes. A text may hold the same
/// bytes: that there is none is certain, that there is one is not.
pub(crate) fn values_of<'a>(json: &'a [u8], name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    memmem::find_iter(json, name).filter_map(move |at| value_after(json.get(at + name.len()..)?))
}

/// What comes after the colon behind a name.
pub(crate) fn value_after(rest: &[u8]) -> Option<&[u8]> {
    Some(rest.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start())
}
