//! Where resources come from: the API server, or files of YAML.

mod directory;
mod document;
mod fill;
mod models;

pub use directory::{Directory, POLL};
pub use document::{Object, Problem};
pub use fill::{Fill, FillError};

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use self::models::ModelsFile;
use crate::{catalogue::Catalogue, stores::Stores};

/// Both kinds of source; cheap to clone.
#[derive(Clone)]
pub enum Source {
    Cluster(Stores),
    Directory(Arc<Files>),
}

/// A directory that its poller refreshes and the reconcile loop reads, with keys from the environment.
pub struct Files {
    directory: Mutex<Directory>,
    fills: Vec<Fill>,
    endpoints: Vec<Endpoint>,
    /// What is known of models beside what is built in.
    models: Option<Mutex<ModelsFile>>,
}

/// Where to reach a ModelProvider instead of at its own endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// None: whatever namespace it is in.
    pub namespace: Option<String>,
    pub name: String,
    pub url: String,
}

// === impl Source ===

impl Source {
    /// What has not been read for the first time yet.
    #[must_use]
    pub fn pending(&self) -> Vec<&'static str> {
        match self {
            Self::Cluster(stores) => stores.pending(),
            // Read once before it becomes a source.
            Self::Directory(_) => Vec::new(),
        }
    }

    /// What is known of models.
    #[must_use]
    pub fn catalogue(&self) -> Catalogue {
        match self {
            Self::Cluster(stores) => stores.models.catalogue(),
            Self::Directory(files) => files.catalogue(),
        }
    }
}

// === impl Files ===

impl Files {
    /// Reads the directory for the first time.
    #[must_use]
    pub fn new(mut directory: Directory, fills: Vec<Fill>, endpoints: Vec<Endpoint>) -> Self {
        directory.refresh();
        Self { directory: Mutex::new(directory), fills, endpoints, models: None }
    }

    /// Lays the models of a file, if one is named, over the built-in ones. An error says what is wrong with it.
    pub fn with_models(self, file: Option<PathBuf>) -> Result<Self, String> {
        let models = file.map(ModelsFile::open).transpose()?.map(Mutex::new);
        Ok(Self { models, ..self })
    }

    /// Looks for changes. True: there is something new to see.
    pub fn refresh(&self) -> bool {
        let models = self.models().is_some_and(|mut models| models.refresh());
        self.directory().refresh() || models
    }

    /// What could not be read in the last refresh.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = self.directory().problems().to_vec();
        problems.extend(self.models().and_then(|models| models.problem().cloned()));
        problems
    }

    /// What is known of models.
    #[must_use]
    pub fn catalogue(&self) -> Catalogue {
        self.models().map(|models| models.catalogue()).unwrap_or_default()
    }

    /// Shows every object that is in force.
    pub fn each(&self, mut look: impl FnMut(&Object)) {
        self.directory().objects().for_each(|(_, object)| look(object));
    }

    /// The file of each object, by its title.
    #[must_use]
    pub fn origins(&self) -> BTreeMap<String, PathBuf> {
        self.directory().objects().map(|(file, object)| (object.title(), file.to_owned())).collect()
    }

    /// Keys that come from the environment.
    #[must_use]
    pub fn fills(&self) -> &[Fill] {
        &self.fills
    }

    /// Endpoints that replace those of the resources.
    #[must_use]
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    fn models(&self) -> Option<MutexGuard<'_, ModelsFile>> {
        Some(self.models.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn directory(&self) -> MutexGuard<'_, Directory> {
        self.directory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Endpoint ===

impl Endpoint {
    /// Whether it is about this ModelProvider.
    #[must_use]
    pub fn is_about(&self, namespace: &str, name: &str) -> bool {
        self.name == name && self.namespace.as_deref().is_none_or(|own| own == namespace)
    }
}
