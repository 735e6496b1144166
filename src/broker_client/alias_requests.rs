//! Aliases of a worker's clients: which ones the broker has granted, and which ones they wait for.

use std::collections::BTreeMap;

use crate::types::{Claim, GrantNumber, Slot};

/// What is known about the aliases of the clients; few have one.
#[derive(Debug, Default)]
pub(crate) struct AliasRequests(BTreeMap<Slot, PendingAliasRequests>);

/// One client's. At most one request is under way, so a client that changes its mind without end
/// costs the link no more than one that does not.
#[derive(Debug, Default)]
struct PendingAliasRequests {
    granted: Option<(Claim, GrantNumber)>,
    /// Asked, not answered.
    pending: Option<Claim>,
    /// What it has wanted since.
    next: Option<Claim>,
}

impl AliasRequests {
    /// Notes what a client wants; returns what is to be asked now.
    pub(crate) fn request(&mut self, slot: Slot, claim: Claim) -> Option<&Claim> {
        let requests = self.0.entry(slot).or_default();
        if requests.pending.is_some() {
            requests.next = Some(claim);
            return None;
        }
        Some(requests.pending.insert(claim))
    }

    /// Notes an answer; returns what is to be asked next.
    pub(crate) fn answered(&mut self, slot: Slot, granted: Option<GrantNumber>) -> Option<&Claim> {
        let requests = self.0.get_mut(&slot)?;
        let claim = requests.pending.take()?;
        if let Some(grant) = granted {
            requests.granted = Some((claim, grant));
        }
        requests.pending = requests.next.take();
        requests.pending.as_ref()
    }

    /// Bytes of memory that a client's take.
    pub(crate) fn held(&self, slot: Slot) -> usize {
        self.0.get(&slot).map_or(0, |requests| {
            let granted = requests.granted.as_ref().map(|(claim, _)| claim);
            let claims = [granted, requests.pending.as_ref(), requests.next.as_ref()];
            let names = claims.into_iter().flatten().map(|claim| claim.alias.as_str().len());
            size_of::<PendingAliasRequests>() + names.sum::<usize>()
        })
    }

    /// Whether a request of a client is not decided yet.
    pub(crate) fn is_asking(&self, slot: Slot) -> bool {
        self.0.get(&slot).is_some_and(|requests| requests.pending.is_some())
    }

    /// A client is gone.
    pub(crate) fn forget(&mut self, slot: Slot) {
        if !self.0.is_empty() {
            self.0.remove(&slot);
        }
    }

    /// What a client has been granted, unless it wants something else meanwhile.
    pub(crate) fn settled(&self, slot: Slot) -> Option<&Claim> {
        let requests = self.0.get(&slot).filter(|requests| requests.pending.is_none())?;
        requests.granted.as_ref().map(|(claim, _)| claim)
    }

    /// What earlier brokers have granted.
    pub(crate) fn granted(&self) -> impl Iterator<Item = (Slot, &Claim, GrantNumber)> {
        self.0.iter().filter_map(|(slot, requests)| {
            requests.granted.as_ref().map(|(claim, grant)| (*slot, claim, *grant))
        })
    }

    /// What a new broker is to be asked; what an earlier one was asked is not answered.
    pub(crate) fn ask_again(&mut self) -> impl Iterator<Item = (Slot, &Claim)> {
        self.0.iter_mut().filter_map(|(slot, requests)| {
            if let Some(next) = requests.next.take() {
                requests.pending = Some(next);
            }
            requests.pending.as_ref().map(|claim| (*slot, claim))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Alias, Exclusivity};

    fn claim(text: &str) -> Claim {
        Claim { alias: Alias::new(text).unwrap(), keeping: Exclusivity::Alone }
    }

    #[test]
    fn one_wish_is_under_way_and_the_last_one_follows() {
        let (mut aliases, slot) = (AliasRequests::default(), Slot(1));
        assert_eq!(aliases.request(slot, claim("a")), Some(&claim("a")));
        assert_eq!(aliases.request(slot, claim("b")), None);
        assert_eq!(aliases.request(slot, claim("c")), None);
        assert_eq!(aliases.answered(slot, Some(GrantNumber(1))), Some(&claim("c")));
        assert_eq!(aliases.answered(slot, None), None);
        let granted: Vec<_> = aliases.granted().collect();
        assert_eq!(granted, [(slot, &claim("a"), GrantNumber(1))]);
    }

    #[test]
    fn a_new_broker_is_asked_the_last_wish_alone() {
        let (mut aliases, slot) = (AliasRequests::default(), Slot(1));
        aliases.request(slot, claim("a"));
        aliases.request(slot, claim("b"));
        assert_eq!(aliases.ask_again().collect::<Vec<_>>(), [(slot, &claim("b"))]);
        assert_eq!(aliases.answered(slot, Some(GrantNumber(7))), None);
        aliases.forget(slot);
        assert_eq!(aliases.granted().count(), 0);
        assert_eq!(aliases.answered(slot, Some(GrantNumber(8))), None);
    }
}
