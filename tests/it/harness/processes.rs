//! What `/proc` says about the server's processes and sockets.

use std::fs;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

/// The living children of a process, each with its command line (`… worker 1`, `… broker`).
pub fn children_of(parent: u32) -> Vec<(u32, String)> {
    let mut children: Vec<_> = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok())
        .filter(|pid| stat(*pid).is_some_and(|stat| stat.parent == parent && stat.state != 'Z'))
        .map(|pid| (pid, command_line(pid)))
        .collect();
    children.sort_unstable();
    children
}

/// The living processes that run in a folder: those of one server, whoever is their parent.
pub fn processes_in(folder: &Path) -> Vec<(u32, String)> {
    let here = |pid: u32| fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == folder);
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| here(*pid) && is_alive(*pid))
        .map(|pid| (pid, command_line(pid)))
        .collect()
}

/// Whether a process is there and no zombie.
pub fn is_alive(pid: u32) -> bool {
    stat(pid).is_some_and(|stat| stat.state != 'Z')
}

/// Sends a signal; a process that is gone already is not a fault.
pub fn send_signal(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    kill_process(pid, signal).ok();
}

/// Resident memory in bytes.
pub fn resident_bytes(pid: u32) -> u64 {
    status_bytes(pid, "VmRSS:")
}

/// The most resident memory that a process ever had, in bytes.
pub fn resident_bytes_max(pid: u32) -> u64 {
    status_bytes(pid, "VmHWM:")
}

fn status_bytes(pid: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1024
}

/// The time that a process has had of a processor, in hundredths of a second.
pub fn processor_ticks(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, rest) = text.rsplit_once(") ").unwrap();
    // The fields are counted from the state, which is the third one.
    let fields: Vec<&str> = rest.split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// The arguments of a process, joined by blanks.
pub fn command_line(pid: u32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ").trim_end().to_owned()
}

/// Which of `candidates` holds the server's end of the connection whose two ports these are.
pub fn holder_of_connection(server: u16, client: u16, candidates: &[u32]) -> Option<u32> {
    let inode = inode_of_connection(server, client)?;
    let wanted = format!("socket:[{inode}]");
    candidates.iter().copied().find(|pid| holds(*pid, &wanted))
}

/// A line of `/proc/net/tcp` has the local address, the remote one, seven things, the inode.
fn inode_of_connection(local: u16, remote: u16) -> Option<u64> {
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let (local, remote) = (format!(":{local:04X}"), format!(":{remote:04X}"));
    let line = table.lines().find(|line| {
        let mut fields = line.split_whitespace().skip(1);
        fields.next().is_some_and(|field| field.ends_with(&local))
            && fields.next().is_some_and(|field| field.ends_with(&remote))
    })?;
    let inode = line.split_whitespace().nth(9)?.parse().ok()?;
    (inode != 0).then_some(inode)
}

fn holds(pid: u32, wanted: &str) -> bool {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    descriptors
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .any(|target| target.to_str() == Some(wanted))
}

/// What is of interest in `/proc/<pid>/stat`.
struct Stat {
    state: char,
    parent: u32,
}

/// The name of a process stands in brackets and may hold any character, so reading begins behind
/// the last one.
fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    Some(Stat { state, parent })
}
