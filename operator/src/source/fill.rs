//! Secrets from this machine's environment, so that no key has to be written into a file of resources.

use std::collections::BTreeMap;

use k8s_openapi::{ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use secrecy::{ExposeSecret, SecretString};

/// One key of one Secret: `namespace/name/key=VARIABLE` on the command line.
#[derive(Clone, Debug)]
pub struct Fill {
    namespace: String,
    name: String,
    key: String,
    variable: String,
    value: Option<SecretString>,
}

/// Why a fill cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FillError {
    #[error("{0:?} is not of the form [NAMESPACE/]NAME/KEY=VARIABLE (example: openai-key/apiKey=OPENAI_API_KEY)")]
    Form(String),
    #[error("environment variable {variable} for Secret {secret} is not set or empty (fix: export {variable}=…)")]
    Unset { variable: String, secret: String },
}

// === impl Fill ===

impl Fill {
    /// Parses the flag. A missing namespace is `namespace`.
    pub fn parse(text: &str, namespace: &str) -> Result<Self, FillError> {
        let form = || FillError::Form(text.to_owned());
        let (path, variable) = text.split_once('=').ok_or_else(form)?;
        let parts: Vec<&str> = path.split('/').collect();
        let (namespace, name, key) = match parts[..] {
            [name, key] => (namespace, name, key),
            [namespace, name, key] => (namespace, name, key),
            _ => return Err(form()),
        };
        if [namespace, name, key, variable].iter().any(|part| part.is_empty()) {
            return Err(form());
        }
        let own = str::to_owned;
        Ok(Self { namespace: own(namespace), name: own(name), key: own(key), variable: own(variable), value: None })
    }

    /// Takes the value from the environment.
    pub fn read(mut self, lookup: impl Fn(&str) -> Option<String>) -> Result<Self, FillError> {
        match lookup(&self.variable).filter(|value| !value.is_empty()) {
            Some(value) => {
                self.value = Some(SecretString::from(value));
                Ok(self)
            }
            None => {
                Err(FillError::Unset { variable: self.variable, secret: format!("{}/{}", self.namespace, self.name) })
            }
        }
    }

    /// Puts the value into its Secret. One that no file defines is made up, opted in: naming it on the command line
    /// is the opt-in. `hosts` are those it may then be sent to.
    pub(crate) fn apply(&self, secrets: &mut Vec<Secret>, hosts: &[String]) {
        let Some(value) = &self.value else { return };
        let is_it = |secret: &Secret| {
            secret.metadata.name.as_ref() == Some(&self.name)
                && secret.metadata.namespace.as_ref() == Some(&self.namespace)
        };
        let index = secrets.iter().position(is_it).unwrap_or_else(|| {
            secrets.push(self.made_up(hosts));
            secrets.len() - 1
        });
        let data = secrets[index].data.get_or_insert_default();
        data.insert(self.key.clone(), ByteString(value.expose_secret().as_bytes().to_vec()));
    }

    /// Whether this is the Secret of that name.
    #[must_use]
    pub fn is(&self, namespace: &str, name: &str) -> bool {
        self.namespace == namespace && self.name == name
    }

    fn made_up(&self, hosts: &[String]) -> Secret {
        let labels = BTreeMap::from([("spillway.dev/provider-key".to_owned(), "true".to_owned())]);
        let annotations = BTreeMap::from([("spillway.dev/allowed-hosts".to_owned(), hosts.join(","))]);
        let metadata = ObjectMeta {
            name: Some(self.name.clone()),
            namespace: Some(self.namespace.clone()),
            labels: Some(labels),
            annotations: (!hosts.is_empty()).then_some(annotations),
            ..ObjectMeta::default()
        };
        Secret { metadata, ..Secret::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fill_reads_as_a_secret_key_and_a_variable() {
        let lookup = |name: &str| (name == "KEY").then(|| "sk-1".to_owned());
        let rows = [
            ("openai/apiKey=KEY", Ok("shop/openai")),
            ("ai/openai/apiKey=KEY", Ok("ai/openai")),
            ("openai=KEY", Err("NAME/KEY=VARIABLE")),
            ("a/b/c/d=KEY", Err("NAME/KEY=VARIABLE")),
            ("openai/=KEY", Err("NAME/KEY=VARIABLE")),
            ("openai/apiKey=OTHER", Err("export OTHER")),
        ];
        for (text, want) in rows {
            let got = Fill::parse(text, "shop").and_then(|fill| fill.read(lookup));
            match (got, want) {
                (Ok(fill), Ok(secret)) => assert_eq!(format!("{}/{}", fill.namespace, fill.name), secret, "{text}"),
                (Err(error), Err(hint)) => assert!(error.to_string().contains(hint), "{text}: {error}"),
                (got, want) => panic!("{text}: {got:?} instead of {want:?}"),
            }
        }
    }

    #[test]
    fn a_value_goes_into_its_secret_and_is_not_shown() {
        let fill = Fill::parse("openai/apiKey=KEY", "shop").unwrap().read(|_| Some("sk-1".into())).unwrap();
        let mut secrets = Vec::new();
        fill.apply(&mut secrets, &["api.openai.com".into()]);
        fill.apply(&mut secrets, &[]);
        assert_eq!(secrets.len(), 1);
        assert_eq!(secrets[0].data.as_ref().unwrap()["apiKey"].0, b"sk-1");
        assert_eq!(secrets[0].metadata.labels.as_ref().unwrap()["spillway.dev/provider-key"], "true");
        assert!(!format!("{fill:?}").contains("sk-1"));
    }
}
