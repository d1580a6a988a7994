//! What the platform's own people know of models, over what is built in.

use std::{collections::BTreeMap, fmt};

use serde_json::Value;
use spillway_crds::ProviderType;

use super::{Row, data};
use crate::strict;

/// Rows by the provider's type and the model's name there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overlay {
    rows: BTreeMap<&'static str, BTreeMap<String, Row>>,
}

/// Why an overlay was refused. All of it: half an override would be worse than none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverlayError {
    /// The file, or the key of the ConfigMap.
    pub key: String,
    /// The row and the field with what is wrong there.
    pub problem: String,
}

/// Which key of the ConfigMap has a row.
type Owners<'a> = BTreeMap<(&'static str, String), &'a str>;

// === impl Overlay ===

impl Overlay {
    /// Reads documents of the form that `spillway models -o json` prints, each under the name of its file or key.
    pub fn read<'a>(documents: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, OverlayError> {
        let (mut overlay, mut owners) = (Self::default(), Owners::new());
        for (key, text) in documents {
            let read = overlay.document(key, text, &mut owners);
            read.map_err(|problem| OverlayError { key: key.to_owned(), problem })?;
        }
        Ok(overlay)
    }

    /// How many models it is about.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.values().map(BTreeMap::len).sum()
    }

    /// It says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(super) fn row(&self, provider: ProviderType, model: &str) -> Option<&Row> {
        self.rows.get(provider.as_str())?.get(model)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = (ProviderType, &str)> {
        self.rows.iter().flat_map(|(kind, rows)| {
            let kind = ProviderType::read(kind);
            kind.into_iter().flat_map(move |kind| rows.keys().map(move |name| (kind, name.as_str())))
        })
    }

    fn document<'a>(&mut self, key: &'a str, text: &str, owners: &mut Owners<'a>) -> Result<(), String> {
        let document = strict::json(text).map_err(|unread| format!("is no JSON to be used: {}", unread.message))?;
        let Value::Object(kinds) = document else {
            return Err("is no object of provider types, such as {\"OpenAI\": {\"gpt-4o\": {…}}}".into());
        };
        for (name, models) in kinds {
            let Some(kind) = ProviderType::read(&name) else {
                return Err(format!("{name:?} is no type of provider: write one as in spec.type of a ModelProvider"));
            };
            let Value::Object(models) = models else { return Err(format!("{name}: is no object of models")) };
            for (model, value) in models {
                let row = Row::read(&value).and_then(|row| check(kind, &model, row));
                let row = row.map_err(|problem| format!("{name} {model:?}: {problem}"))?;
                if let Some(owner) = owners.insert((kind.as_str(), model.clone()), key) {
                    return Err(format!("{name} {model:?}: is in {owner} as well: keep one of the two"));
                }
                self.rows.entry(kind.as_str()).or_default().insert(model, row);
            }
        }
        Ok(())
    }
}

/// A row must make sense together with what lies below it.
fn check(kind: ProviderType, model: &str, row: Row) -> Result<Row, String> {
    if model.is_empty() || model.len() > 256 || !model.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("is no name of a model: printable ASCII without spaces, at most 256".into());
    }
    let entry = row.over(data::built_in(kind, model).cloned().unwrap_or_default());
    if let (Some(window), Some(answer)) = (entry.context_window, entry.max_output_tokens)
        && answer > window
    {
        return Err(format!("maxOutputTokens: {answer} is more than the contextWindow of {window}"));
    }
    if entry.pricing.is_some() && entry.price(kind).is_none() {
        return Err("pricing: needs both inputPerMillion and outputPerMillion, which nobody else has given".into());
    }
    Ok(row)
}

// === impl OverlayError ===

impl fmt::Display for OverlayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.problem)
    }
}

impl std::error::Error for OverlayError {}
