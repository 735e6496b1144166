//! The memory limit and the memory usage of the server.

use std::fs;
use std::path::{Path, PathBuf};

use crate::config::MaxMemory;
use crate::types::limits::PAGE_BYTES;

/// A cgroup with a limit above this has no limit: version 1 reports a number close to 2^63.
const NO_LIMIT: u64 = 1 << 60;

/// The memory that all processes together may have.
#[derive(Debug)]
pub(super) struct MemoryLimit {
    /// In bytes.
    pub(super) bytes: u64,
    /// The cgroup of this process, if the limit is that of a cgroup. The kernel counts more for it than the
    /// processes have: buffers of sockets, page tables.
    group: Option<MemoryGroup>,
}

impl MemoryLimit {
    /// Returns the limit: the configured one, or that of the cgroup of this process.
    pub(super) fn of(configured: MaxMemory) -> Option<Self> {
        match configured {
            MaxMemory::Unlimited => None,
            MaxMemory::Bytes(bytes) => Some(Self { bytes, group: None }),
            MaxMemory::Auto => {
                let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
                Self::of_cgroups(&groups, Path::new("/sys/fs/cgroup"))
            }
        }
    }

    /// Returns the lowest limit of the groups in `/proc/self/cgroup` (cgroups(7)) and of their parents.
    fn of_cgroups(groups: &str, root: &Path) -> Option<Self> {
        let limits = groups.lines().filter_map(|line| {
            let (_, rest) = line.split_once(':')?;
            let (controllers, path) = rest.split_once(':')?;
            let (root, files) = if controllers.is_empty() {
                (root.to_owned(), &VERSION_2)
            } else {
                let is_memory = controllers.split(',').any(|name| name == "memory");
                is_memory.then(|| (root.join("memory"), &VERSION_1))?
            };
            let folders = Path::new(path.trim_start_matches('/')).ancestors();
            let folders: Vec<_> = folders.map(|part| root.join(part)).collect();
            let limit = |folder: &PathBuf| number(&folder.join(files.limit));
            let bytes = folders.iter().filter_map(limit).filter(|bytes| *bytes < NO_LIMIT).min()?;
            let own = folders.into_iter().find(|folder| folder.join(files.usage).exists());
            Some(Self { bytes, group: own.map(|folder| MemoryGroup { folder, files }) })
        });
        limits.min_by_key(|limit| limit.bytes)
    }

    /// Returns what the kernel counts for the cgroup of this process, without what it can drop: pages of files.
    /// `None` without a cgroup with a limit.
    pub(super) fn group_bytes(&self) -> Option<u64> {
        self.group.as_ref().and_then(MemoryGroup::used)
    }
}

/// Names of files and entries of a version of cgroups.
#[derive(Debug)]
struct GroupFiles {
    limit: &'static str,
    usage: &'static str,
    /// Entries of `memory.stat` that the kernel drops before it refuses memory.
    droppable: [&'static str; 3],
}

/// `Documentation/admin-guide/cgroup-v1/memory.rst` of Linux.
const VERSION_1: GroupFiles = GroupFiles {
    limit: "memory.limit_in_bytes",
    usage: "memory.usage_in_bytes",
    droppable: ["total_active_file", "total_inactive_file", "total_slab_reclaimable"],
};

/// `Documentation/admin-guide/cgroup-v2.rst` of Linux.
const VERSION_2: GroupFiles = GroupFiles {
    limit: "memory.max",
    usage: "memory.current",
    droppable: ["active_file", "inactive_file", "slab_reclaimable"],
};

#[derive(Debug)]
struct MemoryGroup {
    folder: PathBuf,
    files: &'static GroupFiles,
}

impl MemoryGroup {
    fn used(&self) -> Option<u64> {
        let usage = number(&self.folder.join(self.files.usage))?;
        let statistics = fs::read_to_string(self.folder.join("memory.stat")).ok()?;
        let entries = statistics.lines().filter_map(|line| line.split_once(' '));
        let droppable = entries.filter(|(name, _)| self.files.droppable.contains(name));
        let droppable = droppable.filter_map(|(_, bytes)| bytes.trim().parse::<u64>().ok());
        Some(usage.saturating_sub(droppable.sum()))
    }
}

fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// Resident memory of a process.
#[derive(Clone, Copy, Debug)]
pub(super) struct ProcessMemory {
    /// All of it, in bytes.
    pub(super) resident: u64,
    /// The part that is pages of files: above all the program, whose pages all processes share.
    pub(super) shared: u64,
}

impl ProcessMemory {
    /// Reads the second and third number of `/proc/PID/statm`, in pages (proc(5)).
    pub(super) fn of(pid: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
        let mut pages = text.split(' ').skip(1).map_while(|pages| pages.parse::<u64>().ok());
        let mut next = || pages.next().map(|pages| pages * PAGE_BYTES);
        Some(Self { resident: next()?, shared: next()? })
    }

    /// Returns the memory of processes of one program. Pages that they share count once.
    pub(super) fn sum(processes: impl Iterator<Item = Self> + Clone) -> u64 {
        let own: u64 = processes.clone().map(|it| it.resident.saturating_sub(it.shared)).sum();
        own + processes.map(|it| it.shared).max().unwrap_or(0)
    }
}

/// Returns the resident memory of a process in bytes.
pub(super) fn resident_bytes(pid: u32) -> Option<u64> {
    ProcessMemory::of(pid).map(|memory| memory.resident)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    #[test]
    fn the_smallest_limit_of_a_group_and_its_parents_applies() {
        let root = std::env::temp_dir().join(format!("tagcast-cgroup-{}", std::process::id()));
        let write = |path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("a/memory.max", "3000000\n");
        write("a/memory.current", "2000000\n");
        write("a/memory.stat", "anon 900000\nactive_file 300000\ninactive_file 20000\nsock 5\n");
        write("a/b/memory.max", "max\n");
        write("a/b/memory.current", "1000000\n");
        write("a/b/memory.stat", "active_file 300000\ninactive_file 20000\nslab_reclaimable 4\n");
        write("memory/x/memory.limit_in_bytes", "2000000\n");
        write("memory/x/memory.usage_in_bytes", "1500000\n");
        write("memory/x/memory.stat", "active_file 7\ntotal_active_file 400000\n");
        write("memory/memory.limit_in_bytes", "9223372036854771712\n");
        let figures = |groups: &str| {
            let limit = MemoryLimit::of_cgroups(groups, &root)?;
            Some((limit.bytes, limit.group_bytes()))
        };
        assert_eq!(figures("0::/a/b\n"), Some((3_000_000, Some(679_996))));
        assert_eq!(figures("4:cpu,memory:/x\n0::/a\n"), Some((2_000_000, Some(1_100_000))));
        assert_eq!(figures("0::/a/unknown\n"), Some((3_000_000, Some(1_680_000))));
        assert_eq!(figures("4:memory:/\n"), None);
        assert_eq!(figures("0::/nowhere\n"), None);
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn this_process_has_memory() {
        let own = ProcessMemory::of(std::process::id()).unwrap();
        assert!(own.resident > 1_000_000);
        assert!(own.shared > 0 && own.shared < own.resident, "{own:?}");
    }

    #[test]
    fn pages_of_the_program_count_once() {
        let process =
            |resident, shared| ProcessMemory { resident: resident * MIB, shared: shared * MIB };
        let processes = [process(20, 12), process(16, 13), process(13, 10)];
        assert_eq!(ProcessMemory::sum(processes.into_iter()), (8 + 3 + 3 + 13) * MIB);
        assert_eq!(ProcessMemory::sum(std::iter::empty()), 0);
    }
}
