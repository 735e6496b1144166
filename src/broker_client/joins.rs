//! The slots of a worker's clients, and the state of their joins.

use crate::types::{Client, ClientUuid, Ident, JoinNumber, Slot, TagVersion, Tags};

/// The slots of one worker that the broker knows or will know.
#[derive(Debug, Default)]
pub(crate) struct JoinTracker(Vec<JoinState>);

#[derive(Debug, Default)]
enum JoinState {
    #[default]
    Empty,
    /// The worker's backend will be asked to authorize the client once the broker has counted it by its
    /// address.
    Reserving { client: Box<Client>, is_reserved: bool },
    /// The join was sent and not answered.
    Joining(Box<Client>),
    /// The broker accepted the join.
    Joined(Box<Client>, JoinNumber, TagVersion),
    /// The client is gone. Deliveries to the slot may still be under way (rule L3).
    Leaving,
}

impl JoinTracker {
    pub(crate) fn reserve(&mut self, slot: Slot, client: Client) {
        let state = self.state(slot);
        debug_assert!(matches!(state, JoinState::Empty), "a slot is given away once (rule L3)");
        *state = JoinState::Reserving { client: Box::new(client), is_reserved: false };
    }

    /// Records that the broker reserved a place. Returns false if that was already recorded, or if the client
    /// has left meanwhile.
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

    /// Records that the broker accepted the join. Returns false if the client has left meanwhile.
    pub(crate) fn joined_as(&mut self, slot: Slot, number: JoinNumber) -> bool {
        let state = self.state(slot);
        match std::mem::take(state) {
            JoinState::Joining(client) => {
                *state = JoinState::Joined(client, number, TagVersion(number.0));
                true
            }
            other => {
                *state = other;
                false
            }
        }
    }

    /// A joining client is another one than it was: it resumes.
    pub(crate) fn become_known(
        &mut self,
        slot: Slot,
        uuid: ClientUuid,
        ident: Option<Ident>,
        tags: Tags,
    ) {
        if let JoinState::Joining(client) = self.state(slot) {
            (client.uuid, client.ident, client.tags) = (uuid, ident, tags);
        }
    }

    /// Returns the client in a slot if it is joining or has joined.
    pub(crate) fn client(&self, slot: Slot) -> Option<&Client> {
        match usize::try_from(slot.0).ok().and_then(|at| self.0.get(at))? {
            JoinState::Joining(client) | JoinState::Joined(client, ..) => Some(client),
            JoinState::Empty | JoinState::Reserving { .. } | JoinState::Leaving => None,
        }
    }

    /// Returns the number of the join of a client.
    pub(crate) fn number(&self, slot: Slot) -> Option<JoinNumber> {
        match usize::try_from(slot.0).ok().and_then(|at| self.0.get(at))? {
            JoinState::Joined(_, number, _) => Some(*number),
            _ => None,
        }
    }

    /// Replaces the tags of a client.
    pub(crate) fn retag(&mut self, slot: Slot, tags: Tags) {
        if let JoinState::Joining(client) | JoinState::Joined(client, ..) = self.state(slot) {
            client.tags = tags;
        }
    }

    /// Stores the version of the tags that the broker has sent.
    pub(crate) fn set_version(&mut self, slot: Slot, sent: TagVersion) {
        if let JoinState::Joined(_, _, version) = self.state(slot) {
            *version = sent;
        }
    }

    /// Records that the broker refused the client, and returns the client.
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

    /// Records that a client left. Repeated calls have no effect.
    pub(crate) fn leave(&mut self, slot: Slot) {
        *self.state(slot) = JoinState::Leaving;
    }

    pub(crate) fn free(&mut self, slot: Slot) {
        *self.state(slot) = JoinState::Empty;
    }

    /// Returns whether the client left and the broker has not confirmed it.
    pub(crate) fn is_leaving(&self, slot: Slot) -> bool {
        let state = usize::try_from(slot.0).ok().and_then(|at| self.0.get(at));
        state.is_some_and(|state| matches!(state, JoinState::Leaving))
    }

    pub(crate) fn holds(&self, slot: Slot) -> bool {
        let state = usize::try_from(slot.0).ok().and_then(|at| self.0.get(at));
        state.is_some_and(|state| !matches!(state, JoinState::Empty))
    }

    /// Frees the slots of clients that left, and returns these slots. A new broker learns only of the clients
    /// that are announced to it, so an announcement completes all leaves.
    pub(crate) fn forget_leaving(&mut self) -> Vec<Slot> {
        let leaving = |(slot, state): (Slot, &mut JoinState)| {
            matches!(state, JoinState::Leaving).then(|| {
                *state = JoinState::Empty;
                slot
            })
        };
        (0..).map(Slot).zip(&mut self.0).filter_map(leaving).collect()
    }

    /// Returns the version of a client's tags that the broker has sent last; `None` before the client has joined.
    pub(crate) fn version(&self, slot: Slot) -> Option<TagVersion> {
        match usize::try_from(slot.0).ok().and_then(|at| self.0.get(at))? {
            JoinState::Joined(_, _, version) => Some(*version),
            _ => None,
        }
    }

    pub(crate) fn joined(&self) -> impl Iterator<Item = (Slot, JoinNumber, TagVersion, &Client)> {
        (0..).map(Slot).zip(&self.0).filter_map(|(slot, state)| match state {
            JoinState::Joined(client, number, version) => {
                Some((slot, *number, *version, &**client))
            }
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
        #[expect(clippy::indexing_slicing, reason = "the line above made room")]
        &mut self.0[at]
    }
}
