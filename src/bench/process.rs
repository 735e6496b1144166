//! Processor time and memory of the processes of a server, from `/proc`.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// A process and its descendants at the time of the snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tree(Vec<u32>);

/// The processor time of a server whose processes may die and be replaced.
#[derive(Debug)]
pub(super) struct CpuMeter {
    root: u32,
    /// Processor time of each process at the last sample in which it lived.
    used: BTreeMap<u32, Duration>,
}

impl CpuMeter {
    pub(super) fn of(root: u32) -> Self {
        let mut meter = Self { root, used: BTreeMap::new() };
        meter.sample();
        meter
    }

    /// Returns the first process of the server.
    pub(super) fn root(&self) -> u32 {
        self.root
    }

    /// Continues with the processes of another server. The time of the earlier processes still counts.
    pub(super) fn follow(&mut self, root: u32) {
        self.sample();
        self.root = root;
    }

    /// Reads the processor time of all processes that live now, and returns the sum over all
    /// processes that were ever seen. What a process uses between the last sample and its death is
    /// not counted.
    pub(super) fn sample(&mut self) -> Duration {
        for pid in Tree::of(self.root).0 {
            let used = self.used.entry(pid).or_default();
            *used = cpu_of(pid).max(*used);
        }
        self.used.values().sum()
    }
}

/// One tick of the kernel clock in `/proc/PID/stat`. Used if the kernel has no `schedstat`.
const TICK: Duration = Duration::from_millis(10);

impl Tree {
    /// Finds a process and its descendants.
    pub(super) fn of(root: u32) -> Self {
        let mut tree = vec![root];
        let mut at = 0;
        while let Some(parent) = tree.get(at).copied() {
            tree.extend(children_of(parent));
            at += 1;
        }
        Self(tree)
    }

    /// Finds the process with this id, or all processes of the program with this name, with their
    /// descendants. None if there is no such process.
    pub(super) fn named(name: &str) -> Option<Self> {
        let roots = match number(name) {
            Some(pid) => vec![pid],
            None => processes().filter(|pid| program_of(*pid) == name).collect(),
        };
        let mut all: Vec<u32> = roots.into_iter().flat_map(|root| Self::of(root).0).collect();
        all.sort_unstable();
        all.dedup();
        all.retain(|pid| stat(*pid).is_some());
        (!all.is_empty()).then_some(Self(all))
    }

    /// Returns these processes without their descendants.
    pub(super) fn these(pids: Vec<u32>) -> Self {
        Self(pids)
    }

    /// Returns only this process.
    pub(super) fn own() -> Self {
        Self::only(std::process::id())
    }

    /// Returns the process without its descendants.
    pub(super) fn only(pid: u32) -> Self {
        Self(vec![pid])
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
        self.0.iter().map(|pid| cpu_of(*pid)).sum()
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

/// Returns the children of a process. The kernel lists them by the thread that started them, if it
/// was built with that list. Otherwise all processes are searched, which takes milliseconds.
fn children_of(pid: u32) -> Vec<u32> {
    let mut children = Vec::new();
    for thread in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
        match fs::read_to_string(thread.path().join("children")) {
            Ok(list) => children.extend(list.split_whitespace().filter_map(number)),
            Err(_) if thread.path().exists() => return searched_children_of(pid),
            // The thread has exited.
            Err(_) => {}
        }
    }
    children
}

fn searched_children_of(parent: u32) -> Vec<u32> {
    processes()
        .filter(|pid| stat(*pid).and_then(|fields| number(fields.get(1)?)) == Some(parent))
        .collect()
}

fn processes() -> impl Iterator<Item = u32> {
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    all.filter_map(|entry| number(entry.file_name().to_str()?))
}

/// Returns the name of the program, without its folder.
fn program_of(pid: u32) -> String {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let program = line.split(|byte| *byte == 0).next().unwrap_or_default();
    // Some servers write their own description there: `nginx: master process`.
    let program = String::from_utf8_lossy(program);
    let program = program.split([' ', ':']).next().unwrap_or_default();
    program.rsplit('/').next().unwrap_or_default().to_owned()
}

fn number(text: &str) -> Option<u32> {
    text.parse().ok()
}

fn cpu_of(pid: u32) -> Duration {
    scheduled(pid).unwrap_or_else(|| ticked(pid))
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
    fn the_cpu_time_of_this_process_is_measured() {
        let tree = Tree::of(std::process::id());
        assert!(tree.cpu() > Duration::ZERO);
        assert!(tree.resident() > 100_000);
    }

    #[test]
    fn both_ways_find_the_same_children() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let own = std::process::id();
        for children in [children_of(own), searched_children_of(own)] {
            assert!(children.contains(&child.id()), "{children:?}");
        }
        // The files of a process cannot be read in every moment of its start.
        let is_found = || Tree::named("sleep").is_some_and(|it| it.0.contains(&child.id()));
        assert!((0..1_000).any(|_| is_found()));
        assert_eq!(Tree::named(&child.id().to_string()), Some(Tree(vec![child.id()])));
        assert_eq!(Tree::named("no-such-program"), None);
        assert!(children_of(child.id()).is_empty());
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn the_time_of_a_process_that_has_exited_still_counts() {
        let mut meter = CpuMeter::of(std::process::id());
        let busy = meter.sample();
        meter.follow(u32::MAX);
        assert!(meter.sample() >= busy && busy > Duration::ZERO);
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
