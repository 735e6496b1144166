//! Clients that come back to a space that stores publications: when they get what, and why not.

use super::*;
use crate::broker::router::recording::{limit_history, seed_epochs};
use crate::link::resume::{
    ClientRequest, RecordTerms, Recovery, ResumableJoin, ResumeClaim, ToResumable,
};
use crate::types::limits::{HISTORY_AGE, REPLAY_LINK_BYTES};
use crate::types::{
    HistoryTerms, IdNovelty, InstanceDigest, MissedRequest, RecoveryReason, ReplayPosition,
    ResumeGeneration,
};

fn terms(entries: usize) -> HistoryTerms {
    HistoryTerms { entries, bytes: 8 << 20, age: HISTORY_AGE }
}

pub(super) fn storing(mut router: Router, entries: usize) -> Router {
    seed_epochs(&mut router, 7);
    limit_history(&mut router, 64 << 20, &[(Tenant::shared(), terms(entries))]);
    timers::serve_waiting(&mut router);
    router
}

/// A join of the client with this UUID, which shows the token of its first connection.
fn returning(slot: u32, byte: u8, missed: Option<MissedRequest>) -> ToBroker {
    let claim = ResumeClaim {
        uuid: ClientUuid([byte; 16]),
        generation: ResumeGeneration(1),
        issued: Duration::ZERO,
        guarded: Default::default(),
    };
    join_of(slot, byte + 100, Some(claim), missed)
}

pub(super) fn terms_of_record() -> RecordTerms {
    RecordTerms { grace_ms: 60_000, mailbox: 3, instance: None, fixed: Tags::default() }
}

fn join_of(
    slot: u32,
    byte: u8,
    claim: Option<ResumeClaim>,
    missed: Option<MissedRequest>,
) -> ToBroker {
    let (slot, client, terms) = (Slot(slot), client(byte), terms_of_record());
    let join = ResumableJoin { slot, client, terms, claim, missed };
    ToBroker::Resumable(FromResumable::Join(Box::new(join)))
}

pub(super) fn since(position: ReplayPosition) -> Option<MissedRequest> {
    Some(MissedRequest::Since(Some(position)))
}

/// Adds a client and lets it go away. Returns its position.
fn goes_away(router: &mut Router, worker: u16, slot: u32, byte: u8) -> ReplayPosition {
    say(router, worker, join_of(slot, byte, None, None));
    let position = head(&told(router, worker)).unwrap();
    say(router, worker, ToBroker::Resumable(FromResumable::Away(Slot(slot))));
    told(router, worker);
    position
}

pub(super) fn head(told: &[ToWorker]) -> Option<ReplayPosition> {
    told.iter().rev().find_map(|message| match message {
        ToWorker::Head(head) => Some(head.position),
        _ => None,
    })?
}

fn serve(router: &mut Router, worker: u16) -> Vec<ToWorker> {
    timers::serve_waiting(router);
    told(router, worker)
}

/// Returns the numbers of replayed publications, and how the recovery has ended.
pub(super) fn recovered(told: &[ToWorker]) -> Option<(Vec<u64>, Recovery)> {
    let mut numbers = Vec::new();
    for message in told {
        match message {
            ToWorker::Resumable(ToResumable::Replay(replayed)) => {
                numbers.push(replayed.position.number);
            }
            ToWorker::Resumable(ToResumable::Recovered(recovery)) => {
                return Some((numbers, *recovery));
            }
            _ => {}
        }
    }
    None
}

pub(super) fn has_joined(told: &[ToWorker]) -> bool {
    told.iter().any(|message| matches!(message, ToWorker::Joined { .. }))
}

#[test]
fn a_position_precedes_each_delivery_of_a_space_that_stores_publications() {
    let mut router = storing(router(2), 10);
    join(&mut router, 1, 0, 1);
    assert!(head(&told(&mut router, 1)).is_some());
    say(&mut router, 0, publish(1, Address::everyone()));
    let messages = told(&mut router, 1);
    let at = messages.iter().position(|it| matches!(it, ToWorker::At(at) if at.number == 1));
    assert!(matches!(messages[at.unwrap() + 1], ToWorker::Deliver(_)), "{messages:?}");
    limit_history(&mut router, 64 << 20, &[]);
    say(&mut router, 0, publish(2, Address::everyone()));
    let messages = told(&mut router, 1);
    assert!(!messages.iter().any(|it| matches!(it, ToWorker::At(_))), "{messages:?}");
    let ends = |it: &ToWorker| matches!(it, ToWorker::Head(head) if head.position.is_none());
    assert!(messages.iter().any(ends), "{messages:?}");
}

/// V115.
#[test]
fn a_client_whose_turn_comes_too_late_learns_it_and_is_here() {
    let mut router = storing(router(2), 3);
    let position = goes_away(&mut router, 0, 0, 1);
    say(&mut router, 1, publish(1, Address::everyone()));
    // Many bytes wait for the link of its worker.
    let content =
        Content { form: PayloadForm::Message, payload: vec![b'1'; REPLAY_LINK_BYTES].into() };
    join(&mut router, 0, 5, 5);
    let publication =
        Publication { tenant: Tenant::shared(), address: Address::everyone(), content };
    say(&mut router, 1, ToBroker::Publish { number: Number(2), publication });
    say(&mut router, 0, returning(1, 1, since(position)));
    timers::serve_waiting(&mut router);
    assert!(router.index.place_of(&Tenant::shared(), ClientUuid([1; 16])).is_none());
    assert!(!timers::has_due(&router), "nothing can be done until the link has room");
    (3..=4).for_each(|number| say(&mut router, 1, publish(number, Address::everyone())));
    told(&mut router, 0);
    assert!(timers::has_due(&router));
    let (numbers, recovery) = recovered(&serve(&mut router, 0)).unwrap();
    assert_eq!((numbers, recovery.reason), (vec![], Some(RecoveryReason::Overrun)));
    assert_eq!(recovery.position.map(|at| at.number), Some(4));
    let place = router.index.place_of(&Tenant::shared(), ClientUuid([1; 16]));
    assert_eq!(place, Some(ConnectionRef { worker: WorkerId(0), slot: Slot(1) }));
    assert_eq!(router.is_consistent(), Ok(()));
}

#[test]
fn a_long_search_takes_several_turns_and_gets_what_is_added_meanwhile() {
    let mut router = storing(router(2), 10_000);
    let position = goes_away(&mut router, 0, 0, 1);
    let number =
        |number: u64| Address::matching(client(u8::from(number.is_multiple_of(1000))).tags);
    (1..=6000).for_each(|one| say(&mut router, 1, publish(one, number(one))));
    timers::begin_turn(&mut router, Duration::ZERO);
    say(&mut router, 0, returning(1, 1, since(position)));
    let mut turns = 0;
    let (numbers, recovery) = loop {
        turns += 1;
        let messages = serve(&mut router, 0);
        if let Some(ended) = recovered(&messages) {
            break ended;
        }
        assert!(!has_joined(&messages) && timers::has_due(&router));
        let next = 6000 + turns;
        say(&mut router, 1, publish(next, number(1000)));
        timers::begin_turn(&mut router, Duration::ZERO);
    };
    assert_eq!(turns, 4);
    assert_eq!(numbers, [1000, 2000, 3000, 4000, 5000, 6000, 6001, 6002, 6003]);
    assert_eq!((recovery.reason, recovery.replayed), (None, 9));
}

/// A client waits while publications are sent again that it may have received on its last connection.
#[test]
fn a_client_comes_back_after_everything_was_repeated() {
    let mut router = storing(Router::awaiting([source(0), source(1)]), 10);
    for worker in 0..2 {
        greet(&mut router, worker);
        say(&mut router, worker, ToBroker::Announced { sequence: Sequence(0) });
    }
    say(&mut router, 0, ToBroker::WindowRepeated);
    say(&mut router, 0, returning(1, 1, None));
    join(&mut router, 0, 2, 2);
    let messages = serve(&mut router, 0);
    assert_eq!((recovered(&messages), head(&messages)), (None, None));
    say(&mut router, 1, publish(1, Address::everyone()));
    let messages = serve(&mut router, 0);
    assert!(!messages.iter().any(|it| matches!(it, ToWorker::At(_))), "{messages:?}");
    assert_eq!(deliveries(&messages).len(), 1);
    say(&mut router, 1, ToBroker::WindowRepeated);
    let messages = serve(&mut router, 0);
    assert_eq!(head(&messages).map(|head| head.number), Some(0), "what was repeated has no number");
    assert!(recovered(&messages).is_some() && deliveries(&messages).is_empty());
    say(&mut router, 1, publish(2, Address::everyone()));
    assert!(told(&mut router, 0).iter().any(|it| matches!(it, ToWorker::At(at) if at.number == 1)));
}

/// The later of two connections of one client gets it; one that breaks while it waits gets nothing.
#[test]
fn a_connection_that_waits_may_end_or_be_replaced() {
    let mut router = storing(router(2), 10_000);
    let position = goes_away(&mut router, 0, 0, 1);
    (1..=3000).for_each(|number| say(&mut router, 1, publish(number, Address::everyone())));
    timers::begin_turn(&mut router, Duration::ZERO);
    say(&mut router, 0, returning(1, 1, since(position)));
    timers::serve_waiting(&mut router);
    // Neither has a name, so the first one keeps it.
    say(&mut router, 1, returning(1, 1, since(position)));
    assert!(has_joined(&told(&mut router, 1)));
    say(&mut router, 0, ToBroker::Leave { slot: Slot(1) });
    let messages = serve(&mut router, 0);
    assert_eq!((recovered(&messages), timers::has_due(&router)), (None, false));
    say(&mut router, 0, returning(2, 1, since(position)));
    let ended = (0..3).find_map(|_| recovered(&serve(&mut router, 0)));
    assert_eq!(ended.map(|(numbers, _)| numbers.len()), Some(3000));
    assert_eq!(router.is_consistent(), Ok(()));
}

/// A client that has received a part of its mailbox, and not that it has missed other publications, learns it later.
#[test]
fn a_position_from_a_mailbox_does_not_hide_what_was_missed() {
    let mut router = storing(router(2), 3);
    let position = goes_away(&mut router, 0, 0, 1);
    let to_it = Address::first(Some(ClientUuid([1; 16])), None);
    (1..=4).for_each(|number| say(&mut router, 1, publish(number, Address::everyone())));
    (5..=6).for_each(|number| say(&mut router, 1, publish(number, to_it.clone())));
    say(&mut router, 0, returning(1, 1, since(position)));
    let messages = serve(&mut router, 0);
    let (numbers, recovery) = recovered(&messages).unwrap();
    assert_eq!((numbers, recovery.reason), (vec![1, 2], Some(RecoveryReason::Evicted)));
    let kept: Vec<ReplayPosition> = messages
        .iter()
        .filter_map(|message| match message {
            ToWorker::Resumable(ToResumable::Replay(replayed)) => Some(replayed.position),
            _ => None,
        })
        .collect();
    for (slot, at, replayed, reason) in [
        (1, kept[0], vec![2], Some(RecoveryReason::Lost)),
        (2, kept[1], vec![], Some(RecoveryReason::Lost)),
        (3, recovery.position.unwrap(), vec![], None),
    ] {
        say(&mut router, 0, ToBroker::Resumable(FromResumable::Away(Slot(slot))));
        say(&mut router, 0, returning(slot + 1, 1, since(at)));
        let (numbers, recovery) = recovered(&serve(&mut router, 0)).unwrap();
        assert_eq!((numbers, recovery.reason), (replayed, reason));
    }
}

/// The recipients of such a publication depend on all clients, so they cannot be found later.
#[test]
fn a_sequence_of_tags_cuts_what_is_known() {
    let mut router = storing(router(2), 10);
    let before = goes_away(&mut router, 0, 0, 1);
    goes_away(&mut router, 0, 0, 2);
    say(&mut router, 1, publish(1, Address::tag_sequence([Tag::new("n", "9").unwrap()].into())));
    say(&mut router, 1, publish(2, Address::everyone()));
    let at = |number| ReplayPosition { number, ..before };
    say(&mut router, 0, returning(1, 1, since(at(0))));
    let (_, recovery) = recovered(&serve(&mut router, 0)).unwrap();
    assert_eq!(recovery.reason, Some(RecoveryReason::Evicted));
    say(&mut router, 0, returning(2, 2, since(at(1))));
    let (numbers, recovery) = recovered(&serve(&mut router, 0)).unwrap();
    assert_eq!((numbers, recovery.reason), (vec![2], None));
}

/// Otherwise a broker that dies now leaves them to the worker of the old connection, and later ones to that of the new one.
#[test]
fn a_client_resumes_once_its_requests_are_written() {
    let mut router = router(3);
    let joining = |slot: u32, claim: Option<ResumeClaim>| {
        let terms = RecordTerms {
            grace_ms: 60_000,
            mailbox: 3,
            instance: Some(InstanceDigest(5)),
            fixed: Tags::default(),
        };
        let client = client(if claim.is_some() { 101 } else { 1 });
        let join = ResumableJoin { slot: Slot(slot), client, terms, claim, missed: None };
        ToBroker::Resumable(FromResumable::Join(Box::new(join)))
    };
    say(&mut router, 0, joining(0, None));
    join(&mut router, 2, 0, 9);
    let number = told(&mut router, 0).iter().find_map(|message| match message {
        ToWorker::Joined { number, .. } => Some(*number),
        _ => None,
    });
    let request = ClientRequest { uuid: ClientUuid([1; 16]), joined: number.unwrap(), id: 4 };
    say(&mut router, 0, ToBroker::Resumable(FromResumable::Request(request)));
    say(&mut router, 0, publish(1, Address::everyone()));
    say(&mut router, 0, ToBroker::Resumable(FromResumable::Away(Slot(0))));
    let claim = ResumeClaim {
        uuid: ClientUuid([1; 16]),
        generation: ResumeGeneration(1),
        issued: Duration::ZERO,
        guarded: Default::default(),
    };
    say(&mut router, 1, joining(0, Some(claim)));
    router.end_turn();
    router.acknowledge();
    assert!(!timers::has_due(&router) && !has_joined(&serve(&mut router, 1)));
    // The links of the others take it.
    [0, 2].into_iter().for_each(|worker| drop(told(&mut router, worker)));
    router.acknowledge();
    assert!(timers::has_due(&router));
    let told = serve(&mut router, 1);
    assert!(has_joined(&told), "{told:?}");
    let ids = told.iter().find_map(|message| match message {
        ToWorker::Resumable(ToResumable::Record(record)) => record.ids.accepted,
        _ => None,
    });
    assert_eq!(ids.map(|ids| ids.judge(4)), Some(IdNovelty::Repeated));
}
