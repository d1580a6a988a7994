//! Parts of a URL's path.

use std::fmt::Write;

/// Text as one segment of a path: whatever a model's name holds, it stays within its segment.
pub(crate) fn segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'@') {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    // A segment of dots alone would be a step up.
    if matches!(out.as_str(), "." | "..") { out.replace('.', "%2E") } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_in_its_segment() {
        let rows = [
            ("gpt-4o", "gpt-4o"),
            ("a/../b", "a%2F..%2Fb"),
            ("..", "%2E%2E"),
            ("m?x=1#y", "m%3Fx%3D1%23y"),
            ("é:0", "%C3%A9%3A0"),
            ("claude-sonnet-4-5@20250929", "claude-sonnet-4-5@20250929"),
        ];
        for (text, want) in rows {
            assert_eq!(segment(text), want, "{text}");
        }
    }
}
