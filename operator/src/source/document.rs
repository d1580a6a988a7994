//! One file of YAML into objects. A document that does not read is reported by file, line and object, and costs only itself.

use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::Value;
use spillway_crds::{FallbackPolicy, GROUP, ModelBudget, ModelProvider, ModelRoute, VERSION};

use crate::{schema::Schemas, strict};

/// Nobody writes more config than this by hand; a file that is larger is not config.
const FILE_BYTES: u64 = 4 << 20;

/// An object this operator reads.
#[derive(Clone, Debug)]
pub enum Object {
    Provider(ModelProvider),
    Route(ModelRoute),
    Policy(FallbackPolicy),
    Budget(ModelBudget),
    Secret(Secret),
    Namespace(Namespace),
}

/// Something in a file that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("{}:{line}: {}{message}", file.display(), object.as_ref().map(|object| format!("{object}: ")).unwrap_or_default())]
pub struct Problem {
    pub file: PathBuf,
    /// Where the document starts, or where in it the parser stopped.
    pub line: usize,
    /// `ModelRoute shop/chat`, when that much could be read.
    pub object: Option<String>,
    pub message: String,
}

/// What a file holds.
#[derive(Clone, Debug, Default)]
pub(super) struct Contents {
    pub(super) objects: Vec<Object>,
    pub(super) problems: Vec<Problem>,
}

/// Reads one file. Objects without a namespace get `namespace`.
#[must_use]
pub(super) fn read_file(file: &Path, namespace: &str, schemas: &Schemas) -> Contents {
    let unreadable = |message: String| Contents {
        objects: Vec::new(),
        problems: vec![Problem { file: file.to_owned(), line: 1, object: None, message }],
    };
    match std::fs::metadata(file) {
        Ok(found) if found.len() > FILE_BYTES => {
            return unreadable(format!("has {} bytes, a file of resources takes at most {FILE_BYTES}", found.len()));
        }
        Ok(_) => {}
        Err(error) => return unreadable(error.to_string()),
    }
    match std::fs::read_to_string(file) {
        Ok(text) => read_text(file, &text, namespace, schemas),
        Err(error) => unreadable(error.to_string()),
    }
}

/// Reads the text of one file.
#[must_use]
fn read_text(file: &Path, text: &str, namespace: &str, schemas: &Schemas) -> Contents {
    let mut reader = Reader { file, namespace, schemas, contents: Contents::default(), line: 1 };
    for (line, document) in split(text) {
        reader.line = line;
        match strict::yaml(text, line, document) {
            Ok(Value::Null) => {}
            Ok(value) => reader.value(value),
            Err(unread) => {
                reader.line = unread.line;
                reader.problem(None, format!("is not YAML as Kubernetes takes it: {}", unread.message));
            }
        }
    }
    reader.contents
}

/// The documents of a file with the lines they start at. Splitting by hand keeps a syntax error within its document.
fn split(text: &str) -> Vec<(usize, &str)> {
    let mut documents = Vec::new();
    let (mut start, mut first_line, mut offset) = (0, 1, 0);
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if line.trim_end() == "---" || line.starts_with("--- ") {
            documents.push((first_line, &text[start..offset]));
            start = offset + if line.starts_with("--- ") { 4 } else { line.len() };
            first_line = if line.starts_with("--- ") { index + 1 } else { index + 2 };
        }
        offset += line.len();
    }
    documents.push((first_line, &text[start..]));
    documents
}

struct Reader<'a> {
    file: &'a Path,
    namespace: &'a str,
    schemas: &'a Schemas,
    contents: Contents,
    line: usize,
}

// === impl Reader ===

impl Reader<'_> {
    fn problem(&mut self, object: Option<String>, message: String) {
        let problem = Problem { file: self.file.to_owned(), line: self.line, object, message };
        self.contents.problems.push(problem);
    }

    fn value(&mut self, mut value: Value) {
        let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (version, kind) = (text("apiVersion"), text("kind"));
        if kind.ends_with("List") && value.get("items").is_some_and(Value::is_array) {
            for item in value["items"].as_array_mut().map(std::mem::take).into_iter().flatten() {
                self.value(item);
            }
            return;
        }
        let ours = self.schemas.knows(&kind) && version.starts_with(GROUP);
        let core = version == "v1" && ["Secret", "Namespace"].contains(&kind.as_str());
        if !ours && !core {
            if version.starts_with(GROUP) && !kind.is_empty() {
                let known = "ModelProvider, ModelRoute, FallbackPolicy, ModelBudget";
                self.problem(None, format!("{kind:?} is no kind of {GROUP} (known: {known})"));
            } else if kind.is_empty() || version.is_empty() {
                self.problem(None, "is no Kubernetes object: apiVersion and kind are required".to_owned());
            } else {
                tracing::debug!(file = %self.file.display(), line = self.line, kind, "ignored, not a kind of Spillway");
            }
            return;
        }
        let Some(name) = value.pointer("/metadata/name").and_then(Value::as_str).map(str::to_owned) else {
            let message = "metadata.name is required, and is a string (in YAML, quote a number)";
            return self.problem(Some(kind), message.to_owned());
        };
        if kind != "Namespace" && value["metadata"].get("namespace").is_none_or(Value::is_null) {
            value["metadata"]["namespace"] = self.namespace.into();
        }
        let title = match value["metadata"]["namespace"].as_str() {
            Some(namespace) => format!("{kind} {namespace}/{name}"),
            None => format!("{kind} {name}"),
        };
        if ours && version != format!("{GROUP}/{VERSION}") {
            let message = format!("apiVersion is {version:?}, this version of Spillway reads {GROUP}/{VERSION}");
            return self.problem(Some(title), message);
        }
        self.object(&kind, &title, value);
    }

    fn object(&mut self, kind: &str, title: &str, value: Value) {
        let violations = self.schemas.check(kind, &value);
        if !violations.is_empty() {
            for violation in violations {
                self.problem(Some(title.to_owned()), violation.to_string());
            }
            return;
        }
        let object = match kind {
            "ModelProvider" => typed(value).map(Object::Provider),
            "ModelRoute" => typed(value).map(Object::Route),
            "FallbackPolicy" => typed(value).map(Object::Policy),
            "ModelBudget" => typed(value).map(Object::Budget),
            "Secret" => secret(value).map(merge_string_data).map(Object::Secret),
            _ => typed(value).map(Object::Namespace),
        };
        match object {
            Ok(object) => self.contents.objects.push(object),
            Err(error) => self.problem(Some(title.to_owned()), error),
        }
    }
}

fn typed<K: DeserializeOwned>(value: Value) -> Result<K, String> {
    K::deserialize(value).map_err(|error| error.to_string())
}

/// What a parser says of a value that it does not like has the value in it, so it is not asked what.
fn secret(value: Value) -> Result<Secret, String> {
    let is_text = |value: &Value| value.is_string() || value.is_null();
    for field in ["data", "stringData"] {
        let entries = value[field].as_object().into_iter().flatten();
        if let Some((key, _)) = entries.into_iter().find(|(_, entry)| !is_text(entry)) {
            return Err(format!("{field}.{key}: is no text (in YAML, quote a number)"));
        }
    }
    typed(value).map_err(|_| "cannot be read: data takes texts in base64, stringData plain texts".to_owned())
}

/// What the API server does on write: `stringData` goes into `data`, and wins.
fn merge_string_data(mut secret: Secret) -> Secret {
    for (key, text) in secret.string_data.take().unwrap_or_default() {
        secret.data.get_or_insert_default().insert(key, k8s_openapi::ByteString(text.into_bytes()));
    }
    secret
}

// === impl Object ===

impl Object {
    /// `ModelRoute shop/chat`, the way problems name it.
    #[must_use]
    pub fn title(&self) -> String {
        match self {
            Self::Provider(object) => title(object),
            Self::Route(object) => title(object),
            Self::Policy(object) => title(object),
            Self::Budget(object) => title(object),
            Self::Secret(object) => title(object),
            Self::Namespace(object) => title(object),
        }
    }

    /// The namespace it is in.
    #[must_use]
    pub fn namespace(&self) -> Option<String> {
        match self {
            Self::Provider(object) => object.namespace(),
            Self::Route(object) => object.namespace(),
            Self::Policy(object) => object.namespace(),
            Self::Budget(object) => object.namespace(),
            Self::Secret(object) => object.namespace(),
            Self::Namespace(_) => None,
        }
    }
}

fn title<K: Resource<DynamicType = ()>>(object: &K) -> String {
    match object.namespace() {
        Some(namespace) => format!("{} {namespace}/{}", K::kind(&()), object.name_any()),
        None => format!("{} {}", K::kind(&()), object.name_any()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<String>, Vec<String>) {
        let contents = read_text(Path::new("a.yaml"), text, "shop", &Schemas::default());
        let problems = contents.problems.iter().map(ToString::to_string).collect();
        (contents.objects.iter().map(Object::title).collect(), problems)
    }

    const ROUTE: &str = "{apiVersion: spillway.dev/v1alpha1, kind: ModelRoute, metadata: {name: chat}, \
                         spec: {backends: [{name: a, providerRef: {name: p}, model: m}]}}";

    #[test]
    fn a_document_that_does_not_read_costs_only_itself() {
        let text = format!(
            "# first\n---\n{ROUTE}\n---\nkind: [\n---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: shop}}\n"
        );
        let (objects, problems) = read(&text);
        assert_eq!(objects, ["ModelRoute shop/chat", "Namespace shop"]);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with("a.yaml:") && problems[0].contains("is not YAML"), "{problems:?}");
    }

    #[test]
    fn a_problem_names_file_line_object_and_field() {
        let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ignored}\n---\n\
                    apiVersion: spillway.dev/v1alpha1\nkind: ModelRoute\nmetadata: {name: chat}\nspec: {backend: []}\n";
        let (objects, problems) = read(text);
        assert!(objects.is_empty());
        assert!(
            problems
                .iter()
                .any(|problem| problem.starts_with("a.yaml:5: ModelRoute shop/chat: spec.backend: is not a field")),
            "{problems:?}"
        );
    }

    #[test]
    fn a_key_that_is_given_twice_is_refused_by_line_and_name() {
        let text = "# first\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n---\napiVersion: v1\n\
                    kind: Namespace\nmetadata:\n  name: b\n  name: c\n";
        let (objects, problems) = read(text);
        assert_eq!(objects, ["Namespace a"]);
        let want = "a.yaml:11: is not YAML as Kubernetes takes it: metadata: \"name\" is given twice, in line 10 and in \
                    line 11: keep one of the two";
        assert_eq!(problems, [want]);
    }

    #[test]
    fn what_is_wrong_with_a_secret_is_said_without_a_word_of_it() {
        let secret = |fields: &str| format!("{{apiVersion: v1, kind: Secret, metadata: {{name: key}}, {fields}}}");
        let rows = [
            ("stringData: {apiKey: 4711}", "stringData.apiKey: is no text"),
            ("stringData: {apiKey: [canary]}", "stringData.apiKey: is no text"),
            ("data: {apiKey: canary!}", "data takes texts in base64"),
            ("data: canary", "cannot be read"),
            ("stringData: {apiKey: 123456789012345678901234567890}", "more than 64 bits"),
            ("stringData: {apiKey: !canary x}", "is not YAML"),
            ("stringData: {apiKey: 'canary}", "is not YAML"),
        ];
        for (fields, want) in rows {
            let (_, problems) = read(&secret(fields));
            let [problem] = &problems[..] else { panic!("{fields}: {problems:?}") };
            assert!(problem.contains(want), "{fields}: {problem}");
            assert!(!["canary", "4711", "12345678"].iter().any(|part| problem.contains(part)), "{fields}: {problem}");
        }
    }

    #[test]
    fn another_version_of_our_group_is_named() {
        let (_, problems) = read("{apiVersion: spillway.dev/v2, kind: ModelRoute, metadata: {name: chat}, spec: {}}");
        assert!(problems[0].contains("spillway.dev/v1alpha1"), "{problems:?}");
    }

    #[test]
    fn lists_are_opened_and_string_data_is_merged() {
        let text = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Secret, metadata: {name: key}, \
                    data: {apiKey: b2xk}, stringData: {apiKey: new}}\n";
        let contents = read_text(Path::new("a.yaml"), text, "shop", &Schemas::default());
        let Object::Secret(secret) = &contents.objects[0] else { panic!("{contents:?}") };
        assert_eq!(secret.data.as_ref().unwrap()["apiKey"].0, b"new");
    }

    #[test]
    fn separators_split_and_lines_are_counted() {
        let starts: Vec<(usize, &str)> = split("a\n---\nb\n--- c\nd: |\n  ---\n");
        assert_eq!(starts, [(1, "a\n"), (3, "b\n"), (4, "c\nd: |\n  ---\n")]);
    }
}
