//! A bound on a process's memory that the kernel enforces, where this process may set one.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// A control group with a memory limit; removed when dropped, which has to be after its processes have ended.
pub struct MemoryGroup {
    folder: PathBuf,
}

/// Version 1, then version 2: where groups are made, and the limit's file.
const KINDS: [(&str, &str); 2] = [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")];

// === impl MemoryGroup ===

impl MemoryGroup {
    /// None: this process may not make one.
    #[must_use]
    pub fn new(bytes: u64) -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("spillway-test-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        KINDS.iter().find_map(|(root, limit)| {
            let folder = Path::new(root).join(&name);
            std::fs::create_dir(&folder).ok()?;
            let group = Self { folder };
            // Dropped if the controller is not there, and so removed.
            std::fs::write(group.folder.join(limit), bytes.to_string()).ok()?;
            Some(group)
        })
    }

    /// A command that starts `program` in the group, so that not a page of it is counted elsewhere.
    #[must_use]
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", "echo $$ > \"$1\" && exec \"$0\""]).arg(program).arg(self.folder.join("cgroup.procs"));
        command
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        // Fails while a process is in it; then the group outlives the test, empty and harmless.
        let _ = std::fs::remove_dir(&self.folder);
    }
}
