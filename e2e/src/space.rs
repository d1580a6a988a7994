//! A namespace of a test's own, with what most tests do in one.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::{Answer, kubectl, kubectl::kubectl_warnings, kubectl_fails, kubectl_with, manifest};

/// A namespace that goes away with the test. Pod Security `restricted` is enforced in it.
#[derive(Debug)]
pub struct Space {
    name: String,
}

// === impl Space ===

impl Space {
    /// A new namespace, and the shared providers `small` and `large` beside it.
    pub fn new(topic: &str) -> Result<Self> {
        // The process id, because the namespace of an earlier run may still be on its way out.
        let name = format!("e2e-{topic}-{}", std::process::id());
        let namespace = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": name, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
        });
        kubectl_with(&["apply", "-f", "-"], &namespace.to_string())?;
        let space = Self { name };
        space.apply(&[
            manifest::provider_key("llm-key", "small.llm.svc,large.llm.svc", manifest::LLM_KEY),
            manifest::provider("small", "small", "llm-key"),
            manifest::provider("large", "large", "llm-key"),
        ])?;
        Ok(space)
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// kubectl in this namespace.
    pub fn kubectl(&self, args: &[&str]) -> Result<String> {
        kubectl(&self.args(args))
    }

    /// Applies objects; those without a namespace go into this one.
    pub fn apply(&self, objects: &[Value]) -> Result<String> {
        kubectl_with(&["apply", "-f", "-"], &self.list(objects))
    }

    /// Applies objects and gives the warnings.
    pub fn apply_warns(&self, objects: &[Value]) -> Result<String> {
        Ok(kubectl_warnings(&["apply", "-f", "-"], &self.list(objects))?.1)
    }

    /// Applies what has to be refused, and gives the reason.
    pub fn apply_fails(&self, objects: &[Value]) -> Result<String> {
        kubectl_fails(&["apply", "-f", "-"], &self.list(objects))
    }

    fn args<'a>(&'a self, args: &[&'a str]) -> Vec<&'a str> {
        ["--namespace", &self.name].into_iter().chain(args.iter().copied()).collect()
    }

    /// Not `--namespace`: kubectl refuses objects of another namespace beside it.
    fn list(&self, objects: &[Value]) -> String {
        let mut items = objects.to_vec();
        for item in &mut items {
            if item["metadata"]["namespace"].is_null() {
                item["metadata"]["namespace"] = json!(self.name);
            }
        }
        json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
    }

    /// Waits until an object says so: `condition=Programmed`, `jsonpath={.status.sidecars.ready}=3`, `delete`.
    pub fn wait(&self, object: &str, what: &str, limit: &str) -> Result<()> {
        let (what, limit) = (format!("--for={what}"), format!("--timeout={limit}"));
        match self.kubectl(&["wait", &what, &limit, object]) {
            Ok(_) => Ok(()),
            Err(error) => {
                let state = self.kubectl(&["get", object, "-o", "jsonpath={.status}"]).unwrap_or_default();
                Err(error.context(format!("{object} in {} never got to {what}; its status: {state}", self.name)))
            }
        }
    }

    /// A Deployment of the application, up and running with its sidecar.
    pub fn start_app(&self, name: &str, replicas: u32) -> Result<()> {
        self.apply(&[manifest::deployment(name, replicas)])?;
        self.kubectl(&["rollout", "status", &format!("deployment/{name}"), "--timeout=90s"]).map(drop)
    }

    /// One call of the Python SDKs from inside a pod of the Deployment `app`.
    pub fn python(&self, app: &str, ask: &Value) -> Result<Answer> {
        self.probe(app, &["python3", "probe.py"], ask)
    }

    /// One call of the Node SDK from inside a pod of the Deployment `app`.
    pub fn node(&self, app: &str, ask: &Value) -> Result<Answer> {
        self.probe(app, &["node", "probe.mjs"], ask)
    }

    fn probe(&self, app: &str, program: &[&str], ask: &Value) -> Result<Answer> {
        let (target, ask) = (format!("deployment/{app}"), ask.to_string());
        let mut args = vec!["exec", &target, "-c", "app", "--"];
        args.extend(program);
        args.push(&ask);
        Answer::parse(&self.kubectl(&args)?)
    }

    /// The reason and message of a condition: `Accepted=False UnsupportedValue: …`.
    pub fn condition(&self, object: &str, kind: &str) -> Result<String> {
        let template = format!(
            "jsonpath={{range .status.conditions[?(@.type==\"{kind}\")]}}{kind}={{.status}} {{.reason}}: {{.message}}{{end}}"
        );
        self.kubectl(&["get", object, "-o", &template])
    }

    /// A field by jsonpath, such as `{.status.spend.day}`.
    pub fn field(&self, object: &str, path: &str) -> Result<String> {
        self.kubectl(&["get", object, "-o", &format!("jsonpath={path}")]).with_context(|| format!("{path} of {object}"))
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        // Not waited for: nothing else uses the name.
        let _ = kubectl(&["delete", "namespace", &self.name, "--wait=false"]);
    }
}
