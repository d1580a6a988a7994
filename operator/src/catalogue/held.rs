//! The catalogue in force, while somebody edits what lies over it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{Catalogue, Overlay, OverlayError};

/// The built-in rows with the last override that read well. Cheap to clone; all clones hold the same.
#[derive(Clone, Debug, Default)]
pub struct Held {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    /// As they were last seen, good or bad. None: never looked.
    documents: Option<BTreeMap<String, String>>,
    catalogue: Catalogue,
}

// === impl Held ===

impl Held {
    /// Takes the documents that are there now. None: they are what they were. An error changes nothing: what was in force
    /// stays in force. Otherwise, how many models they are about.
    pub fn take(&self, documents: BTreeMap<String, String>) -> Option<Result<usize, OverlayError>> {
        let mut inner = self.lock();
        if inner.documents.as_ref() == Some(&documents) {
            return None;
        }
        let read = Overlay::read(documents.iter().map(|(key, text)| (key.as_str(), text.as_str())));
        inner.documents = Some(documents);
        Some(read.map(|overlay| {
            let models = overlay.len();
            inner.catalogue = Catalogue::with(overlay);
            models
        }))
    }

    /// Somebody has looked.
    #[must_use]
    pub fn is_read(&self) -> bool {
        self.lock().documents.is_some()
    }

    /// What is in force.
    #[must_use]
    pub fn catalogue(&self) -> Catalogue {
        self.lock().catalogue.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use spillway_crds::ProviderType;

    use super::*;

    fn documents(text: &str) -> BTreeMap<String, String> {
        BTreeMap::from([("models.json".to_owned(), text.to_owned())])
    }

    #[test]
    fn a_bad_override_leaves_the_last_good_one_in_force() {
        let held = Held::default();
        let window = || held.catalogue().look_up(ProviderType::Groq, "own").and_then(|entry| entry.context_window);
        assert!(!held.is_read());
        let good = documents(r#"{"Groq": {"own": {"contextWindow": 9}}}"#);
        assert_eq!(held.take(good.clone()), Some(Ok(1)));
        assert_eq!(held.take(good.clone()), None, "no news");
        let error = held.take(documents(r#"{"Groq": {"own": {"window": 7}}}"#)).unwrap().unwrap_err();
        assert!(error.to_string().starts_with("models.json: Groq \"own\": window: "), "{error}");
        assert_eq!(window(), Some(9));
        assert_eq!(held.take(BTreeMap::new()), Some(Ok(0)), "taken away");
        assert_eq!((window(), held.is_read()), (None, true));
    }
}
