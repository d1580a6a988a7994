//! The sidecar of `spillway dev`: which binary, which ports, and when it is ready.

use std::{
    ffi::OsString,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    time::Duration,
};

use anyhow::{Context, bail};
use secrecy::{ExposeSecret, SecretString};
use tokio::{process::Child, time};

/// A sidecar with its config at hand is ready in a tenth of a second; this is for a machine under load.
const START: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(20);
const PROBE: Duration = Duration::from_secs(1);
const BINARY: &str = "spillway-sidecar";

/// Where the sidecar listens, and what it keeps on disk while it runs.
pub(super) struct Place {
    pub(super) data: SocketAddr,
    pub(super) admin: SocketAddr,
    folder: tempfile::TempDir,
}

// === impl Place ===

impl Place {
    /// Finds two free ports and makes a private folder for token and journal.
    pub(super) fn prepare(data: SocketAddr, token: &SecretString) -> anyhow::Result<Self> {
        let data = free(data)
            .with_context(|| format!("port {} cannot be used (fix: choose another with --port)", data.port()))?;
        let admin = free(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        // Readable by this user only: it is made with mode 0700.
        let folder = tempfile::Builder::new().prefix("spillway-dev-").tempdir().context("temporary folder")?;
        std::fs::write(folder.path().join("token"), token.expose_secret()).context("token file")?;
        std::fs::create_dir(folder.path().join("journal")).context("journal folder")?;
        Ok(Self { data, admin, folder })
    }

    /// The environment of the sidecar.
    pub(super) fn env(&self, operator: SocketAddr, ca_pem: &str, verbose: bool) -> Vec<(&'static str, String)> {
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        vec![
            ("SPILLWAY_OPERATOR", format!("https://localhost:{}", operator.port())),
            ("SPILLWAY_CA_PEM", ca_pem.to_owned()),
            ("SPILLWAY_TOKEN_FILE", path("token")),
            ("SPILLWAY_JOURNAL_DIR", path("journal")),
            ("SPILLWAY_DATA_ADDR", self.data.to_string()),
            ("SPILLWAY_ADMIN_ADDR", self.admin.to_string()),
            ("SPILLWAY_LOG", if verbose { "info" } else { "warn" }.to_owned()),
            ("SPILLWAY_DRAIN", "2s".to_owned()),
        ]
    }

    /// Waits until the sidecar has config. An error says why it will not have any.
    pub(super) async fn ready(&self, sidecar: &mut Child) -> anyhow::Result<()> {
        let admin = self.admin;
        let ready = async {
            loop {
                if let Some(status) = sidecar.try_wait()? {
                    bail!("the sidecar ended with {status} (see why with --verbose)");
                }
                if tokio::task::spawn_blocking(move || is_ready(admin)).await? {
                    return Ok(());
                }
                time::sleep(POLL).await;
            }
        };
        let late = || format!("the sidecar was not ready within {}s (see why with --verbose)", START.as_secs());
        time::timeout(START, ready).await.with_context(late)?
    }
}

/// The binary beside this one, or the one in PATH.
pub(super) fn binary(given: Option<OsString>) -> OsString {
    let beside = || {
        let own = std::env::current_exe().ok()?;
        let beside = own.parent().map(|folder| folder.join(BINARY))?;
        Path::is_file(&beside).then(|| beside.into_os_string())
    };
    given.or_else(beside).unwrap_or_else(|| BINARY.into())
}

/// The address with its port chosen. Someone else could take it before the sidecar does; then the sidecar says so.
fn free(addr: SocketAddr) -> std::io::Result<SocketAddr> {
    TcpListener::bind(addr)?.local_addr()
}

fn is_ready(admin: SocketAddr) -> bool {
    let probe = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&admin, PROBE)?;
        stream.set_read_timeout(Some(PROBE))?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
        let mut head = [0; 12];
        stream.read_exact(&mut head)?;
        Ok(&head == b"HTTP/1.1 200")
    };
    probe().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_200_is_ready() {
        for (answer, want) in [("HTTP/1.1 200 OK\r\n\r\n", true), ("HTTP/1.1 503 Busy\r\n\r\n", false), ("", false)] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let addr = listener.local_addr().unwrap();
            let server = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let _ = stream.read(&mut [0; 256]);
                stream.write_all(answer.as_bytes()).unwrap();
            });
            assert_eq!(is_ready(addr), want, "{answer:?}");
            server.join().unwrap();
            assert!(!is_ready(addr), "nobody listens any more");
        }
    }
}
