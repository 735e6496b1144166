//! Data of `/proc` about the server's processes.

use std::fs;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

/// Returns the live children of a process with their command lines (`… worker 1`, `… broker`).
pub fn children_of(parent: u32) -> Vec<(u32, String)> {
    let pids = listed_children(parent).unwrap_or_else(|| every_pid().collect());
    let mut children: Vec<_> = pids
        .into_iter()
        .filter(|pid| stat(*pid).is_some_and(|stat| stat.parent == parent && stat.state != 'Z'))
        .map(|pid| (pid, command_line(pid)))
        .collect();
    children.sort_unstable();
    children
}

/// Returns the children from the list that the kernel keeps for each thread. None if the kernel has
/// no such list or the process is gone.
fn listed_children(parent: u32) -> Option<Vec<u32>> {
    let mut pids = Vec::new();
    for task in fs::read_dir(format!("/proc/{parent}/task")).ok()? {
        let list = fs::read_to_string(task.ok()?.path().join("children")).ok()?;
        pids.extend(list.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
    }
    Some(pids)
}

/// Returns the ids of all processes of the machine.
fn every_pid() -> impl Iterator<Item = u32> {
    let all = fs::read_dir("/proc").unwrap();
    all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// Returns the live processes that run in a folder, regardless of their parent: those of one
/// server.
pub fn processes_in(folder: &Path) -> Vec<(u32, String)> {
    let here = |pid: u32| fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == folder);
    every_pid()
        .filter(|pid| here(*pid) && is_alive(*pid))
        .map(|pid| (pid, command_line(pid)))
        .collect()
}

/// Returns true if the process exists and is not a zombie.
pub fn is_alive(pid: u32) -> bool {
    stat(pid).is_some_and(|stat| stat.state != 'Z')
}

/// Sends a signal. A process that has already exited is ignored.
pub fn send_signal(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    kill_process(pid, signal).ok();
}

/// Returns the resident memory in bytes.
pub fn resident_bytes(pid: u32) -> u64 {
    status_bytes(pid, "VmRSS:")
}

/// Returns the peak resident memory of a process in bytes.
pub fn resident_bytes_max(pid: u32) -> u64 {
    status_bytes(pid, "VmHWM:")
}

/// Returns the memory of processes of one program in bytes. Pages of files, which they share, count once. `figure` is
/// `VmRSS:` for the memory at present, `VmHWM:` for the highest. A process may die meanwhile.
pub fn memory_together(pids: impl IntoIterator<Item = u32>, figure: &str) -> u64 {
    let (mut own, mut shared) = (0, 0);
    for pid in pids {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let Some(all) = kib(&status, figure) else { continue };
        let files = kib(&status, "RssFile:").unwrap() + kib(&status, "RssShmem:").unwrap();
        own += all.saturating_sub(files);
        shared = files.max(shared);
    }
    (own + shared) * 1024
}

fn status_bytes(pid: u32, name: &str) -> u64 {
    kib(&fs::read_to_string(format!("/proc/{pid}/status")).unwrap(), name).unwrap() * 1024
}

/// Returns a figure of `/proc/PID/status` (proc(5)). A process that has ended has none.
fn kib(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find(|line| line.starts_with(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Returns the processor time of a process in hundredths of a second.
pub fn processor_ticks(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, rest) = text.rsplit_once(") ").unwrap();
    // The rest begins with the state, which is field 3 of the file.
    let fields: Vec<&str> = rest.split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// Returns the arguments of a process, joined by spaces.
pub fn command_line(pid: u32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ").trim_end().to_owned()
}

/// The used fields of `/proc/<pid>/stat`.
struct Stat {
    state: char,
    parent: u32,
}

/// Parses the file. The process name is in parentheses and may contain any character, so parsing
/// starts after the last parenthesis.
fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    Some(Stat { state, parent })
}
