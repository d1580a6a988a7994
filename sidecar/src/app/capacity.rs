//! How much a process may take on, from the memory it was given.

use std::{fs, path::Path};

use crate::runtime::Limits;

/// Where control groups are mounted, in containers as on machines.
const MOUNT: &str = "/sys/fs/cgroup";

/// A quarter each for buffered bytes and for requests in flight; the rest is for connections, counting and the program.
const SHARE: u64 = 4;

/// What a request holds beside its body: two connections' buffers, the call, and a stream's events on their way.
const REQUEST_BYTES: u64 = 64 << 10;

/// As many requests and bytes as fit, and never more than the defaults.
pub(super) fn limits() -> Limits {
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    of(memory(&own, Path::new(MOUNT)))
}

fn of(memory: Option<u64>) -> Limits {
    let most = Limits::default();
    let Some(memory) = memory else { return most };
    let share = memory / SHARE;
    Limits {
        buffered_bytes: share.min(most.buffered_bytes),
        requests: usize::try_from(share / REQUEST_BYTES).unwrap_or(usize::MAX).clamp(1, most.requests),
    }
}

/// The smallest limit of the process's own group and of those around it. None: there is none.
///
/// In a container the path of the group is often the machine's, and only the mounted root is there: then that is the
/// container's own.
fn memory(own: &str, mount: &Path) -> Option<u64> {
    own.lines().filter_map(|line| group(line, mount)).min()
}

/// `0::/path` in version 2, `4:memory:/path` in version 1.
fn group(line: &str, mount: &Path) -> Option<u64> {
    let mut parts = line.splitn(3, ':');
    let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
    let (root, file) = match controllers {
        "" => (mount.to_owned(), "memory.max"),
        _ if controllers.split(',').any(|name| name == "memory") => (mount.join("memory"), "memory.limit_in_bytes"),
        _ => return None,
    };
    let folders = Path::new(path.trim_start_matches('/')).ancestors();
    // `max`, or a number of the machine's pages in version 1, is no limit: the defaults are smaller than either.
    let limits =
        folders.filter_map(|folder| fs::read_to_string(root.join(folder).join(file)).ok()?.trim().parse().ok());
    limits.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn a_small_container_takes_on_less() {
        let rows = [
            (None, 96 * MIB, 4096),
            (Some(u64::MAX), 96 * MIB, 4096),
            (Some(256 * MIB), 64 * MIB, 1024),
            (Some(64 * MIB), 16 * MIB, 256),
            (Some(0), 0, 1),
        ];
        for (memory, bytes, requests) in rows {
            let found = of(memory);
            assert_eq!((found.buffered_bytes, found.requests), (bytes, requests), "{memory:?}");
        }
    }

    #[test]
    fn the_smallest_limit_on_the_way_up_counts() {
        let mount = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = mount.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("memory.max", "max\n");
        write("pods/memory.max", "1000\n");
        write("pods/app/memory.max", "max\n");
        write("memory/memory.limit_in_bytes", "9223372036854771712\n");
        write("memory/app/memory.limit_in_bytes", "500\n");
        let rows = [
            ("0::/pods/app\n", Some(1000)),
            ("0::/gone/from/here\n", None),
            ("4:memory:/app\n3:cpu:/\n", Some(500)),
            ("4:memory:/of/the/machine\n", Some(9_223_372_036_854_771_712)),
            ("4:memory:/app\n0::/pods\n", Some(500)),
            ("4:cpu,cpuacct:/app\n", None),
            ("", None),
        ];
        for (own, want) in rows {
            assert_eq!(memory(own, mount.path()), want, "{own:?}");
        }
    }
}
