//! Changes that a worker has made to tags of its own clients and that the broker has not confirmed (rule L12).

use std::collections::{BTreeMap, VecDeque};

use crate::types::{Number, Slot, TagEdit, Tags};

/// The unconfirmed changes of all clients. Few clients have one.
#[derive(Debug, Default)]
pub(crate) struct TagsInFlight {
    clients: BTreeMap<Slot, ChangedTags>,
    /// The slot of each unconfirmed change, in order. The send window bounds them.
    order: VecDeque<(Number, Slot)>,
}

#[derive(Debug)]
struct ChangedTags {
    /// The tags that the broker has sent.
    base: Tags,
    changes: VecDeque<(Number, TagEdit)>,
}

impl ChangedTags {
    /// The tags as the client's own resource sees them. The broker refuses a change that adds too many tags.
    fn view(&self) -> Tags {
        let apply = |tags: Tags, (_, edit): &(Number, TagEdit)| edit.apply(&tags).unwrap_or(tags);
        self.changes.iter().fold(self.base.clone(), apply)
    }

    fn confirm(&mut self, up_to: Number) -> bool {
        let before = self.changes.len();
        while self.changes.pop_front_if(|(number, _)| *number <= up_to).is_some() {}
        self.changes.len() < before
    }
}

impl TagsInFlight {
    /// Records a change that is sent to the broker. `present` are the client's tags before it. Returns its tags
    /// after it.
    pub(crate) fn sent(
        &mut self,
        slot: Slot,
        number: Number,
        edit: TagEdit,
        present: &Tags,
    ) -> Tags {
        let base = || ChangedTags { base: present.clone(), changes: VecDeque::new() };
        let changed = self.clients.entry(slot).or_insert_with(base);
        changed.changes.push_back((number, edit));
        self.order.push_back((number, slot));
        changed.view()
    }

    /// Takes the tags that the broker has sent for a client, after its own change `own` if that was the reason.
    /// Returns the client's tags with its unconfirmed changes.
    pub(crate) fn told(&mut self, slot: Slot, tags: Tags, own: Option<Number>) -> Tags {
        let Some(changed) = self.clients.get_mut(&slot) else { return tags };
        changed.base = tags;
        if let Some(number) = own {
            changed.confirm(number);
        }
        let view = changed.view();
        if changed.changes.is_empty() {
            self.clients.remove(&slot);
        }
        view
    }

    /// Removes the changes that the broker has acknowledged. Returns the clients whose tags differ from those
    /// with the changes: the broker has refused one, or it has had no effect.
    pub(crate) fn acknowledged(&mut self, up_to: Number) -> Vec<(Slot, Tags)> {
        let mut reverted = Vec::new();
        while let Some((_, slot)) = self.order.pop_front_if(|(number, _)| *number <= up_to) {
            let Some(changed) = self.clients.get_mut(&slot) else { continue };
            if changed.confirm(up_to) {
                reverted.push((slot, changed.view()));
            }
            if changed.changes.is_empty() {
                self.clients.remove(&slot);
            }
        }
        reverted
    }

    /// Returns the tags that the broker has sent for a client with unconfirmed changes.
    pub(crate) fn base(&self, slot: Slot) -> Option<&Tags> {
        self.clients.get(&slot).map(|changed| &changed.base)
    }

    /// Removes a client that is gone, or whose join is sent again with its changes.
    pub(crate) fn forget(&mut self, slot: Slot) {
        if !self.clients.is_empty() {
            self.clients.remove(&slot);
        }
    }

    /// Returns the memory used for a client, in bytes.
    pub(crate) fn held(&self, slot: Slot) -> usize {
        self.clients.get(&slot).map_or(0, |changed| {
            changed.base.held() + changed.changes.iter().map(|(_, it)| it.held()).sum::<usize>()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Tag;

    const SLOT: Slot = Slot(1);

    fn tag(name: &str, value: &str) -> Tag {
        Tag::new(name, value).unwrap()
    }

    fn tags(list: &[(&str, &str)]) -> Tags {
        Tags::new(list.iter().map(|(name, value)| tag(name, value))).unwrap()
    }

    fn setting(name: &str, value: &str) -> TagEdit {
        TagEdit::setting(tag(name, value))
    }

    #[test]
    fn own_changes_are_seen_at_once_and_those_of_others_below_them() {
        let (mut own, before) = (TagsInFlight::default(), tags(&[("a", "1")]));
        let after = own.sent(SLOT, Number(3), setting("b", "2"), &before);
        assert_eq!(after, tags(&[("a", "1"), ("b", "2")]));
        own.sent(SLOT, Number(5), setting("a", "9"), &after);
        let told = own.told(SLOT, tags(&[("a", "7"), ("c", "3")]), None);
        assert_eq!(told, tags(&[("a", "9"), ("b", "2"), ("c", "3")]));
        let told = own.told(SLOT, tags(&[("a", "7"), ("b", "2")]), Some(Number(3)));
        assert_eq!(told, tags(&[("a", "9"), ("b", "2")]));
        assert_eq!(own.base(SLOT), Some(&tags(&[("a", "7"), ("b", "2")])));
        own.told(SLOT, tags(&[("a", "9")]), Some(Number(5)));
        assert_eq!(own.base(SLOT), None);
        assert_eq!(own.acknowledged(Number(5)), []);
    }

    #[test]
    fn a_change_without_an_effect_ends_with_its_acknowledgement() {
        let (mut own, before) = (TagsInFlight::default(), tags(&[("a", "1")]));
        let after = own.sent(SLOT, Number(1), setting("a", "2"), &before);
        own.sent(SLOT, Number(2), setting("b", "2"), &after);
        let reverted = own.acknowledged(Number(1));
        assert_eq!(reverted, [(SLOT, tags(&[("a", "1"), ("b", "2")]))]);
        own.forget(SLOT);
        assert_eq!((own.acknowledged(Number(2)), own.held(SLOT)), (Vec::new(), 0));
    }
}
