//! Child processes that cannot outlive a test: ended by their id when dropped, pinned to a core where that helps.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, ensure};

/// A running child.
pub struct Process {
    child: Child,
}

impl Process {
    pub fn start(command: &mut Command) -> anyhow::Result<Self> {
        let child = command.spawn().with_context(|| format!("start {}", command.get_program().display()))?;
        Ok(Self { child })
    }

    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// None while it runs.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Asks it to end, as the kubelet does.
    pub fn terminate(&self) -> anyhow::Result<()> {
        let status = Command::new("kill").args(["-TERM", &self.id().to_string()]).status().context("run kill")?;
        ensure!(status.success(), "kill -TERM {}: {status}", self.id());
        Ok(())
    }

    /// Resident memory in bytes; 0 where the kernel does not tell.
    #[must_use]
    pub fn resident_bytes(&self) -> u64 {
        self.status_bytes("VmRSS:")
    }

    /// The most resident memory so far, in bytes.
    #[must_use]
    pub fn peak_bytes(&self) -> u64 {
        self.status_bytes("VmHWM:")
    }

    fn status_bytes(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_default();
        let kilobytes = line.split_whitespace().next().and_then(|number| number.parse::<u64>().ok());
        kilobytes.unwrap_or_default() * 1024
    }

    /// Time its threads have spent on a core, in nanoseconds; 0 where the kernel does not tell.
    #[must_use]
    pub fn cpu_nanos(&self) -> u64 {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.id())).into_iter().flatten().flatten();
        threads
            .filter_map(|thread| std::fs::read_to_string(thread.path().join("schedstat")).ok())
            .filter_map(|line| line.split(' ').next()?.parse::<u64>().ok())
            .sum()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only for a child that is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A command that runs `program` on `core` alone, or anywhere.
#[must_use]
pub fn pinned(program: &Path, core: Option<usize>) -> Command {
    match core {
        Some(core) => {
            let mut command = Command::new("taskset");
            command.args(["-c", &core.to_string()]).arg(program);
            command
        }
        None => Command::new(program),
    }
}

/// Moves this process to `core`. Threads started from now on stay there too.
pub fn pin_self(core: usize) -> anyhow::Result<()> {
    let id = std::process::id().to_string();
    let output =
        Command::new("taskset").args(["-a", "-c", "-p", &core.to_string(), &id]).output().context("run taskset")?;
    ensure!(output.status.success(), "taskset: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// Two different cores this process may use, when there are two and `taskset` to choose them with.
#[must_use]
pub fn two_cores() -> Option<(usize, usize)> {
    Command::new("taskset").arg("--version").output().ok()?;
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    let mut cores = list.trim().split(',').flat_map(|range| {
        let (from, to) = range.split_once('-').unwrap_or((range, range));
        from.parse::<usize>().unwrap_or(1)..=to.parse::<usize>().unwrap_or(0)
    });
    Some((cores.next()?, cores.next()?))
}

/// The folder our programs are built into: the one this program was started from, without cargo's `deps`.
pub fn built() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("where this program is")?;
    let folder = own.parent().context("a program has a folder")?;
    Ok(if folder.ends_with("deps") { folder.parent().unwrap_or(folder) } else { folder }.to_path_buf())
}

/// Builds a program of ours, once per test process, with the profile of the test. Cargo offers no way to depend on
/// another package's program, and a stale one would prove nothing.
pub fn program(name: &str) -> anyhow::Result<PathBuf> {
    static BUILT: Mutex<bool> = Mutex::new(false);
    let folder = built()?;
    // Held while cargo runs: the other tests of this process wait for the same programs.
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if !*built {
        let mut command = Command::new(env!("CARGO"));
        command.args(if folder.ends_with("release") { AS_SHIPPED } else { AS_TESTED });
        // Some build scripts look at what cargo says of the package at hand. Ours would have them, and all that depends
        // on them, built anew for each test and then anew without.
        let of_package = ["CARGO_PKG_", "CARGO_MANIFEST_"];
        for (name, _) in std::env::vars_os() {
            if of_package.iter().any(|start| name.to_string_lossy().starts_with(start)) {
                command.env_remove(name);
            }
        }
        let status = command.current_dir(env!("CARGO_MANIFEST_DIR")).status().context("run cargo")?;
        ensure!(status.success(), "cargo build of {name}: {status}");
        *built = true;
    }
    Ok(folder.join(name))
}

/// With the features of the images.
const AS_SHIPPED: &[&str] =
    &["build", "--quiet", "--release", "--bins", "-p", "spillway-operator", "-p", "spillway-sidecar"];

/// With those of `make unit`, because features are of all packages that are built together: what they share with other
/// packages' tests is not compiled a second time. Cargo builds a program for the tests of its package.
const AS_TESTED: &[&str] =
    &["test", "--quiet", "--no-run", "--workspace", "--exclude", "spillway-e2e", "--test", "process", "--test", "cli"];

/// Ports that are free now. They are all held until all are known, so that one call never returns a port twice.
pub fn free_ports<const N: usize>() -> io::Result<[u16; N]> {
    let mut held = Vec::with_capacity(N);
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}
