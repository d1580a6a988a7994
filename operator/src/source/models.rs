//! A file of models over the built-in ones, picked up again when it changes.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::Problem;
use crate::catalogue::{Catalogue, Held};

/// Larger than the whole built-in catalogue is when it is printed.
const FILE_BYTES: u64 = 16 << 20;

/// The file, and what it held when it last read well.
pub(super) struct ModelsFile {
    path: PathBuf,
    seen: Option<(u64, Option<SystemTime>)>,
    /// What the last look found, if that was new.
    unsettled: Option<(u64, Option<SystemTime>)>,
    held: Held,
    problem: Option<Problem>,
}

// === impl ModelsFile ===

impl ModelsFile {
    /// Reads the file for the first time. What is wrong with it then is an error.
    pub(super) fn open(path: PathBuf) -> Result<Self, String> {
        let mut file = Self { path, seen: None, unsettled: None, held: Held::default(), problem: None };
        file.refresh();
        match file.problem {
            Some(problem) => Err(problem.to_string()),
            None => Ok(file),
        }
    }

    /// Reads the file again once two looks agree that it has changed. True: there is something new to see.
    pub(super) fn refresh(&mut self) -> bool {
        let found = std::fs::metadata(&self.path).map(|found| (found.len(), found.modified().ok()));
        let now = found.as_ref().ok().copied();
        if now.is_some() && now == self.seen {
            self.unsettled = None;
            return false;
        }
        if now.is_some() && self.seen.is_some() && self.unsettled != now {
            self.unsettled = now;
            return false;
        }
        self.unsettled = None;
        let news = match found {
            Ok((length, _)) if length > FILE_BYTES => Err(format!("has {length} bytes, at most {FILE_BYTES} are read")),
            _ => read(&self.path),
        };
        let taken = news.map(|text| self.held.take(BTreeMap::from([(String::new(), text)])));
        let problem = match taken {
            Ok(Some(Err(error))) => Some(error.problem),
            // The same text as before: what was wrong with it still is.
            Ok(None) => self.problem.take().map(|problem| problem.message),
            Ok(Some(Ok(_))) => None,
            Err(message) => Some(message),
        };
        let problem = problem.map(|message| Problem { file: self.path.clone(), line: 1, object: None, message });
        let changed = self.seen != now || self.problem != problem;
        (self.problem, self.seen) = (problem, now);
        changed
    }

    pub(super) fn catalogue(&self) -> Catalogue {
        self.held.catalogue()
    }

    pub(super) const fn problem(&self) -> Option<&Problem> {
        self.problem.as_ref()
    }
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use spillway_crds::ProviderType;

    use super::*;

    #[test]
    fn an_edit_is_picked_up_and_a_mistake_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("models.json");
        assert!(ModelsFile::open(path.clone()).err().unwrap().contains("cannot be read"));
        std::fs::write(&path, r#"{"Groq": {"own": {"contextWindow": 9}}}"#).unwrap();
        let mut file = ModelsFile::open(path.clone()).unwrap();
        let window = |file: &ModelsFile| file.catalogue().look_up(ProviderType::Groq, "own").unwrap().context_window;
        assert_eq!(window(&file), Some(9));
        assert!(!file.refresh());
        std::fs::write(&path, r#"{"Groq": {"own": {"contextWindow": "many"}}}"#).unwrap();
        assert!(!file.refresh(), "it may be half of it");
        assert!(file.refresh());
        assert!(file.problem().unwrap().message.contains("contextWindow: \"many\""));
        assert_eq!(window(&file), Some(9), "the last good one stays");
        std::fs::write(&path, r#"{"Groq": {"own": {"contextWindow": 10000}}}"#).unwrap();
        assert!(!file.refresh() && file.refresh());
        assert_eq!((window(&file), file.problem()), (Some(10_000), None));
        std::fs::remove_file(&path).unwrap();
        assert!(file.refresh() && file.problem().is_some() && !file.refresh());
        assert_eq!(window(&file), Some(10_000), "a file that is gone is no statement");
    }
}
