//! Changes of the tags of one client (rule L12).

use crate::index::Index;
use crate::index::tag_changes::{set_tags, versioned_tags};
use crate::link::command::CommandOutcome;
use crate::types::{ConnectionRef, TagChange, TagVersion, VersionedTags};

/// The effect of a change.
#[derive(Debug, PartialEq)]
pub(super) enum TagChangeEffect {
    /// The client has these tags now.
    Changed(VersionedTags),
    /// Nothing has changed.
    Nothing(CommandOutcome),
}

/// Applies a change to the client at a place. It gets the version `next` if its tags change.
pub(super) fn change_tags(
    index: &mut Index,
    place: ConnectionRef,
    change: &TagChange,
    next: TagVersion,
) -> TagChangeEffect {
    let Some(present) = versioned_tags(index, place) else {
        return TagChangeEffect::Nothing(CommandOutcome::NotReached);
    };
    if change.if_version.is_some_and(|version| version != present.version) {
        return TagChangeEffect::Nothing(CommandOutcome::Conflict(present));
    }
    match change.edit.apply(&present.tags) {
        Err(_) => TagChangeEffect::Nothing(CommandOutcome::TooManyTags),
        Ok(tags) if tags == present.tags => {
            TagChangeEffect::Nothing(CommandOutcome::Tagged(present))
        }
        Ok(tags) => {
            set_tags(index, place, &tags, next);
            TagChangeEffect::Changed(VersionedTags { version: next, tags })
        }
    }
}

/// The outcome of a change that an earlier broker has applied: the present tags.
pub(super) fn outcome_of_repeated(index: &Index, place: ConnectionRef) -> CommandOutcome {
    versioned_tags(index, place).map_or(CommandOutcome::NotReached, CommandOutcome::Tagged)
}
