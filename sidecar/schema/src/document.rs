//! The JSON document that an answer's text is.
//!
//! Text around it is not looked for: whoever asks for JSON parses the answer as a whole, and a document that has to be dug
//! out of prose may be an example the model gave. The one exception is a code fence with nothing before and after it, a
//! habit of models that were never taught better; what is inside is unmistakable.

use serde_json::Value;

use crate::flaw::{Flaw, shortened};

const FENCE: &str = "```";

/// The document, and the text inside of the fence if there is one.
pub(crate) fn read(text: &str) -> Result<(Value, Option<&str>), Flaw> {
    let inside = unfenced(text);
    match serde_json::from_str(inside.unwrap_or(text)) {
        Ok(value) => Ok((value, inside)),
        Err(_) if text.trim().is_empty() => Err(Flaw::new("", "it is empty, not a JSON document".to_owned())),
        Err(error) => {
            let begins = Value::from(text.chars().take(60).collect::<String>());
            Err(Flaw::new(
                "",
                shortened(&format!("it is not a JSON document alone ({error}); it begins with {begins}")),
            ))
        }
    }
}

/// What is inside of a fence around all of the text.
fn unfenced(text: &str) -> Option<&str> {
    let rest = text.trim().strip_prefix(FENCE)?.strip_suffix(FENCE)?;
    let (language, inside) = rest.split_once('\n')?;
    let is_json = matches!(language.trim(), "" | "json" | "JSON");
    (is_json && !inside.contains(FENCE)).then(|| inside.trim())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_lone_fence_comes_off_and_prose_does_not() {
        let rows = [
            ("{\"a\": 1}", Some(None)),
            (" \n{\"a\": 1}\n", Some(None)),
            ("```json\n{\"a\": 1}\n```", Some(Some("{\"a\": 1}"))),
            ("\n```\n{\"a\": 1}```\n", Some(Some("{\"a\": 1}"))),
            ("Here you are:\n```json\n{\"a\": 1}\n```", None),
            ("```json\n{\"a\": 1}\n```\nAnything else?", None),
            ("```json\n{\"a\": 1}\n```\n```json\n{\"a\": 1}\n```", None),
            ("```python\n{\"a\": 1}\n```", None),
            ("```json {\"a\": 1} ```", None),
            ("```", None),
            ("{\"a\": 1", None),
            ("{\"a\": 1} {\"a\": 1}", None),
            ("", None),
        ];
        for (text, want) in rows {
            let got = read(text);
            assert_eq!(got.clone().ok().map(|(_, inside)| inside), want, "{text:?}: {got:?}");
            assert!(got.is_err() || got == Ok((json!({"a": 1}), want.flatten())), "{text:?}");
        }
        let flaw = read("Sure! Here is the JSON you asked for").unwrap_err().to_string();
        assert!(flaw.contains("begins with \"Sure! Here is"), "{flaw}");
    }
}
