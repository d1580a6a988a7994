//! What the run needs of an API server: resources, pods that nobody schedules, and tokens.

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::beside;
use super::{Plan, What};

/// Where the operators live; its name is in their certificates.
pub(super) const SYSTEM: &str = "fleet-system";
/// Where the sidecars do.
pub(super) const APPS: &str = "fleet";
/// What sidecars ask for.
pub(super) const MODEL: &str = "chat";
/// Of a million tokens, in thousandths of a dollar.
pub(super) const INPUT_MILLI: u64 = 1_000;
pub(super) const OUTPUT_MILLI: u64 = 20_000;

/// The cluster of `KUBECONFIG`.
pub(super) struct Cluster;

impl Cluster {
    /// Puts everything there that has to be.
    pub(super) fn prepare(plan: &Plan, upstream: SocketAddr) -> anyhow::Result<Self> {
        let this = Self;
        this.remove();
        let crds = Command::new(beside("spillway")?).arg("crds").output().context("spillway crds")?;
        this.kubectl(&["apply", "--server-side", "--force-conflicts", "-f", "-"], Some(&crds.stdout))?;
        let mut objects = vec![
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM}}),
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": APPS}}),
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "spillway", "namespace": SYSTEM}}),
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "app", "namespace": APPS}}),
        ];
        objects.extend(resources(plan, upstream));
        objects.push(json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "operator", "namespace": SYSTEM},
            "spec": {"serviceAccountName": "spillway", "schedulerName": "nobody",
                     "containers": [{"name": "operator", "image": "none"}]},
        }));
        objects.extend((0..plan.sidecars).map(pod));
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
        this.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=30s"], None)?;
        this.kubectl(&["apply", "-f", "-"], Some(list.as_bytes()))?;
        Ok(this)
    }

    /// A token that proves to be this pod.
    pub(super) fn pod_token(&self, index: usize) -> anyhow::Result<String> {
        let pod = pod_name(index);
        let bound = ["--bound-object-kind=Pod", &format!("--bound-object-name={pod}")].map(str::to_owned);
        self.token(&["-n", APPS, "app", &bound[0], &bound[1]])
    }

    /// A token that proves to be a replica.
    pub(super) fn operator_token(&self) -> anyhow::Result<String> {
        self.token(&["-n", SYSTEM, "spillway", "--bound-object-kind=Pod", "--bound-object-name=operator"])
    }

    /// The replica that leads, by the Lease.
    pub(super) fn leader(&self) -> anyhow::Result<String> {
        let path = "jsonpath={.spec.holderIdentity}";
        let holder = self.kubectl(&["get", "lease", "-n", SYSTEM, "spillway-leader", "-o", path], None)?;
        Ok(holder.split('/').next().unwrap_or_default().to_owned())
    }

    /// The authority that sidecars are to trust, once an operator has made it.
    pub(super) fn authority(&self) -> anyhow::Result<String> {
        let path = "jsonpath={.items[*].data.ca\\.crt}{.items[*].data.tls\\.crt}";
        let secrets = self.kubectl(&["get", "secret", "-n", SYSTEM, "-o", path], None)?;
        let encoded = secrets.split_whitespace().next().context("no Secret with a certificate yet")?;
        let pem = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, encoded)?;
        Ok(String::from_utf8(pem)?)
    }

    /// One object as it is.
    pub(super) fn get(&self, kind: &str, name: &str) -> anyhow::Result<Value> {
        Ok(serde_json::from_str(&self.kubectl(&["get", kind, "-n", APPS, name, "-o", "json"], None)?)?)
    }

    /// Removes all of it. What is not there is no matter.
    pub(super) fn remove(&self) {
        let _ = self.kubectl(&["delete", "pods", "-n", APPS, "--all", "--force", "--grace-period=0"], None);
        let _ = self.kubectl(&["delete", "namespace", APPS, SYSTEM, "--ignore-not-found", "--timeout=60s"], None);
    }

    fn token(&self, of: &[&str]) -> anyhow::Result<String> {
        let arguments = [&["create", "token", "--audience=spillway", "--duration=2h"], of].concat();
        Ok(self.kubectl(&arguments, None)?.trim().to_owned())
    }

    fn kubectl(&self, arguments: &[&str], input: Option<&[u8]>) -> anyhow::Result<String> {
        let mut command = Command::new("kubectl");
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("run kubectl")?;
        let mut stdin = child.stdin.take().context("a pipe to kubectl")?;
        stdin.write_all(input.unwrap_or_default())?;
        drop(stdin);
        let output = child.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "kubectl {}: {said}", arguments.join(" "));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// The name of a sidecar's pod.
pub(super) fn pod_name(index: usize) -> String {
    format!("app-{index}")
}

fn pod(index: usize) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": pod_name(index), "namespace": APPS, "labels": {"app": "fleet", "spillway.dev/injected": "true"}},
        "spec": {
            "serviceAccountName": "app", "schedulerName": "nobody", "automountServiceAccountToken": false,
            "initContainers": [{"name": "spillway-sidecar", "image": "none", "restartPolicy": "Always"}],
            "containers": [{"name": "app", "image": "none"}],
        },
    })
}

fn resources(plan: &Plan, upstream: SocketAddr) -> Vec<Value> {
    let of = |kind: &str, name: &str, spec: Value| json!({"apiVersion": "spillway.dev/v1alpha1", "kind": kind, "metadata": {"name": name, "namespace": APPS}, "spec": spec});
    let dollars = |milli: u64| format!("{}.{:03}", milli / 1_000, milli % 1_000);
    let pricing = json!({"inputPerMillion": dollars(INPUT_MILLI), "outputPerMillion": dollars(OUTPUT_MILLI)});
    let provider = json!({
        "type": "OpenAICompatible", "endpoint": format!("http://{upstream}/v1"), "allowInsecure": true,
        "credentials": {"none": {}},
        "models": [{"name": "m", "contextWindow": 8192, "maxOutputTokens": 1024, "pricing": pricing}],
    });
    let mut route = json!({"backends": [{"name": "a", "providerRef": {"name": "upstream"}, "model": "m"}]});
    let mut objects = Vec::new();
    match plan.what {
        What::Budget { milli_dollars } => {
            let spec = json!({"limit": dollars(milli_dollars), "period": "Once", "enforcement": "Strict"});
            objects.push(of("ModelBudget", "all", spec));
        }
        What::Rate { requests } => {
            route["limits"] =
                json!([{"name": "all", "per": "Route", "scope": "Fleet", "requests": requests, "window": "60s"}]);
        }
    }
    objects.extend([of("ModelProvider", "upstream", provider), of("ModelRoute", MODEL, route)]);
    objects
}
