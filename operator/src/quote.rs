//! Values as messages quote them. A URL may carry a key where none belongs; the message that says so must not repeat it.

use std::borrow::Cow;

/// The value in quotes, without what may be a secret in it.
pub(crate) fn quote(value: &str) -> String {
    format!("{:?}", without_secrets(value))
}

/// Hides what stands before an `@`, and what a query or a fragment says.
fn without_secrets(value: &str) -> Cow<'_, str> {
    let start = value.find("://").map_or(0, |at| at + "://".len());
    let (head, rest) = value.split_at(start);
    let query = rest.find(['?', '#']);
    match (rest.rfind('@'), query) {
        (None, None) => value.into(),
        (None, Some(at)) => format!("{head}{}…", &rest[..=at]).into(),
        (Some(at), None) => format!("{head}…{}", &rest[at..]).into(),
        // A password may have a question mark in it, and a query an `@`: which is which is anybody's guess.
        (Some(_), Some(_)) => format!("{head}…").into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_secret_is_not_repeated() {
        let rows = [
            ("https://api.example/v1", "\"https://api.example/v1\""),
            ("ftp://api.example", "\"ftp://api.example\""),
            ("https://user:canary@api.example/v1", "\"https://…@api.example/v1\""),
            ("https://us/er:can@ary@api.example", "\"https://…@api.example\""),
            ("user:canary@api.example", "\"…@api.example\""),
            ("https://api.example/v1?key=canary", "\"https://api.example/v1?…\""),
            ("https://api.example/v1?canary", "\"https://api.example/v1?…\""),
            ("https://api.example/#canary", "\"https://api.example/#…\""),
            ("https://user:can?ary@api.example", "\"https://…\""),
            ("https://api.example?key=can@ary", "\"https://…\""),
            ("", "\"\""),
        ];
        for (value, want) in rows {
            assert_eq!(quote(value), want, "{value}");
        }
    }
}
