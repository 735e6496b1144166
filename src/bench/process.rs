//! Processor time and memory of the processes of a server, from `/proc`.

use std::fs;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// A process and its descendants at the time of the snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tree(Vec<u32>);

/// One tick of the kernel clock in `/proc/PID/stat`. Used if the kernel has no `schedstat`.
const TICK: Duration = Duration::from_millis(10);

impl Tree {
    /// Finds a process and its descendants.
    pub(super) fn of(root: u32) -> Self {
        let mut parents: Vec<(u32, u32)> = Vec::new();
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let pid = entry.file_name().to_str().and_then(|name| name.parse().ok());
            if let Some((pid, parent)) = pid.and_then(|pid| Some((pid, parent_of(pid)?))) {
                parents.push((pid, parent));
            }
        }
        let mut tree = vec![root];
        let mut at = 0;
        while let Some(parent) = tree.get(at).copied() {
            tree.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
            at += 1;
        }
        Self(tree)
    }

    /// Returns only this process.
    pub(super) fn own() -> Self {
        Self(vec![std::process::id()])
    }

    /// Kills all of them.
    pub(super) fn kill(&self) {
        for pid in self.0.iter().filter_map(|pid| Pid::from_raw(i32::try_from(*pid).ok()?)) {
            // Fails only if the process has already exited.
            let _gone = kill_process(pid, Signal::KILL);
        }
    }

    /// Returns true once all have exited and closed their files. Zombies count as exited.
    pub(super) fn is_gone(&self) -> bool {
        let is_zombie =
            |fields: Vec<String>| matches!(fields.first().map(String::as_str), Some("Z"));
        self.0.iter().all(|pid| stat(*pid).is_none_or(is_zombie))
    }

    /// Returns the processor time used by all of them.
    pub(super) fn cpu(&self) -> Duration {
        self.0.iter().map(|pid| scheduled(*pid).unwrap_or_else(|| ticked(*pid))).sum()
    }

    /// Returns the resident bytes of all of them.
    pub(super) fn resident(&self) -> u64 {
        self.0.iter().filter_map(|pid| resident(*pid)).sum()
    }
}

/// Returns the fields of `stat` after the process name, which may contain any characters.
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(") ")?;
    Some(fields.split(' ').map(str::to_owned).collect())
}

fn parent_of(pid: u32) -> Option<u32> {
    stat(pid)?.get(1)?.parse().ok()
}

/// Returns the processor time in nanoseconds from `schedstat`.
fn scheduled(pid: u32) -> Option<Duration> {
    let mut sum = Duration::ZERO;
    for task in fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        sum += Duration::from_nanos(text.split(' ').next()?.parse().ok()?);
    }
    Some(sum)
}

fn ticked(pid: u32) -> Duration {
    let fields = stat(pid).unwrap_or_default();
    let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<u32>().ok()).unwrap_or(0);
    TICK * ticks(11).saturating_add(ticks(12))
}

/// Returns resident bytes. The figure is exact only for root, because the memory map of a server is
/// private. Otherwise it comes from `statm`, which lags by up to a few dozen pages per thread.
fn resident(pid: u32) -> Option<u64> {
    rolled_up(pid).or_else(|| counted(pid))
}

/// The unit of `statm`: the page size of the machines that a benchmark runs on.
const PAGE_BYTES: u64 = 4096;

fn counted(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    Some(pages * PAGE_BYTES)
}

fn rolled_up(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_costs_something() {
        let tree = Tree::of(std::process::id());
        assert!(tree.cpu() > Duration::ZERO);
        assert!(tree.resident() > 100_000);
    }

    #[test]
    fn children_count_and_other_processes_do_not() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let tree = Tree::of(std::process::id());
        assert!(tree.0.contains(&child.id()));
        assert!(!tree.0.contains(&1) || std::process::id() == 1);
        assert!(!tree.is_gone());
        let child_alone = Tree::of(child.id());
        child_alone.kill();
        child.wait().unwrap();
        assert!(child_alone.is_gone());
    }
}
