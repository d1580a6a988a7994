//! Resources from a directory of YAML, picked up again when a file changes.
//!
//! It behaves like an API server that people edit with an editor: an object whose new version does not read keeps its
//! last good one, as a refused `kubectl apply` would have left it, and the problem is told. Polled twice a second rather than
//! watched: that works on every file system, mounted ConfigMaps and network shares included. A change counts once two looks
//! agree on it: half of a file is YAML as well, and would take away the routes of the other half.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use super::document::{Contents, Object, Problem, read_file};
use crate::schema::Schemas;

/// How often the directory is looked at.
pub const POLL: Duration = Duration::from_millis(500);
/// Deeper than anybody nests config, and a bound on loops of symbolic links.
const DEPTH: usize = 8;

/// Path, length and time of change of each file.
type Fingerprint = BTreeMap<PathBuf, (u64, Option<SystemTime>)>;

/// Files and folders of resources, with what they held when they last read well.
pub struct Directory {
    roots: Vec<PathBuf>,
    namespace: String,
    schemas: Schemas,
    seen: Option<Fingerprint>,
    /// What the last look found, if that was new. Whoever writes may not have finished.
    unsettled: Option<Fingerprint>,
    files: BTreeMap<PathBuf, Vec<Object>>,
    problems: Vec<Problem>,
}

// === impl Directory ===

impl Directory {
    /// Reads nothing yet; see [`Directory::refresh`].
    #[must_use]
    pub fn new(roots: Vec<PathBuf>, namespace: &str) -> Self {
        let (schemas, namespace) = (Schemas::default(), namespace.to_owned());
        Self { roots, namespace, schemas, seen: None, unsettled: None, files: BTreeMap::new(), problems: Vec::new() }
    }

    /// Reads the files again if any of them changed since the look before the last one, and not since. The first time
    /// they are read as they are. True: there is something new to see.
    pub fn refresh(&mut self) -> bool {
        let mut problems = Vec::new();
        let now = fingerprint(&self.roots, &mut problems);
        if self.seen.as_ref() == Some(&now) {
            self.unsettled = None;
            return false;
        }
        if self.seen.is_some() && self.unsettled.as_ref() != Some(&now) {
            self.unsettled = Some(now);
            return false;
        }
        let mut files = BTreeMap::new();
        for path in now.keys() {
            let contents = read_file(path, &self.namespace, &self.schemas);
            problems.extend(contents.problems.iter().cloned());
            files.insert(path.clone(), keep_last_good(contents, self.files.get(path)));
        }
        // Written to while it was read.
        let after = fingerprint(&self.roots, &mut Vec::new());
        if self.seen.is_some() && after != now {
            self.unsettled = Some(after);
            return false;
        }
        self.unsettled = None;
        (self.files, self.problems, self.seen) = (files, problems, Some(now));
        self.drop_duplicates();
        true
    }

    /// What is in force now, with the file it is from.
    pub fn objects(&self) -> impl Iterator<Item = (&Path, &Object)> {
        self.files.iter().flat_map(|(file, objects)| objects.iter().map(move |object| (file.as_path(), object)))
    }

    /// What could not be read in the last refresh.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// One name, one object: the first file in alphabetical order has it.
    fn drop_duplicates(&mut self) {
        let mut owners: BTreeMap<String, PathBuf> = BTreeMap::new();
        for (file, objects) in &mut self.files {
            objects.retain(|object| {
                let title = object.title();
                let Some(owner) = owners.get(&title) else {
                    owners.insert(title, file.clone());
                    return true;
                };
                let message = format!("is defined in {} already, which is the one that counts", owner.display());
                self.problems.push(Problem { file: file.clone(), line: 1, object: Some(title), message });
                false
            });
        }
    }
}

/// Objects that had a problem now keep the version that had none before.
fn keep_last_good(contents: Contents, before: Option<&Vec<Object>>) -> Vec<Object> {
    let mut objects = contents.objects;
    let present: BTreeSet<String> = objects.iter().map(Object::title).collect();
    let broken: BTreeSet<&str> = contents.problems.iter().filter_map(|problem| problem.object.as_deref()).collect();
    // A problem without a name may be any object of the file, so none of them is taken away.
    let anything = contents.problems.iter().any(|problem| problem.object.is_none());
    for object in before.into_iter().flatten() {
        let title = object.title();
        if !present.contains(&title) && (anything || broken.contains(title.as_str())) {
            objects.push(object.clone());
        }
    }
    objects
}

fn fingerprint(roots: &[PathBuf], problems: &mut Vec<Problem>) -> Fingerprint {
    let mut found = Fingerprint::new();
    for root in roots {
        if root.is_file() {
            note(root, &mut found);
        } else if let Err(error) = walk(root, DEPTH, &mut found) {
            let message = match error.kind() {
                std::io::ErrorKind::NotFound => "is no file and no directory".to_owned(),
                _ => format!("cannot be listed: {error}"),
            };
            problems.push(Problem { file: root.clone(), line: 1, object: None, message });
        }
    }
    found
}

fn walk(folder: &Path, depth: usize, found: &mut Fingerprint) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // Hidden entries are editors' and Kubernetes' own: swap files, the `..data` links of mounted ConfigMaps.
        if name.starts_with('.') {
            continue;
        }
        if path.is_dir() {
            if depth > 0 {
                walk(&path, depth - 1, found)?;
            }
        } else if [".yaml", ".yml", ".json"].iter().any(|end| name.ends_with(end)) {
            note(&path, found);
        }
    }
    Ok(())
}

fn note(file: &Path, found: &mut Fingerprint) {
    let metadata = std::fs::metadata(file);
    let print = metadata.map(|metadata| (metadata.len(), metadata.modified().ok())).unwrap_or_default();
    found.insert(file.to_owned(), print);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(name: &str, model: &str) -> String {
        format!(
            "apiVersion: spillway.dev/v1alpha1\nkind: ModelRoute\nmetadata: {{name: {name}}}\n\
             spec:\n  backends: [{{name: a, providerRef: {{name: p}}, model: {model}}}]\n"
        )
    }

    fn titles(directory: &Directory) -> Vec<String> {
        directory.objects().map(|(_, object)| object.title()).collect()
    }

    fn model(directory: &Directory) -> String {
        let found = directory.objects().find_map(|(_, object)| match object {
            Object::Route(route) => Some(route.spec.backends[0].model.clone()),
            _ => None,
        });
        found.unwrap_or_default()
    }

    #[test]
    fn an_edit_is_seen_and_a_broken_edit_keeps_the_last_good_version() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("chat.yaml");
        std::fs::write(&file, route("chat", "one")).unwrap();
        let mut directory = Directory::new(vec![folder.path().to_owned()], "shop");
        assert!(directory.refresh());
        assert!(!directory.refresh(), "nothing changed");
        std::fs::write(&file, route("chat", "twotwo")).unwrap();
        assert!(settled(&mut directory));
        assert_eq!(model(&directory), "twotwo");
        for broken in ["spec: [\n".to_owned(), route("chat", "x").replace("backends", "backend")] {
            std::fs::write(&file, &broken).unwrap();
            assert!(settled(&mut directory));
            assert_eq!(model(&directory), "twotwo", "after {broken:?}");
            assert!(!directory.problems().is_empty());
        }
        std::fs::remove_file(&file).unwrap();
        assert!(settled(&mut directory));
        assert!(titles(&directory).is_empty() && directory.problems().is_empty());
    }

    /// Nobody writes any more.
    fn settled(directory: &mut Directory) -> bool {
        !directory.refresh() && directory.refresh()
    }

    #[test]
    fn a_file_that_is_still_being_written_is_left_alone_until_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("all.yaml");
        let whole = format!("{}---\n{}", route("chat", "one"), route("code", "one"));
        std::fs::write(&file, &whole).unwrap();
        let mut directory = Directory::new(vec![folder.path().to_owned()], "shop");
        directory.refresh();
        let edited = whole.replace("one", "other");
        // Truncated first, as editors and shells do, then piece by piece; the first piece reads well on its own.
        for end in [0, edited.find("---").unwrap(), edited.len() - 9] {
            std::fs::write(&file, &edited[..end]).unwrap();
            assert!(!directory.refresh(), "after {end} bytes");
            assert_eq!((titles(&directory).len(), model(&directory).as_str()), (2, "one"), "after {end} bytes");
        }
        std::fs::write(&file, &edited).unwrap();
        assert!(settled(&mut directory));
        assert_eq!((titles(&directory).len(), model(&directory).as_str()), (2, "other"));
        std::fs::write(&file, &whole[..10]).unwrap();
        assert!(!directory.refresh());
        std::fs::write(&file, &edited).unwrap();
        assert!(settled(&mut directory) || directory.problems().is_empty());
        assert_eq!(titles(&directory).len(), 2, "as it was");
    }

    #[test]
    fn the_first_of_two_definitions_counts_and_the_other_is_told() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.yaml"), route("chat", "one")).unwrap();
        std::fs::create_dir(folder.path().join("b")).unwrap();
        std::fs::write(folder.path().join("b/b.yml"), route("chat", "two")).unwrap();
        std::fs::write(folder.path().join(".hidden.yaml"), "[").unwrap();
        std::fs::write(folder.path().join("notes.txt"), "[").unwrap();
        let mut directory = Directory::new(vec![folder.path().to_owned()], "shop");
        directory.refresh();
        assert_eq!(
            (titles(&directory), model(&directory)),
            (vec!["ModelRoute shop/chat".to_owned()], "one".to_owned())
        );
        let problem = directory.problems()[0].to_string();
        assert!(problem.contains("b.yml") && problem.contains("a.yaml"), "{problem}");
    }

    #[test]
    fn a_directory_that_is_not_there_is_a_problem_and_not_a_panic() {
        let mut directory = Directory::new(vec!["/nonexistent/config".into()], "shop");
        assert!(directory.refresh());
        assert!(directory.problems()[0].to_string().contains("/nonexistent/config"), "{:?}", directory.problems());
    }
}
