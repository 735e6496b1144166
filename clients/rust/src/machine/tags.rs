//! The tags of the client: as the server has them, and as the client wants them on its next connection.

use serde::Serialize;

use crate::target::Tags;

/// A change of tags: first what is removed, then what is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct TagChange {
    pub(crate) set: Tags,
    pub(crate) remove: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct OwnTags {
    /// The tags of the options, with the changes that this client has made since.
    wanted: Option<Tags>,
    known: Tags,
}

impl OwnTags {
    pub(crate) const fn new(wanted: Option<Tags>) -> Self {
        Self { wanted, known: Tags::new() }
    }

    /// What the next connection opens with.
    pub(crate) const fn wanted(&self) -> Option<&Tags> {
        self.wanted.as_ref()
    }

    /// The tags as the server has them.
    pub(crate) const fn known(&self) -> &Tags {
        &self.known
    }

    /// Takes what the server says. Returns whether that is different from before.
    pub(crate) fn set(&mut self, tags: Tags) -> bool {
        let is_changed = self.known != tags;
        self.known = tags;
        is_changed
    }

    /// A change of this client that the server has carried out.
    pub(crate) fn changed(&mut self, change: &TagChange) {
        change.apply(self.wanted.get_or_insert_default());
        change.apply(&mut self.known);
    }
}

impl TagChange {
    fn apply(&self, tags: &mut Tags) {
        for name in &self.remove {
            tags.remove(name);
        }
        tags.extend(self.set.iter().map(|(name, value)| (name.clone(), value.clone())));
    }
}
