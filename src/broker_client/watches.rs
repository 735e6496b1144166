//! Watched queries of the clients of a worker, and what watchers see of its clients. A new broker gets all of them.

use std::collections::BTreeMap;

use smallvec::SmallVec;

use crate::link::presence::{AudienceNumber, FromWatcher};
use crate::types::limits::WATCHES_MAX;
use crate::types::{MemberTerms, Slot, WatchScope, WatchTerms};

/// Watches of the clients of a worker, by their slots. Most workers have none.
#[derive(Debug, Default)]
pub struct ClientWatches {
    clients: BTreeMap<Slot, WatchingClient>,
}

#[derive(Debug, Default)]
struct WatchingClient {
    /// What watchers see of it. `None`: the usual.
    terms: Option<Box<MemberTerms>>,
    watches: SmallVec<[Box<ClientWatch>; 1]>,
}

/// A watch of a client.
#[derive(Debug)]
pub struct ClientWatch {
    /// Its number within the client.
    pub id: u64,
    /// The query.
    pub terms: WatchTerms,
    /// Those that get the same news; `None` before the broker has answered.
    audience: Option<AudienceNumber>,
    /// The client has been told that it began.
    is_acknowledged: bool,
}

/// Why a watch is not added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchFault {
    /// The client has left.
    Gone,
    /// The client has too many.
    TooMany,
    /// The client has one with this number.
    Known,
}

impl ClientWatches {
    fn watch(&self, slot: Slot, id: u64) -> Option<&ClientWatch> {
        let watches = &self.clients.get(&slot)?.watches;
        watches.iter().find(|watch| watch.id == id).map(|watch| &**watch)
    }

    fn watch_mut(&mut self, slot: Slot, id: u64) -> Option<&mut ClientWatch> {
        let watches = &mut self.clients.get_mut(&slot)?.watches;
        watches.iter_mut().find(|watch| watch.id == id).map(|watch| &mut **watch)
    }

    /// Sets what watchers see of a client. Returns the message for the broker, if that is something else than before.
    pub(crate) fn describe(&mut self, slot: Slot, terms: MemberTerms) -> Option<FromWatcher> {
        let own = &mut self.clients.entry(slot).or_default().terms;
        if own.as_deref() == Some(&terms) {
            return None;
        }
        *own = Some(Box::new(terms.clone()));
        Some(FromWatcher::Member { slot, terms: Box::new(terms) })
    }

    /// Watchers see the usual of a client. Returns the message for the broker.
    pub(crate) fn describe_usual(&mut self, slot: Slot) -> FromWatcher {
        if let Some(client) = self.clients.get_mut(&slot) {
            client.terms = None;
            if client.watches.is_empty() {
                self.clients.remove(&slot);
            }
        }
        FromWatcher::Member { slot, terms: Box::new(MemberTerms::usual()) }
    }

    /// Returns whether something else than the usual is known of a client.
    #[must_use]
    pub fn is_described(&self, slot: Slot) -> bool {
        self.clients.get(&slot).is_some_and(|client| client.terms.is_some())
    }

    /// Adds a watch. Returns the message for the broker.
    pub(crate) fn add(
        &mut self,
        slot: Slot,
        id: u64,
        terms: WatchTerms,
    ) -> Result<FromWatcher, WatchFault> {
        if self.watch(slot, id).is_some() {
            return Err(WatchFault::Known);
        }
        let watches = &mut self.clients.entry(slot).or_default().watches;
        if watches.len() >= WATCHES_MAX {
            return Err(WatchFault::TooMany);
        }
        let message = FromWatcher::Watch { slot, id, terms: Box::new(terms.clone()) };
        let (audience, is_acknowledged) = (None, false);
        watches.push(Box::new(ClientWatch { id, terms, audience, is_acknowledged }));
        Ok(message)
    }

    /// Changes which clients a watch may be about. Returns the message for the broker.
    pub(crate) fn set_scope(
        &mut self,
        slot: Slot,
        id: u64,
        scope: WatchScope,
    ) -> Option<FromWatcher> {
        let watch = self.watch_mut(slot, id).filter(|watch| watch.terms.scope != scope)?;
        watch.terms.scope = scope;
        watch.audience = None;
        let terms = Box::new(watch.terms.clone());
        Some(FromWatcher::Watch { slot, id, terms })
    }

    /// Removes a watch. Returns the message for the broker, if there was one.
    pub(crate) fn remove(&mut self, slot: Slot, id: u64) -> Option<FromWatcher> {
        self.take(slot, id)?;
        Some(FromWatcher::Unwatch { slot, id })
    }

    /// Removes a watch of which the broker knows that it has ended. Returns whether the client knew that it began.
    pub fn take(&mut self, slot: Slot, id: u64) -> Option<bool> {
        let client = self.clients.get_mut(&slot)?;
        let at = client.watches.iter().position(|watch| watch.id == id)?;
        let watch = client.watches.swap_remove(at);
        if client.watches.is_empty() && client.terms.is_none() {
            self.clients.remove(&slot);
        }
        Some(watch.is_acknowledged)
    }

    /// The broker has accepted a watch. Returns whether the client does not know that yet.
    pub fn began(&mut self, slot: Slot, id: u64, audience: AudienceNumber) -> bool {
        let Some(watch) = self.watch_mut(slot, id) else { return false };
        watch.audience = Some(audience);
        !std::mem::replace(&mut watch.is_acknowledged, true)
    }

    /// Returns the numbers of the watches of a client that get these news.
    #[must_use]
    pub fn ids(&self, slot: Slot, audience: AudienceNumber) -> SmallVec<[u64; 2]> {
        let watches = self.of(slot).iter().filter(|watch| watch.audience == Some(audience));
        watches.map(|watch| watch.id).collect()
    }

    /// Returns whether a watch ends with its first answer.
    #[must_use]
    pub fn is_once(&self, slot: Slot, id: u64) -> bool {
        let watch = self.watch(slot, id);
        watch.is_some_and(|watch| watch.terms.is_once)
    }

    /// Returns the watches of a client.
    #[must_use]
    pub fn of(&self, slot: Slot) -> &[Box<ClientWatch>] {
        self.clients.get(&slot).map_or(&[], |client| client.watches.as_slice())
    }

    /// The broker has died: its numbers mean nothing.
    pub(crate) fn on_broker_lost(&mut self) {
        let watches = self.clients.values_mut().flat_map(|client| &mut client.watches);
        watches.for_each(|watch| watch.audience = None);
    }

    /// Returns what a new broker must know.
    pub(crate) fn announcements(&self) -> impl Iterator<Item = FromWatcher> + '_ {
        let members = self.clients.iter().filter_map(|(slot, client)| {
            let terms = client.terms.clone()?;
            Some(FromWatcher::Member { slot: *slot, terms })
        });
        let watches = self.clients.iter().flat_map(|(slot, client)| {
            client.watches.iter().map(|watch| FromWatcher::Watch {
                slot: *slot,
                id: watch.id,
                terms: Box::new(watch.terms.clone()),
            })
        });
        members.chain(watches)
    }

    /// Removes a client.
    pub(crate) fn forget(&mut self, slot: Slot) {
        if !self.clients.is_empty() {
            self.clients.remove(&slot);
        }
    }

    /// Returns the memory for a client in bytes.
    pub(crate) fn held(&self, slot: Slot) -> usize {
        let client = if self.clients.is_empty() { None } else { self.clients.get(&slot) };
        client.map_or(0, |client| {
            let watches = client.watches.iter();
            let watches = watches.map(|it| size_of::<ClientWatch>() + it.terms.query.held());
            let terms = client.terms.as_ref().map_or(0, |terms| terms.held());
            size_of::<(Slot, WatchingClient)>() + terms + watches.sum::<usize>()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{ClientFilter, TagQuery, WatchMode};

    fn terms() -> WatchTerms {
        WatchTerms {
            query: ClientFilter::Tags(TagQuery::default()),
            mode: WatchMode::Count,
            is_once: false,
            scope: WatchScope::Any,
        }
    }

    #[test]
    fn a_client_has_some_watches_with_different_numbers() {
        let mut watches = ClientWatches::default();
        for id in 0..16 {
            watches.add(Slot(1), id, terms()).unwrap();
        }
        assert_eq!(watches.add(Slot(1), 7, terms()), Err(WatchFault::Known));
        assert_eq!(watches.add(Slot(1), 16, terms()), Err(WatchFault::TooMany));
        assert!(watches.remove(Slot(1), 7).is_some());
        assert_eq!(watches.remove(Slot(1), 7), None);
        assert!(watches.add(Slot(1), 16, terms()).is_ok());
        assert_eq!(watches.announcements().count(), 16);
        watches.forget(Slot(1));
        assert_eq!(watches.held(Slot(1)), 0);
    }

    #[test]
    fn a_watch_is_acknowledged_once_and_numbers_end_with_their_broker() {
        let mut watches = ClientWatches::default();
        watches.add(Slot(1), 5, terms()).unwrap();
        assert!(watches.began(Slot(1), 5, AudienceNumber(2)));
        assert_eq!(watches.ids(Slot(1), AudienceNumber(2)).as_slice(), [5]);
        watches.on_broker_lost();
        assert!(watches.ids(Slot(1), AudienceNumber(2)).is_empty());
        assert!(!watches.began(Slot(1), 5, AudienceNumber(3)), "the client knows that");
        assert_eq!(watches.take(Slot(1), 5), Some(true));
        assert!(!watches.began(Slot(1), 5, AudienceNumber(3)));
    }
}
