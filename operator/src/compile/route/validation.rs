//! What answers are checked for.

use spillway_crds::{SchemaCheck, Validation};
use spillway_wire as wire;

/// Lowers the checks.
pub(super) fn compile(given: Option<&Validation>) -> wire::Validation {
    let Some(given) = given else { return wire::Validation::default() };
    let Validation {
        schema,
        // Refused by `unsupported`, where they are used.
        level: _,
        rules: _,
    } = given;
    wire::Validation {
        schema: match schema.unwrap_or(SchemaCheck::None) {
            SchemaCheck::None => wire::SchemaCheck::None,
            SchemaCheck::Report => wire::SchemaCheck::Report,
            SchemaCheck::Enforce => wire::SchemaCheck::Enforce,
        },
    }
}
