//! The memory limit and the memory usage of the server.

use std::fs;
use std::path::{Path, PathBuf};

use crate::config::MaxMemory;
use crate::types::limits::PAGE_BYTES;

/// A cgroup with a limit above this has no limit: version 1 reports a number close to 2^63.
const NO_LIMIT: u64 = 1 << 60;

/// Returns the memory limit: the configured one, or that of the cgroup of this process.
pub(super) fn ceiling(configured: MaxMemory) -> Option<u64> {
    match configured {
        MaxMemory::Unlimited => None,
        MaxMemory::Bytes(bytes) => Some(bytes),
        MaxMemory::Auto => {
            let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
            of_cgroups(&groups, Path::new("/sys/fs/cgroup"))
        }
    }
}

/// Returns the lowest limit of the groups in `/proc/self/cgroup` (cgroups(7)) and of their parents.
fn of_cgroups(groups: &str, root: &Path) -> Option<u64> {
    let limits = groups.lines().filter_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        if controllers.is_empty() {
            return smallest(root, path, "memory.max");
        }
        let is_memory = controllers.split(',').any(|name| name == "memory");
        is_memory.then(|| smallest(&root.join("memory"), path, "memory.limit_in_bytes")).flatten()
    });
    limits.min()
}

fn smallest(root: &Path, group: &str, file: &str) -> Option<u64> {
    let folders: Vec<PathBuf> =
        Path::new(group.trim_start_matches('/')).ancestors().map(|part| root.join(part)).collect();
    let limit = |folder: &PathBuf| fs::read_to_string(folder.join(file)).ok()?.trim().parse().ok();
    folders.iter().filter_map(limit).filter(|bytes: &u64| *bytes < NO_LIMIT).min()
}

/// Returns the resident memory of a process: the second number of `/proc/PID/statm`, in pages
/// (proc(5)).
pub(super) fn resident_bytes(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    text.split(' ').nth(1)?.parse::<u64>().ok().map(|pages| pages * PAGE_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_limit_of_a_group_and_its_parents_applies() {
        let root = std::env::temp_dir().join(format!("tagcast-cgroup-{}", std::process::id()));
        let write = |path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("a/memory.max", "3000000\n");
        write("a/b/memory.max", "max\n");
        write("memory/x/memory.limit_in_bytes", "2000000\n");
        write("memory/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(of_cgroups("0::/a/b\n", &root), Some(3_000_000));
        assert_eq!(of_cgroups("4:cpu,memory:/x\n0::/a\n", &root), Some(2_000_000));
        assert_eq!(of_cgroups("4:memory:/\n", &root), None);
        assert_eq!(of_cgroups("0::/nowhere\n", &root), None);
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn this_process_has_memory() {
        assert!(resident_bytes(std::process::id()).unwrap() > 1_000_000);
    }
}
