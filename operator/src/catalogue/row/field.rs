//! A field of a row, and what is said of one that does not read.

use serde_json::Value;
use spillway_crds::Money;

pub(super) type Read<T> = Result<T, String>;

/// Characters of a value that a message shows.
const MOST_SHOWN: usize = 60;

/// The start of a value, for a message.
pub(super) fn brief(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= MOST_SHOWN { text } else { text.chars().take(MOST_SHOWN).chain(['…']).collect() }
}

/// The fields of an object that say something.
pub(super) fn given<'a>(at: &str, value: &'a Value) -> Read<impl Iterator<Item = (&'a String, &'a Value)> + use<'a>> {
    let Value::Object(fields) = value else {
        let place = if at.is_empty() { String::new() } else { format!("{at}: ") };
        return Err(format!("{place}{value} is no object", value = brief(value)));
    };
    Ok(fields.iter().filter(|(_, value)| !value.is_null()))
}

pub(super) fn text<'a>(at: &str, value: &'a Value) -> Read<&'a str> {
    let refuse = || format!("{at}: {value} is no string: write dollars as \"0.15\", in quotes", value = brief(value));
    value.as_str().ok_or_else(refuse)
}

/// Dollars, in nano-dollars.
pub(super) fn dollars(at: &str, value: &Value) -> Read<u64> {
    Money::from(text(at, value)?).nanos().map_err(|error| format!("{at}: {error}"))
}
