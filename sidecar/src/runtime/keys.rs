//! Provider keys: they come and go on their own, apart from the config that names them.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use spillway_policy::breaker::Cause;
use spillway_wire::{AuthScheme, Credential, Map};

use super::gate::{Gate, Gates};
use crate::{clock, secrets::Secrets, sign::AwsCredentials};

/// Every key the operator has sent, by [`Credential::key`].
#[derive(Debug, Default)]
pub(crate) struct Keys {
    slots: Mutex<BTreeMap<String, Arc<KeySlot>>>,
}

/// Where one key is, or will be. A route holds the slot, so a rotated key is used from the next request on, without a
/// new config.
#[derive(Debug, Default)]
pub(crate) struct KeySlot {
    current: RwLock<Option<Key>>,
    /// Grows with every version of the key.
    serial: AtomicU64,
    /// Closed to requests while the provider refuses the key, whichever route asks.
    gate: Arc<Gate>,
    /// The same for a model that it has been used too much for.
    quotas: Gates,
}

/// A key in the forms it travels in. `HeaderValue`s that are marked sensitive print as `Sensitive`.
struct Key {
    version: String,
    plain: HeaderValue,
    bearer: HeaderValue,
    /// Of AWS: it signs, and does not travel itself.
    aws: Option<AwsCredentials>,
    /// The key, and what of a document nobody may read.
    secrets: Secrets,
}

// === impl Keys ===

impl Keys {
    /// The slot of a key, empty until the key comes.
    pub(crate) fn slot(&self, key: &str) -> Arc<KeySlot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = || KeySlot { gate: Gate::new(format!("key {key}")), ..KeySlot::default() };
        Arc::clone(slots.entry(key.to_owned()).or_insert_with(|| Arc::new(slot())))
    }

    /// Takes a new key, or forgets one.
    pub(crate) fn set(&self, credential: Credential) {
        let Credential { key: name, version, value } = credential;
        let key = value.and_then(|value| {
            let key = Key::new(version, &SecretString::from(value));
            if key.is_none() {
                tracing::warn!(credential = name, "the key holds characters that no header can carry, it is not used");
            }
            key
        });
        self.slot(&name).replace(key);
    }

    /// Versions by key, of the keys that are there.
    pub(crate) fn versions(&self) -> Map<String> {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.iter().filter_map(|(name, slot)| Some((name.clone(), slot.read(|key| key.version.clone())?))).collect()
    }
}

/// Fields of documents that nobody may read, as clouds and people spell them.
const SECRET_FIELDS: [&str; 7] =
    ["private_key", "clientSecret", "client_secret", "password", "secretAccessKey", "sessionToken", "refresh_token"];

// === impl KeySlot ===

impl KeySlot {
    pub(crate) fn is_set(&self) -> bool {
        self.read(|_| ()).is_some()
    }

    /// Which version of the key is in use: a number that grows.
    pub(crate) fn serial(&self) -> u64 {
        self.serial.load(Ordering::Acquire)
    }

    pub(crate) const fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    pub(crate) fn quota(&self, model: &str) -> Arc<Gate> {
        self.quotas.of(model, || format!("{} for model {model}", self.gate.name()))
    }

    fn replace(&self, key: Option<Key>) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let is_new = key.as_ref().map(|key| &key.version) != current.as_ref().map(|key| &key.version);
        *current = key;
        drop(current);
        if is_new {
            self.serial.fetch_add(1, Ordering::AcqRel);
            // What was said of the old one is no reason to leave the new one alone.
            self.gate.close(Cause::NewKey, clock::now());
            self.quotas.each(|gate| gate.close(Cause::NewKey, clock::now()));
        }
    }

    /// The header value that carries the key.
    pub(crate) fn header(&self, scheme: AuthScheme) -> Option<HeaderValue> {
        let key = |key: &Key| match scheme {
            // It signs what it is for, and is never sent.
            _ if key.aws.is_some() => None,
            AuthScheme::Bearer | AuthScheme::SigV4 => Some(key.bearer.clone()),
            AuthScheme::XApiKey | AuthScheme::ApiKey | AuthScheme::GoogApiKey | AuthScheme::None => {
                Some(key.plain.clone())
            }
        };
        self.read(key).flatten()
    }

    /// The key, where it is one that signs.
    pub(crate) fn aws(&self) -> Option<AwsCredentials> {
        self.read(|key| key.aws.clone()).flatten()
    }

    /// The document that keys are fetched with, and its version. None: it is a key itself, or has not come.
    pub(crate) fn document(&self) -> Option<(u64, SecretString)> {
        let serial = self.serial();
        self.read(|key| key.document().map(|text| (serial, SecretString::from(text))))?
    }

    /// The text without the key, should a provider repeat it. None: it does not.
    pub(crate) fn taken_out_of(&self, text: &str) -> Option<String> {
        self.read(|key| key.secrets.taken_out_of(text))?
    }

    fn read<T>(&self, what: impl FnOnce(&Key) -> T) -> Option<T> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(what)
    }
}

// === impl Key ===

impl Key {
    /// No key of any provider begins like that.
    fn document(&self) -> Option<&str> {
        self.plain.to_str().ok().filter(|text| text.starts_with('{') && self.aws.is_none())
    }

    fn new(version: String, secret: &SecretString) -> Option<Self> {
        // Secrets made with `echo` or an editor end in a newline that is not part of the key.
        let text = secret.expose_secret().trim();
        let sensitive = |value: Result<HeaderValue, _>| {
            value.ok().map(|mut value: HeaderValue| {
                value.set_sensitive(true);
                value
            })
        };
        let bearer = SecretString::from(format!("Bearer {text}"));
        Some(Self {
            version,
            aws: AwsCredentials::parse(text),
            secrets: secrets(text),
            plain: sensitive(HeaderValue::from_str(text)).filter(|_| !text.is_empty())?,
            bearer: sensitive(HeaderValue::from_str(bearer.expose_secret()))?,
        })
    }
}

/// What nobody may read of a key, which may be a document.
fn secrets(text: &str) -> Secrets {
    let document: Value = serde_json::from_str(text).unwrap_or_default();
    let fields = SECRET_FIELDS.iter().filter_map(|name| document.get(name)?.as_str());
    Secrets::of(fields.chain([text]))
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("version", &self.version).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_a_provider_repeats_is_taken_out_whatever_it_looks_like() {
        let keys = Keys::default();
        let credential = |value: &str| Credential { key: "a/b".into(), version: "1".into(), value: Some(value.into()) };
        keys.set(credential("plain-words-only"));
        let slot = keys.slot("a/b");
        assert_eq!(slot.taken_out_of("key plain-words-only refused").as_deref(), Some("key [redacted] refused"));
        assert_eq!(slot.taken_out_of("nothing of it"), None);
        keys.set(credential("a"));
        assert_eq!(slot.taken_out_of("a b c"), None, "too short to be a secret");
        let rows = [
            (r#"{"type":"service_account","private_key":"-----BEGIN-----\nMIIcanary\n"}"#, "MIIcanary"),
            (r#"{"tenantId":"tenant-1","clientSecret":"cana~ry"}"#, "cana~ry"),
            (r#"{"tenant":"tenant-1","password":"cana~ry"}"#, "cana~ry"),
        ];
        for (document, secret) in rows {
            keys.set(credential(document));
            for text in [format!("bad {secret}"), format!("bad {document}")] {
                let shown = slot.taken_out_of(&text).unwrap();
                assert!(shown.starts_with("bad ") && !shown.contains(secret), "{shown}");
            }
            assert_eq!(slot.taken_out_of("service_account of tenant-1"), None, "{document}");
        }
    }

    fn credential(value: Option<&str>) -> Credential {
        Credential { key: "ai/openai".into(), version: "v1".into(), value: value.map(str::to_owned) }
    }

    #[test]
    fn a_slot_that_was_handed_out_sees_every_change() {
        let keys = Keys::default();
        let slot = keys.slot("ai/openai");
        let rows = [
            (Some("sk-1\n"), Some("Bearer sk-1")),
            (Some("sk-2"), Some("Bearer sk-2")),
            (None, None),
            (Some(" "), None),
            (Some("a\nb"), None),
        ];
        assert!(!slot.is_set());
        for (value, want) in rows {
            keys.set(credential(value));
            let header = slot.header(AuthScheme::Bearer);
            assert_eq!(header.as_ref().and_then(|value| value.to_str().ok()), want, "{value:?}");
            assert_eq!(keys.versions().len(), usize::from(want.is_some()), "{value:?}");
        }
    }

    #[test]
    fn a_key_that_signs_is_never_sent() {
        let keys = Keys::default();
        let key = r#"{"accessKeyId":"AKIDEXAMPLE","secretAccessKey":"canary/secret","sessionToken":"canary/token"}"#;
        keys.set(credential(Some(key)));
        let slot = keys.slot("ai/openai");
        assert!(slot.is_set());
        for scheme in [AuthScheme::SigV4, AuthScheme::Bearer, AuthScheme::XApiKey] {
            assert_eq!(slot.header(scheme), None, "{scheme:?}");
        }
        assert_eq!(slot.aws().map(|key| key.access_key_id).as_deref(), Some("AKIDEXAMPLE"));
        let shown = slot.taken_out_of("canary/secret and canary/token");
        assert_eq!(shown.as_deref(), Some("[redacted] and [redacted]"));
        assert!(!format!("{keys:?} {:?}", slot.aws()).contains("canary"));
        keys.set(Credential { version: "v2".into(), ..credential(Some("an-api-key")) });
        assert_eq!(slot.header(AuthScheme::SigV4).unwrap().to_str().ok(), Some("Bearer an-api-key"));
        assert!(slot.aws().is_none());
    }

    #[test]
    fn a_key_is_never_printed() {
        let keys = Keys::default();
        keys.set(credential(Some("sk-canary")));
        let header = keys.slot("ai/openai").header(AuthScheme::XApiKey);
        assert!(!format!("{keys:?} {header:?}").contains("canary"));
    }
}
