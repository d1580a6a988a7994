//! A sidecar as a process.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;
use spillway_wire::{AuthScheme, AwsKey, Provider, Snapshot};
use tempfile::TempDir;

use crate::clock;
use crate::process::{Process, free_ports, pinned};
use crate::provider::bedrock::{ACCESS_KEY_ID, SECRET_ACCESS_KEY};

/// How long a start may take on a busy machine before a test calls it broken.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running sidecar; dropped, it is killed.
pub struct Sidecar {
    pub data: SocketAddr,
    pub admin: SocketAddr,
    pub process: Process,
    /// To start it again.
    command: Command,
    folder: TempDir,
}

impl Sidecar {
    /// Starts `program` with its config from a file and waits until it is ready.
    pub async fn with_snapshot(program: &Path, snapshot: &Snapshot, core: Option<usize>) -> anyhow::Result<Self> {
        Self::configured(pinned(program, core), snapshot).await
    }

    /// The same for a command that ends in starting it.
    pub async fn configured(mut command: Command, snapshot: &Snapshot) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let config = folder.path().join("snapshot.json");
        std::fs::write(&config, serde_json::to_vec(snapshot)?)?;
        let keys: serde_json::Map<String, Value> = snapshot
            .providers
            .values()
            .filter_map(|provider| Some((provider.credential.clone()?, key_of(provider)?)))
            .collect();
        let credentials = folder.path().join("credentials.json");
        std::fs::write(&credentials, serde_json::to_vec(&keys)?)?;

        command.env("SPILLWAY_CONFIG_FILE", config).env("SPILLWAY_CREDENTIALS_FILE", credentials);
        let mut sidecar = Self::spawn(command, folder)?;
        sidecar.ready().await?;
        Ok(sidecar)
    }

    /// Starts `command` on free ports, with its output in a file.
    pub fn spawn(mut command: Command, folder: TempDir) -> anyhow::Result<Self> {
        let [data, admin] = free_ports()?.map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let output = std::fs::File::create(folder.path().join("output"))?;
        command
            .env("SPILLWAY_DATA_ADDR", data.to_string())
            .env("SPILLWAY_ADMIN_ADDR", admin.to_string())
            .env("SPILLWAY_JOURNAL_DIR", folder.path().join("journal"))
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        Ok(Self { data, admin, process: Process::start(&mut command)?, command, folder })
    }

    /// Kills it, as the kernel does that is out of memory, and starts it again as the kubelet does: with the same journal.
    pub fn kill_and_restart(&mut self) -> anyhow::Result<()> {
        self.process.child().kill()?;
        self.process.child().wait()?;
        self.process = Process::start(&mut self.command)?;
        Ok(())
    }

    /// Waits until it says that it has config.
    pub async fn ready(&mut self) -> anyhow::Result<()> {
        let deadline = clock::now() + PATIENCE;
        loop {
            if let Some(status) = self.process.exited() {
                bail!("the sidecar ended with {status}:\n{}", self.output());
            }
            if self.admin_get("/readyz").await.is_ok_and(|(status, _)| status == 200) {
                return Ok(());
            }
            if clock::now() > deadline {
                bail!("the sidecar is not ready after {PATIENCE:?}:\n{}", self.output());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Replaces the file it takes its config from, as a whole.
    pub fn replace_snapshot(&self, bytes: &[u8]) -> anyhow::Result<()> {
        let next = self.folder.path().join("snapshot.next");
        std::fs::write(&next, bytes)?;
        std::fs::rename(next, self.folder.path().join("snapshot.json")).context("replace the snapshot")
    }

    /// Waits until its output satisfies `condition`.
    pub async fn until_output(&self, condition: impl Fn(&str) -> bool) -> anyhow::Result<()> {
        let deadline = clock::now() + PATIENCE;
        while !condition(&self.output()) {
            if clock::now() > deadline {
                bail!("not within {PATIENCE:?}; the sidecar has written:\n{}", self.output());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Waits until a page of the admin port satisfies `condition`.
    pub async fn until(&self, path: &str, condition: impl Fn(&str) -> bool) -> anyhow::Result<()> {
        let deadline = clock::now() + PATIENCE;
        loop {
            let (_, page) = self.admin_get(path).await?;
            if condition(&page) {
                return Ok(());
            }
            if clock::now() > deadline {
                bail!("not within {PATIENCE:?}; {path} says:\n{page}");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Status and body of a GET on the admin port.
    pub async fn admin_get(&self, path: &str) -> anyhow::Result<(u16, String)> {
        get(self.admin, path).await
    }

    /// Everything it has written so far.
    #[must_use]
    pub fn output(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("output")).unwrap_or_default()
    }
}

/// The key that a provider's requests carry, or are signed with.
fn key_of(provider: &Provider) -> Option<Value> {
    let credential = provider.credential.as_deref()?;
    if provider.auth != AuthScheme::SigV4 {
        return Some(format!("key-of-{credential}").into());
    }
    let key = AwsKey {
        access_key_id: ACCESS_KEY_ID.into(),
        secret_access_key: SECRET_ACCESS_KEY.into(),
        session_token: None,
    };
    serde_json::to_string(&key).ok().map(Value::String)
}

/// A GET without a client library, which would bring its own pool and its own retries.
pub async fn get(to: SocketAddr, path: &str) -> anyhow::Result<(u16, String)> {
    let mut connection = crate::http1::Connection::new(tokio::net::TcpStream::connect(to).await?)?;
    connection.write(format!("GET {path} HTTP/1.1\r\nhost: {to}\r\nconnection: close\r\n\r\n").as_bytes()).await?;
    let head = connection.head().await?.context("closed without an answer")?;
    let body = connection.body(head.framing()).await?;
    Ok((head.status(), String::from_utf8_lossy(&body).into_owned()))
}
