//! The tags and topics of the client: as the server has them, and as the client wants them on its next connection.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::message::Event;
use crate::target::Tags;

/// Names of topics.
pub(crate) type Topics = BTreeSet<String>;

/// A change of tags and topics: first what is removed and left, then what is set and joined.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct TagChange {
    pub(crate) set: Tags,
    pub(crate) remove: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) join: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) leave: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct OwnTags {
    /// The tags of the options, with the changes that this client has made since.
    wanted: Option<Tags>,
    known: Tags,
    /// The topics of the options, with the changes that this client has made since.
    wanted_topics: Topics,
    topics: Topics,
}

impl OwnTags {
    pub(crate) const fn new(wanted: Option<Tags>, wanted_topics: Topics) -> Self {
        Self { wanted, known: Tags::new(), wanted_topics, topics: Topics::new() }
    }

    /// What the next connection opens with.
    pub(crate) const fn wanted(&self) -> Option<&Tags> {
        self.wanted.as_ref()
    }

    /// The topics that the next connection opens with.
    pub(crate) const fn wanted_topics(&self) -> &Topics {
        &self.wanted_topics
    }

    /// The tags as the server has them.
    pub(crate) const fn known(&self) -> &Tags {
        &self.known
    }

    /// The topics as the server has them.
    pub(crate) const fn topics(&self) -> &Topics {
        &self.topics
    }

    /// What a program learns of a change that it has not made.
    pub(crate) fn event(&self) -> Event {
        Event::Tags { tags: self.known.clone(), topics: self.topics.clone() }
    }

    /// Takes what the server says. Returns whether that is different from before.
    pub(crate) fn set(&mut self, tags: Tags, topics: Topics) -> bool {
        let is_changed = self.known != tags || self.topics != topics;
        (self.known, self.topics) = (tags, topics);
        is_changed
    }

    /// A change of this client that the server has carried out.
    pub(crate) fn changed(&mut self, change: &TagChange) {
        if !change.set.is_empty() || !change.remove.is_empty() {
            change.apply(self.wanted.get_or_insert_default());
        }
        change.apply(&mut self.known);
        change.move_in(&mut self.wanted_topics);
        change.move_in(&mut self.topics);
    }
}

impl TagChange {
    fn apply(&self, tags: &mut Tags) {
        for name in &self.remove {
            tags.remove(name);
        }
        tags.extend(self.set.iter().map(|(name, value)| (name.clone(), value.clone())));
    }

    fn move_in(&self, topics: &mut Topics) {
        topics.retain(|topic| !self.leave.contains(topic));
        topics.extend(self.join.iter().cloned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_left_and_then_joined() {
        let topics =
            |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Topics>();
        let mut own = OwnTags::new(None, topics(&["a", "b"]));
        assert!(own.set(Tags::new(), topics(&["a"])));
        assert!(!own.set(Tags::new(), topics(&["a"])));
        let change = TagChange {
            join: vec!["c".to_owned(), "a".to_owned()],
            leave: vec!["a".to_owned(), "b".to_owned()],
            ..TagChange::default()
        };
        own.changed(&change);
        assert_eq!(
            (own.topics(), own.wanted_topics()),
            (&topics(&["a", "c"]), &topics(&["a", "c"]))
        );
        assert_eq!(own.wanted(), None);
        let json = r#"{"set":{},"remove":[],"join":["c","a"],"leave":["a","b"]}"#;
        assert_eq!(serde_json::to_string(&change).unwrap(), json);
    }
}
