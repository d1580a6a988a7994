//! A sidecar that is killed and comes back as the kubelet would bring it: the same pod, the same journal.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};

use super::beside;
use super::cluster::{APPS, Cluster, pod_name};
use super::load::Dice;
use super::operators::Operators;
use crate::clock;
use crate::process::{Process, free_ports, pinned};
use crate::sidecar::get;

/// For all of them to have their config on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

pub(super) struct Member {
    pub(super) index: usize,
    pub(super) data: SocketAddr,
    admin: SocketAddr,
    folder: PathBuf,
    operators: String,
    authority: String,
    process: Mutex<Option<Process>>,
    pub(super) killed: AtomicU64,
}

impl Member {
    pub(super) fn start(index: usize, folder: &Path, cluster: &Cluster, operators: &Operators) -> anyhow::Result<Self> {
        let folder = folder.join(pod_name(index));
        std::fs::create_dir(&folder)?;
        std::fs::write(folder.join("token"), cluster.pod_token(index)?)?;
        let [data, admin] = free_ports()?.map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let this = Self {
            index,
            data,
            admin,
            folder,
            operators: operators.url(),
            authority: operators.authority.clone(),
            process: Mutex::new(None),
            killed: AtomicU64::new(0),
        };
        this.spawn()?;
        Ok(this)
    }

    pub(super) async fn ready(&self) -> anyhow::Result<()> {
        let deadline = clock::now() + PATIENCE;
        while !get(self.admin, "/readyz").await.is_ok_and(|(status, _)| status == 200) {
            if clock::now() > deadline {
                let output = std::fs::read_to_string(self.folder.join("output")).unwrap_or_default();
                let last = output.lines().last().unwrap_or_default();
                bail!("sidecar {} is not ready after {PATIENCE:?}; its last words: {last}", self.index);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    fn spawn(&self) -> anyhow::Result<()> {
        let output = std::fs::File::options().create(true).append(true).open(self.folder.join("output"))?;
        let mut command = pinned(&beside("spillway-sidecar")?, None);
        command
            .env("SPILLWAY_OPERATOR", &self.operators)
            .env("SPILLWAY_CA_PEM", &self.authority)
            .env("SPILLWAY_TOKEN_FILE", self.folder.join("token"))
            .env("SPILLWAY_JOURNAL_DIR", self.folder.join("journal"))
            .env("SPILLWAY_DATA_ADDR", self.data.to_string())
            .env("SPILLWAY_ADMIN_ADDR", self.admin.to_string())
            .env("SPILLWAY_LOG", "warn")
            .env("SPILLWAY_POD", format!("{APPS}/{}", pod_name(self.index)))
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        let started = Process::start(&mut command).context("start a sidecar")?;
        // The one before is killed and waited for first: two processes must never write one journal.
        *self.process.lock().unwrap_or_else(PoisonError::into_inner) = Some(started);
        Ok(())
    }

    /// SIGKILL, and a new process in its place.
    fn kill(&self) -> anyhow::Result<()> {
        drop(self.process.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.killed.fetch_add(1, Ordering::Relaxed);
        self.spawn()
    }
}

/// Kills a sidecar by chance, again and again.
pub(super) async fn kill_one_every(every: Duration, members: Vec<Arc<Member>>, seed: u64) {
    let mut dice = Dice::new(seed ^ 0x0051_DECA);
    loop {
        tokio::time::sleep(every).await;
        let chosen = usize::try_from(dice.below(members.len() as u64)).unwrap_or(0);
        if members[chosen].kill().is_err() {
            return;
        }
    }
}
