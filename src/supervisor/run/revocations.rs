//! Revocations of connection tokens. One is written to the disk, then sent to all workers, and answered when
//! all of them have confirmed it.

use std::collections::BTreeSet;
use std::io;
use std::time::{Duration, Instant};

use super::children::RunningChildren;
use super::now;
use crate::admin::AdminResponse;
use crate::config::Config;
use crate::link::control::{BridgeCommand, RevokedEntries, WorkerCommand};
use crate::supervisor::StartError;
use crate::supervisor::child::ProcessEvent;
use crate::supervisor::control_socket::AdminConnection;
use crate::supervisor::lifecycle::ChildId;
use crate::supervisor::revocation_file::RevocationFile;
use crate::telemetry::unix_seconds;
use crate::types::limits::{REVOCATIONS_MAX, REVOCATIONS_SENT_MAX, TOKEN_LEEWAY};
use crate::types::{RevocationList, RevokedTokens, TokenRevocation};

/// Maximum wait for the workers. A worker that hangs is replaced, and its successor gets the list.
const CONFIRM_WAIT: Duration = Duration::from_secs(5);
/// Expired revocations that are removed in a turn.
const FORGOTTEN_MAX: usize = 64;

/// The revoked tokens, and requests that are not answered yet.
#[derive(Debug)]
pub(super) struct Revocations {
    file: RevocationFile,
    list: RevocationList,
    /// Requests for the next write.
    queued: Vec<RequestedRevocation>,
    /// Requests that are being written.
    writing: Vec<RequestedRevocation>,
    /// Requests that wait for workers.
    confirming: Vec<UnconfirmedRevocation>,
    /// Number of the last command to the workers.
    number: u32,
    /// This host is one of a cluster.
    has_others: bool,
}

/// A request to revoke tokens.
#[derive(Debug)]
pub(super) struct WantedRevocation {
    pub(super) application: Box<str>,
    pub(super) tokens: RevokedTokens,
    /// How long a token of the application may be valid. `None`: it accepts none.
    pub(super) max_age: Option<Duration>,
    pub(super) requester: AdminConnection,
}

#[derive(Debug)]
struct RequestedRevocation {
    revocations: Vec<TokenRevocation>,
    requester: RevocationRequester,
}

/// The side that waits for the end of a revocation.
#[derive(Debug)]
enum RevocationRequester {
    /// An administrator of this host.
    Admin(AdminConnection),
    /// Another host, if it waits.
    Host(Option<u32>),
}

#[derive(Debug)]
struct UnconfirmedRevocation {
    number: u32,
    requesters: Vec<AdminConnection>,
    /// Tokens of other hosts that wait.
    of_hosts: Vec<u32>,
    waits: BTreeSet<ChildId>,
    until: Instant,
    /// How many hosts were asked, and have stored it. `None`: the others are not known.
    hosts: Option<StoredOnHosts>,
}

/// On how many hosts of a cluster a revocation is stored.
#[derive(Clone, Copy, Debug)]
struct StoredOnHosts {
    asked: u32,
    answered: u32,
}

impl StoredOnHosts {
    /// No bridge could ask the others.
    const UNKNOWN: Self = Self { asked: 0, answered: 0 };
}

/// The end of a write.
#[derive(Debug)]
pub(in crate::supervisor) struct WrittenRevocations {
    /// How many revocations the file has.
    lines: usize,
    result: io::Result<()>,
}

impl Revocations {
    pub(super) fn open(config: &Config) -> Result<Self, StartError> {
        let (folder, has_others) = (&config.state_folder, config.cluster.is_some());
        let opened = RevocationFile::open(folder, unix_seconds());
        let wrong = |error| StartError::StateFolder { path: folder.to_owned(), error };
        let (file, list) = opened.map_err(wrong)?;
        let (queued, writing, confirming) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self { file, list, queued, writing, confirming, number: 0, has_others })
    }

    pub(super) fn wakes_at(&self) -> Option<Instant> {
        self.confirming.iter().map(|one| one.until).min()
    }

    /// Records that a worker refuses all tokens of this command and of those before it.
    pub(super) fn confirmed(&mut self, child: ChildId, of: u32) {
        for one in self.confirming.iter_mut().filter(|one| one.number <= of) {
            one.waits.remove(&child);
        }
    }

    /// Records how many hosts of the cluster have stored the revocations of a command.
    pub(super) fn confirmed_elsewhere(
        &mut self,
        bridge: ChildId,
        number: u32,
        asked: u32,
        answered: u32,
    ) {
        for one in self.confirming.iter_mut().filter(|one| one.number == number) {
            one.hosts = Some(StoredOnHosts { asked, answered }).filter(|hosts| hosts.asked > 0);
            one.waits.remove(&bridge);
        }
    }

    /// Adds revocations of other hosts. Those for which there is no room are not confirmed.
    pub(super) fn take_of_hosts(
        &mut self,
        token: Option<u32>,
        revocations: Vec<TokenRevocation>,
        children: &RunningChildren,
    ) {
        if revocations.iter().any(|revocation| self.is_full_for(revocation)) {
            tracing::error!(
                event = "revocations_full",
                limit = REVOCATIONS_MAX,
                "tokens that another host has revoked cannot be stored"
            );
            return;
        }
        let requester = RevocationRequester::Host(token);
        self.queued.push(RequestedRevocation { revocations, requester });
        self.write(children);
    }

    /// Removes a dead worker from those that must confirm. Its successor starts with the list.
    pub(super) fn confirms_no_more(&mut self, child: ChildId) {
        self.confirming.iter_mut().for_each(|one| _ = one.waits.remove(&child));
    }

    fn is_full_for(&self, revocation: &TokenRevocation) -> bool {
        let waiting = self.queued.iter().chain(&self.writing);
        let known = self.list.len() + waiting.map(|one| one.revocations.len()).sum::<usize>();
        known >= REVOCATIONS_MAX && !self.list.has_place_of(revocation)
    }

    /// Sends all revocations to a worker or a bridge that starts.
    pub(super) fn greet(&self, child: ChildId, children: &RunningChildren) {
        match child {
            ChildId::Worker(_) => {
                self.commands().into_iter().for_each(|command| children.send(child, command));
            }
            ChildId::Bridge(_) => {
                let commands = self.commands_for_bridge();
                commands.into_iter().for_each(|command| children.send(child, command));
            }
            ChildId::Broker(_) | ChildId::Api(_) => {}
        }
    }

    /// Returns the commands with all revocations, for a worker that starts.
    fn commands(&self) -> Vec<WorkerCommand> {
        let all: Vec<_> = self.list.iter().collect();
        let parts = all.chunks(REVOCATIONS_SENT_MAX).map(<[_]>::to_vec);
        parts.map(|entries| WorkerCommand::Revoke { number: self.number, entries }).collect()
    }

    /// Returns the commands with all revocations, for a bridge that starts.
    fn commands_for_bridge(&self) -> Vec<BridgeCommand> {
        let all: Vec<_> = self.list.iter().collect();
        let part = |part: &[TokenRevocation]| {
            let entries = RevokedEntries { own: Vec::new(), of_others: part.to_vec() };
            BridgeCommand::Revoke { number: self.number, entries }
        };
        all.chunks(REVOCATIONS_SENT_MAX).map(part).collect()
    }

    /// Revokes tokens of an application.
    pub(super) fn request(&mut self, wanted: WantedRevocation, children: &RunningChildren) {
        let WantedRevocation { application, tokens, max_age, requester } = wanted;
        let Some(max_age) = max_age else {
            let text =
                format!("the application {application} does not exist, or accepts no tokens");
            return requester.answer(AdminResponse::Failed(vec![text]));
        };
        // No token is valid for longer.
        let until = unix_seconds() + max_age.as_secs() + TOKEN_LEEWAY.as_secs();
        let revocation = TokenRevocation { application, tokens, until };
        if self.is_full_for(&revocation) {
            let limit = u64::try_from(REVOCATIONS_MAX).unwrap_or(u64::MAX);
            return requester.answer(AdminResponse::Full { limit });
        }
        let (revocations, requester) = (vec![revocation], RevocationRequester::Admin(requester));
        self.queued.push(RequestedRevocation { revocations, requester });
        self.write(children);
    }

    /// Writes what is queued, unless a write is under way.
    fn write(&mut self, children: &RunningChildren) {
        if !self.writing.is_empty() || self.queued.is_empty() {
            return;
        }
        self.writing = std::mem::take(&mut self.queued);
        let new: Vec<_> =
            self.writing.iter().flat_map(|one| one.revocations.iter().cloned()).collect();
        let (write, events) = (self.file.writing(&self.list, &new), children.events());
        tokio::task::spawn_blocking(move || {
            let written = WrittenRevocations { lines: write.lines_after(), result: write.run() };
            let _ended = events.blocking_send(ProcessEvent::RevocationsWritten(written));
        });
    }

    /// Sends written revocations to the workers.
    pub(super) fn on_written(&mut self, written: WrittenRevocations, children: &RunningChildren) {
        let requested = std::mem::take(&mut self.writing);
        match written.result {
            Ok(()) => {
                self.file.written(written.lines);
                self.send(requested, children);
            }
            Err(error) => {
                tracing::error!(
                    event = "revocations_not_written",
                    %error,
                    "failed to write revoked tokens"
                );
                let text = format!("cannot write state/revoked: {error}");
                let failed = AdminResponse::Failed(vec![text]);
                for one in requested {
                    if let RevocationRequester::Admin(requester) = one.requester {
                        requester.answer(failed.clone());
                    }
                }
            }
        }
        self.write(children);
    }

    fn send(&mut self, requested: Vec<RequestedRevocation>, children: &RunningChildren) {
        self.number = self.number.wrapping_add(1);
        let number = self.number;
        let (mut entries, mut requesters, mut of_hosts) =
            (RevokedEntries::default(), Vec::new(), Vec::new());
        for RequestedRevocation { revocations, requester } in requested {
            revocations.iter().for_each(|revocation| self.list.add(revocation));
            match requester {
                RevocationRequester::Admin(requester) => {
                    entries.own.extend(revocations);
                    requesters.push(requester);
                }
                RevocationRequester::Host(token) => {
                    entries.of_others.extend(revocations);
                    of_hosts.extend(token);
                }
            }
        }
        let all = [&*entries.own, &*entries.of_others].concat();
        tracing::info!(event = "tokens_revoked", count = all.len(), "tokens revoked");
        let is_worker = |child: &ChildId| matches!(child, ChildId::Worker(_));
        let workers: BTreeSet<ChildId> = children.members().filter(is_worker).collect();
        for worker in &workers {
            for part in all.chunks(REVOCATIONS_SENT_MAX) {
                let entries = part.to_vec();
                children.send(*worker, WorkerCommand::Revoke { number, entries });
            }
        }
        let (until, hosts) = (now() + CONFIRM_WAIT, None);
        // Another host waits for the workers only: two hosts must not wait for each other.
        if !of_hosts.is_empty() {
            let (waits, requesters) = (workers.clone(), Vec::new());
            let one = UnconfirmedRevocation { number, requesters, of_hosts, waits, until, hosts };
            self.confirming.push(one);
        }
        let mut waits = workers;
        let is_bridge = |child: &ChildId| matches!(child, ChildId::Bridge(_));
        if let Some(bridge) = children.members().find(is_bridge) {
            if !entries.own.is_empty() {
                waits.insert(bridge);
            }
            children.send(bridge, BridgeCommand::Revoke { number, entries });
        }
        if !requesters.is_empty() {
            let of_hosts = Vec::new();
            let one = UnconfirmedRevocation { number, requesters, of_hosts, waits, until, hosts };
            self.confirming.push(one);
        }
    }

    /// Answers requests that all workers have confirmed, or that took too long.
    pub(super) fn check(&mut self, children: &RunningChildren) {
        self.list.forget_expired(unix_seconds(), FORGOTTEN_MAX);
        if self.confirming.is_empty() {
            return;
        }
        let now = now();
        let is_over = |one: &mut UnconfirmedRevocation| one.waits.is_empty() || one.until <= now;
        for one in self.confirming.extract_if(.., is_over) {
            let late = |child: &ChildId| format!("{child} has not confirmed it yet; it is stored");
            let late: Vec<String> = one.waits.iter().map(late).collect();
            let bridge = children.members().find(|child| matches!(child, ChildId::Bridge(_)));
            for token in one.of_hosts.iter().filter(|_| late.is_empty()) {
                bridge.iter().for_each(|bridge| {
                    children.send(*bridge, BridgeCommand::Stored { token: *token });
                });
            }
            let hosts = one.hosts.or_else(|| self.has_others.then_some(StoredOnHosts::UNKNOWN));
            let answer = match (late.is_empty(), hosts) {
                (false, _) => AdminResponse::Unconfirmed(late),
                (true, Some(StoredOnHosts { asked, answered })) => {
                    AdminResponse::Revoked { asked, answered }
                }
                (true, None) => {
                    AdminResponse::Done(vec!["no worker accepts these tokens".to_owned()])
                }
            };
            one.requesters.iter().for_each(|requester| requester.answer(answer.clone()));
        }
    }
}

/// Returns how long a token of an application may be valid. `None`: it accepts none.
pub(super) fn token_age(config: &Config, application: &str) -> Option<Duration> {
    let all = &config.applications.as_ref()?.list;
    Some(all.iter().find(|one| one.key == application)?.tokens.as_ref()?.max_age)
}
