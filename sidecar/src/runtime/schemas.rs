//! JSON schemas that answers are checked against, compiled once for many requests. Nothing is held before the first.

use std::sync::{Arc, Mutex, PoisonError};

use spillway_schema::{Form, Schema, Unusable};
use tokio::sync::Semaphore;

/// An application has a few schemas, however many requests it makes.
const MOST: usize = 16;

/// Of their text, all together; compiled, a schema is some ten times as large.
const MOST_BYTES: usize = 512 << 10;

/// At once: a large one takes a thread for a while, and memory.
const COMPILERS: usize = 2;

/// The schemas of late, the latest first.
#[derive(Debug)]
pub(crate) struct Schemas {
    kept: Mutex<Vec<Kept>>,
    compilers: Semaphore,
}

/// Found by its whole text: no two schemas are taken for one another.
#[derive(Debug)]
struct Kept {
    text: String,
    form: Arc<Form>,
}

// === impl Schemas ===

impl Schemas {
    pub(super) const fn new() -> Self {
        Self { kept: Mutex::new(Vec::new()), compilers: Semaphore::const_new(COMPILERS) }
    }

    /// The schema with this text.
    pub(crate) async fn get(&self, text: String) -> Result<Arc<Form>, Unusable> {
        if let Some(form) = self.find(&text) {
            return Ok(form);
        }
        // Never closed.
        let _permit = self.compilers.acquire().await;
        if let Some(form) = self.find(&text) {
            return Ok(form);
        }
        let compiled = tokio::task::spawn_blocking(move || (Schema::compile(&text), text)).await;
        let Ok((schema, text)) = compiled else {
            return Err(Unusable { path: String::new(), message: "the schema cannot be read now".to_owned() });
        };
        let form = Arc::new(Form::Schema(schema?));
        self.keep(Kept { text, form: Arc::clone(&form) });
        Ok(form)
    }

    fn find(&self, text: &str) -> Option<Arc<Form>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let position = kept.iter().position(|kept| kept.text == text)?;
        let found = kept.remove(position);
        let form = Arc::clone(&found.form);
        kept.insert(0, found);
        Some(form)
    }

    fn keep(&self, new: Kept) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.insert(0, new);
        kept.truncate(MOST);
        let mut bytes = 0;
        kept.retain(|kept| {
            bytes += kept.text.len();
            bytes <= MOST_BYTES
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_schema_is_compiled_once_and_those_not_used_of_late_are_forgotten() {
        let schemas = Schemas::new();
        let text = |number: usize| format!("{{\"minimum\": {number}}}");
        let first = schemas.get(text(0)).await.unwrap();
        for number in 1..MOST {
            schemas.get(text(number)).await.unwrap();
        }
        assert!(Arc::ptr_eq(&first, &schemas.get(text(0)).await.unwrap()));
        schemas.get(text(MOST)).await.unwrap();
        assert!(schemas.find(&text(1)).is_none() && schemas.find(&text(0)).is_some());
        for number in 0..3 {
            schemas.get(format!("{{\"title\": \"{}\"}}", number.to_string().repeat(200_000))).await.unwrap();
        }
        assert_eq!(schemas.kept.lock().unwrap().len(), 2, "all together they are too large");
        assert!(schemas.get("{\"type\": 7}".to_owned()).await.is_err());
    }
}
