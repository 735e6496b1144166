//! A router and the naive model, which get the same actions.

use std::collections::{BTreeMap, BTreeSet};

use super::model::{
    Action, GRACE, ModelClient, OTHERS, STEP, View, WatchPlace, is_match, is_other, mode_of,
    query_of, tags_of, tenant,
};
use super::*;

pub(super) struct Trial {
    pub(super) router: Router,
    pub(super) now: Duration,
    pub(super) clients: BTreeMap<u8, ModelClient>,
    pub(super) generations: BTreeMap<u8, u32>,
    pub(super) views: BTreeMap<WatchPlace, View>,
    pub(super) next_slot: u32,
    pub(super) next_number: u64,
}

impl Trial {
    pub(super) fn new() -> Self {
        let mut trial = Self {
            router: router(3),
            now: Duration::from_secs(1),
            clients: BTreeMap::new(),
            generations: BTreeMap::new(),
            views: BTreeMap::new(),
            next_slot: 0,
            next_number: 0,
        };
        // One client of each space watches everything, so that each client that goes away is known.
        for (byte, slot, space) in [(1, 0, 200), (OTHERS, 1, 201)] {
            let client = Client { class: ClientClass::Php, ..trial.client(byte, 0) };
            let client = Client { uuid: ClientUuid([space; 16]), ..client };
            say(&mut trial.router, 2, ToBroker::Join { slot: Slot(slot), client });
            trial.watch((2, slot, 0), tenant(byte), (0, 2));
        }
        trial.turn();
        trial
    }

    pub(super) fn client(&self, byte: u8, tags: u8) -> Client {
        let ident = (byte.is_multiple_of(4)).then(|| Ident::new("name").unwrap());
        let tenant = tenant(byte);
        Client { tenant, ident, tags: tags_of(tags), ..client(byte) }
    }

    pub(super) fn slot(&mut self) -> u32 {
        self.next_slot += 1;
        self.next_slot + 10
    }

    pub(super) fn watch(&mut self, place: WatchPlace, space: Tenant, (query, mode): (u8, u8)) {
        let (query, mode) = (query_of(query), mode_of(mode));
        let (worker, slot, id) = place;
        let (is_once, scope) = (false, WatchScope::Any);
        let terms = Box::new(WatchTerms { query: query.clone(), mode, is_once, scope });
        let message = FromWatcher::Watch { slot: Slot(slot), id, terms };
        say(&mut self.router, worker, ToBroker::Presence(message));
        let (audience, counts, list) = (None, None, None);
        self.views.insert(place, View { space, query, mode, audience, counts, list });
    }

    pub(super) fn end(&mut self, byte: u8) {
        if let Some(ModelClient { place: Some((worker, slot)), .. }) = self.clients.get(&byte) {
            let (worker, slot) = (*worker, *slot);
            self.views.retain(|(at, own, _), _| (*at, *own) != (worker, slot));
        }
    }

    pub(super) fn go_away(&mut self, byte: u8) {
        self.end(byte);
        let now = self.now;
        let Some(client) = self.clients.get_mut(&byte) else { return };
        let linger = client.terms.as_ref().map_or(5000, |terms| terms.linger_ms);
        client.place = None;
        client.member_until = now + Duration::from_millis(linger.into());
        client.ends_at = now + GRACE;
        if !client.is_resumable {
            self.clients.remove(&byte);
        }
    }

    pub(super) fn act(&mut self, action: &Action) {
        let here = |byte: &u8| self.clients.get(byte).and_then(|client| client.place);
        match action {
            Action::Join { byte, .. } => {
                if here(byte).is_none() {
                    self.join(action);
                }
            }
            Action::Leave(byte) => {
                if let Some((worker, slot)) = here(byte) {
                    self.end(*byte);
                    self.clients.remove(byte);
                    say(&mut self.router, worker, ToBroker::Leave { slot: Slot(slot) });
                }
            }
            Action::GoAway(byte) => {
                if let Some((worker, slot)) = here(byte) {
                    self.go_away(*byte);
                    let message = FromResumable::Away(Slot(slot));
                    say(&mut self.router, worker, ToBroker::Resumable(message));
                }
            }
            Action::Retag { byte, tags } => {
                let edit = TagEdit::Replace(tags_of(*tags));
                let change = TagChange { edit: edit.clone(), if_version: None };
                let kind = CommandKind::ChangeTags { uuid: ClientUuid([*byte; 16]), change };
                self.command(tenant(*byte), kind);
                let client = self.clients.get_mut(byte).into_iter();
                client.for_each(|it| it.tags = edit.apply(&it.tags).unwrap());
            }
            Action::RetagAll { add } => self.retag_all(*add),
            Action::Describe { byte, linger, info } => self.describe(*byte, *linger, *info),
            Action::Watch { byte, id, query, mode } => {
                if let Some((worker, slot)) = here(byte) {
                    self.watch((worker, slot, *id), tenant(*byte), (*query, *mode));
                }
            }
            Action::Unwatch { byte, id } => {
                if let Some((worker, slot)) = here(byte) {
                    self.views.remove(&(worker, slot, *id));
                    let message = FromWatcher::Unwatch { slot: Slot(slot), id: *id };
                    say(&mut self.router, worker, ToBroker::Presence(message));
                }
            }
            Action::Kill(worker) => self.kill(*worker),
            Action::Wait(steps) => (0..*steps).for_each(|_| self.step()),
            Action::Compare => self.compare(),
        }
    }

    pub(super) fn retag_all(&mut self, add: u8) {
        let edit = TagEdit::Update {
            set: tags_of(add),
            remove: Default::default(),
            leave: Default::default(),
        };
        let (clients, clients_max) = (ClientFilter::Tags(tags_of(1)), None);
        let kind = CommandKind::ChangeTagsMatching { clients, clients_max, edit: edit.clone() };
        self.command(tenant(1), kind);
        while self.router.is_changing_many() {
            let _done = self.router.continue_bulk(&mut |_| false);
        }
        for (byte, client) in &mut self.clients {
            let is_changed = !is_other(*byte) && client.place.is_some();
            if is_changed && is_match(&ClientFilter::Tags(tags_of(1)), &client.tags) {
                client.tags = edit.apply(&client.tags).unwrap();
            }
        }
    }

    pub(super) fn describe(&mut self, byte: u8, linger: u64, info: u8) {
        let Some((worker, slot)) = self.clients.get(&byte).and_then(|client| client.place) else {
            return;
        };
        let info = (info > 0).then(|| info.to_string().into());
        let linger_ms = u32::try_from(linger * 1000).unwrap();
        let (shows_uuid, tags) = (false, ["role".into()].into());
        let terms = MemberTerms { linger_ms, shows_uuid, tags, info };
        let boxed = Box::new(terms.clone());
        let message = FromWatcher::Member { slot: Slot(slot), terms: boxed };
        say(&mut self.router, worker, ToBroker::Presence(message));
        self.clients.get_mut(&byte).into_iter().for_each(|it| it.terms = Some(terms.clone()));
    }

    pub(super) fn join(&mut self, action: &Action) {
        let Action::Join { byte, worker, tags, is_resumable } = *action else { return };
        let slot = self.slot();
        let client = self.client(byte, tags);
        let away = self.clients.get(&byte).cloned();
        let is_resumable = is_resumable || away.is_some();
        let message = match is_resumable {
            false => ToBroker::Join { slot: Slot(slot), client },
            true => {
                let generation = self.generations.get(&byte).copied().unwrap_or(1);
                let claim = away.as_ref().map(|_| ResumeClaim {
                    uuid: ClientUuid([byte; 16]),
                    generation: ResumeGeneration(generation),
                    issued: Duration::from_secs(1),
                    guarded: AllowedNames::default(),
                });
                let grace_ms = u32::try_from(GRACE.as_millis()).unwrap();
                let (mailbox, instance, fixed) = (0, None, Tags::default());
                let terms = RecordTerms { grace_ms, mailbox, instance, fixed };
                let uuid = if away.is_some() { [byte + 50; 16] } else { [byte; 16] };
                let client = Client { uuid: ClientUuid(uuid), ..client };
                let join = ResumableJoin { slot: Slot(slot), client, terms, claim, missed: None };
                ToBroker::Resumable(FromResumable::Join(Box::new(join)))
            }
        };
        say(&mut self.router, worker, message);
        let (place, terms) = (Some((worker, slot)), None);
        let tags = away.map_or_else(|| tags_of(tags), |away| away.tags);
        let (member_until, ends_at) = (Duration::MAX, Duration::MAX);
        let client = ModelClient { place, is_resumable, tags, terms, member_until, ends_at };
        self.clients.insert(byte, client);
    }

    pub(super) fn command(&mut self, tenant: Tenant, kind: CommandKind) {
        self.next_number += 1;
        let command = ClientCommand { tenant, kind };
        let (number, is_answered) = (Number(self.next_number), false);
        let command = Box::new(NumberedCommand { number, is_answered, command });
        say(&mut self.router, 2, ToBroker::Command(command));
    }

    pub(super) fn kill(&mut self, worker: u16) {
        let on_it = |client: &ModelClient| client.place.is_some_and(|(at, _)| at == worker);
        let lost: Vec<u8> =
            self.clients.iter().filter(|(_, it)| on_it(it)).map(|(byte, _)| *byte).collect();
        lost.iter().for_each(|byte| self.go_away(*byte));
        self.router.unlinked(source(worker));
        assert!(self.router.remove_departed(&mut || false).is_continue());
        greet(&mut self.router, worker);
        say(&mut self.router, worker, ToBroker::Announced { sequence: Sequence(0) });
    }

    pub(super) fn step(&mut self) {
        self.now += STEP;
        self.turn();
    }

    pub(super) fn turn(&mut self) {
        timers::begin_turn(&mut self.router, self.now);
        timers::serve_waiting(&mut self.router);
        while timers::has_due(&self.router) {
            // In the smallest parts.
            timers::end_due(&mut self.router, &mut || true);
        }
        let now = self.now;
        self.clients.retain(|_, client| client.ends_at > now);
        for worker in 0..3 {
            told(&mut self.router, worker).into_iter().for_each(|it| self.take(worker, it));
        }
    }

    pub(super) fn take(&mut self, worker: u16, message: ToWorker) {
        match message {
            ToWorker::Resumable(ToResumable::Record(record)) => {
                self.generations.insert(record.uuid.0[0], record.generation.0);
            }
            ToWorker::Presence(ToWatcher::Began { slot, id, audience }) => {
                if let Some(view) = self.views.get_mut(&(worker, slot.0, id)) {
                    view.audience = Some(audience);
                }
            }
            ToWorker::Presence(ToWatcher::News(news)) => {
                for ((at, slot, _), view) in &mut self.views {
                    let is_for = *at == worker && news.slots.contains(Slot(*slot));
                    if is_for && view.audience == Some(news.audience) {
                        view.take(&news);
                    }
                }
            }
            ToWorker::Presence(other) => panic!("{other:?}"),
            _ => {}
        }
    }

    pub(super) fn members(&self, view: &View) -> BTreeMap<u8, &ModelClient> {
        let is_member = |(byte, client): &(&u8, &ModelClient)| {
            tenant(**byte) == view.space
                && (client.place.is_some() || client.member_until > self.now)
                && is_match(&view.query, &client.tags)
        };
        self.clients.iter().filter(is_member).map(|(byte, client)| (*byte, client)).collect()
    }

    /// Waits until nothing changes by itself, and compares what each watcher knows with the clients.
    pub(super) fn compare(&mut self) {
        let mut calm = 0;
        while calm < 16 {
            let before: Vec<usize> = self.views.values().map(|it| self.members(it).len()).collect();
            self.step();
            let after: Vec<usize> = self.views.values().map(|it| self.members(it).len()).collect();
            calm = if before == after { calm + 1 } else { 0 };
        }
        for (place, view) in &self.views {
            let members = self.members(view);
            let names = members.iter().map(|(byte, client)| {
                let user = client.tags.value_of("@user").map(|it| format!("s{it}"));
                let ident = (byte.is_multiple_of(4)).then(|| "iname".to_owned());
                user.or(ident).unwrap_or_else(|| format!("c{byte}"))
            });
            let (clients, users) = (members.len() as u64, names.collect::<BTreeSet<_>>().len());
            let counts = PresenceCounts { clients, users: users as u64 };
            assert_eq!(view.counts, Some(counts), "{place:?} {view:?}");
            let WatchMode::Members(most) = view.mode else { continue };
            match &view.list {
                None => assert!(clients * 10 >= u64::from(most) * 9, "{place:?} {view:?}"),
                Some(list) => {
                    assert!(clients <= u64::from(most));
                    let looks = members.iter().map(|(byte, client)| {
                        let info = client.terms.as_ref().and_then(|terms| terms.info.clone());
                        (ClientUuid([*byte; 16]), info)
                    });
                    assert_eq!(*list, looks.collect(), "{place:?}");
                }
            }
        }
    }
}
