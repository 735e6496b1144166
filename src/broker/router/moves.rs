//! Clients that resume here and were on another host: their records are requested, and they wait until this host has taken
//! from all hosts what they have received there.

use std::time::Duration;

use bytes::Bytes;

use super::recoveries::{self, Missed};
use super::resumes::{self, JoinDecision};
use super::{LinkState, ProtocolError, Router, handing_over, names, presence, whereabouts};
use crate::broker::client_moves::{AskedMove, HandedMove};
use crate::broker::lane_places::FormerExtent;
use crate::broker::other_hosts::OtherHosts;
use crate::broker::records::{self, RecordKey};
use crate::cluster::{Arrival, CarriedPublication, CarriedReplay, Forward, ForwardReach};
use crate::link::codec::{decode_move, encode_move};
use crate::link::message::ToWorker;
use crate::link::moves::{HandedClient, HandedPast, MoveMessage, MoveNumber, MoveRefusal};
use crate::link::resume::{ResumableJoin, ToResumable};
use crate::types::limits::{MOVES_HOSTS_MAX, PROBE_WAIT};
use crate::types::{
    ClientUuid, ConnectionRef, Generation, HostId, JoinNumber, MissedRequest, Number, PayloadForm,
    RecoveryReason, ResumeStanding, Sequence, WorkerId, WorkerIncarnation,
};

/// Returns the host to ask for the record of a client that is not known here.
pub(super) fn former_host(router: &Router, key: &RecordKey) -> Option<HostId> {
    let hosts = router.hosts.as_deref()?;
    let bridge = router.workers.get(&WorkerId::BRIDGE);
    bridge.filter(|bridge| bridge.link_state == LinkState::Announced)?;
    let home = key.uuid.home();
    let home = Some(home).filter(|home| *home != hosts.own() && hosts.is_live(*home));
    whereabouts::holder(router, key).or(home).filter(|_| hosts.moves.has_room())
}

/// Returns why a client that no host has may have missed something.
pub(super) fn reason_without_record(
    router: &Router,
    uuid: ClientUuid,
    issued: Duration,
) -> RecoveryReason {
    let hosts = router.hosts.as_deref();
    let is_others = hosts.is_some_and(|hosts| uuid.home() != hosts.own());
    match issued < router.started || is_others {
        true => RecoveryReason::Lost,
        false => RecoveryReason::Expired,
    }
}

/// Requests the record of a client from a host, and lets its join wait.
pub(super) fn ask(router: &mut Router, asked: AskedMove) {
    // What this host has published until now is before the mark, which comes before the request.
    mark(router);
    let AskedMove { join, host, .. } = &asked;
    // The latest publications are those of this host.
    let missed = join.missed.filter(|missed| matches!(missed, MissedRequest::Since(_)));
    let (host, join) = (*host, Box::new(ResumableJoin { missed, ..join.clone() }));
    let now = router.now;
    let Some(hosts) = router.hosts.as_deref_mut() else { return };
    let number = hosts.moves.next_request();
    let until = now + hosts.query_timeout;
    hosts.moves.put(number, AskedMove { until, ..asked });
    let number = MoveNumber { broker: hosts.generation, number };
    send(router, ForwardReach::One(host), &MoveMessage::Request { number, join });
}

/// Gives the bridge a message for other hosts, after the publications before it. Returns its bytes.
pub(super) fn send(router: &mut Router, reach: ForwardReach, message: &MoveMessage) -> usize {
    names::send_changes(router);
    let Some(hosts) = router.hosts.as_deref_mut() else { return 0 };
    let (generation, number) = (hosts.generation, hosts.moves.next_item());
    let payload = Bytes::from(encode_move(message));
    let bytes = payload.len();
    if reach == ForwardReach::All {
        hosts.places.own_mark = Some((generation, number));
    }
    let publication = CarriedPublication {
        source: WorkerIncarnation { worker: WorkerId::MOVES, generation },
        number,
        generation,
        sequence: Sequence(0),
        route: Bytes::new(),
        form: PayloadForm::Message,
        payload,
        is_repeated: false,
        directive: None,
        question: None,
        report_ms: None,
        replay: CarriedReplay::None,
    };
    hosts.forwards.push(&Forward { reach, publication });
    bytes
}

/// A host is live that was not, or publications are stored from now on. What was forwarded before is before a mark.
pub(super) fn mark(router: &mut Router) {
    let is_stored = !router.journals.is_empty();
    if is_stored && router.hosts.as_deref().is_some_and(OtherHosts::are_known) {
        send(router, ForwardReach::All, &MoveMessage::Mark);
    }
    if let Some(hosts) = router.hosts.as_deref_mut()
        && hosts.generation != Generation(0)
        && let Some((generation, number)) = hosts.places.own_mark
    {
        let source = WorkerIncarnation { worker: WorkerId::MOVES, generation };
        hosts.places.mark_begin(source, number);
    }
}

/// Publications are stored from now on.
pub(super) fn journals_begin(router: &mut Router) {
    if let Some(hosts) = router.hosts.as_deref_mut() {
        hosts.places.journals_begin(&hosts.kept.taken);
        mark(router);
    }
}

/// The connection at a place has ended, so its join waits no longer.
pub(super) fn withdraw(router: &mut Router, place: ConnectionRef) {
    router.hosts.iter_mut().for_each(|hosts| hosts.moves.withdraw(place));
}

/// The clients of a worker that have not joined will not.
pub(super) fn forget_joining(router: &mut Router, worker: WorkerId) {
    router.recoveries.withdraw_all(worker);
    router.hosts.iter_mut().for_each(|hosts| hosts.moves.withdraw_all(worker));
    presence::forget_joining(router, worker);
}

/// Another connection shows the token of a client whose record is requested. Returns its join if it is to wait or to
/// be decided otherwise; `None`: it has taken the place of the earlier one, which is a new client.
pub(super) fn join_again(
    router: &mut Router,
    source: WorkerIncarnation,
    join: ResumableJoin,
    key: &RecordKey,
) -> Result<Option<ResumableJoin>, ProtocolError> {
    let earlier = router.hosts.as_deref().and_then(|hosts| hosts.moves.of(key));
    let Some((number, earlier)) = earlier else { return Ok(Some(join)) };
    if !resumes::is_same_instance(&earlier.join.terms, &join.terms) {
        resumes::enter(router, source, join, JoinDecision::TAKEN)?;
        return Ok(None);
    }
    let Some(hosts) = router.hosts.as_deref_mut() else { return Ok(Some(join)) };
    let Some(earlier) = hosts.moves.take(number) else { return Ok(Some(join)) };
    let denied = (earlier.source, earlier.join);
    hosts.moves.put(number, AskedMove { source, join, ..earlier });
    resumes::enter(router, denied.0, denied.1, JoinDecision::TAKEN)?;
    Ok(None)
}

/// Applies a message of another host.
pub(super) fn take(router: &mut Router, arrival: &Arrival) {
    let Arrival { taken, publication, .. } = arrival;
    let now = router.now;
    let Some(hosts) = router.hosts.as_deref_mut() else { return };
    hosts.note_taken(taken, publication);
    let message = match decode_move(&publication.payload) {
        Ok(message) => message,
        Err(error) => {
            return hosts.report_unreadable(taken.host, "a message about a client", &error, now);
        }
    };
    let result = apply(router, taken.host, message);
    debug_assert!(result.is_ok(), "slots of joins that wait are free");
}

fn apply(router: &mut Router, host: HostId, message: MoveMessage) -> Result<(), ProtocolError> {
    match message {
        MoveMessage::Request { number, join } => handing_over::request(router, host, number, *join),
        MoveMessage::Waiting(number) => {
            if let Some(asked) = take_asked(router, host, number)
                && let Some(hosts) = router.hosts.as_deref_mut()
            {
                let until = router.now + PROBE_WAIT + hosts.query_timeout;
                hosts.moves.put(number.number, AskedMove { until, ..asked });
            }
        }
        MoveMessage::Refused { number, refusal } => {
            if let Some(asked) = take_asked(router, host, number) {
                return refused(router, asked, refusal);
            }
        }
        MoveMessage::Handed { number, client } => return handed(router, host, number, *client),
        MoveMessage::Held { tenant, uuid, stage, occasion } => {
            whereabouts::held(
                router,
                host,
                RecordKey { tenant, uuid },
                whereabouts::HeldElsewhere { stage, occasion },
            );
        }
        MoveMessage::Mark => {}
    }
    Ok(())
}

/// Takes the join that a host answers.
fn take_asked(router: &mut Router, host: HostId, number: MoveNumber) -> Option<AskedMove> {
    let hosts = router.hosts.as_deref_mut()?;
    let is_own = number.broker == hosts.generation;
    if is_own { hosts.moves.take_asked(number.number, host) } else { None }
}

fn refused(
    router: &mut Router,
    asked: AskedMove,
    refusal: MoveRefusal,
) -> Result<(), ProtocolError> {
    let decision = match refusal {
        MoveRefusal::Taken => JoinDecision::TAKEN,
        MoveRefusal::Outdated => JoinDecision::New(ResumeStanding::Outdated, Missed::NotAsked),
        MoveRefusal::Unknown(reason) => return begin_again(router, asked, reason),
        MoveRefusal::Moved(host) => {
            let hosts = router.hosts.as_deref();
            let may_have = hosts.is_some_and(|it| host != it.own() && it.is_live(host));
            if !may_have || asked.hosts >= MOVES_HOSTS_MAX {
                return begin_again(router, asked, RecoveryReason::Lost);
            }
            ask(router, AskedMove { host, hosts: asked.hosts + 1, ..asked });
            return Ok(());
        }
    };
    resumes::enter(router, asked.source, asked.join, decision)
}

/// No other host has the record. The client begins with its UUID, unless its record has come for an earlier connection.
fn begin_again(
    router: &mut Router,
    asked: AskedMove,
    reason: RecoveryReason,
) -> Result<(), ProtocolError> {
    let holder = whereabouts::holder(router, &asked.key).filter(|host| *host != asked.host);
    if let Some(host) = holder.filter(|_| asked.hosts < MOVES_HOSTS_MAX) {
        ask(router, AskedMove { host, hosts: asked.hosts + 1, ..asked });
        return Ok(());
    }
    let AskedMove { source, join, key, .. } = asked;
    let is_here = router.index.place_of(&key.tenant, key.uuid).is_some();
    match is_here || router.records.get(&key).is_some() {
        true => resumes::join(router, source, join),
        false => resumes::enter(router, source, join, JoinDecision::Back(key, reason)),
    }
}

/// Takes the record of a client that was on another host. It is away from now on, and enters when this host has taken
/// what it has received there.
fn handed(
    router: &mut Router,
    host: HostId,
    number: MoveNumber,
    client: HandedClient,
) -> Result<(), ProtocolError> {
    let HandedClient { tenant, uuid, record, missed } = client;
    let (key, asked) = (RecordKey { tenant, uuid }, take_asked(router, host, number));
    let is_here = router.index.place_of(&key.tenant, key.uuid).is_some();
    let begun = router.hosts.as_deref().and_then(|hosts| hosts.moves.moved.begun(&key));
    let shown = asked.as_ref().and_then(|asked| Some(asked.join.claim.as_ref()?.generation));
    let is_over = begun.is_some_and(|begun| begun.outlasts(&record.stage))
        || shown.is_some_and(|shown| record.stage.is_another(shown));
    if is_here || is_over || router.records.get(&key).is_some() {
        let begin = |asked| begin_again(router, asked, RecoveryReason::Lost);
        return asked.map_or(Ok(()), begin);
    }
    router.last_version += 1;
    let joined = JoinNumber(router.last_version);
    records::take_over(&mut router.records, &key, record, joined, router.now);
    router.resumes.moved += 1;
    if let Some(hosts) = router.hosts.as_deref_mut() {
        hosts.moves.moved.remove(&key);
    }
    whereabouts::check_uuid(router, &key);
    let Some(asked) = asked.filter(|asked| asked.key == key) else { return Ok(()) };
    let AskedMove { source, join, .. } = &asked;
    if matches!(join.missed, Some(MissedRequest::Latest(_))) {
        note_passed(router, source.worker);
        return recoveries::resume(router, asked.source, asked.join, key);
    }
    let HandedPast { reason, publications, extent } = missed;
    let Some(hosts) = router.hosts.as_deref() else { return Ok(()) };
    let journal = router.journals.get(&key.tenant);
    let (epoch, head) = journal.map_or((0, 0), |it| (it.position().epoch, it.head()));
    let former =
        FormerExtent { from: host, taken: extent, epoch, head, gaps: hosts.places.gaps_of(host) };
    let reason = reason.or_else(|| journal.is_none().then_some(RecoveryReason::Off));
    wait(router, asked, number.number, HandedMove { reason, publications, former })
}

/// Lets a client wait for the lanes whose record is here.
fn wait(
    router: &mut Router,
    asked: AskedMove,
    number: u32,
    handed: HandedMove,
) -> Result<(), ProtocolError> {
    let now = router.now;
    let Some(hosts) = router.hosts.as_deref_mut() else { return Ok(()) };
    if !hosts.moves.has_room_for(&handed) {
        return admit(router, asked, Missed::Mailbox(RecoveryReason::Evicted));
    }
    let until = now + hosts.query_timeout;
    hosts.moves.put(number, AskedMove { until, handed: Some(Box::new(handed)), ..asked });
    Ok(())
}

/// Joins a client whose record is here and that does not get all that it has missed.
fn admit(router: &mut Router, asked: AskedMove, missed: Missed) -> Result<(), ProtocolError> {
    let AskedMove { source, join, key, .. } = asked;
    note_passed(router, source.worker);
    resumes::enter(router, source, join, JoinDecision::Resumed(key, missed))
}

/// Tells the worker of a client that has come back what it has of all publishers. The client may have received the rest by
/// its former worker or on its former host, so that it must not get it again after the death of this broker.
pub(super) fn note_passed(router: &mut Router, worker: WorkerId) {
    let passed = |it: &super::WorkerState| it.last_publication.map(|number| (it.source, number));
    let passed: Vec<(WorkerIncarnation, Number)> =
        router.workers.values().filter_map(passed).collect();
    for (source, number) in passed {
        let passed = ToResumable::Passed { source, number };
        router.send(worker, &ToWorker::Resumable(passed));
    }
}

/// Lets joins wait no longer whose time is over, or whose lanes were taken far enough.
pub(super) fn serve(router: &mut Router) {
    handing_over::serve(router);
    let now = router.now;
    while let Some(asked) = router.hosts.as_deref_mut().and_then(|it| it.moves.take_due(now)) {
        let joined = match &asked.handed {
            None => begin_again(router, asked, RecoveryReason::Lost),
            Some(handed) => {
                let reason = handed.reason.unwrap_or(RecoveryReason::Gap);
                admit(router, asked, Missed::Mailbox(reason))
            }
        };
        debug_assert!(joined.is_ok(), "its slot was free when it began to wait");
    }
    let has_held = holds_arrivals(router);
    let Some(hosts) = router.hosts.as_deref_mut() else { return };
    let comparable = hosts.moves.take_comparable();
    if has_held && !comparable.is_empty() {
        return hosts.moves.compare_again();
    }
    for number in comparable {
        let Some(hosts) = router.hosts.as_deref_mut() else { return };
        let handed = hosts.moves.get(number).and_then(|asked| asked.handed.as_deref());
        let is_reached =
            |handed: &HandedMove| hosts.with_places(|places| handed.former.is_reached(places));
        if handed.is_some_and(is_reached)
            && let Some(asked) = hosts.moves.take(number)
        {
            let joined = match asked.handed.as_ref().and_then(|handed| handed.reason) {
                Some(reason) => admit(router, asked, Missed::Mailbox(reason)),
                None => recoveries::wait_handed(router, asked),
            };
            debug_assert!(joined.is_ok(), "its slot was free when it began to wait");
        }
    }
}

/// Returns whether arrivals were taken that are not applied.
pub(super) fn holds_arrivals(router: &Router) -> bool {
    router.workers.get(&WorkerId::BRIDGE).is_some_and(|bridge| !bridge.held.is_empty())
}

/// Returns when [`serve`] must be called.
pub(super) fn next_due(router: &Router) -> Option<Duration> {
    router.hosts.as_deref()?.moves.next_due()
}
