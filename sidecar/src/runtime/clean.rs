//! Answers without the keys that were sent for them.
//!
//! An application never sees a key, and a gateway in between that repeats the headers it got in a good answer would show it
//! one. Looking for it takes a tenth of a microsecond for an event of a stream and a few for a page of text; where there is
//! nothing, which is nearly always, the bytes go on as they are. Events are looked at whole, however they came: a key in
//! one of them is found wherever the network cut it. What goes through without being read (sound, files) is not looked at:
//! it comes in pieces, and holding each back for the next one would hold everything back.

use bytes::Bytes;

use super::generation::Provider;

impl Provider {
    /// The bytes without the keys; the same bytes where there are none in them.
    pub(crate) fn cleaned(&self, bytes: Bytes) -> Bytes {
        let text = std::str::from_utf8(&bytes).ok();
        text.and_then(|text| self.taken_out_of(text)).map_or(bytes, Bytes::from)
    }
}
