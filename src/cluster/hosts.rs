//! The other hosts: which of them are live, and how a new one is accepted.
//!
//! Silence is counted in own heartbeats that have come back. A host that is cut off, or that was stopped, therefore
//! declares no other host gone.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::envelope::{BridgeEpoch, BridgeIdentity, HostRun};
use super::host_figures::HostFigures;
use super::lanes_in::LanesIn;
use super::message::{HostHeartbeat, ListedHost};
use super::taken::{LaneStart, TakenLanes};
use crate::types::HostId;
use crate::types::limits::{
    CLUSTER_CANDIDATES_MAX, CLUSTER_FORMER_RUNS_MAX, CLUSTER_GONE_BEATS, CLUSTER_HOSTS_MAX,
    CLUSTER_SILENT_BEATS,
};

/// Whether another host lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostState {
    /// Its heartbeats arrive.
    Live,
    /// No heartbeat has arrived for one second.
    Silent,
    /// No heartbeat has arrived for three seconds. What is sent to all is still kept for it.
    Gone,
    /// It was gone for longer than items are kept, or it has stopped. Nothing is kept for it.
    Forgotten,
}

/// Another host.
#[derive(Debug)]
pub(super) struct RemoteHost {
    pub(super) run: HostRun,
    pub(super) state: HostState,
    /// Its last heartbeat listed this host.
    pub(super) is_listing: bool,
    /// How often it had forgotten this host when it listed it last.
    pub(super) listed: u64,
    /// How often this host has forgotten it.
    pub(super) forgotten: u64,
    pub(super) lanes: LanesIn,
    pub(super) figures: HostFigures,
    /// Number of its last heartbeat in the epoch of its bridge.
    heartbeat: u64,
    heartbeat_epoch: BridgeEpoch,
    /// The last own heartbeat that had come back when it was last received.
    received_beat: u64,
    received_at: Instant,
    /// Earlier runs, which never return.
    former_runs: VecDeque<HostRun>,
    /// The last question that was taken from it, by the life of its bridge.
    question: (BridgeEpoch, u64),
}

impl RemoteHost {
    pub(super) fn new(taken: &TakenLanes, lanes: LanesIn, now: Instant) -> Self {
        Self {
            run: taken.run,
            state: HostState::Live,
            is_listing: false,
            listed: taken.listed,
            forgotten: taken.forgotten,
            lanes,
            figures: HostFigures::default(),
            heartbeat: 0,
            heartbeat_epoch: taken.epoch,
            received_beat: 0,
            received_at: now,
            former_runs: VecDeque::new(),
            question: (taken.epoch, 0),
        }
    }

    /// Returns the latest known life of its bridge.
    pub(super) fn bridge_epoch(&self) -> BridgeEpoch {
        self.heartbeat_epoch
    }

    /// Notes a question. Returns false if it was taken before, or comes after a later one.
    pub(super) fn takes_question(&mut self, epoch: BridgeEpoch, id: u64) -> bool {
        let is_new = (epoch, id) > self.question;
        if is_new {
            self.question = (epoch, id);
        }
        is_new
    }

    /// Returns how long the host has been silent.
    pub(super) fn silence(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.received_at)
    }

    /// Notes a heartbeat. Returns false if it is not newer than the last one.
    fn note(&mut self, epoch: BridgeEpoch, number: u64) -> bool {
        let is_newer = (epoch, number) > (self.heartbeat_epoch, self.heartbeat);
        if is_newer {
            (self.heartbeat_epoch, self.heartbeat) = (epoch, number);
        }
        is_newer
    }
}

/// A run that has not proved that it lives.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    run: HostRun,
    epoch: BridgeEpoch,
    /// Counts the challenges of this host.
    number: u64,
    challenge: [u8; 16],
    /// The numbers of its first heartbeat that was received.
    start: LaneStart,
}

/// A host that was removed.
#[derive(Debug)]
pub(super) struct FormerHost {
    pub(super) id: HostId,
    pub(super) host: RemoteHost,
}

/// What a heartbeat of another host means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum HeartbeatMeaning {
    /// A known host lives. Its state was this one.
    Known(HostState),
    /// The host is to be asked for a proof.
    Challenge([u8; 16]),
    /// It is the own id with another run.
    OwnId,
    /// It is old, of a former run, of a second run of a live host, or of one host too many.
    Ignored,
}

/// Random bytes that no other host knows. Challenges are derived from them.
struct ChallengeSecret([u8; 32]);

impl fmt::Debug for ChallengeSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChallengeSecret")
    }
}

/// All other hosts.
#[derive(Debug)]
pub(super) struct Hosts {
    own: BridgeIdentity,
    known: BTreeMap<HostId, RemoteHost>,
    candidates: BTreeMap<HostId, Candidate>,
    secret: ChallengeSecret,
    challenges: u64,
    /// The last own heartbeat that has come back.
    own_beat: u64,
}

impl Hosts {
    pub(super) fn new(own: BridgeIdentity, secret: [u8; 32]) -> Self {
        let (known, candidates) = (BTreeMap::new(), BTreeMap::new());
        let secret = ChallengeSecret(secret);
        Self { own, known, candidates, secret, challenges: 0, own_beat: 0 }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (HostId, &RemoteHost)> {
        self.known.iter().map(|(id, host)| (*id, host))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (HostId, &mut RemoteHost)> {
        self.known.iter_mut().map(|(id, host)| (*id, host))
    }

    /// Returns the hosts for which what is sent to all is kept.
    pub(super) fn counted(&self) -> impl Iterator<Item = (HostId, &RemoteHost)> {
        self.iter().filter(|(_, host)| host.state != HostState::Forgotten)
    }

    pub(super) fn get(&self, id: HostId) -> Option<&RemoteHost> {
        self.known.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: HostId) -> Option<&mut RemoteHost> {
        self.known.get_mut(&id)
    }

    /// Returns the host whose run a bridge belongs to.
    pub(super) fn of(&mut self, identity: BridgeIdentity) -> Option<&mut RemoteHost> {
        self.known.get_mut(&identity.host).filter(|host| host.run == identity.run)
    }

    /// Handles a heartbeat of another host.
    pub(super) fn receive(
        &mut self,
        from: BridgeIdentity,
        heartbeat: &HostHeartbeat,
        now: Instant,
    ) -> HeartbeatMeaning {
        if from.host == self.own.host {
            return if from.run == self.own.run {
                HeartbeatMeaning::Ignored
            } else {
                HeartbeatMeaning::OwnId
            };
        }
        let own_beat = self.own_beat;
        if let Some(host) = self.of(from) {
            if !host.note(from.epoch, heartbeat.number) {
                return HeartbeatMeaning::Ignored;
            }
            let was = host.state;
            host.state = HostState::Live;
            host.received_beat = own_beat;
            host.received_at = now;
            return HeartbeatMeaning::Known(was);
        }
        if self.may_be_new(from) {
            self.challenge(from, heartbeat)
        } else {
            HeartbeatMeaning::Ignored
        }
    }

    /// Returns whether another run of a host may take the place of the one that is known.
    fn may_be_new(&self, from: BridgeIdentity) -> bool {
        match self.known.get(&from.host) {
            Some(known) => {
                let is_over = matches!(known.state, HostState::Gone | HostState::Forgotten);
                is_over && !known.former_runs.contains(&from.run)
            }
            None => self.known.len() < CLUSTER_HOSTS_MAX || self.longest_forgotten().is_some(),
        }
    }

    fn longest_forgotten(&self) -> Option<HostId> {
        let forgotten = self.known.iter().filter(|(_, host)| host.state == HostState::Forgotten);
        forgotten.min_by_key(|(_, host)| host.received_at).map(|(id, _)| *id)
    }

    fn challenge(&mut self, from: BridgeIdentity, heartbeat: &HostHeartbeat) -> HeartbeatMeaning {
        let is_same = |it: &&Candidate| it.run == from.run && it.epoch == from.epoch;
        if let Some(candidate) = self.candidates.get(&from.host).filter(is_same) {
            return HeartbeatMeaning::Challenge(candidate.challenge);
        }
        let is_known = self.candidates.contains_key(&from.host);
        if self.candidates.len() >= CLUSTER_CANDIDATES_MAX && !is_known {
            // The oldest makes room: captured heartbeats of dead runs must not keep new hosts out.
            let oldest = self.candidates.iter().min_by_key(|(_, it)| it.number).map(|(id, _)| *id);
            oldest.map(|id| self.candidates.remove(&id));
        }
        self.challenges += 1;
        let digest =
            Sha256::new_with_prefix(self.secret.0).chain_update(self.challenges.to_le_bytes());
        let digest: [u8; 32] = digest.finalize().into();
        let mut challenge = [0; 16];
        challenge.iter_mut().zip(digest).for_each(|(byte, random)| *byte = random);
        let (run, epoch, number) = (from.run, from.epoch, self.challenges);
        let is_own = |it: &&ListedHost| it.host == self.own.host && it.run == self.own.run;
        let listed = heartbeat.hosts.iter().find(is_own);
        let (private, forgotten) = listed.map_or((0, 0), |it| (it.number, it.forgotten));
        let start = LaneStart { common: heartbeat.common, private, forgotten };
        let candidate = Candidate { run, epoch, number, challenge, start };
        self.candidates.insert(from.host, candidate);
        HeartbeatMeaning::Challenge(challenge)
    }

    /// Handles a proof. Returns the numbers after which the host is followed, if it answers the challenge.
    pub(super) fn prove(&mut self, from: BridgeIdentity, proof: [u8; 16]) -> Option<LaneStart> {
        let candidate = *self.candidates.get(&from.host)?;
        let is_proof = candidate.run == from.run
            && candidate.epoch == from.epoch
            && candidate.challenge == proof;
        if !is_proof {
            return None;
        }
        self.candidates.remove(&from.host);
        self.may_be_new(from).then_some(candidate.start)
    }

    /// Removes the earlier run of a host that is to be added. Where too many hosts are remembered, the one that was
    /// forgotten first makes room.
    pub(super) fn make_room(&mut self, id: HostId) -> Option<FormerHost> {
        let is_full = self.known.len() >= CLUSTER_HOSTS_MAX;
        let id =
            if self.known.contains_key(&id) || !is_full { id } else { self.longest_forgotten()? };
        self.known.remove(&id).map(|host| FormerHost { id, host })
    }

    /// Adds a host. `former` is the earlier run of it, if there was one.
    pub(super) fn add(&mut self, id: HostId, mut host: RemoteHost, former: Option<&FormerHost>) {
        host.received_beat = self.own_beat;
        if let Some(former) = former.filter(|former| former.id == id) {
            host.former_runs.clone_from(&former.host.former_runs);
            host.former_runs.push_back(former.host.run);
            if host.former_runs.len() > CLUSTER_FORMER_RUNS_MAX {
                host.former_runs.pop_front();
            }
        }
        self.known.insert(id, host);
    }

    /// An own heartbeat has come back. Returns the hosts that are gone since.
    pub(super) fn count_silence(&mut self, beat: u64) -> Vec<HostId> {
        self.own_beat = self.own_beat.max(beat);
        let mut gone = Vec::new();
        for (id, host) in &mut self.known {
            let silence = self.own_beat.saturating_sub(host.received_beat);
            if host.state == HostState::Live && silence >= CLUSTER_SILENT_BEATS {
                host.state = HostState::Silent;
            }
            if host.state == HostState::Silent && silence >= CLUSTER_GONE_BEATS {
                host.state = HostState::Gone;
                gone.push(*id);
            }
        }
        gone
    }

    /// Forgets hosts from which nothing has arrived for so long that nothing is kept for them. Returns them.
    pub(super) fn forget(&mut self, replay_time: Duration, now: Instant) -> Vec<HostId> {
        let mut forgotten = Vec::new();
        for (id, host) in &mut self.known {
            if host.state != HostState::Forgotten && host.silence(now) > replay_time {
                host.state = HostState::Forgotten;
                host.forgotten += 1;
                forgotten.push(*id);
            }
        }
        forgotten
    }
}

#[cfg(test)]
mod tests {
    use super::super::item::LaneKey;
    use super::super::lanes_in::HeldBounds;
    use super::*;

    fn identity(host: u32, run: u64, epoch: u32) -> BridgeIdentity {
        BridgeIdentity { host: HostId(host), run: HostRun(run), epoch: BridgeEpoch(epoch) }
    }

    fn remote(from: BridgeIdentity, now: Instant) -> RemoteHost {
        let taken = TakenLanes::begin(from.run, from.epoch, LaneStart::default());
        let lanes = LanesIn::new(&taken, LaneKey(7), HeldBounds::default());
        RemoteHost::new(&taken, lanes, now)
    }

    fn heartbeat(number: u64) -> HostHeartbeat {
        HostHeartbeat { number, beat: number, ..HostHeartbeat::default() }
    }

    #[expect(clippy::disallowed_methods, reason = "an arbitrary time for a test")]
    fn start() -> (Hosts, Instant) {
        (Hosts::new(identity(1, 1, 1), [9; 32]), Instant::now())
    }

    fn accept(hosts: &mut Hosts, from: BridgeIdentity, now: Instant) -> Option<FormerHost> {
        let HeartbeatMeaning::Challenge(challenge) = hosts.receive(from, &heartbeat(1), now) else {
            panic!("{from:?} is not challenged");
        };
        hosts.prove(from, challenge).unwrap();
        let former = hosts.make_room(from.host);
        hosts.add(from.host, remote(from, now), former.as_ref());
        former
    }

    #[test]
    fn a_run_is_accepted_when_it_answers_its_challenge() {
        let (mut hosts, now) = start();
        let from = identity(2, 5, 1);
        let listed = ListedHost { host: HostId(1), run: HostRun(1), forgotten: 2, number: 3 };
        let first = HostHeartbeat { common: 40, hosts: vec![listed], ..heartbeat(1) };
        let HeartbeatMeaning::Challenge(challenge) = hosts.receive(from, &first, now) else {
            panic!()
        };
        let later = HostHeartbeat { common: 50, ..heartbeat(2) };
        assert_eq!(hosts.receive(from, &later, now), HeartbeatMeaning::Challenge(challenge));
        assert_eq!(hosts.prove(from, [0; 16]), None);
        assert_eq!(hosts.prove(identity(2, 6, 1), challenge), None, "another run");
        assert_eq!(hosts.prove(identity(2, 5, 2), challenge), None, "another epoch");
        let start = LaneStart { common: 40, private: 3, forgotten: 2 };
        assert_eq!(hosts.prove(from, challenge), Some(start), "the first numbers");
        assert_eq!(hosts.prove(from, challenge), None, "a challenge has one answer");
    }

    #[test]
    fn a_second_run_of_a_live_host_is_ignored_until_the_first_is_gone() {
        let (mut hosts, now) = start();
        let (first, second) = (identity(2, 5, 1), identity(2, 6, 1));
        assert!(accept(&mut hosts, first, now).is_none());
        assert_eq!(hosts.receive(second, &heartbeat(1), now), HeartbeatMeaning::Ignored);
        assert_eq!(hosts.count_silence(CLUSTER_GONE_BEATS), [HostId(2)]);
        assert!(accept(&mut hosts, second, now).is_some());
        hosts.count_silence(2 * CLUSTER_GONE_BEATS);
        let received = hosts.receive(first, &heartbeat(9), now);
        assert_eq!(received, HeartbeatMeaning::Ignored, "a run that was replaced never returns");
        assert_eq!(hosts.receive(identity(1, 7, 1), &heartbeat(1), now), HeartbeatMeaning::OwnId);
    }

    #[test]
    fn silence_is_counted_in_own_heartbeats_that_have_come_back() {
        let (mut hosts, now) = start();
        let from = identity(2, 5, 1);
        accept(&mut hosts, from, now);
        let state = |hosts: &Hosts| hosts.get(HostId(2)).unwrap().state;
        let later = now + Duration::from_secs(50);
        assert!(hosts.forget(Duration::from_secs(60), later).is_empty());
        assert_eq!(state(&hosts), HostState::Live, "this host is cut off, too");
        hosts.count_silence(CLUSTER_SILENT_BEATS);
        assert_eq!(state(&hosts), HostState::Silent);
        assert!(hosts.count_silence(CLUSTER_SILENT_BEATS).is_empty(), "the same one twice");
        assert_eq!(hosts.count_silence(CLUSTER_GONE_BEATS), [HostId(2)]);
        assert!(hosts.count_silence(CLUSTER_GONE_BEATS + 1).is_empty(), "reported once");
        let back = HeartbeatMeaning::Known(HostState::Gone);
        assert_eq!(hosts.receive(from, &heartbeat(2), later), back);
        assert_eq!(hosts.receive(from, &heartbeat(2), later), HeartbeatMeaning::Ignored, "again");
        assert_eq!(state(&hosts), HostState::Live);
        let after = later + Duration::from_secs(61);
        assert_eq!(hosts.forget(Duration::from_secs(60), after), [HostId(2)]);
        assert!(hosts.forget(Duration::from_secs(60), after).is_empty());
    }

    #[test]
    fn hosts_and_candidates_are_bounded() {
        let (mut hosts, now) = start();
        let last = u32::try_from(CLUSTER_HOSTS_MAX).unwrap() + 2;
        for host in 2..last {
            accept(&mut hosts, identity(host, 1, 1), now);
        }
        let received = hosts.receive(identity(last, 1, 1), &heartbeat(1), now);
        assert_eq!(received, HeartbeatMeaning::Ignored);
        let later = now + Duration::from_secs(61);
        hosts.forget(Duration::from_secs(60), later);
        let former = accept(&mut hosts, identity(last, 1, 1), later);
        assert!(former.is_some_and(|former| former.id == HostId(2)), "one that was forgotten");
        assert_eq!(hosts.known.len(), CLUSTER_HOSTS_MAX);
        let (mut hosts, now) = start();
        for host in 2..1000 {
            hosts.receive(identity(host, 1, 1), &heartbeat(1), now);
        }
        assert_eq!(hosts.candidates.len(), CLUSTER_CANDIDATES_MAX);
        for run in 0..100 {
            hosts.receive(identity(2, run, 1), &heartbeat(1), now);
        }
        assert_eq!(hosts.candidates.len(), CLUSTER_CANDIDATES_MAX);
        assert!(hosts.candidates.contains_key(&HostId(999)), "the latest");
    }

    #[test]
    fn a_host_may_restart_any_number_of_times() {
        let (mut hosts, now) = start();
        let runs = 5 * CLUSTER_FORMER_RUNS_MAX as u64;
        for run in 1..runs {
            accept(&mut hosts, identity(2, run, 1), now);
            hosts.count_silence(run * CLUSTER_GONE_BEATS);
        }
        assert_eq!(hosts.get(HostId(2)).unwrap().former_runs.len(), CLUSTER_FORMER_RUNS_MAX);
    }
}
