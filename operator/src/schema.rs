//! What the API server would say about an object, said offline: the schema's bounds and its CEL rules.
//!
//! A directory of YAML has no API server in front of it. Without this, a misspelt field would be ignored silently and a
//! bad value found at the first request. The schemas are the very ones that are installed in clusters.

mod walk;
mod words;

use std::collections::BTreeMap;

use kube::core::cel::{CompiledSchema, Validator, compile_schema};
use serde_json::Value;

/// A place in an object and what is wrong there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// `spec.backends[1].name`; empty for the object itself.
    pub path: String,
    pub message: String,
}

/// The schemas of our kinds, compiled once.
pub struct Schemas {
    by_kind: BTreeMap<String, (Value, CompiledSchema)>,
    rules: Validator,
}

impl Default for Schemas {
    fn default() -> Self {
        let mut by_kind = BTreeMap::new();
        for crd in spillway_crds::crds() {
            let version = crd.spec.versions.into_iter().next().and_then(|version| version.schema);
            let schema = version.and_then(|validation| validation.open_api_v3_schema);
            let schema = serde_json::to_value(schema).expect("schemas are plain data");
            let compiled = compile_schema(&schema);
            by_kind.insert(crd.spec.names.kind, (schema, compiled));
        }
        Self { by_kind, rules: Validator::new() }
    }
}

// === impl Schemas ===

impl Schemas {
    /// True for the kinds this knows.
    #[must_use]
    pub fn knows(&self, kind: &str) -> bool {
        self.by_kind.contains_key(kind)
    }

    /// Everything the API server would refuse, in the order of the paths. Empty for kinds that are not ours.
    #[must_use]
    pub fn check(&self, kind: &str, object: &Value) -> Vec<Violation> {
        let Some((schema, compiled)) = self.by_kind.get(kind) else { return Vec::new() };
        let mut found = walk::check(schema, object);
        // Rules assume that the types are right; on a malformed object they would only repeat it in worse words.
        if found.is_empty()
            && let Err(errors) = self.rules.validate_compiled(compiled, object, None)
        {
            let violations = errors.into_vec().into_iter();
            found.extend(violations.map(|error| Violation { path: error.field_path, message: error.message }));
        }
        found.sort();
        found
    }
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.path.is_empty() { f.write_str(&self.message) } else { write!(f, "{}: {}", self.path, self.message) }
    }
}
