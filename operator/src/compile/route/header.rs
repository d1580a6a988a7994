//! Request headers that policies look at.

use spillway_expression::SECRET_HEADERS;

/// The header's name in lower case. `instead`: what to do where it is one with credentials.
pub(in crate::compile) fn name(given: &str, instead: &str) -> Result<String, String> {
    let header = given.to_ascii_lowercase();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if !(1..=128).contains(&header.len()) || !header.bytes().all(plain) {
        Err(format!("{header:?} is no name of a header: letters, digits and '-', at most 128"))
    } else if SECRET_HEADERS.contains(&header.as_str()) {
        Err(format!("{header:?} carries credentials, which no policy looks at: {instead}"))
    } else {
        Ok(header)
    }
}
