//! Which stored publications a client has missed.

use super::{Journal, JournalEntry, StoredRecipients};
use crate::types::{Address, ClientUuid, Ident, Recipients, Tags};

/// What decides whether a stored publication was for a client.
#[derive(Clone, Copy, Debug)]
pub(in crate::broker) struct PastListener<'a> {
    /// The client. Without it, publications to single clients do not count.
    pub(in crate::broker) uuid: Option<ClientUuid>,
    /// The tags that it had at the publication; `None` if tags did not reach it.
    pub(in crate::broker) tags: Option<&'a Tags>,
}

impl PastListener<'_> {
    /// Returns whether a publication was for the client.
    pub(in crate::broker) fn hears(&self, entry: &JournalEntry) -> bool {
        match &entry.recipients {
            StoredRecipients::NoClient
            | StoredRecipients::Absent(_)
            | StoredRecipients::Unknown => false,
            StoredRecipients::One(one) => self.uuid == Some(*one),
            StoredRecipients::Many(address) => self.matches(address),
        }
    }

    /// Returns whether a publication to a single client that was not here was for the client.
    pub(in crate::broker) fn is_sought(&self, address: &Address, ident: Option<&Ident>) -> bool {
        let is_except = address.except.is_some() && address.except == self.uuid;
        !is_except && self.is_named(&address.recipients, ident)
    }

    fn is_named(&self, recipients: &Recipients, ident: Option<&Ident>) -> bool {
        match recipients {
            Recipients::First { uuid, ident: named } => {
                let has_uuid = uuid.is_some() && *uuid == self.uuid;
                has_uuid || named.is_some() && named.as_ref() == ident && self.uuid.is_some()
            }
            Recipients::Named(named) => {
                let has_uuid = named.uuid.is_some() && named.uuid == self.uuid;
                let has_ident = named.ident.is_some() && named.ident.as_ref() == ident;
                has_uuid || has_ident && self.uuid.is_some()
            }
            Recipients::Among(it) => {
                self.tags.is_some_and(|tags| it.expression.matches(tags))
                    && self.is_named(&it.recipients, ident)
            }
            Recipients::Without(it) => {
                !self.uuid.is_some_and(|uuid| it.uuids.contains(&uuid))
                    && self.is_named(&it.recipients, ident)
            }
            _ => false,
        }
    }

    fn matches(&self, address: &Address) -> bool {
        let is_except = address.except.is_some() && address.except == self.uuid;
        !is_except && self.tags.is_some_and(|tags| self.is_among(&address.recipients, tags))
    }

    fn is_among(&self, recipients: &Recipients, tags: &Tags) -> bool {
        match recipients {
            Recipients::Matching(query) => query.iter().all(|tag| tags.have(tag)),
            Recipients::Expression(expression) => expression.matches(tags),
            Recipients::Among(it) => {
                it.expression.matches(tags) && self.is_among(&it.recipients, tags)
            }
            Recipients::Without(it) => {
                !self.uuid.is_some_and(|uuid| it.uuids.contains(&uuid))
                    && self.is_among(&it.recipients, tags)
            }
            // They are stored as one client, or as unknown.
            Recipients::First { .. } | Recipients::Named(_) | Recipients::TagSequence(_) => false,
        }
    }
}

/// The search for the publications that one client has missed, in parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::broker) struct MissedSearch {
    /// Number of the next publication that is examined.
    next: u64,
    /// Numbers of those that were for the client.
    found: Vec<u64>,
}

impl MissedSearch {
    /// Begins after the publication with this number.
    pub(in crate::broker) fn after(number: u64) -> Self {
        Self { next: number + 1, found: Vec::new() }
    }

    /// Examines at most `most` publications. `hears` returns whether the publication with a number was for the client.
    /// Returns how many were examined.
    pub(in crate::broker) fn run(
        &mut self,
        journal: &Journal,
        most: usize,
        hears: &dyn Fn(u64, &JournalEntry) -> bool,
    ) -> usize {
        // What was dropped cannot be found.
        self.next = self.next.max(journal.floor() + 1);
        let mut examined = 0;
        while examined < most
            && let Some(entry) = journal.get(self.next)
        {
            if hears(self.next, entry) {
                self.found.push(self.next);
            }
            self.next += 1;
            examined += 1;
        }
        examined
    }

    /// Returns whether every publication was examined.
    pub(in crate::broker) fn is_complete(&self, journal: &Journal) -> bool {
        self.next > journal.head()
    }

    /// Returns the numbers of the publications that the client has missed.
    pub(in crate::broker) fn into_found(self) -> Vec<u64> {
        self.found
    }
}
