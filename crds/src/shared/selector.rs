//! Label selectors, with bounds.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Selects objects by their labels. Everything written in it has to match; an empty selector matches all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct LabelSelector {
    /// Labels and the values they must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::schema::labels")]
    pub match_labels: BTreeMap<String, String>,
    /// Further requirements.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub match_expressions: Vec<LabelSelectorRequirement>,
}

/// One requirement on a label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = (
    "self.operator in ['In', 'NotIn'] ? has(self.values) && size(self.values) > 0 : !has(self.values) || size(self.values) == 0",
    "In and NotIn need values; Exists and DoesNotExist take none"
))]
#[serde(rename_all = "camelCase")]
pub struct LabelSelectorRequirement {
    /// The label.
    #[schemars(length(min = 1, max = 317))]
    pub key: String,
    /// How the label is compared with `values`.
    pub operator: SelectorOperator,
    /// The values for `In` and `NotIn`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 63)))]
    pub values: Vec<String>,
}

/// How a label is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SelectorOperator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

// === impl LabelSelector ===

impl LabelSelector {
    /// Selects by one label.
    #[must_use]
    pub fn label(key: &str, value: &str) -> Self {
        Self { match_labels: BTreeMap::from([(key.to_owned(), value.to_owned())]), match_expressions: Vec::new() }
    }

    /// Whether an object with these labels is selected.
    #[must_use]
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let Self { match_labels, match_expressions } = self;
        match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && match_expressions.iter().all(|requirement| requirement.matches(labels))
    }
}

// === impl LabelSelectorRequirement ===

impl LabelSelectorRequirement {
    fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let found = labels.get(&self.key);
        match self.operator {
            SelectorOperator::In => found.is_some_and(|value| self.values.contains(value)),
            // As in Kubernetes, a missing label is not in any list.
            SelectorOperator::NotIn => found.is_none_or(|value| !self.values.contains(value)),
            SelectorOperator::Exists => found.is_some(),
            SelectorOperator::DoesNotExist => found.is_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirements_match_as_in_kubernetes() {
        use SelectorOperator::{DoesNotExist, Exists, In, NotIn};
        let labels = BTreeMap::from([("app".to_owned(), "shop".to_owned())]);
        let rows: [(&str, SelectorOperator, &[&str], bool); 8] = [
            ("app", In, &["shop", "web"], true),
            ("app", In, &["web"], false),
            ("tier", In, &["web"], false),
            ("app", NotIn, &["shop"], false),
            ("tier", NotIn, &["web"], true),
            ("app", Exists, &[], true),
            ("tier", Exists, &[], false),
            ("tier", DoesNotExist, &[], true),
        ];
        for (key, operator, values, want) in rows {
            let values = values.iter().map(|&value| value.to_owned()).collect();
            let requirement = LabelSelectorRequirement { key: key.to_owned(), operator, values };
            let selector = LabelSelector { match_expressions: vec![requirement], ..LabelSelector::default() };
            assert_eq!(selector.matches(&labels), want, "{key} {operator:?}");
        }
        assert!(LabelSelector::default().matches(&labels), "an empty selector matches all");
        assert!(!LabelSelector::label("app", "web").matches(&labels));
    }
}
