//! Aliases of a worker's clients: those that the broker has granted, and requests that it has not answered
//! yet.

use std::collections::BTreeMap;

use crate::types::{Claim, GrantNumber, Slot};

/// The aliases and alias requests of all clients. Few clients have one.
#[derive(Debug, Default)]
pub(crate) struct AliasRequests(BTreeMap<Slot, PendingAliasRequests>);

/// The alias and the requests of one client. At most one request is sent at a time, so a client that changes
/// its request again and again causes no additional traffic on the link.
#[derive(Debug, Default)]
struct PendingAliasRequests {
    granted: Option<(Claim, GrantNumber)>,
    /// The request that was sent and not answered.
    pending: Option<Claim>,
    /// The latest request that was made after `pending` was sent.
    next: Option<Claim>,
}

impl AliasRequests {
    /// Stores a request of a client. Returns the claim if it must be sent now.
    pub(crate) fn request(&mut self, slot: Slot, claim: Claim) -> Option<&Claim> {
        let requests = self.0.entry(slot).or_default();
        if requests.pending.is_some() {
            requests.next = Some(claim);
            return None;
        }
        Some(requests.pending.insert(claim))
    }

    /// Stores an answer. Returns the next claim to send, if there is one.
    pub(crate) fn answered(&mut self, slot: Slot, granted: Option<GrantNumber>) -> Option<&Claim> {
        let requests = self.0.get_mut(&slot)?;
        let claim = requests.pending.take()?;
        if let Some(grant) = granted {
            requests.granted = Some((claim, grant));
        }
        requests.pending = requests.next.take();
        requests.pending.as_ref()
    }

    /// Returns the memory used for a client, in bytes.
    pub(crate) fn held(&self, slot: Slot) -> usize {
        self.0.get(&slot).map_or(0, |requests| {
            let granted = requests.granted.as_ref().map(|(claim, _)| claim);
            let claims = [granted, requests.pending.as_ref(), requests.next.as_ref()];
            let names = claims.into_iter().flatten().map(|claim| claim.alias.as_str().len());
            size_of::<PendingAliasRequests>() + names.sum::<usize>()
        })
    }

    /// Returns whether a client has an unanswered request.
    pub(crate) fn is_asking(&self, slot: Slot) -> bool {
        self.0.get(&slot).is_some_and(|requests| requests.pending.is_some())
    }

    /// Removes a client that is gone.
    pub(crate) fn forget(&mut self, slot: Slot) {
        if !self.0.is_empty() {
            self.0.remove(&slot);
        }
    }

    /// Returns the granted alias of a client; `None` while the client has an unanswered request.
    pub(crate) fn settled(&self, slot: Slot) -> Option<&Claim> {
        let requests = self.0.get(&slot).filter(|requests| requests.pending.is_none())?;
        requests.granted.as_ref().map(|(claim, _)| claim)
    }

    /// Returns all granted aliases, including those of earlier brokers.
    pub(crate) fn granted(&self) -> impl Iterator<Item = (Slot, &Claim, GrantNumber)> {
        self.0.iter().filter_map(|(slot, requests)| {
            requests.granted.as_ref().map(|(claim, grant)| (*slot, claim, *grant))
        })
    }

    /// Returns the requests to send to a new broker. A client's latest request replaces the one that the dead
    /// broker did not answer.
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
    fn one_alias_request_is_pending_and_the_last_one_follows() {
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
    fn a_new_broker_gets_only_the_last_alias_request() {
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
