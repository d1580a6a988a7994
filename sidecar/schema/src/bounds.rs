//! Which schemas are taken: how large, how deep, and what they refer to.
//!
//! References are followed within the schema only, and only as pointers (`#`, `#/$defs/Name`), which is what schema
//! generators write. That keeps three promises cheap: nothing is fetched, a reference means the same here and in
//! [`crate::walk`], and the deepest chain of references has a bound.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::{Unusable, circle::Circles, flaw::shortened, walk};

/// Schemas within the schema.
const MAX_PARTS: usize = 20_000;

/// How deep it goes, references followed: the root and each definition that is referred to, added up, because each may
/// lead to the next.
const MAX_DEPTH: usize = 2_000;

/// In characters, of one pattern, and how many there are.
const MAX_PATTERN: usize = 1_024;
const MAX_PATTERNS: usize = 128;

/// What a keyword's value holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    /// A schema, or a list of them.
    Schemas,
    /// Schemas by name.
    Named,
    Other,
}

/// What is below a keyword.
pub(crate) fn holds(keyword: &str) -> Holds {
    match keyword {
        "not"
        | "if"
        | "then"
        | "else"
        | "allOf"
        | "anyOf"
        | "oneOf"
        | "items"
        | "prefixItems"
        | "additionalItems"
        | "contains"
        | "additionalProperties"
        | "propertyNames"
        | "contentSchema" => Holds::Schemas,
        "properties" | "patternProperties" | "dependentSchemas" | "dependencies" | "$defs" | "definitions" => {
            Holds::Named
        }
        _ => Holds::Other,
    }
}

/// What a reference within the schema points to.
pub(crate) fn target<'a>(root: &'a Value, reference: &str) -> Option<&'a Value> {
    let pointer = reference.strip_prefix('#')?;
    let pointer = percent_encoding::percent_decode_str(pointer).decode_utf8().ok()?;
    root.pointer(&pointer)
}

/// Refuses a schema that cannot be enforced within bounds.
pub(crate) fn check(root: &Value) -> Result<(), Unusable> {
    if !root.is_object() && !root.is_boolean() {
        return Err(Unusable::new("", "the schema must be an object".to_owned()));
    }
    let mut survey = Survey { root, parts: 0, patterns: 0, deepest: 0, targets: Vec::new(), places: Vec::new() };
    survey.schema(root, &mut String::new(), 1)?;
    let mut total = survey.deepest;
    let mut known = BTreeSet::new();
    // What is referred to may be anywhere, and refer to more that nothing else leads to.
    while let Some(reference) = survey.targets.pop() {
        let Some(target) = target(root, reference).filter(|_| known.insert(reference)) else { continue };
        survey.deepest = 0;
        survey.parts = 0;
        survey.patterns = 0;
        survey.schema(target, &mut String::new(), 1)?;
        total += survey.deepest;
        if total > MAX_DEPTH {
            let message = format!("the schema goes deeper than {MAX_DEPTH} levels when its references are followed");
            return Err(Unusable::new("", message));
        }
    }
    can_be_followed(root, survey.places)
}

/// Refuses what no answer could be checked against, before anybody is asked for one.
fn can_be_followed<'a>(root: &'a Value, places: Vec<(&'a Value, String)>) -> Result<(), Unusable> {
    let mut circles = Circles::of(root);
    if let Some((_, path)) = places.into_iter().find(|(schema, _)| circles.hold(schema)) {
        let message = "$ref leads back to where it stands, without a property or an item in between: following it has no end \
                       (put what it refers to under properties or items)";
        return Err(Unusable::new(path, message.to_owned()));
    }
    // What even the smallest document takes.
    walk::steps(root, &Value::Null).map(|_| ()).map_err(|too_much| Unusable::new("", too_much.to_string()))
}

struct Survey<'a> {
    root: &'a Value,
    parts: usize,
    patterns: usize,
    deepest: usize,
    targets: Vec<&'a str>,
    /// Where a reference stands.
    places: Vec<(&'a Value, String)>,
}

// === impl Survey ===

impl<'a> Survey<'a> {
    /// `path` is where the schema is, and is left as it was. JSON nests no deeper than its reader lets it, so neither does
    /// this.
    fn schema(&mut self, schema: &'a Value, path: &mut String, depth: usize) -> Result<(), Unusable> {
        self.deepest = self.deepest.max(depth);
        self.parts += 1;
        if self.parts > MAX_PARTS {
            let message = format!("the schema has more than {MAX_PARTS} parts");
            return Err(Unusable::new("", message));
        }
        let Value::Object(keywords) = schema else { return Ok(()) };
        self.keywords(keywords, path)?;
        if keywords.contains_key("$ref") {
            self.places.push((schema, path.clone()));
        }
        for (keyword, value) in keywords {
            match (holds(keyword), value) {
                (Holds::Schemas, Value::Array(list)) => {
                    for (index, inner) in list.iter().enumerate() {
                        self.below(inner, path, &[keyword, &index.to_string()], depth)?;
                    }
                }
                (Holds::Schemas, inner) => self.below(inner, path, &[keyword], depth)?,
                (Holds::Named, Value::Object(named)) => {
                    for (name, inner) in named {
                        if keyword == "patternProperties" {
                            self.pattern(name, path)?;
                        }
                        self.below(inner, path, &[keyword, name], depth)?;
                    }
                }
                (Holds::Other, Value::String(pattern)) if keyword == "pattern" => self.pattern(pattern, path)?,
                (Holds::Named | Holds::Other, _) => {}
            }
        }
        Ok(())
    }

    fn below(&mut self, schema: &'a Value, path: &mut String, names: &[&str], depth: usize) -> Result<(), Unusable> {
        let length = path.len();
        for name in names {
            path.push('/');
            path.push_str(&name.replace('~', "~0").replace('/', "~1"));
        }
        self.schema(schema, path, depth + 1)?;
        path.truncate(length);
        Ok(())
    }

    /// Those that are refused, and the reference.
    fn keywords(&mut self, keywords: &'a Map<String, Value>, path: &str) -> Result<(), Unusable> {
        for keyword in ["$dynamicRef", "$recursiveRef"] {
            if keywords.contains_key(keyword) {
                let message = format!("{keyword} is not followed (use $ref with a pointer: #/$defs/Name)");
                return Err(Unusable::new(path, message));
            }
        }
        // To find out what is unevaluated, each branch is checked anew at every level: twice the work for each.
        for (keyword, instead) in [("unevaluatedProperties", "additionalProperties"), ("unevaluatedItems", "items")] {
            if keywords.contains_key(keyword) {
                let message =
                    format!("{keyword} may take any amount of time to check (use {instead}, where they are named)");
                return Err(Unusable::new(path, message));
            }
        }
        // A base of its own: a pointer below it would mean something else.
        if !path.is_empty() && keywords.get("$id").is_some_and(Value::is_string) {
            let message = "$id makes references mean something else below it (leave it out)".to_owned();
            return Err(Unusable::new(path, message));
        }
        let Some(reference) = keywords.get("$ref").and_then(Value::as_str) else { return Ok(()) };
        if target(self.root, reference).is_none() {
            let shown = shortened(&format!("{reference:?}"));
            let message = format!(
                "$ref is {shown}, which points to nothing within the schema: nothing is fetched (put it under $defs and use #/$defs/Name)"
            );
            return Err(Unusable::new(path, message));
        }
        self.targets.push(reference);
        Ok(())
    }

    fn pattern(&mut self, pattern: &str, path: &str) -> Result<(), Unusable> {
        self.patterns += 1;
        let length = pattern.chars().count();
        if length > MAX_PATTERN {
            let message = format!("a pattern has {length} characters, at most {MAX_PATTERN} are taken");
            return Err(Unusable::new(path, message));
        }
        if self.patterns > MAX_PATTERNS {
            return Err(Unusable::new(path, format!("the schema has more than {MAX_PATTERNS} patterns")));
        }
        Ok(())
    }
}
