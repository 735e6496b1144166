//! What clients of an application may watch, and what others see of them.

use serde::{Deserialize, Serialize};

use crate::types::limits::{PRESENCE_LINGER, PRESENCE_MEMBERS};
use crate::types::{AllowedNames, ClientFilter, MemberTerms, TagRef, WatchScope, word_choices};

word_choices! {
    /// What the clients of an application may watch, if their tokens do not say it.
    #[derive(Default)]
    PresenceRight {
        /// Nothing.
        #[default]
        Off = "off",
        /// One tag or topic that the client itself has.
        Own = "own",
        /// The clients of its space.
        Any = "any",
    }
}

/// Presence of the clients of an application (`tagcast.v1`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PresenceSettings {
    /// What its clients may watch.
    pub right: PresenceRight,
    /// Names of tags that others see. A name that ends in `*` stands for all that begin with the rest of it.
    pub tags: Vec<Box<str>>,
    /// Whether others see the UUIDs of its clients.
    pub shows_uuids: bool,
    /// How long a client stays a member after it has gone away, in milliseconds.
    pub linger_ms: u32,
    /// Maximum members of a list that its clients get.
    pub members: u32,
}

impl Default for PresenceSettings {
    fn default() -> Self {
        Self {
            right: PresenceRight::Off,
            tags: Vec::new(),
            shows_uuids: false,
            linger_ms: u32::try_from(PRESENCE_LINGER.as_millis()).unwrap_or(u32::MAX),
            members: PRESENCE_MEMBERS,
        }
    }
}

impl PresenceSettings {
    /// Returns what watchers see of a client whose token says this about its user. `None`: the usual, which is nothing.
    #[must_use]
    pub fn member_terms(&self, info: Option<&str>) -> Option<MemberTerms> {
        let Self { tags, shows_uuids, linger_ms, .. } = self;
        let usual = Self::default();
        let is_usual = tags.is_empty() && !shows_uuids && *linger_ms == usual.linger_ms;
        if is_usual && info.is_none() {
            return None;
        }
        Some(MemberTerms {
            linger_ms: *linger_ms,
            shows_uuid: *shows_uuids,
            tags: tags.clone().into(),
            info: info.map(Into::into),
        })
    }

    /// Returns which clients a client may watch with a query. What its token says wins.
    #[must_use]
    pub fn scope_of(&self, by_token: Option<&AllowedNames>, query: &ClientFilter) -> WatchScope {
        let only = match query {
            ClientFilter::Tags(tags) if tags.len() == 1 => tags.iter().next(),
            _ => None,
        };
        match (by_token, self.right) {
            (Some(AllowedNames::All), _) | (None, PresenceRight::Any) => WatchScope::Any,
            (Some(names), _) => {
                match only.and_then(TagRef::topic).is_some_and(|topic| names.has(topic)) {
                    true => WatchScope::Any,
                    false => WatchScope::Nothing,
                }
            }
            (None, PresenceRight::Own) if only.is_some() => WatchScope::Own,
            (None, PresenceRight::Off | PresenceRight::Own) => WatchScope::Nothing,
        }
    }

    /// Returns whether a client may watch anything.
    #[must_use]
    pub fn allows(&self, by_token: Option<&AllowedNames>) -> bool {
        match by_token {
            Some(AllowedNames::All) => true,
            Some(AllowedNames::Listed(names)) => !names.is_empty(),
            None => self.right != PresenceRight::Off,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Expression, Tag, TagQuery};

    fn query(tags: &[(&str, &str)]) -> ClientFilter {
        let tags = tags.iter().map(|(name, value)| Tag::new(name, value).unwrap());
        ClientFilter::Tags(TagQuery::new(tags).unwrap())
    }

    #[test]
    fn an_application_allows_nothing_one_own_tag_or_everything() {
        let queries = [
            query(&[]),
            query(&[("room", "1")]),
            query(&[("room", "1"), ("role", "x")]),
            ClientFilter::Expression(Expression::parse("room=1").unwrap()),
        ];
        let none = WatchScope::Nothing;
        let own = [none, WatchScope::Own, none, none];
        for (right, scopes) in [
            (PresenceRight::Off, [none; 4]),
            (PresenceRight::Own, own),
            (PresenceRight::Any, [WatchScope::Any; 4]),
        ] {
            let settings = PresenceSettings { right, ..PresenceSettings::default() };
            assert_eq!(queries.each_ref().map(|query| settings.scope_of(None, query)), scopes);
            assert_eq!(settings.allows(None), right != PresenceRight::Off);
        }
    }

    #[test]
    fn a_token_wins_over_the_application_and_may_list_topics() {
        let any = PresenceSettings { right: PresenceRight::Any, ..PresenceSettings::default() };
        let listed = AllowedNames::Listed(["room-*".into()].into());
        let scope = |query: &ClientFilter| any.scope_of(Some(&listed), query);
        assert_eq!(scope(&query(&[("channel", "room-1")])), WatchScope::Any);
        assert_eq!(scope(&query(&[("channel", "news")])), WatchScope::Nothing);
        assert_eq!(scope(&query(&[("role", "room-1")])), WatchScope::Nothing);
        assert_eq!(scope(&query(&[])), WatchScope::Nothing);
        let off = PresenceSettings::default();
        assert_eq!(off.scope_of(Some(&AllowedNames::All), &query(&[])), WatchScope::Any);
        assert!(!any.allows(Some(&AllowedNames::Listed([].into()))));
    }

    #[test]
    fn only_what_is_not_usual_is_sent_to_the_broker() {
        let usual = PresenceSettings::default();
        assert_eq!(usual.member_terms(None), None);
        assert_eq!(usual.member_terms(Some("7")).unwrap().linger_ms, 5000);
        let short = PresenceSettings { linger_ms: 0, ..usual };
        assert_eq!(short.member_terms(None).unwrap().info, None);
    }
}
