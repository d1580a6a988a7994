//! An operator as a process, on a directory of YAML instead of an API server, and sidecars that subscribe to it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use tempfile::TempDir;

use crate::clock;
use crate::process::{Process, free_ports, pinned, program};
use crate::sidecar::{Sidecar, get};

/// The namespace its sidecars are in.
pub const NAMESPACE: &str = "shop";
const TOKEN: &str = "token-of-the-tests";
const PATIENCE: Duration = Duration::from_secs(30);

/// A running operator; dropped, it is killed.
pub struct Operator {
    pub admin: SocketAddr,
    pub process: Process,
    subscribe: SocketAddr,
    folder: TempDir,
}

impl Operator {
    /// Starts on these files, each a name and its YAML, and waits until sidecars can connect.
    pub async fn start(files: &[(&str, &str)]) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let resources = folder.path().join("resources");
        std::fs::create_dir(&resources)?;
        std::fs::write(folder.path().join("token"), TOKEN)?;
        for (name, yaml) in files {
            std::fs::write(resources.join(name), yaml)?;
        }
        let [subscribe, admin, webhook] = free_ports()?.map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let process = Self::spawn(&folder, [subscribe, admin, webhook])?;
        let mut operator = Self { admin, process, subscribe, folder };
        operator.ready().await?;
        Ok(operator)
    }

    fn spawn(folder: &TempDir, [subscribe, admin, webhook]: [SocketAddr; 3]) -> anyhow::Result<Process> {
        let output = std::fs::File::create(folder.path().join("output"))?;
        let mut command = pinned(&program("spillway")?, None);
        command
            .arg("operator")
            .arg("--resources")
            .arg(folder.path().join("resources"))
            .arg("--sidecar-token-file")
            .arg(folder.path().join("token"))
            .arg("--ca-out")
            .arg(folder.path().join("ca.pem"))
            .args(["--sidecar-namespace", NAMESPACE, "--allow-private-range", "127.0.0.0/8"])
            .args(["--sidecar-addr", &subscribe.to_string(), "--admin-addr", &admin.to_string()])
            .args(["--webhook-addr", &webhook.to_string()])
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        Process::start(&mut command)
    }

    async fn ready(&mut self) -> anyhow::Result<()> {
        let deadline = clock::now() + PATIENCE;
        loop {
            if let Some(status) = self.process.exited() {
                bail!("the operator ended with {status}:\n{}", self.output());
            }
            let answers = get(self.admin, "/readyz").await.is_ok_and(|(status, _)| status == 200);
            if answers && self.ca_file().exists() {
                return Ok(());
            }
            if clock::now() > deadline {
                bail!("the operator is not ready after {PATIENCE:?}:\n{}", self.output());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Starts a sidecar that takes its config from here, and waits until it has it.
    pub async fn sidecar(&self, pod: &str) -> anyhow::Result<Sidecar> {
        let mut sidecar = self.sidecar_without_config(pod)?;
        sidecar.ready().await?;
        Ok(sidecar)
    }

    /// The same, without waiting.
    pub fn sidecar_without_config(&self, pod: &str) -> anyhow::Result<Sidecar> {
        let mut command = pinned(&program("spillway-sidecar")?, None);
        command
            .env("SPILLWAY_OPERATOR", format!("https://localhost:{}", self.subscribe.port()))
            .env("SPILLWAY_CA_PEM", std::fs::read_to_string(self.ca_file()).context("the operator's CA")?)
            .env("SPILLWAY_TOKEN_FILE", self.folder.path().join("token"))
            .env("SPILLWAY_POD", format!("{NAMESPACE}/{pod}"));
        Sidecar::spawn(command, tempfile::tempdir()?)
    }

    /// Writes a file as an editor does: a whole new one in the place of the old.
    pub fn write(&self, name: &str, yaml: &str) -> anyhow::Result<()> {
        let next = self.folder.path().join("next");
        std::fs::write(&next, yaml)?;
        std::fs::rename(next, self.folder.path().join("resources").join(name)).context("replace a resource")
    }

    pub fn remove(&self, name: &str) -> anyhow::Result<()> {
        std::fs::remove_file(self.folder.path().join("resources").join(name)).context("remove a resource")
    }

    /// Everything it has written so far.
    #[must_use]
    pub fn output(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("output")).unwrap_or_default()
    }

    fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }
}
