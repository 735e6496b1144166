//! Random sequences of operations: the index agrees with a plain list of clients, an outbox counts
//! its bytes and loses none, a session tracks its chunks, and publications reach the clients that
//! the list names.

mod audience;
mod mailbox;
mod speaker;

use std::collections::BTreeMap;

use bytes::Bytes;
use tagcast::index::Index;
use tagcast::protocol::phpws;
use tagcast::protocol::phpws::PhpwsCommand;
use tagcast::protocol::{Cast, Protocol};
use tagcast::types::{
    Address, AddressLimit, Client, ClientClass, ClientUuid, ConnectionRef, Content, Ident,
    JoinNumber, PayloadForm, Slot, Tag, Tags, Tenant, WorkerId,
};
use tagcast::websocket::write::text_frame;

use self::audience::{Audience, compare, compare_one, place};
use self::mailbox::Mailbox;
use self::speaker::Speaker;
use super::choices::Choices;

/// Most steps per run. More steps find nothing new and take time.
const STEPS_MAX: usize = 100;
/// Steps between two full comparisons, which are expensive.
const STEPS_UNLOOKED: usize = 16;
const WORKERS: [u16; 3] = [0, 1, 40];
const SLOTS: [u32; 12] = [0, 1, 2, 3, 4, 5, 254, 255, 256, 65_535, 65_536, u32::MAX];
/// Clients with smaller slots have an outbox, whatever their worker is.
const WITH_OUTBOX: u32 = 3;

/// Each byte selects an operation or one of its parameters.
pub fn run(data: &[u8]) {
    let mut choices = Choices(data);
    let mut world = World::default();
    for step in 1..=STEPS_MAX {
        if choices.is_over() {
            break;
        }
        world.step(&mut choices);
        if step % STEPS_UNLOOKED == 0 {
            compare(&world.index, &world.audience, WORKERS.map(WorkerId));
        }
    }
    world.end();
}

/// System under test, and the models that it must agree with.
#[derive(Default)]
struct World {
    index: Index,
    audience: Audience,
    mailboxes: BTreeMap<ConnectionRef, Mailbox>,
    speaker: Speaker,
}

impl World {
    fn step(&mut self, choices: &mut Choices<'_>) {
        match choices.below(16) {
            0..=3 => self.join(choices),
            4 | 5 => self.leave(any_place(choices)),
            6 => self.retag(choices),
            7 => match choices.below(4) {
                0 if !self.audience.is_crowded() => self.clients(choices),
                _ => self.remove_worker(WorkerId(choices.of(&WORKERS))),
            },
            8 | 9 => {
                let (tenant, address) = (any_tenant(choices), any_address(choices));
                let text = vec![b'x'; choices.of(&[1, 100, 3000, 12_000])];
                let content = Content { form: PayloadForm::Message, payload: Bytes::from(text) };
                self.publish(&tenant, &address, &content);
            }
            10..=12 => {
                if let Some(mailbox) = self.mailboxes.values_mut().nth(choices.below(3)) {
                    mailbox.step(choices);
                }
            }
            13 | 14 => {
                if let Some(packet) = self.speaker.send_message(choices) {
                    self.apply(&packet);
                }
            }
            _ => self.speaker.time(choices),
        }
    }

    fn join(&mut self, choices: &mut Choices<'_>) {
        let (place, number) = (any_place(choices), JoinNumber(choices.byte().into()));
        self.admit(place, number, &any_client(choices));
    }

    fn admit(&mut self, place: ConnectionRef, number: JoinNumber, client: &Client) {
        let joined = self.index.join(place, number, client);
        assert_eq!(joined, self.audience.join(place, number, client));
        if joined.is_ok() && place.slot.0 < WITH_OUTBOX {
            self.mailboxes.insert(place, Mailbox::new());
        }
    }

    /// Adds sixty clients at once, so posting lists grow to bitmaps.
    fn clients(&mut self, choices: &mut Choices<'_>) {
        let worker = choices.of(&WORKERS);
        let client = any_client(choices);
        for slot in 1000..1060 {
            let uuid = ClientUuid((u128::from(worker) << 64 | u128::from(slot)).to_be_bytes());
            let client = Client { uuid, ..client.clone() };
            self.admit(place(worker, slot), JoinNumber(slot.into()), &client);
        }
    }

    fn leave(&mut self, place: ConnectionRef) {
        assert_eq!(self.index.leave(place), self.audience.leave(place));
        self.mailboxes.remove(&place).into_iter().for_each(Mailbox::end);
    }

    fn retag(&mut self, choices: &mut Choices<'_>) {
        let (place, tags) = (any_place(choices), any_tags(choices));
        assert_eq!(self.index.retag(place, &tags), self.audience.retag(place, &tags));
    }

    fn remove_worker(&mut self, worker: WorkerId) {
        let removed = self.index.remove_worker(worker);
        assert_eq!(removed, self.audience.remove_worker(worker));
        let places: Vec<ConnectionRef> = self.mailboxes.keys().copied().collect();
        for place in places.into_iter().filter(|place| place.worker == worker) {
            self.mailboxes.remove(&place).into_iter().for_each(Mailbox::end);
        }
    }

    /// Publishes a client's packet as the resource `phpws` would.
    fn apply(&mut self, packet: &str) {
        let Ok(asked) = phpws::parse(packet) else { return };
        let address = match &asked.command {
            PhpwsCommand::Broadcast => Address::everyone_but(self.speaker.uuid()),
            PhpwsCommand::Feedback { ident, .. } => {
                Address::first(None, ident.as_ref().and_then(|ident| Ident::new(ident).ok()))
            }
            _ => return,
        };
        let payload = Bytes::copy_from_slice(packet.as_bytes());
        self.publish(&Tenant::shared(), &address, &Content { form: PayloadForm::Packet, payload });
    }

    /// Publishes to all clients that the list names, into the outboxes that exist.
    fn publish(&mut self, tenant: &Tenant, address: &Address, content: &Content) {
        let places = compare_one(&self.index, &self.audience, tenant, address);
        let frame = text_frame(&Protocol::Phpws.render(content.borrowed(), Cast::Many));
        for place in places {
            if let Some(mailbox) = self.mailboxes.get_mut(&place) {
                mailbox.push(frame.clone());
            }
        }
    }

    /// Removes all clients and checks that no state remains.
    fn end(mut self) {
        compare(&self.index, &self.audience, WORKERS.map(WorkerId));
        WORKERS.into_iter().for_each(|worker| self.remove_worker(WorkerId(worker)));
        assert!(self.mailboxes.is_empty());
        assert_eq!(format!("{:?}", self.index), format!("{:?}", Index::default()));
        self.index.is_consistent().expect("nothing to disagree about");
    }
}

fn any_place(choices: &mut Choices<'_>) -> ConnectionRef {
    ConnectionRef { worker: WorkerId(choices.of(&WORKERS)), slot: Slot(choices.of(&SLOTS)) }
}

fn any_tenant(choices: &mut Choices<'_>) -> Tenant {
    Tenant(choices.of(&["", "", "other"]).into())
}

/// Returns tags chosen by five bits: which of three names, and which values.
fn any_tags(choices: &mut Choices<'_>) -> Tags {
    let bits = choices.byte();
    let tags = ["a", "b", "c"].iter().enumerate().filter(|(at, _)| bits >> at & 1 == 1);
    let value = |at: usize| if bits >> (4 + at) & 1 == 1 { "1" } else { "2" };
    Tags::new(tags.map(|(at, name)| Tag::new(name, value(at)).expect("a tag"))).expect("three tags")
}

fn any_uuid(choices: &mut Choices<'_>) -> ClientUuid {
    ClientUuid([choices.byte() % 20; 16])
}

fn any_ident(choices: &mut Choices<'_>) -> Option<Ident> {
    Ident::new(choices.of(&["", "x", "y"])).ok()
}

fn any_client(choices: &mut Choices<'_>) -> Client {
    Client {
        tenant: any_tenant(choices),
        uuid: any_uuid(choices),
        ident: any_ident(choices),
        tags: any_tags(choices),
        class: choices.of(&[ClientClass::Web, ClientClass::Web, ClientClass::Php]),
        takes_publications: choices.below(5) > 0,
        counted: AddressLimit::ByAddress,
        application: None,
        ip: [192, 0, 2, 1].into(),
    }
}

fn any_address(choices: &mut Choices<'_>) -> Address {
    let kind = choices.byte();
    let address = match kind & 3 {
        0 => Address::everyone(),
        1 => Address::matching(any_tags(choices)),
        _ => {
            let uuid = (kind & 4 == 0).then(|| any_uuid(choices));
            Address::first(uuid, any_ident(choices))
        }
    };
    if kind & 8 == 0 { address } else { address.but(any_uuid(choices)) }
}
