//! Checks that a hostile test leaves nothing behind. Compares processes, descriptors and the log
//! with their state before the test.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use super::bystander::Bystander;
use super::server::Server;
use super::wait::{DEADLINE, eventually, pause};

/// Runs an attack while two workers serve a bystander, then checks that nothing is left of it.
///
/// `attack` calls the bystander between its steps. All messages of the bystander must arrive in
/// order, without loss or duplicates. The clients of the attack must be gone when it returns.
#[track_caller]
pub fn with_a_bystander(server: &Server, attack: impl FnOnce(&mut Bystander)) {
    with_bystander_opened_by(server, Bystander::connect, attack);
}

/// Like [`with_a_bystander`], with a bystander that connects in its own way.
#[track_caller]
pub fn with_bystander_opened_by(
    server: &Server,
    come: impl FnOnce(&Server) -> Bystander,
    attack: impl FnOnce(&mut Bystander),
) {
    let watch = Watch::over(server);
    let mut bystander = come(server);
    watch.only_descriptors_of(2);
    attack(&mut bystander);
    bystander.is_served();
    drop(bystander);
    watch.nothing_is_left();
}

/// The state of a server before a test.
#[derive(Debug)]
pub struct Watch<'s> {
    server: &'s Server,
    /// Number of descriptors of each child.
    before: BTreeMap<u32, usize>,
}

impl<'s> Watch<'s> {
    /// Records processes and descriptors after all links are connected. No client should be
    /// connected.
    #[track_caller]
    pub fn over(server: &'s Server) -> Self {
        server.wait_for_output("event=broker_ready");
        let workers = server.children().len() - 1;
        eventually("a line about the link of each worker", || {
            (server.output().matches("event=broker_linked").count() >= workers).then_some(())
        });
        let watch = Self { server, before: BTreeMap::new() };
        Self { before: watch.now(), ..watch }
    }

    /// Checks that no process has died, all descriptors are closed, each opened connection has
    /// ended exactly once, and the log has no errors.
    #[track_caller]
    pub fn nothing_is_left(&self) {
        self.descriptors_are_back();
        let log = self.server.output();
        for line in log.lines() {
            assert!(!line.contains("panicked") && !line.contains(" ERROR "), "in the log: {line}");
        }
        assert_eq!(self.now().keys().collect::<Vec<_>>(), self.before.keys().collect::<Vec<_>>());
        self.every_opening_has_one_end();
    }

    /// Waits until exactly the descriptors of this many connections have been added.
    #[track_caller]
    fn only_descriptors_of(&self, connections: usize) {
        let sum = |all: &BTreeMap<u32, usize>| all.values().sum::<usize>();
        let wanted = sum(&self.before) + connections;
        eventually("this many descriptors", || (sum(&self.now()) == wanted).then_some(()));
    }

    /// Waits until the server has closed all its sockets, even if the peers still have theirs open.
    #[track_caller]
    pub fn descriptors_are_back(&self) {
        let mut now = BTreeMap::new();
        let deadline = std::time::Instant::now() + DEADLINE;
        while std::time::Instant::now() < deadline {
            now = self.now();
            if now == self.before {
                return;
            }
            pause(Duration::from_millis(5));
        }
        panic!("processes with descriptors: {:?} at first, {now:?} in the end", self.before);
    }

    fn now(&self) -> BTreeMap<u32, usize> {
        let children = self.server.children().into_iter();
        children.map(|(pid, _)| (pid, descriptors(pid))).collect()
    }

    /// Checks in the log that accepted = open + closed. No connection is open, so each must have
    /// ended exactly once.
    #[track_caller]
    fn every_opening_has_one_end(&self) {
        eventually("a line about the end of each connection", || {
            let log = self.server.output();
            let opened = connections(&log, &[" event=connection_opened "]);
            let ended =
                connections(&log, &[" event=connection_closed ", " event=connection_lost "]);
            let all: BTreeSet<_> = ended.iter().collect();
            assert_eq!(all.len(), ended.len(), "a connection has ended twice in\n{log}");
            let is_whole = !log.contains("lost_lines=");
            (!is_whole || opened.iter().all(|it| all.contains(it))).then_some(())
        });
    }
}

/// Returns process and connection number of each log line that contains one of these words.
fn connections(log: &str, words: &[&str]) -> Vec<(String, String)> {
    let named = |line: &str| {
        let (before, after) = words.iter().find_map(|word| line.split_once(word))?;
        let process = before.split("  ").last()?.split(':').next()?.to_owned();
        let number = after.split(' ').find_map(|field| field.strip_prefix("connection="))?;
        Some((process, number.to_owned()))
    };
    log.lines().filter_map(named).collect()
}

/// Returns the number of open descriptors of a process.
pub fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// Returns the CPU time of all threads of a process.
pub fn cpu_time(pid: u32) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let nanoseconds = tasks.filter_map(|task| {
        let text = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanoseconds.sum())
}

/// Returns the CPU time of all workers.
pub fn cpu_time_of_workers(server: &Server) -> Duration {
    server.workers(2).into_iter().map(cpu_time).sum()
}

/// Returns the resident memory of all workers in bytes.
pub fn resident_of_workers(server: &Server) -> u64 {
    server.workers(2).into_iter().map(super::processes::resident_bytes).sum()
}
