//! Which client holds which slot, as far as the broker was informed.

use crate::types::{Client, JoinNumber, Slot, Tags};

/// The slots of one worker that the broker knows, or is to know.
#[derive(Debug, Default)]
pub(crate) struct JoinTracker(Vec<JoinState>);

#[derive(Debug, Default)]
enum JoinState {
    #[default]
    Empty,
    /// A backend is to be asked about it, once the broker has a place for it by its address.
    Reserving { client: Box<Client>, is_reserved: bool },
    /// Asked, not answered.
    Joining(Box<Client>),
    /// Answered with yes.
    Joined(Box<Client>, JoinNumber),
    /// Gone; deliveries that name the slot may be under way (rule L3).
    Leaving,
}

impl JoinTracker {
    pub(crate) fn reserve(&mut self, slot: Slot, client: Client) {
        let state = self.state(slot);
        debug_assert!(matches!(state, JoinState::Empty), "a slot is given away once (rule L3)");
        *state = JoinState::Reserving { client: Box::new(client), is_reserved: false };
    }

    /// Notes the broker's yes; false when that was known, or the client has left meanwhile.
    pub(crate) fn reserved(&mut self, slot: Slot) -> bool {
        let JoinState::Reserving { is_reserved, .. } = self.state(slot) else { return false };
        !std::mem::replace(is_reserved, true)
    }

    pub(crate) fn reserving(&self) -> impl Iterator<Item = (Slot, &Client)> {
        (0..).map(Slot).zip(&self.0).filter_map(|(slot, state)| match state {
            JoinState::Reserving { client, .. } => Some((slot, &**client)),
            _ => None,
        })
    }

    pub(crate) fn join(&mut self, slot: Slot, client: Client) {
        let state = self.state(slot);
        let is_its_own = matches!(state, JoinState::Empty | JoinState::Reserving { .. });
        debug_assert!(is_its_own, "a slot is given away once (rule L3)");
        *state = JoinState::Joining(Box::new(client));
    }

    /// Notes the broker's yes; false when the client has left meanwhile.
    pub(crate) fn joined_as(&mut self, slot: Slot, number: JoinNumber) -> bool {
        let state = self.state(slot);
        match std::mem::take(state) {
            JoinState::Joining(client) => {
                *state = JoinState::Joined(client, number);
                true
            }
            other => {
                *state = other;
                false
            }
        }
    }

    /// A client that waits or is in; none that has left.
    pub(crate) fn client(&self, slot: Slot) -> Option<&Client> {
        match usize::try_from(slot.0).ok().and_then(|at| self.0.get(at))? {
            JoinState::Joining(client) | JoinState::Joined(client, _) => Some(client),
            JoinState::Empty | JoinState::Reserving { .. } | JoinState::Leaving => None,
        }
    }

    /// Gives a client other tags; false when there is none.
    pub(crate) fn retag(&mut self, slot: Slot, tags: &Tags) -> bool {
        let (JoinState::Joining(client) | JoinState::Joined(client, _)) = self.state(slot) else {
            return false;
        };
        client.tags = tags.clone();
        true
    }

    /// Notes the broker's no; the client that was refused.
    pub(crate) fn refused(&mut self, slot: Slot) -> Option<Box<Client>> {
        let state = self.state(slot);
        match std::mem::take(state) {
            JoinState::Joining(client) | JoinState::Reserving { client, .. } => Some(client),
            other => {
                *state = other;
                None
            }
        }
    }

    /// Notes that a client left; a second word about it changes nothing.
    pub(crate) fn leave(&mut self, slot: Slot) {
        *self.state(slot) = JoinState::Leaving;
    }

    pub(crate) fn free(&mut self, slot: Slot) {
        *self.state(slot) = JoinState::Empty;
    }

    /// Whether a client left and the broker has not confirmed it.
    pub(crate) fn is_leaving(&self, slot: Slot) -> bool {
        let state = usize::try_from(slot.0).ok().and_then(|at| self.0.get(at));
        state.is_some_and(|state| matches!(state, JoinState::Leaving))
    }

    pub(crate) fn holds(&self, slot: Slot) -> bool {
        let state = usize::try_from(slot.0).ok().and_then(|at| self.0.get(at));
        state.is_some_and(|state| !matches!(state, JoinState::Empty))
    }

    /// Empties the slots of the clients that left: an announcement acknowledges all leaves.
    pub(crate) fn forget_leaving(&mut self) -> Vec<Slot> {
        let leaving = |(slot, state): (Slot, &mut JoinState)| {
            matches!(state, JoinState::Leaving).then(|| {
                *state = JoinState::Empty;
                slot
            })
        };
        (0..).map(Slot).zip(&mut self.0).filter_map(leaving).collect()
    }

    pub(crate) fn joined(&self) -> impl Iterator<Item = (Slot, JoinNumber, &Client)> {
        (0..).map(Slot).zip(&self.0).filter_map(|(slot, state)| match state {
            JoinState::Joined(client, number) => Some((slot, *number, &**client)),
            _ => None,
        })
    }

    pub(crate) fn joining(&self) -> impl Iterator<Item = (Slot, &Client)> {
        (0..).map(Slot).zip(&self.0).filter_map(|(slot, state)| match state {
            JoinState::Joining(client) => Some((slot, &**client)),
            _ => None,
        })
    }

    fn state(&mut self, slot: Slot) -> &mut JoinState {
        let at = slot.0 as usize;
        if at >= self.0.len() {
            self.0.resize_with(at + 1, JoinState::default);
        }
        // The line above has made room for it.
        #[expect(clippy::indexing_slicing, reason = "the line above made room")]
        &mut self.0[at]
    }
}
