//! Publications in a row that go to the same clients, and how far they have got.

use std::ops::ControlFlow::{self, Continue};
use std::rc::Rc;

use bytes::{Bytes, BytesMut};

use crate::protocol::{Cast, Protocol};
use crate::types::limits::SEND_BYTES;
use crate::types::{Content, Slot, SlotSet};
use crate::websocket::write;

/// No slot: slots are far fewer.
const DONE: u32 = u32::MAX;

/// Publications in a row that go to the same clients.
#[derive(Debug)]
pub struct Batch {
    recipients: BatchRecipients,
    publications: Vec<(Content, Cast)>,
    bytes: usize,
    /// Recipients below this slot have it, [`DONE`] when all have.
    next: u32,
    /// Recipients from there on that have it: they were served out of turn.
    served: SlotSet,
    is_sealed: bool,
    /// Which slot is left out of which publication; the set stays whole so that the publications of
    /// several publishers, each without its sender, are still joined.
    excepts: Vec<(Slot, usize)>,
    /// The clients in `excepts`, each once: what a recipient is compared with.
    excepted: Vec<Slot>,
    joined: [Option<Joined>; Protocol::COUNT],
    /// The frames of the excepted client that was asked for last.
    gathered: Joined,
}

/// The recipients of a batch.
#[derive(Clone, Debug)]
pub(crate) enum BatchRecipients {
    /// One client.
    One(Slot),
    /// The clients of a set.
    Set(Rc<SlotSet>),
}

/// A batch as frames of one protocol.
#[derive(Debug, Default)]
pub struct Joined {
    /// All frames.
    pub(crate) bytes: Bytes,
    /// Where each one ends.
    ends: Vec<usize>,
}

impl BatchRecipients {
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::One(one), Self::One(other)) => one == other,
            (Self::Set(one), Self::Set(other)) => Rc::ptr_eq(one, other),
            _ => false,
        }
    }
}

impl Batch {
    pub(super) fn new(recipients: BatchRecipients) -> Self {
        Self {
            recipients,
            publications: Vec::new(),
            bytes: 0,
            next: 0,
            served: SlotSet::default(),
            is_sealed: false,
            excepts: Vec::new(),
            excepted: Vec::new(),
            joined: [const { None }; Protocol::COUNT],
            gathered: Joined::default(),
        }
    }

    pub(super) fn recipients(&self) -> &BatchRecipients {
        &self.recipients
    }

    /// Whether publications to these recipients can be joined to it: that keeps each publisher's
    /// order only for the last batch, and as long as no client has got it.
    pub(super) fn takes_more(&self, recipients: &BatchRecipients) -> bool {
        !self.is_sealed && self.bytes < SEND_BYTES && self.recipients.is_same(recipients)
    }

    /// Nothing can be joined to it from now on.
    pub(super) fn seal(&mut self) {
        self.is_sealed = true;
    }

    /// Bytes of payload.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Serves one client out of turn; false when it is none of the recipients, or has it already.
    pub(super) fn serve(&mut self, slot: Slot) -> bool {
        let is_named = slot.0 >= self.next
            && !self.served.contains(slot)
            && match &self.recipients {
                BatchRecipients::One(one) => *one == slot,
                BatchRecipients::Set(set) => set.contains(slot),
            };
        if is_named {
            self.served.0.insert(slot.0);
        }
        is_named
    }

    /// Writes to the next recipients: so many at most, and until `write` breaks off. Returns how many
    /// may follow in this slice.
    pub(super) fn write_some(
        &mut self,
        most: usize,
        write: &mut impl FnMut(Slot, &mut Self) -> ControlFlow<()>,
    ) -> usize {
        if most == 0 {
            return 0;
        }
        self.seal();
        match self.recipients.clone() {
            BatchRecipients::One(slot) => {
                let flow = if self.serve(slot) { write(slot, self) } else { Continue(()) };
                self.next = DONE;
                if flow.is_break() { 0 } else { most - 1 }
            }
            BatchRecipients::Set(set) => {
                let mut slots = set.0.iter();
                slots.advance_to(self.next);
                let mut left = most;
                for slot in slots.by_ref().take(most) {
                    left -= 1;
                    let is_served = !self.served.is_empty() && self.served.contains(Slot(slot));
                    if !is_served && write(Slot(slot), self).is_break() {
                        left = 0;
                        break;
                    }
                }
                self.next = slots.next().unwrap_or(DONE);
                left
            }
        }
    }

    /// Whether all recipients have it.
    pub(super) fn is_done(&self) -> bool {
        self.next == DONE
    }

    pub(super) fn push(&mut self, content: Content, cast: Cast, except: Option<Slot>) {
        if let Some(slot) = except {
            self.excepts.push((slot, self.publications.len()));
            if !self.excepted.contains(&slot) {
                self.excepted.push(slot);
            }
        }
        self.bytes += content.payload.len();
        self.publications.push((content, cast));
    }

    /// How many publications one client is to get.
    pub(crate) fn count_for(&self, slot: Slot) -> u64 {
        let without = self.excepts.iter().filter(|(except, _)| *except == slot).count();
        (self.publications.len() - without) as u64
    }

    /// The frames that one client gets.
    pub fn frames_for(&mut self, slot: Slot, protocol: Protocol) -> &Joined {
        let publications = &self.publications;
        #[expect(clippy::indexing_slicing, reason = "a protocol's place is below COUNT")]
        let joined =
            self.joined[protocol.place()].get_or_insert_with(|| join(publications, protocol));
        if !self.excepted.contains(&slot) {
            return joined;
        }
        self.gathered = joined.without(self.excepts.iter().filter(|(except, _)| *except == slot));
        &self.gathered
    }
}

fn join(publications: &[(Content, Cast)], protocol: Protocol) -> Joined {
    let bytes = publications.iter().map(|(content, _)| content.payload.len() + 16).sum();
    let mut frames = BytesMut::with_capacity(bytes);
    let mut ends = Vec::with_capacity(publications.len());
    for (content, cast) in publications {
        write::text(&mut frames, &protocol.render(content, *cast));
        ends.push(frames.len());
    }
    Joined { bytes: frames.freeze(), ends }
}

impl Joined {
    /// How many frames.
    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.ends.len()).unwrap_or(u32::MAX)
    }

    /// Each frame by itself, for a client that reads one at a time.
    pub fn each(&self) -> impl Iterator<Item = Bytes> + '_ {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| self.bytes.slice(start..*end))
    }

    fn without<'a>(&self, excepts: impl Iterator<Item = &'a (Slot, usize)>) -> Self {
        let mut left_out = excepts.map(|(_, place)| *place).peekable();
        let mut frames = BytesMut::new();
        let mut ends = Vec::new();
        for (place, frame) in self.each().enumerate() {
            if left_out.next_if_eq(&place).is_some() {
                continue;
            }
            frames.extend_from_slice(&frame);
            ends.push(frames.len());
        }
        Self { bytes: frames.freeze(), ends }
    }
}
