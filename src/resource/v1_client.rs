//! What requests of `tagcast.v1` use of a client.

use super::ClientHandle;
use super::effect::{Charge, Effect, RequestEffect};
use crate::types::limits::PRESENCE_MEMBERS;
use crate::types::{Address, AllowedNames, ClientFilter, Credentials, Tags, WatchScope};

/// Why a client may not publish to an address.
pub(super) const GUARDED_TOPIC: &str =
    "a guarded topic needs a connection that has shown the application's secret";

impl<'c> ClientHandle<'c> {
    /// Adds a part of a request of `tagcast.v1`.
    pub(super) fn request(&mut self, effect: RequestEffect) {
        self.effects.push(Effect::Request(effect));
    }

    /// Returns whether the client may learn how many clients its publications reach.
    pub(super) fn may_see_counts(&self) -> bool {
        self.rules.access.may_see_counts(self.session.basis)
    }

    /// Returns whether the client may change its own tags.
    pub(super) fn may_choose_tags(&self) -> bool {
        self.session.may_choose_tags(&self.rules.access)
    }

    /// Returns which clients the client may watch with a query.
    pub(super) fn watch_scope(&self, query: &ClientFilter) -> WatchScope {
        self.session.watch_scope(&self.rules.access, query)
    }

    /// Returns how many members a list for the client may have.
    pub(super) fn members_max(&self) -> u32 {
        let settings = self.rules.access.presence_settings(self.session.basis);
        settings.map_or(PRESENCE_MEMBERS, |settings| settings.members)
    }

    /// Returns the names of tags that the client's token allows it to change. `None`: it says nothing about them.
    pub(super) fn retag_names(&self) -> Option<&'c AllowedNames> {
        self.session.retag_names()
    }

    /// Returns whether the client may join a topic.
    pub(super) fn may_join(&self, topic: &str) -> bool {
        let names = self.session.topic_names(&self.rules.access);
        names.is_some_and(|names| names.admits_topic(topic))
    }

    /// Returns whether the client may publish to an address, given the credentials of its message, which are verified.
    /// Only a secret gives access to guarded topics.
    pub(super) fn may_address(&self, address: &Address, shown: Option<&Credentials<'_>>) -> bool {
        shown.is_some()
            || self.rules.access.may_see_counts(self.session.basis)
            || !address.recipients.names_guarded_topics()
    }

    /// Returns the tags that the client's token fixes.
    pub(super) fn fixed_tags(&self) -> Option<&'c Tags> {
        self.session.token().map(|token| &token.verified.claims.tags)
    }

    /// Records why a publication of this call was denied: `permission` or `schema`.
    pub(super) fn note_denied(&mut self, reason: &'static str) {
        self.denied = Some(reason);
    }

    /// Counts the next publications towards the limits of an application.
    pub(super) fn charge_to(&mut self, application: Option<u32>) {
        self.charged = Charge::Application(application);
    }
}
