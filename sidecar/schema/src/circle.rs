//! Schemas that lead back to where they stand without going down into the document.
//!
//! `{"$ref": "#"}`, or a reference behind an `anyOf` that leads to that `anyOf` again: there is no end to following one, so
//! no answer could ever be found to fit. A tree, whose nodes refer to the whole below `properties` or `items`, is none of
//! them: each step goes down, and documents end.

use std::collections::HashMap;
use std::ptr;

use serde_json::{Map, Value};

use crate::bounds::target;

/// Looks at one schema after the other; what has been looked at is not looked at again.
pub(crate) struct Circles<'a> {
    root: &'a Value,
    /// Whether the way has only come by so far, or is known to end.
    ended: HashMap<*const Value, bool>,
}

// === impl Circles ===

impl<'a> Circles<'a> {
    pub(crate) fn of(root: &'a Value) -> Self {
        Self { root, ended: HashMap::new() }
    }

    /// Whether whoever follows a schema comes by it, or by one that it leads to, for ever.
    pub(crate) fn hold(&mut self, schema: &'a Value) -> bool {
        let Value::Object(keywords) = schema else { return false };
        if let Some(ended) = self.ended.get(&ptr::from_ref(schema)) {
            return !ended;
        }
        self.ended.insert(ptr::from_ref(schema), false);
        let holds = keywords.iter().any(|(keyword, value)| self.keyword(keyword, value));
        self.ended.insert(ptr::from_ref(schema), !holds);
        holds
    }

    /// Those that apply to the same part of a document.
    fn keyword(&mut self, keyword: &str, value: &'a Value) -> bool {
        match keyword {
            "$ref" => value.as_str().and_then(|to| target(self.root, to)).is_some_and(|target| self.hold(target)),
            "not" | "if" | "then" | "else" => self.hold(value),
            "allOf" | "anyOf" | "oneOf" => value.as_array().into_iter().flatten().any(|inner| self.hold(inner)),
            "dependentSchemas" | "dependencies" => {
                value.as_object().into_iter().flat_map(Map::values).any(|inner| self.hold(inner))
            }
            _ => false,
        }
    }
}
