//! Replicas of the operator, each on an address of its own on loopback.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};

use super::beside;
use super::cluster::{Cluster, SYSTEM};
use crate::clock;
use crate::process::{Process, free_ports, pinned};
use crate::sidecar::get;

/// How long one that was killed is gone.
pub(super) const AWAY: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) struct Operators {
    folder: PathBuf,
    port: u16,
    admin_port: u16,
    webhook_port: u16,
    running: Vec<Mutex<Option<Process>>>,
    pub(super) authority: String,
    pub(super) killed: AtomicU64,
}

impl Operators {
    /// Starts so many and waits until all of them serve.
    pub(super) async fn start(count: usize, folder: &Path, cluster: &Cluster) -> anyhow::Result<Self> {
        let [port, admin_port, webhook_port] = free_ports()?;
        std::fs::write(folder.join("operator-token"), cluster.operator_token()?)?;
        let mut this = Self {
            folder: folder.to_path_buf(),
            port,
            admin_port,
            webhook_port,
            running: (0..count).map(|_| Mutex::new(None)).collect(),
            authority: String::new(),
            killed: AtomicU64::new(0),
        };
        for index in 0..count {
            this.spawn(index)?;
        }
        let deadline = clock::now() + PATIENCE;
        for index in 0..count {
            let admin = (address(index).parse::<std::net::IpAddr>()?, this.admin_port).into();
            while !get(admin, "/readyz").await.is_ok_and(|(status, _)| status == 200) {
                if clock::now() > deadline {
                    let output = std::fs::read_to_string(this.output(index)).unwrap_or_default();
                    let last = output.lines().last().unwrap_or_default();
                    bail!("operator {index} is not ready after {PATIENCE:?}; its last words: {last}");
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        this.authority = cluster.authority().context("the operators' authority")?;
        Ok(this)
    }

    /// Where sidecars connect to: a name with the addresses of all of them, from the `hosts` file that `tests/fleet.sh`
    /// makes.
    pub(super) fn url(&self) -> String {
        format!("https://spillway.{SYSTEM}.svc:{}", self.port)
    }

    fn output(&self, index: usize) -> PathBuf {
        self.folder.join(format!("operator-{index}.log"))
    }

    fn spawn(&self, index: usize) -> anyhow::Result<()> {
        let output = std::fs::File::options().create(true).append(true).open(self.output(index))?;
        let own = address(index);
        let at = |port: u16| format!("{own}:{port}");
        let mut command = pinned(&beside("spillway")?, None);
        command
            .args(["operator", "--namespace", SYSTEM, "--pod-ip", &own, "--pod-name", &format!("operator-{index}")])
            .args(["--sidecar-addr", &at(self.port), "--admin-addr", &at(self.admin_port)])
            .args(["--webhook-addr", &at(self.webhook_port), "--allow-private-range", "127.0.0.0/8"])
            .arg("--token-file")
            .arg(self.folder.join("operator-token"))
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        let started = Process::start(&mut command).context("start an operator")?;
        *self.running[index].lock().unwrap_or_else(PoisonError::into_inner) = Some(started);
        Ok(())
    }

    fn kill(&self, index: usize) {
        drop(self.running[index].lock().unwrap_or_else(PoisonError::into_inner).take());
        self.killed.fetch_add(1, Ordering::Relaxed);
    }
}

/// The name of a replica says which it is.
fn index_of(name: &str) -> Option<usize> {
    name.strip_prefix("operator-")?.parse().ok()
}

fn address(index: usize) -> String {
    format!("127.0.0.{}", index + 1)
}

/// Kills whoever leads, again and again, and starts it anew a little later.
pub(super) async fn kill_leader_every(every: Duration, operators: Arc<Operators>) {
    loop {
        tokio::time::sleep(every).await;
        let leader = tokio::task::spawn_blocking(|| Cluster.leader()).await;
        let Some(index) = leader.ok().and_then(Result::ok).as_deref().and_then(index_of) else { continue };
        operators.kill(index);
        tokio::time::sleep(AWAY).await;
        if operators.spawn(index).is_err() {
            return;
        }
    }
}
