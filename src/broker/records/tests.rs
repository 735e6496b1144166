//! Records of clients that are here or away.

use super::*;
use crate::link::resume::ClientRequest;
use crate::types::{
    Content, Generation, IdNovelty, InstanceDigest, Number, PayloadForm, RecoveryReason, Slot, Tag,
    TagVersion, Tags, WorkerId, WorkerIncarnation,
};

const IDS: KnownIds = KnownIds { from: ResumeGeneration(1), accepted: None, is_complete: true };
const START: Duration = Duration::from_secs(5);

fn key(byte: u8) -> RecordKey {
    RecordKey { tenant: Tenant::shared(), uuid: ClientUuid([byte; 16]) }
}

fn place(slot: u8) -> ConnectionRef {
    ConnectionRef { worker: WorkerId(0), slot: Slot(slot.into()) }
}

fn terms() -> RecordTerms {
    RecordTerms { grace_ms: 60_000, mailbox: 3, instance: None, fixed: Tags::default() }
}

fn returning(place: ConnectionRef) -> NewPlace {
    NewPlace { place, terms: terms(), shown: IDS.from, guarded: Default::default() }
}

fn away(ident: Option<&str>, ends_at: u64) -> AwayClient {
    let tags = Tags::new([Tag::new("room", "1").unwrap()]).unwrap();
    AwayClient {
        ident: ident.map(|name| Ident::new(name).unwrap()),
        tags: Some(VersionedTags { version: TagVersion(1), tags }),
        ends_at: Duration::from_secs(ends_at),
    }
}

/// Of many clients with one name that have no mailbox, or receive nothing, none is searched for a publication.
#[test]
fn clients_without_a_mailbox_are_not_found_by_name() {
    let mut records = Records::default();
    let (generation, confirmed) = (ResumeGeneration(1), ResumeGeneration(0));
    for (byte, mailbox, is_reached) in [(1, 0, true), (2, 3, false)] {
        let (place, terms) = (place(byte), RecordTerms { mailbox, ..terms() });
        records
            .add(key(byte), NewRecord { place, terms, generation, confirmed, epoch: 1, ids: IDS });
        let mut away = away(Some("anna"), 60);
        away.tags = away.tags.filter(|_| is_reached);
        records.leave(&key(byte), place, away);
        records.check().unwrap();
    }
    assert!(records.idents.is_empty());
    put_away(&mut records, 3, Some("anna"), 60);
    let anna = Ident::new("anna").unwrap();
    assert_eq!(records.first_named(&Tenant::shared(), &anna, START), Some(key(3)));
}

/// Adds a client and lets it go away.
fn put_away(records: &mut Records, byte: u8, ident: Option<&str>, ends_at: u64) {
    let (generation, confirmed) = (ResumeGeneration(1), ResumeGeneration(0));
    let (place, terms, epoch) = (place(byte), terms(), byte.into());
    records.add(key(byte), NewRecord { place, terms, generation, confirmed, epoch, ids: IDS });
    records.leave(&key(byte), place, away(ident, ends_at));
    records.check().unwrap();
}

fn keep(records: &mut Records, byte: u8, number: u64) {
    let source = WorkerIncarnation { worker: WorkerId(1), generation: Generation(1) };
    let content = Content { form: PayloadForm::Message, payload: &b"1"[..] };
    let number = Number(number);
    records.keep(&key(byte), MailboxPublication { source, number, at: None, content });
    records.check().unwrap();
}

fn mailbox(records: &Records, byte: u8) -> Vec<u64> {
    let mailbox = records.get(&key(byte)).and_then(Record::mailbox);
    mailbox.into_iter().flat_map(Mailbox::iter).map(|kept| kept.number.0).collect()
}

#[test]
fn a_mailbox_stays_until_the_client_has_confirmed_it() {
    let mut records = Records::default();
    put_away(&mut records, 1, None, 60);
    (5..=6).for_each(|number| keep(&mut records, 1, number));
    assert!(records.come_back(&key(1), returning(place(9))).is_some());
    records.check().unwrap();
    assert_eq!(mailbox(&records, 1), [5, 6]);
    assert_eq!(records.counts(), (1, 0));
    records.leave(&key(1), place(8), away(None, 60));
    assert_eq!(records.counts(), (1, 0), "it is not of this place");
    records.leave(&key(1), place(9), away(None, 60));
    records.forget_up_to(&key(1), ReplayPosition { epoch: 2, number: 1 }, None);
    assert_eq!(mailbox(&records, 1), [5, 6], "of another record");
    records.forget_up_to(&key(1), ReplayPosition { epoch: 1, number: 1 }, None);
    keep(&mut records, 1, 7);
    assert_eq!(mailbox(&records, 1), [6, 7]);
    records.come_back(&key(1), returning(place(10)));
    records.settle(&key(1), place(9));
    assert_eq!(mailbox(&records, 1), [6, 7], "another connection of it");
    records.settle(&key(1), place(10));
    records.check().unwrap();
    assert!(mailbox(&records, 1).is_empty());
    assert_eq!((records.bytes, records.mailbox_bytes()), (0, 0));
    let record = records.get(&key(1)).unwrap();
    assert_eq!((record.generation, record.confirmed), (ResumeGeneration(3), ResumeGeneration(3)));
    assert_eq!(record.position(), ReplayPosition { epoch: 1, number: 3 });
}

#[test]
fn clients_end_when_their_time_is_over() {
    let mut records = Records::default();
    for (byte, ends_at) in [(1, 70), (2, 65), (3, 80)] {
        put_away(&mut records, byte, Some("anna"), ends_at);
    }
    let at = Duration::from_secs(70);
    assert!(records.has_due(at) && !records.keeps(&key(1), at));
    records.end_due(at, &mut || true);
    records.check().unwrap();
    assert_eq!(records.counts(), (0, 2));
    records.end_due(at, &mut || false);
    assert!(!records.has_due(at) && records.get(&key(3)).is_some());
    records.end_if_due(&key(3), at);
    records.end_if_due(&key(3), Duration::from_secs(80));
    records.check().unwrap();
    assert!(records.is_empty() && records.bytes == 0);
}

#[test]
fn clients_that_have_been_away_longest_end_if_memory_is_short() {
    let mut records = Records::default();
    (1..=3).for_each(|byte| put_away(&mut records, byte, None, 60));
    (1..=3).for_each(|byte| keep(&mut records, byte, 5));
    records.come_back(&key(1), returning(place(1)));
    let one = records.bytes / 3;
    records.limit(2 * one);
    records.check().unwrap();
    assert_eq!(records.counts(), (1, 1), "the second one has been away longest");
    assert!(mailbox(&records, 1).is_empty(), "it was sent to the client, which is here");
    put_away(&mut records, 4, None, 60);
    put_away(&mut records, 5, None, 60);
    assert!(records.get(&key(3)).is_none() && records.get(&key(5)).is_some());
}

#[test]
fn a_name_leads_to_the_client_that_has_been_away_longest() {
    let mut records = Records::default();
    put_away(&mut records, 7, Some("anna"), 60);
    put_away(&mut records, 2, Some("anna"), 60);
    put_away(&mut records, 1, Some("annabel"), 60);
    let anna = Ident::new("anna").unwrap();
    let first = |records: &Records| records.first_named(&Tenant::shared(), &anna, START);
    assert_eq!(first(&records), Some(key(7)));
    records.come_back(&key(7), returning(place(7)));
    assert_eq!(first(&records), Some(key(2)));
    records.end(&key(2));
    records.check().unwrap();
    assert_eq!(first(&records), None);
}

const FIRST: InstanceDigest = InstanceDigest(5);

/// Lets a client of an instance come back that shows the token of this connection. Returns its requests that are known.
fn continued(
    records: &mut Records,
    instance: Option<InstanceDigest>,
    shown: u32,
) -> Option<AcceptedIds> {
    records.leave(&key(1), place(1), away(None, 60));
    let terms = RecordTerms { instance, ..terms() };
    let next = NewPlace {
        guarded: Default::default(),
        place: place(1),
        terms,
        shown: ResumeGeneration(shown),
    };
    records.come_back(&key(1), next).unwrap().ids
}

fn accept(records: &mut Records, joined: u64, id: u64) {
    let request = ClientRequest { uuid: key(1).uuid, joined: JoinNumber(joined), id };
    records.accept(&Tenant::shared(), request, 0);
}

#[test]
fn requests_are_known_to_the_next_connection_of_their_instance() {
    let mut records = Records::default();
    let (place, terms) = (place(1), RecordTerms { instance: Some(FIRST), ..terms() });
    let (generation, confirmed) = (ResumeGeneration(1), ResumeGeneration(0));
    let ids = KnownIds::none_since(generation);
    records.add(key(1), NewRecord { place, terms, generation, confirmed, epoch: 1, ids });
    records.get_mut(&key(1)).unwrap().joined = JoinNumber(7);
    accept(&mut records, 7, 3);
    accept(&mut records, 6, 4);
    let known = continued(&mut records, Some(FIRST), 1).unwrap();
    let judged = [3, 4].map(|id| known.judge(id));
    assert_eq!(judged, [IdNovelty::Repeated, IdNovelty::New], "4 came on another connection");
    records.doubt_ids(&key(1));
    assert_eq!(continued(&mut records, Some(FIRST), 2), None, "others may have been accepted");
    assert_eq!(continued(&mut records, Some(FIRST), 2), None, "it has not seen this connection");
    assert!(continued(&mut records, Some(FIRST), 4).is_some_and(|ids| ids.is_empty()));
    accept(&mut records, 7, 1);
    assert_eq!(continued(&mut records, Some(InstanceDigest(6)), 5), None, "another instance");
    assert_eq!(continued(&mut records, None, 6), None);
}

/// Two connections of a client have shown their tokens to two brokers that did not have its record, and each has begun
/// one. The numbers of both are random.
#[test]
fn requests_of_a_lost_record_are_not_known_by_another_one() {
    let mut records = Records::default();
    let (place, terms) = (place(1), RecordTerms { instance: Some(FIRST), ..terms() });
    let (generation, confirmed) = (ResumeGeneration(1063), ResumeGeneration(1));
    let ids = KnownIds::none_since(generation);
    records.add(key(1), NewRecord { place, terms, generation, confirmed, epoch: 1, ids });
    assert_eq!(continued(&mut records, Some(FIRST), 1066), None);
    assert_eq!(continued(&mut records, Some(FIRST), 1066), None, "it has not seen this connection");
    let generation = records.get(&key(1)).unwrap().generation;
    assert!(continued(&mut records, Some(FIRST), generation.0).is_some());
}

#[test]
fn announced_requests_are_doubtful_until_the_others_were_sent_again() {
    for (accepted, is_complete, is_known) in
        [(None, true, false), (Some(AcceptedIds::default()), false, true)]
    {
        let mut records = Records::default();
        let (generation, confirmed) = (ResumeGeneration(1), ResumeGeneration(0));
        let (place, terms) = (place(1), RecordTerms { instance: Some(FIRST), ..terms() });
        let ids = KnownIds { from: generation, accepted, is_complete };
        records.add(key(1), NewRecord { place, terms, generation, confirmed, epoch: 1, ids });
        if is_known {
            records.complete_ids(&key(1), place);
        }
        assert_eq!(continued(&mut records, Some(FIRST), 1).is_some(), is_known);
    }
}

fn room(number: u64) -> Tags {
    Tags::new([Tag::new("room", &number.to_string()).unwrap()]).unwrap()
}

/// V102, V103.
#[test]
fn earlier_tags_are_known_as_far_back_as_they_are_of_use() {
    let at = |number| ReplayPosition { epoch: 7, number };
    let mut records = Records::default();
    put_away(&mut records, 1, None, 60);
    let tags_at =
        |records: &Records, number| match records.get(&key(1)).unwrap().tags_at(at(number)) {
            TagsThen::Present => None,
            TagsThen::Earlier(tags) => Some(tags.cloned()),
        };
    assert_eq!(tags_at(&records, 1), None);
    note_tags(&mut records, &key(1), at(3), Some(room(1)), 0);
    note_tags(&mut records, &key(1), at(3), Some(room(9)), 0);
    note_tags(&mut records, &key(1), at(5), None, 0);
    let known: Vec<_> = (1..=6).map(|number| tags_at(&records, number)).collect();
    let first = Some(Some(room(1)));
    let expected = [first.clone(), first.clone(), first, Some(None), Some(None), None];
    assert_eq!(known, expected);
    // Another journal has other numbers.
    let other = ReplayPosition { epoch: 8, number: 1 };
    let record = records.get(&key(1)).unwrap();
    assert_eq!(record.tags_at(other), TagsThen::Present);
    assert_eq!([at(0), other].map(|at| record.unknown_since(at)), [None, None]);
    forget_past(&mut records, &key(1), at(6), RecoveryReason::New);
    let record = records.get(&key(1)).unwrap();
    let unknown = [at(5), at(6)].map(|at| record.unknown_since(at));
    assert_eq!(unknown, [Some(RecoveryReason::New), None]);
}

#[test]
fn so_many_changes_of_tags_are_stored() {
    let at = |number| ReplayPosition { epoch: 7, number };
    let mut records = Records::default();
    put_away(&mut records, 1, None, 60);
    (1..=66).for_each(|number| note_tags(&mut records, &key(1), at(number), Some(room(number)), 0));
    let record = records.get(&key(1)).unwrap();
    let unknown = [at(1), at(2)].map(|at| record.unknown_since(at));
    assert_eq!(unknown, [Some(RecoveryReason::Retagged), None]);
    assert_eq!(record.tags_at(at(3)), TagsThen::Earlier(Some(&room(3))));
    // What is older than the journal is dropped.
    note_tags(&mut records, &key(1), at(70), Some(room(70)), 69);
    let record = records.get(&key(1)).unwrap();
    assert_eq!(record.tags_at(at(70)), TagsThen::Earlier(Some(&room(70))));
    assert_eq!(record.tags_at(at(3)), TagsThen::Earlier(Some(&room(70))));
}
