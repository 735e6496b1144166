//! The publications of one turn, joined where they go to the same clients.
//!
//! A publication is rendered and framed once for each dialect; its recipients share the bytes.
//! Joining publications for the same recipients into one buffer is what decides from sixty-four in
//! flight on: one send of many frames costs little more than one send of one.

use std::rc::Rc;

use bytes::{Bytes, BytesMut};

use crate::dialect::{Cast, Dialect};
use crate::link::message::{Deliver, SetName, Target, ToWorker};
use crate::types::{Content, Slot, SlotSet};
use crate::websocket::write;

/// What a turn is to deliver, in order.
#[derive(Debug, Default)]
pub(super) struct Fanout {
    /// The sets of the current batch of the link, by name.
    sets: Vec<Rc<SlotSet>>,
    batches: Vec<Batch>,
}

/// Publications in a row that go to the same clients. Only neighbours are joined: that keeps each
/// publisher's order also where sets overlap.
#[derive(Debug)]
pub(super) struct Batch {
    recipients: Recipients,
    publications: Vec<(Content, Cast)>,
    /// Who is left out of which publication; the set stays whole so that the publications of
    /// several publishers, each without its sender, are still joined.
    excepts: Vec<(Slot, usize)>,
    /// The clients in `excepts`, each once: what a recipient is compared with.
    excepted: Vec<Slot>,
    joined: [Option<Joined>; Dialect::COUNT],
    /// The frames of the excepted client that was asked for last.
    gathered: Joined,
}

/// Who gets a batch.
#[derive(Clone, Debug)]
pub(super) enum Recipients {
    /// One client.
    One(Slot),
    /// The clients of a set.
    Set(Rc<SlotSet>),
}

/// A batch as frames of one dialect.
#[derive(Debug, Default)]
pub(super) struct Joined {
    /// All frames.
    pub(super) bytes: Bytes,
    /// Where each one ends.
    ends: Vec<usize>,
}

/// The broker named a set that it has not told: its link is of no use any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct UnknownSet(pub(super) SetName);

impl Fanout {
    /// Takes what the broker says about sets.
    pub(super) fn take_sets(&mut self, message: ToWorker) -> Result<(), UnknownSet> {
        match message {
            ToWorker::Set { name, slots } if name.0 as usize == self.sets.len() => {
                let slots = self.same_as_before(&slots).unwrap_or_else(|| Rc::new(slots));
                self.sets.push(slots);
                Ok(())
            }
            ToWorker::Set { name, .. } => Err(UnknownSet(name)),
            _ => {
                self.sets.clear();
                Ok(())
            }
        }
    }

    /// Two batches of the link in one turn usually name the same clients: then they are one set,
    /// and their publications can be joined.
    fn same_as_before(&self, slots: &SlotSet) -> Option<Rc<SlotSet>> {
        match &self.batches.last()?.recipients {
            Recipients::Set(before) if **before == *slots => Some(Rc::clone(before)),
            _ => None,
        }
    }

    /// Takes a publication.
    pub(super) fn deliver(&mut self, deliver: Deliver) -> Result<(), UnknownSet> {
        let (recipients, cast, except) = match deliver.target {
            Target::One(slot) => (Recipients::One(slot), Cast::One, None),
            Target::Set { name, except } => {
                let set = self.sets.get(name.0 as usize).ok_or(UnknownSet(name))?;
                (Recipients::Set(Rc::clone(set)), Cast::Many, except)
            }
        };
        let batch = match self.batches.pop() {
            Some(last) if last.recipients.is_same(&recipients) => last,
            other => {
                self.batches.extend(other);
                Batch::new(recipients)
            }
        };
        self.batches.push(batch);
        if let Some(batch) = self.batches.last_mut() {
            batch.push(deliver.content, cast, except);
        }
        Ok(())
    }

    pub(super) fn take(&mut self) -> Vec<Batch> {
        std::mem::take(&mut self.batches)
    }

    /// A link ended: no set of it means anything any more.
    pub(super) fn forget_sets(&mut self) {
        self.sets.clear();
    }
}

impl Recipients {
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::One(one), Self::One(other)) => one == other,
            (Self::Set(one), Self::Set(other)) => Rc::ptr_eq(one, other),
            _ => false,
        }
    }
}

impl Batch {
    fn new(recipients: Recipients) -> Self {
        Self {
            recipients,
            publications: Vec::new(),
            excepts: Vec::new(),
            excepted: Vec::new(),
            joined: [const { None }; Dialect::COUNT],
            gathered: Joined::default(),
        }
    }

    pub(super) fn recipients(&self) -> &Recipients {
        &self.recipients
    }

    fn push(&mut self, content: Content, cast: Cast, except: Option<Slot>) {
        if let Some(slot) = except {
            self.excepts.push((slot, self.publications.len()));
            if !self.excepted.contains(&slot) {
                self.excepted.push(slot);
            }
        }
        self.publications.push((content, cast));
    }

    /// The frames that one client gets.
    pub(super) fn frames_for(&mut self, slot: Slot, dialect: Dialect) -> &Joined {
        let publications = &self.publications;
        #[expect(clippy::indexing_slicing, reason = "a dialect's place is below COUNT")]
        let joined =
            self.joined[dialect.place()].get_or_insert_with(|| join(publications, dialect));
        if !self.excepted.contains(&slot) {
            return joined;
        }
        self.gathered = joined.without(self.excepts.iter().filter(|(except, _)| *except == slot));
        &self.gathered
    }
}

fn join(publications: &[(Content, Cast)], dialect: Dialect) -> Joined {
    let bytes = publications.iter().map(|(content, _)| content.payload.len() + 16).sum();
    let mut frames = BytesMut::with_capacity(bytes);
    let mut ends = Vec::with_capacity(publications.len());
    for (content, cast) in publications {
        write::text(&mut frames, &dialect.render(content, *cast));
        ends.push(frames.len());
    }
    Joined { bytes: frames.freeze(), ends }
}

impl Joined {
    /// Each frame by itself, for a client that reads one at a time.
    pub(super) fn each(&self) -> impl Iterator<Item = Bytes> + '_ {
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

#[cfg(test)]
mod tests;
