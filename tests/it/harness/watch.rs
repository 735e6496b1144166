//! What every hostile test has to leave behind: nothing. Processes, descriptors and the log are
//! compared with what they were.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use super::bystander::Bystander;
use super::server::Server;
use super::wait::{DEADLINE, eventually, pause};

/// Does something to a server while a bystander is served by two of its workers, and looks at what
/// is left of it.
///
/// `attack` lets the bystander be served between its steps: that many messages cross, in order, none
/// lost and none too many, whatever else goes on. Its clients are gone when it returns.
#[track_caller]
pub fn beside_a_bystander(server: &Server, attack: impl FnOnce(&mut Bystander)) {
    beside(server, Bystander::beside, attack);
}

/// The same beside a bystander that comes in its own way.
#[track_caller]
pub fn beside(
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

/// How a server was before something was done to it.
#[derive(Debug)]
pub struct Watch<'s> {
    server: &'s Server,
    /// The descriptors of each child.
    before: BTreeMap<u32, usize>,
}

impl<'s> Watch<'s> {
    /// Notes processes and descriptors, once all links stand. No client should be connected.
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

    /// No process has died, every descriptor was given back, every connection that was opened has
    /// ended once, and no line of the log tells of a fault.
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

    /// There are this many connections, and nothing else has come.
    #[track_caller]
    fn only_descriptors_of(&self, connections: usize) {
        let sum = |all: &BTreeMap<u32, usize>| all.values().sum::<usize>();
        let wanted = sum(&self.before) + connections;
        eventually("this many descriptors", || (sum(&self.now()) == wanted).then_some(()));
    }

    /// Every socket is closed on the server's side, even where the peer's is not.
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

    /// accepted = open + closed, as the log tells it: nobody is open, so each has ended, and once.
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

/// Process and number of each connection that a line with one of these words tells of.
fn connections(log: &str, words: &[&str]) -> Vec<(String, String)> {
    let named = |line: &str| {
        let (before, after) = words.iter().find_map(|word| line.split_once(word))?;
        let process = before.split("  ").last()?.split(':').next()?.to_owned();
        let number = after.split(' ').find_map(|field| field.strip_prefix("connection="))?;
        Some((process, number.to_owned()))
    };
    log.lines().filter_map(named).collect()
}

/// How many descriptors a process holds.
pub fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// The CPU time that all threads of a process have used.
pub fn cpu_time(pid: u32) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let nanoseconds = tasks.filter_map(|task| {
        let text = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanoseconds.sum())
}

/// The CPU time that the workers have used.
pub fn cpu_time_of_workers(server: &Server) -> Duration {
    server.workers(2).into_iter().map(cpu_time).sum()
}

/// The memory that the workers hold, in bytes.
pub fn resident_of_workers(server: &Server) -> u64 {
    server.workers(2).into_iter().map(super::processes::resident_bytes).sum()
}
