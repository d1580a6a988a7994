//! What the patterns of the schemas mean, for people who do not read patterns.

/// A pattern, and what fits it.
const WORDS: &[(&str, &str)] = &[
    (r"^[0-9]{1,9}(\.[0-9]{1,12})?$", "an amount in US dollars such as \"0.15\""),
    ("^([0-9]{1,5}(h|m|s|ms)){1,4}$", "a duration such as 1m30s or 250ms"),
    ("^[-._a-zA-Z0-9]+$", "a key of a Secret: letters, digits, '-', '_' and '.'"),
    ("^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "a name: lower-case letters, digits and '-', and no '-' at the ends"),
    (r"^/[^\s?#]*$", "a path such as /models"),
    ("^[!-~]+$", "a name of a model: printable ASCII without spaces"),
    ("^[A-Za-z0-9-]+$", "a name of a header: letters, digits and '-'"),
    (r"^https?://[^\s/?#@]+/?$", "a URL such as http://egress.corp:3128, without a path, a query or credentials"),
    (r"^https?://[^\s/?#@]+(/[^\s?#@]*)?$", "a URL such as https://api.example.com/v1, without a query or credentials"),
    (r"^[A-Za-z0-9._:/@+-]*\*?$", "a name of a model: letters, digits and ._:/@+-, and a * at the end"),
    ("^([a-z0-9][-a-z0-9.]*:)?[a-z0-9][-a-z0-9]*[a-z0-9]$", "the id of a project such as my-project-123"),
    ("^[a-z][-a-z0-9]*[a-z0-9]$", "a region such as us-east-1"),
    ("^[A-Za-z0-9_+/-]+$", "a time zone such as UTC"),
    (r"^\d{4}-\d{2}-\d{2}(-preview)?$", "a version such as 2024-10-21"),
    ("^[0-9]{1,5}x[0-9]{1,5}$", "the size of an image such as 1024x1536"),
];

/// What a text that does not fit the pattern is not.
pub(super) fn wanted(pattern: &str) -> String {
    match WORDS.iter().find(|(known, _)| *known == pattern) {
        Some((_, words)) => format!("is not {words}"),
        None => format!("does not fit the regular expression {pattern}"),
    }
}

#[cfg(test)]
mod tests {
    use regex::Regex;
    use serde_json::Value;

    use super::*;

    fn patterns(schema: &Value, found: &mut Vec<String>) {
        match schema {
            Value::Object(fields) => {
                found.extend(fields.get("pattern").and_then(Value::as_str).map(str::to_owned));
                fields.values().for_each(|field| patterns(field, found));
            }
            Value::Array(items) => items.iter().for_each(|item| patterns(item, found)),
            _ => {}
        }
    }

    #[test]
    fn every_pattern_of_the_schemas_has_words() {
        let mut found = Vec::new();
        patterns(&serde_json::to_value(spillway_crds::crds()).unwrap(), &mut found);
        assert!(!found.is_empty());
        for pattern in &found {
            assert!(!wanted(pattern).contains(pattern), "{pattern} has no words");
        }
        for (pattern, _) in WORDS {
            assert!(found.iter().any(|used| used == pattern), "{pattern} is in no schema");
        }
    }

    #[test]
    fn what_the_words_give_as_an_example_fits() {
        let rows =
            ["0.15", "1m30s", "250ms", "/models", "us-east-1", "UTC", "2024-10-21", "my-project-123", "1024x1536"];
        let urls = ["http://egress.corp:3128", "https://api.example.com/v1"];
        for example in rows.into_iter().chain(urls) {
            let row = WORDS.iter().find(|(_, words)| words.contains(example));
            let (pattern, _) = row.unwrap_or_else(|| panic!("{example} is no example"));
            assert!(Regex::new(pattern).unwrap().is_match(example), "{example} does not fit {pattern}");
        }
    }
}
