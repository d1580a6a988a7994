//! How much work a check is, found out before it is made.
//!
//! A validator goes down into every part of a document once for each schema that applies to it, and where several branches
//! of a schema that refers to itself go down into the same part, the work doubles at every level: forty brackets can keep a
//! processor busy for a year. Nothing stops a validator once it runs. So the same way is walked here first, without
//! looking at any value: no branch is left out because another one fits, which is the most a validator could do.

use serde_json::{Map, Value};

use crate::bounds::target;

/// Schemas applied to parts of a document. A document of half a megabyte under a usual schema takes as many.
const MAX_STEPS: usize = 250_000;

/// Text that is read in one step.
const STEP_BYTES: usize = 1024;

/// So few that every fault found on the way may be kept.
pub(crate) const FEW: usize = 20_000;

/// Schemas within schemas at once: each is a few calls on the validator's stack.
const MAX_DEPTH: usize = 256;

/// Why a document is not checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TooMuch {
    #[error("to check it against the schema takes more than {MAX_STEPS} steps")]
    Steps,
    #[error("to check it the schema has to be followed more than {MAX_DEPTH} levels deep")]
    Depth,
}

/// Counts the schemas that would be applied to parts of a document.
pub(crate) fn steps(root: &Value, document: &Value) -> Result<usize, TooMuch> {
    let mut walk = Walk { root, steps: 0 };
    walk.apply(root, document, 0)?;
    Ok(walk.steps)
}

struct Walk<'a> {
    root: &'a Value,
    steps: usize,
}

// === impl Walk ===

impl<'a> Walk<'a> {
    fn take(&mut self, steps: usize) -> Result<(), TooMuch> {
        self.steps = self.steps.saturating_add(steps);
        if self.steps > MAX_STEPS { Err(TooMuch::Steps) } else { Ok(()) }
    }

    fn read(&mut self, text: &str) -> Result<(), TooMuch> {
        self.take(1 + text.len() / STEP_BYTES)
    }

    fn apply(&mut self, schema: &'a Value, document: &Value, depth: usize) -> Result<(), TooMuch> {
        self.take(1)?;
        let Value::Object(keywords) = schema else { return Ok(()) };
        if depth == MAX_DEPTH {
            return Err(TooMuch::Depth);
        }
        for (keyword, value) in keywords {
            match keyword.as_str() {
                "$ref" => {
                    let target = value.as_str().and_then(|reference| target(self.root, reference));
                    target.map_or(Ok(()), |target| self.apply(target, document, depth + 1))?;
                }
                "not" | "if" | "then" | "else" => self.apply(value, document, depth + 1)?,
                "allOf" | "anyOf" | "oneOf" => {
                    for inner in value.as_array().into_iter().flatten() {
                        self.apply(inner, document, depth + 1)?;
                    }
                }
                "dependentSchemas" | "dependencies" => {
                    for inner in value.as_object().into_iter().flat_map(Map::values) {
                        self.apply(inner, document, depth + 1)?;
                    }
                }
                // Read from end to end, each time.
                "pattern" | "minLength" | "maxLength" => self.read(document.as_str().unwrap_or_default())?,
                "enum" => self.take(value.as_array().map_or(0, Vec::len) / 16)?,
                _ => match document {
                    Value::Object(fields) => self.fields(keywords, (keyword, value), fields, depth + 1)?,
                    Value::Array(items) => self.items(keyword, value, items, depth + 1)?,
                    Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
                },
            }
        }
        Ok(())
    }

    fn fields(
        &mut self,
        keywords: &'a Map<String, Value>,
        (keyword, value): (&str, &'a Value),
        fields: &Map<String, Value>,
        depth: usize,
    ) -> Result<(), TooMuch> {
        match keyword {
            "properties" => {
                for (name, inner) in value.as_object().into_iter().flatten() {
                    fields.get(name).map_or(Ok(()), |field| self.apply(inner, field, depth))?;
                }
            }
            "patternProperties" => {
                for inner in value.as_object().into_iter().flat_map(Map::values) {
                    for (name, field) in fields {
                        self.read(name)?;
                        self.apply(inner, field, depth)?;
                    }
                }
            }
            "additionalProperties" => {
                let named = keywords.get("properties").and_then(Value::as_object);
                for (name, field) in fields {
                    if named.is_none_or(|named| !named.contains_key(name)) {
                        self.apply(value, field, depth)?;
                    }
                }
            }
            "propertyNames" => {
                for name in fields.keys() {
                    self.read(name)?;
                    self.apply(value, &Value::from(name.as_str()), depth)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn items(&mut self, keyword: &str, value: &'a Value, items: &[Value], depth: usize) -> Result<(), TooMuch> {
        match (keyword, value) {
            ("prefixItems" | "items", Value::Array(schemas)) => {
                for (inner, item) in schemas.iter().zip(items) {
                    self.apply(inner, item, depth)?;
                }
            }
            ("items" | "additionalItems" | "contains", _) => {
                for item in items {
                    self.apply(value, item, depth)?;
                }
            }
            ("uniqueItems", _) => self.take(items.len())?,
            _ => {}
        }
        Ok(())
    }
}
