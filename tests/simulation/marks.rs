//! A182: tags that backends change through any worker (rule L12): a count in each client that several of them increase,
//! each step on the condition that the tags have not changed, and changes of all clients that match.

use std::collections::{BTreeMap, BTreeSet};

use tagcast::link::command::{ClientCommand, CommandKind, CommandOutcome};
use tagcast::types::{
    ClientUuid, Number, Tag, TagChange, TagEdit, TagNames, TagVersion, Tags, Tenant, Topics,
    VersionedTags, WorkerIncarnation,
};

/// Name of the tag that counts.
const COUNT: &str = "count";

/// The commands of all backends, and what is known of the counts.
#[derive(Debug, Default)]
pub struct Marks {
    open: BTreeMap<(WorkerIncarnation, Number), Option<Step>>,
    counts: BTreeMap<ClientUuid, Count>,
    /// The change of many clients that is under way. There is one at a time.
    bulk: Option<(WorkerIncarnation, Number)>,
    bulks: u64,
}

/// A step of a count.
#[derive(Clone, Copy, Debug)]
struct Step {
    uuid: ClientUuid,
    to: u64,
}

#[derive(Debug, Default)]
struct Count {
    version: TagVersion,
    value: u64,
    /// Steps that were made, as their backends know.
    done: BTreeSet<u64>,
    /// Steps whose backends have died without an outcome.
    unknown: u64,
}

fn value(tags: &Tags) -> u64 {
    tags.value_of(COUNT).map_or(0, |value| value.parse().unwrap())
}

/// Topics of clients.
pub const TOPICS: [&str; 3] = ["news", "private-y", "x"];

/// Changes the tags and topics of a client that its own connection changes, and no others.
pub fn own_edit(tags: Tags) -> TagEdit {
    let names = ["room", "team"].into_iter().filter(|name| tags.value_of(name).is_none());
    let remove = TagNames::new(names.map(Into::into)).unwrap();
    let leave = TOPICS.into_iter().filter(|topic| !tags.topics().contains(topic));
    let leave = Topics::new(leave.map(Into::into)).unwrap();
    TagEdit::Update { set: tags, remove, leave }
}

impl Marks {
    /// Returns the command for the next step of a count.
    pub fn step(&mut self, tenant: Tenant, uuid: ClientUuid) -> (ClientCommand, u64) {
        let Count { version, value, .. } = self.counts.entry(uuid).or_default();
        let to = *value + 1;
        let edit = TagEdit::setting(Tag::new(COUNT, &to.to_string()).unwrap());
        let change = TagChange { edit, if_version: Some(*version) };
        (ClientCommand { tenant, kind: CommandKind::ChangeTags { uuid, change } }, to)
    }

    /// Returns a change of all clients in a room, unless one is under way.
    pub fn bulk(&mut self, tenant: Tenant) -> Option<ClientCommand> {
        if self.bulk.is_some() {
            return None;
        }
        self.bulks += 1;
        let edit = TagEdit::setting(Tag::new("bulk", &self.bulks.to_string()).unwrap());
        let clients = tagcast::Expression::parse("room=1").unwrap().into();
        let kind = CommandKind::ChangeTagsMatching { clients, clients_max: None, edit };
        Some(ClientCommand { tenant, kind })
    }

    pub fn sent_step(
        &mut self,
        source: WorkerIncarnation,
        number: Number,
        step: (ClientUuid, u64),
    ) {
        let (uuid, to) = step;
        self.open.insert((source, number), Some(Step { uuid, to }));
    }

    pub fn sent_bulk(&mut self, source: WorkerIncarnation, number: Number) {
        self.open.insert((source, number), None);
        self.bulk = Some((source, number));
    }

    /// Records an outcome. A step that two backends have made is an error: one of them is lost.
    pub fn ended(
        &mut self,
        source: WorkerIncarnation,
        number: Number,
        outcome: &CommandOutcome,
    ) -> Result<(), String> {
        // An outcome may come again, if the broker dies between it and the acknowledgement.
        let Some(sent) = self.open.remove(&(source, number)) else { return Ok(()) };
        let Some(Step { uuid, to }) = sent else {
            self.bulk = None;
            return match outcome {
                CommandOutcome::Matched(_) => Ok(()),
                other => Err(format!("a change of many clients is {other:?}")),
            };
        };
        let count = self.counts.entry(uuid).or_default();
        let (CommandOutcome::Tagged(VersionedTags { version, tags })
        | CommandOutcome::Conflict(VersionedTags { version, tags })) = outcome
        else {
            return Ok(());
        };
        if *version > count.version {
            (count.version, count.value) = (*version, value(tags));
        }
        if matches!(outcome, CommandOutcome::Tagged(_)) {
            if value(tags) < to {
                return Err(format!("step {to} of {uuid:?} is answered with {tags:?} (L12)"));
            }
            if !count.done.insert(to) {
                return Err(format!("step {to} of {uuid:?} is made twice (L12)"));
            }
        }
        Ok(())
    }

    /// Records that a worker has died: the outcomes of its commands stay unknown.
    pub fn on_death(&mut self, source: WorkerIncarnation) {
        let open = std::mem::take(&mut self.open);
        let (of_it, others) = open.into_iter().partition(|((own, _), _)| *own == source);
        self.open = others;
        let of_it: BTreeMap<(WorkerIncarnation, Number), Option<Step>> = of_it;
        for step in of_it.into_values().flatten() {
            self.counts.entry(step.uuid).or_default().unknown += 1;
        }
    }

    /// Checks the tags of a client of an idle server: no step that its backend knows of is missing.
    pub fn is_right(&self, uuid: ClientUuid, tags: &Tags) -> Result<(), String> {
        let Some(Count { done, unknown, .. }) = self.counts.get(&uuid) else { return Ok(()) };
        let (least, value) = (done.len() as u64, value(tags));
        if (least..=least + unknown).contains(&value) {
            return Ok(());
        }
        Err(format!("{uuid:?} counts {value} of {least} steps, {unknown} unknown (L12)"))
    }

    /// Checks an idle server: every command has an outcome.
    pub fn are_ended(&self) -> Result<(), String> {
        match self.open.keys().next() {
            None => Ok(()),
            Some(open) => Err(format!("{open:?} has no outcome (L12)")),
        }
    }
}
