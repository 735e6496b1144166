//! Which client holds which slot, as far as the broker was told.

use crate::types::{Client, JoinNumber, Slot, Tags};

/// The slots of one worker that the broker knows, or is to know.
#[derive(Debug, Default)]
pub(super) struct Roster(Vec<Seat>);

#[derive(Debug, Default)]
enum Seat {
    #[default]
    Empty,
    /// A backend is to be asked about it; whether it has a place by its address is asked, or known.
    Reserving(Box<Client>, Place),
    /// Asked, not answered.
    Joining(Box<Client>),
    /// Answered with yes.
    Joined(Box<Client>, JoinNumber),
    /// Gone; deliveries that name the slot may be under way (rule L3).
    Leaving,
}

/// Whether the broker has said yes to a client about which a backend is to be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Asked,
    Had,
}

impl Roster {
    pub(super) fn reserve(&mut self, slot: Slot, client: Client) {
        let seat = self.seat(slot);
        debug_assert!(matches!(seat, Seat::Empty), "a slot is given away once (rule L3)");
        *seat = Seat::Reserving(Box::new(client), Place::Asked);
    }

    /// Notes the broker's yes; false when that was known, or the client has left meanwhile.
    pub(super) fn reserved(&mut self, slot: Slot) -> bool {
        let Seat::Reserving(_, place) = self.seat(slot) else { return false };
        std::mem::replace(place, Place::Had) == Place::Asked
    }

    pub(super) fn reserving(&self) -> impl Iterator<Item = (Slot, &Client)> {
        (0..).map(Slot).zip(&self.0).filter_map(|(slot, seat)| match seat {
            Seat::Reserving(client, _) => Some((slot, &**client)),
            _ => None,
        })
    }

    pub(super) fn join(&mut self, slot: Slot, client: Client) {
        let seat = self.seat(slot);
        let is_its_own = matches!(seat, Seat::Empty | Seat::Reserving(..));
        debug_assert!(is_its_own, "a slot is given away once (rule L3)");
        *seat = Seat::Joining(Box::new(client));
    }

    /// Notes the broker's yes; false when the client has left meanwhile.
    pub(super) fn joined_as(&mut self, slot: Slot, number: JoinNumber) -> bool {
        let seat = self.seat(slot);
        match std::mem::take(seat) {
            Seat::Joining(client) => {
                *seat = Seat::Joined(client, number);
                true
            }
            other => {
                *seat = other;
                false
            }
        }
    }

    /// A client that waits or is in; none that has left.
    pub(super) fn client(&self, slot: Slot) -> Option<&Client> {
        match usize::try_from(slot.0).ok().and_then(|at| self.0.get(at))? {
            Seat::Joining(client) | Seat::Joined(client, _) => Some(client),
            Seat::Empty | Seat::Reserving(..) | Seat::Leaving => None,
        }
    }

    /// Gives a client other tags; false when there is none.
    pub(super) fn retag(&mut self, slot: Slot, tags: &Tags) -> bool {
        let (Seat::Joining(client) | Seat::Joined(client, _)) = self.seat(slot) else {
            return false;
        };
        client.tags = tags.clone();
        true
    }

    /// Notes the broker's no; the client that was refused.
    pub(super) fn refused(&mut self, slot: Slot) -> Option<Box<Client>> {
        let seat = self.seat(slot);
        match std::mem::take(seat) {
            Seat::Joining(client) | Seat::Reserving(client, _) => Some(client),
            other => {
                *seat = other;
                None
            }
        }
    }

    /// Notes that a client left; a second word about it changes nothing.
    pub(super) fn leave(&mut self, slot: Slot) {
        *self.seat(slot) = Seat::Leaving;
    }

    pub(super) fn free(&mut self, slot: Slot) {
        *self.seat(slot) = Seat::Empty;
    }

    /// Whether a client left and the broker has not said so.
    pub(super) fn is_leaving(&self, slot: Slot) -> bool {
        let seat = usize::try_from(slot.0).ok().and_then(|at| self.0.get(at));
        seat.is_some_and(|seat| matches!(seat, Seat::Leaving))
    }

    pub(super) fn holds(&self, slot: Slot) -> bool {
        let seat = usize::try_from(slot.0).ok().and_then(|at| self.0.get(at));
        seat.is_some_and(|seat| !matches!(seat, Seat::Empty))
    }

    /// Empties the seats of those who left: an announcement acknowledges all leaves.
    pub(super) fn forget_leaving(&mut self) -> Vec<Slot> {
        let leaving = |(slot, seat): (Slot, &mut Seat)| {
            matches!(seat, Seat::Leaving).then(|| {
                *seat = Seat::Empty;
                slot
            })
        };
        (0..).map(Slot).zip(&mut self.0).filter_map(leaving).collect()
    }

    pub(super) fn joined(&self) -> impl Iterator<Item = (Slot, JoinNumber, &Client)> {
        (0..).map(Slot).zip(&self.0).filter_map(|(slot, seat)| match seat {
            Seat::Joined(client, number) => Some((slot, *number, &**client)),
            _ => None,
        })
    }

    pub(super) fn joining(&self) -> impl Iterator<Item = (Slot, &Client)> {
        (0..).map(Slot).zip(&self.0).filter_map(|(slot, seat)| match seat {
            Seat::Joining(client) => Some((slot, &**client)),
            _ => None,
        })
    }

    fn seat(&mut self, slot: Slot) -> &mut Seat {
        let at = slot.0 as usize;
        if at >= self.0.len() {
            self.0.resize_with(at + 1, Seat::default);
        }
        // The line above has made room for it.
        #[expect(clippy::indexing_slicing, reason = "the line above made room")]
        &mut self.0[at]
    }
}
