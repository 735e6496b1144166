//! Presence: how many clients match a query, which ones, and who joins and leaves.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::watch::Receiver;

use crate::error::ErrorCode;
use crate::frame::{MemberFrame, PresenceFrame};
use crate::target::Tags;
use crate::task::Shared;

/// What is watched: tags, a topic or an expression.
///
/// ```
/// use tagcast_client::WatchQuery;
///
/// let room = WatchQuery::tag("room", "1");
/// let news = WatchQuery::topic("news");
/// let other = WatchQuery::expr("room=1 & !(language=FR)");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WatchQuery(Watchable);

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Watchable {
    Tags(Tags),
    Topic(String),
    Expr(String),
}

impl WatchQuery {
    /// Clients that have this tag.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "texts and numbers are passed as they are")]
    pub fn tag(name: impl Into<String>, value: impl ToString) -> Self {
        Self(Watchable::Tags(Tags::from([(name.into(), value.to_string())])))
    }

    /// Clients that have all of these tags.
    #[must_use]
    pub fn tags<N: Into<String>, V: ToString>(tags: impl IntoIterator<Item = (N, V)>) -> Self {
        Self(Watchable::Tags(
            tags.into_iter().map(|(name, value)| (name.into(), value.to_string())).collect(),
        ))
    }

    /// Clients in this topic.
    #[must_use]
    pub fn topic(name: impl Into<String>) -> Self {
        Self(Watchable::Topic(name.into()))
    }

    /// Clients whose tags match an expression.
    #[must_use]
    pub fn expr(expression: impl Into<String>) -> Self {
        Self(Watchable::Expr(expression.into()))
    }
}

/// What a watch reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum WatchMode {
    /// A list of members, and its changes, collected over half a second.
    #[default]
    Members,
    /// Numbers alone, at most once a second.
    Count,
    /// A list of members, once. The watch ends with it.
    Once,
}

/// A client that matches. Cloning it copies no data.
#[derive(Clone, Debug)]
pub struct Member(Arc<MemberFrame>);

impl Member {
    /// Stays the same as long as the client lives. It is no address.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// Reads `info` of its token. `None` without it.
    ///
    /// # Errors
    ///
    /// If it does not have the form of `T`.
    pub fn user<'a, T: Deserialize<'a>>(&'a self) -> Result<Option<T>, serde_json::Error> {
        self.0.user.as_deref().map(|user| serde_json::from_str(user.get())).transpose()
    }

    /// `info` of its token as JSON.
    #[must_use]
    pub fn user_json(&self) -> Option<&str> {
        self.0.user.as_deref().map(RawValue::get)
    }

    /// The tags that its application shows.
    #[must_use]
    pub fn tags(&self) -> &Tags {
        &self.0.tags.0
    }

    /// Its UUID, where its application shows it.
    #[must_use]
    pub fn uuid(&self) -> Option<&str> {
        self.0.uuid.as_deref()
    }
}

/// What a watch knows at one moment. Cloning it copies no member.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
#[expect(clippy::struct_excessive_bools, reason = "two independent facts")]
pub struct Presence {
    members: Arc<BTreeMap<String, Member>>,
    /// Number of clients that match.
    pub count: u64,
    /// Number of distinct users among them.
    pub users: u64,
    /// Whether there are too many members for a list, so that it is empty.
    pub is_long: bool,
    /// Whether one of several hosts has not said in time which of its clients match. Another list follows.
    pub is_partial: bool,
    /// Why the server watches no longer, such as [`ErrorCode::PermissionDenied`]. The watch begins again with the next
    /// connection.
    pub ended: Option<ErrorCode>,
}

impl Presence {
    /// The members. None with [`WatchMode::Count`], and while there are too many.
    pub fn members(&self) -> impl ExactSizeIterator<Item = &Member> {
        self.members.values()
    }

    /// The member with this id.
    #[must_use]
    pub fn member(&self, id: &str) -> Option<&Member> {
        self.members.get(id)
    }

    /// Members that were not there at an earlier moment. None if there were too many members for a list at one of the
    /// moments.
    pub fn joined_since(&self, earlier: &Self) -> impl Iterator<Item = &Member> {
        let is_known = !self.is_long && !earlier.is_long;
        self.members().filter(move |member| is_known && earlier.member(member.id()).is_none())
    }

    /// Members of an earlier moment that are not there any more. None if there were too many members for a list at one
    /// of the moments.
    pub fn left_since<'a>(&self, earlier: &'a Self) -> impl Iterator<Item = &'a Member> {
        earlier.joined_since(self)
    }

    pub(crate) fn apply(&mut self, frame: PresenceFrame) {
        (self.count, self.users) = (frame.count, frame.users);
        let members = Arc::make_mut(&mut self.members);
        if frame.sync {
            members.clear();
            self.is_long = frame.more;
            self.is_partial = frame.partial;
        }
        let joined = frame.members.into_iter().chain(frame.joined);
        members.extend(joined.map(|member| (member.id.clone(), Member(Arc::new(member)))));
        for id in &frame.left {
            members.remove(id);
        }
    }
}

/// What the machine shows a [`Watch`].
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "two independent facts")]
pub(crate) struct Watched {
    pub(crate) presence: Presence,
    /// Counts the changes.
    pub(crate) changes: u64,
    /// The one list that was asked for has come.
    pub(crate) is_finished: bool,
    pub(crate) is_closed: bool,
}

/// A watched query: it is watched on this connection and on each later one, until this is dropped.
///
/// While there is no connection, the last state stays. Changes that come faster than the program asks for them are put
/// together, so a slow program costs no memory and misses no state.
#[derive(Debug)]
#[must_use = "a query is watched as long as the watch lives"]
pub struct Watch {
    shared: Arc<Shared>,
    number: u64,
    state: Receiver<Watched>,
    seen: u64,
}

impl Watch {
    pub(crate) fn new(shared: &Arc<Shared>, query: &WatchQuery, mode: WatchMode) -> Self {
        let (number, state) = shared.machine().watch(query, mode);
        shared.wake();
        Self { shared: Arc::clone(shared), number, state, seen: 0 }
    }

    /// What is known now: nothing before the first list has come.
    #[must_use]
    pub fn presence(&self) -> Presence {
        self.state.borrow().presence.clone()
    }

    /// Waits for the next change, and returns what is known then. None when the client is closed, and after the list of
    /// [`WatchMode::Once`]. After [`Client::reopen`](crate::Client::reopen) it goes on.
    ///
    /// Dropping the future loses nothing.
    pub async fn changed(&mut self) -> Option<Presence> {
        loop {
            {
                let state = self.state.borrow_and_update();
                if state.changes != self.seen {
                    self.seen = state.changes;
                    return Some(state.presence.clone());
                }
                if state.is_finished || state.is_closed {
                    return None;
                }
            }
            self.state.changed().await.ok()?;
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.shared.machine().unwatch(self.number);
        self.shared.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(members: &str) -> PresenceFrame {
        serde_json::from_str(&format!(r#"{{"op":"presence","watch":1,{members}}}"#)).unwrap()
    }

    fn ids<'a>(members: impl Iterator<Item = &'a Member>) -> Vec<&'a str> {
        members.map(Member::id).collect()
    }

    #[test]
    fn a_query_is_one_member() {
        let json = |query: WatchQuery| serde_json::to_string(&query).unwrap();
        assert_eq!(json(WatchQuery::tag("room", 1)), r#"{"tags":{"room":"1"}}"#);
        assert_eq!(json(WatchQuery::topic("news")), r#"{"topic":"news"}"#);
        assert_eq!(json(WatchQuery::expr("a=1")), r#"{"expr":"a=1"}"#);
    }

    /// V132, V196.
    #[test]
    fn members_join_and_leave_whatever_their_names_are() {
        let mut presence = Presence::default();
        let first = r#""sync":true,"count":2,"users":1,"members":[{"id":"__proto__","user":{"id":7}},{"id":"b","tags":{"name":"Ada","age":36},"uuid":"u"}]"#;
        presence.apply(frame(first));
        let earlier = presence.clone();
        assert_eq!((presence.count, presence.users, presence.is_long), (2, 1, false));
        let ada = presence.member("b").unwrap();
        let tags: Vec<_> = ada.tags().iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!((tags, ada.uuid()), (vec![("age", "36"), ("name", "Ada")], Some("u")));
        let proto = presence.member("__proto__").unwrap();
        assert_eq!((proto.user_json(), proto.uuid()), (Some(r#"{"id":7}"#), None));
        assert!(ada.user::<u64>().unwrap().is_none() && proto.user::<u64>().is_err());
        presence.apply(frame(r#""count":2,"users":2,"joined":[{"id":"c"}],"left":["b","x"]"#));
        assert_eq!(ids(presence.members()), ["__proto__", "c"]);
        assert_eq!(ids(presence.joined_since(&earlier)), ["c"]);
        assert_eq!(ids(presence.left_since(&earlier)), ["b"]);
    }

    #[test]
    fn a_list_without_the_clients_of_a_host_is_partial_until_all_are_known() {
        let mut presence = Presence::default();
        let of = |presence: &Presence| (presence.is_partial, presence.members().len());
        presence.apply(frame(
            r#""sync":true,"partial":true,"count":1,"users":1,"members":[{"id":"a"}]"#,
        ));
        assert_eq!(of(&presence), (true, 1));
        presence.apply(frame(r#""count":2,"users":2,"joined":[{"id":"b"}]"#));
        assert_eq!(of(&presence), (true, 2), "a change says nothing about the other hosts");
        presence.apply(frame(r#""sync":true,"count":1,"users":1,"members":[{"id":"c"}]"#));
        assert_eq!(of(&presence), (false, 1));
    }

    #[test]
    fn a_list_that_is_too_long_shows_no_joins_and_no_leaves() {
        let mut presence = Presence::default();
        presence.apply(frame(r#""sync":true,"count":1,"users":1,"members":[{"id":"a"}]"#));
        let short = presence.clone();
        presence.apply(frame(r#""sync":true,"count":500,"users":3,"members":[],"more":true"#));
        assert!(presence.is_long && presence.members().len() == 0);
        assert_eq!(presence.left_since(&short).count(), 0);
        let long = presence.clone();
        presence.apply(frame(r#""sync":true,"count":2,"users":1,"members":[{"id":"b"}]"#));
        assert_eq!(presence.joined_since(&long).count(), 0);
        assert_eq!(ids(presence.joined_since(&short)), ["b"]);
    }
}
