//! The journal compared with a list of everything that was ever published (V120).

use proptest::prelude::*;

use super::matching::{MissedSearch, PastListener};
use super::*;
use crate::types::limits::HISTORY_AGE;
use crate::types::{
    Expression, Generation, PayloadForm, Tag, Tags, Tenant, WorkerId, WorkerIncarnation,
};

const ME: ClientUuid = ClientUuid([1; 16]);
const OTHER: ClientUuid = ClientUuid([2; 16]);

/// Tags with a room, from 3 on muted.
fn tags(room: u8) -> Tags {
    let muted = (room > 2).then(|| Tag::new("muted", "yes").unwrap());
    let room = Tag::new("room", &(room % 3).to_string()).unwrap();
    Tags::new([room].into_iter().chain(muted)).unwrap()
}

/// Recipients, and whether they include the client with these tags.
#[derive(Clone, Debug)]
enum Audience {
    Me,
    Other,
    NoClient,
    Everyone,
    EveryoneButMe,
    EveryoneButTwo,
    Room(u8),
    RoomNotMuted(u8),
    Sequence,
}

impl Audience {
    fn stored(&self) -> StoredRecipients {
        let room = |room: &u8| Address::matching(tags(*room));
        let not_muted = Expression::parse("!muted?").unwrap();
        let address = match self {
            Self::Me => return StoredRecipients::One(ME),
            Self::Other => return StoredRecipients::One(OTHER),
            Self::NoClient => return StoredRecipients::NoClient,
            Self::Everyone => Address::everyone(),
            Self::EveryoneButMe => Address::everyone_but(ME),
            Self::EveryoneButTwo => Address::everyone().without(&[OTHER, ME]),
            Self::Room(number) => room(number),
            Self::RoomNotMuted(number) => room(number).among(not_muted),
            Self::Sequence => Address::tag_sequence([Tag::new("room", "1").unwrap()].into()),
        };
        StoredRecipients::of_many(&Arc::new(address))
    }

    fn includes_me(&self, room: u8) -> bool {
        match self {
            Self::Me | Self::Everyone => true,
            Self::Room(one) => *one == room % 3,
            Self::RoomNotMuted(one) => *one == room,
            _ => false,
        }
    }
}

fn audience() -> impl Strategy<Value = Audience> {
    prop_oneof![
        2 => Just(Audience::Me),
        1 => Just(Audience::Other),
        1 => Just(Audience::NoClient),
        2 => Just(Audience::Everyone),
        1 => Just(Audience::EveryoneButMe),
        1 => Just(Audience::EveryoneButTwo),
        3 => (0_u8..3).prop_map(Audience::Room),
        2 => (0_u8..3).prop_map(Audience::RoomNotMuted),
    ]
}

/// What happens in a space.
#[derive(Clone, Debug)]
enum Step {
    Publish {
        audience: Audience,
        bytes: usize,
    },
    /// The client has other tags from now on.
    Retag(u8),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let publish = (audience(), 0_usize..40);
    prop_oneof![
        8 => publish.prop_map(|(audience, bytes)| Step::Publish { audience, bytes }),
        1 => Just(Step::Publish { audience: Audience::Sequence, bytes: 1 }),
        2 => (0_u8..6).prop_map(Step::Retag),
        2 => (0_u64..60).prop_map(Step::Wait),
    ]
}

fn entry(audience: &Audience, bytes: usize, stored: Duration) -> JournalEntry {
    let source = WorkerIncarnation { worker: WorkerId(1), generation: Generation(1) };
    let payload = vec![b'x'; bytes].into_boxed_slice();
    let content = Content { form: PayloadForm::Message, payload };
    let (recipients, number) = (audience.stored(), Number(1));
    JournalEntry { recipients, source, number, content, stored, origin: None }
}

/// Everything that was published.
#[derive(Default)]
struct Model {
    /// Time, size, and whether the client had to get it.
    all: Vec<(Duration, usize, bool)>,
    /// Number of the last publication whose recipients cannot be found later.
    cut: usize,
}

impl Model {
    /// Returns the number of the last publication that the journal has dropped.
    fn floor(&self, terms: HistoryTerms, now: Duration) -> usize {
        let is_kept = |from: usize| {
            let kept = &self.all[from..];
            from >= self.cut
                && kept.len() <= terms.entries
                && kept.iter().map(|(_, bytes, _)| bytes).sum::<usize>() <= terms.bytes
                && kept.iter().all(|(stored, ..)| *stored + terms.age > now)
        };
        (0..=self.all.len()).find(|from| is_kept(*from)).unwrap()
    }
}

proptest! {
    #[test]
    fn a_journal_finds_what_a_list_of_everything_finds(
        steps in prop::collection::vec(step(), 0..80),
        entries in 1_usize..30,
        bytes in 10_usize..400,
        piece in 1_usize..7,
    ) {
        let terms = HistoryTerms { entries, bytes, age: Duration::from_millis(200) };
        let (mut journal, mut model) = (Journal::new(7, terms), Model::default());
        let mut now = Duration::ZERO;
        let mut room = 0;
        let mut own = Vec::new();
        let mut floor = 0;
        for step in steps {
            match step {
                Step::Wait(millis) => now += Duration::from_millis(millis),
                Step::Retag(next) => room = next,
                Step::Publish { audience, bytes } => {
                    let number = journal.append(entry(&audience, bytes, now));
                    model.all.push((now, bytes, audience.includes_me(room)));
                    own.push(tags(room));
                    prop_assert_eq!(number, model.all.len() as u64);
                    if matches!(audience, Audience::Sequence) {
                        model.cut = model.all.len();
                    }
                }
            }
            journal.drop_old(now);
            // Time that passes between two steps may drop more than a later search of the model would.
            floor = floor.max(model.floor(terms, now));
            prop_assert_eq!((journal.head(), journal.floor()), (model.all.len() as u64, floor as u64));
        }
        for since in floor..=model.all.len() {
            let mut search = MissedSearch::after(since as u64);
            let listener =
                |number: u64| PastListener { uuid: Some(ME), tags: own.get(usize::try_from(number - 1).unwrap()) };
            let mut examined = 0;
            while !search.is_complete(&journal) {
                let some = search.run(&journal, piece, &|number, entry| listener(number).hears(entry));
                prop_assert!(some > 0 && some <= piece);
                examined += some;
            }
            prop_assert_eq!(examined, model.all.len() - since);
            let expected: Vec<u64> = (since..model.all.len())
                .filter(|place| model.all[*place].2)
                .map(|place| place as u64 + 1)
                .collect();
            prop_assert_eq!(search.into_found(), expected);
        }
        let held: usize = journal.entries.iter().map(JournalEntry::held).sum();
        prop_assert_eq!(journal.held(), held);
    }
}

#[test]
fn a_client_without_a_name_gets_nothing_for_single_clients() {
    let mut journal = Journal::new(1, terms(10));
    for audience in [Audience::Me, Audience::Everyone, Audience::EveryoneButMe] {
        journal.append(entry(&audience, 1, Duration::ZERO));
    }
    let own = tags(1);
    let found = |listener: PastListener<'_>| {
        let mut search = MissedSearch::after(0);
        search.run(&journal, 10, &|_, entry| listener.hears(entry));
        search.into_found()
    };
    assert_eq!(found(PastListener { uuid: None, tags: Some(&own) }), [2, 3]);
    assert_eq!(found(PastListener { uuid: Some(ME), tags: None }), [1]);
}

#[test]
fn positions_of_other_journals_and_of_the_future_are_not_known() {
    let mut journal = Journal::new(9, terms(10));
    journal.append(entry(&Audience::Everyone, 1, Duration::ZERO));
    let position = |epoch, number| ReplayPosition { epoch, number };
    assert!(journal.has_been_at(position(9, 0)) && journal.has_been_at(position(9, 1)));
    assert!(!journal.has_been_at(position(9, 2)) && !journal.has_been_at(position(8, 0)));
    assert_eq!(journal.position(), position(9, 1));
}

fn terms(entries: usize) -> HistoryTerms {
    HistoryTerms { entries, bytes: 1_000_000, age: HISTORY_AGE }
}

fn space(name: &str) -> Tenant {
    Tenant(name.into())
}

/// V117, V118.
#[test]
fn each_space_has_a_journal_of_its_own_as_long_as_it_has_terms() {
    let mut journals = Journals::default();
    journals.seed(5);
    let (a, b) = (space("a"), space("b"));
    let now = Duration::from_secs(1);
    assert!(journals.append(&a, entry(&Audience::Everyone, 1, now)).is_none());
    let both = [(a.clone(), terms(100)), (b.clone(), terms(100))];
    assert_eq!(journals.limit(1 << 20, &both, now), []);
    let first = journals.append(&a, entry(&Audience::Everyone, 1, now)).unwrap();
    let of_b = journals.append(&b, entry(&Audience::Everyone, 1, now)).unwrap();
    assert_eq!((first.number, of_b.number), (1, 1));
    assert_ne!(first.epoch, of_b.epoch);
    (0..50)
        .for_each(|_| assert!(journals.append(&a, entry(&Audience::Everyone, 1, now)).is_some()));
    journals.limit(1 << 20, &[(a.clone(), terms(10)), (b.clone(), terms(100))], now);
    assert_eq!(journals.get(&a).map(|it| (it.len(), it.head())), Some((10, 51)));
    assert_eq!(journals.limit(1 << 20, &[(b, terms(100))], now), std::slice::from_ref(&a));
    assert!(journals.get(&a).is_none());
    journals.limit(1 << 20, &both, now);
    let next = journals.append(&a, entry(&Audience::Everyone, 1, now)).unwrap();
    assert_eq!(next.number, 1);
    assert_ne!(next.epoch, first.epoch);
}

#[test]
fn the_largest_journal_gives_up_memory_first() {
    let mut journals = Journals::default();
    let (a, b) = (space("a"), space("b"));
    let now = Duration::ZERO;
    let both = [(a.clone(), terms(10_000)), (b.clone(), terms(10_000))];
    let bytes_max = 64 * 1024;
    journals.limit(bytes_max, &both, now);
    (0..20)
        .for_each(|_| assert!(journals.append(&b, entry(&Audience::Everyone, 100, now)).is_some()));
    for _ in 0..2000 {
        journals.append(&a, entry(&Audience::Everyone, 100, now));
        assert!(journals.held() <= bytes_max);
    }
    assert_eq!(journals.get(&b).map(Journal::len), Some(20));
    let held = |tenant: &Tenant| journals.get(tenant).unwrap().held();
    assert_eq!(journals.held(), held(&a) + held(&b));
    assert!(journals.held() > bytes_max / 64 * 62);
    journals.limit(4096, &both, now);
    assert!(journals.held() <= 4096);
}

#[test]
fn heads_are_sent_once_when_they_have_moved() {
    let mut journals = Journals::default();
    let a = space("a");
    let second = Duration::from_secs(1);
    let told = |journals: &mut Journals, seconds: u32| {
        let mut all = Vec::new();
        journals.tick(second * seconds, &mut |_, position| all.push(position.number));
        all
    };
    assert_eq!(journals.next_tick(), None);
    let terms = HistoryTerms { age: second * 5, ..terms(10) };
    journals.limit(1 << 20, &[(a.clone(), terms)], Duration::ZERO);
    assert_eq!((told(&mut journals, 0), journals.next_tick()), (vec![0], None));
    journals.append(&a, entry(&Audience::NoClient, 1, second));
    journals.append(&a, entry(&Audience::NoClient, 1, second));
    assert_eq!(journals.next_tick(), Some(second * 2));
    assert_eq!((told(&mut journals, 1), told(&mut journals, 2)), (vec![], vec![2]));
    assert_eq!((told(&mut journals, 3), journals.entries()), (vec![], 2));
    // An old publication is dropped although no other follows.
    assert_eq!((told(&mut journals, 6), journals.entries(), journals.held()), (vec![], 0, 0));
    assert_eq!(journals.next_tick(), None);
}
