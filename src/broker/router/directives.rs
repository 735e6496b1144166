//! Commands that other hosts carry out too, in the order of publications.

use bytes::Bytes;

use super::publications::CommandId;
use super::{Router, names, whereabouts};
use crate::broker::records::RecordKey;
use crate::cluster::{CarriedPublication, CarriedReplay, Forward, ForwardReach};
use crate::link::codec::encode_command;
use crate::link::command::{ClientCommand, CommandKind, CommandOutcome};
use crate::types::{PayloadForm, Sequence, WorkerIncarnation};

/// A command as other hosts would get it.
#[derive(Debug)]
pub(super) struct PreparedDirective {
    command: Bytes,
    scope: DirectiveScope,
}

/// The clients of a command.
#[derive(Clone, Debug)]
enum DirectiveScope {
    One(RecordKey),
    /// All that match, unless they are more than this.
    Matching(Option<u64>),
}

impl PreparedDirective {
    /// Returns whether other hosts get it after this outcome on this one: the client is not here, or there are not too
    /// many that match. A dry run allows none, and only counts.
    pub(super) fn goes_on_after(&self, outcome: &CommandOutcome) -> bool {
        match (&self.scope, outcome) {
            (DirectiveScope::One(_), CommandOutcome::Unknown) => true,
            (DirectiveScope::Matching(max), CommandOutcome::Matched(matched)) => {
                max.is_none_or(|max| max == 0 || matched.clients <= max)
            }
            _ => false,
        }
    }
}

/// Prepares a command for other hosts. `None` if there are none, or if it is from another one.
pub(super) fn prepare(
    router: &Router,
    source: WorkerIncarnation,
    command: &ClientCommand,
) -> Option<PreparedDirective> {
    let has_others = router.hosts.as_ref().is_some_and(|hosts| hosts.are_known());
    if !has_others || source.worker.is_bridge() {
        return None;
    }
    let scope = match &command.kind {
        CommandKind::ChangeTags { uuid, .. } | CommandKind::Close { uuid, .. } => {
            DirectiveScope::One(RecordKey { tenant: command.tenant.clone(), uuid: *uuid })
        }
        CommandKind::ChangeTagsMatching { clients_max, .. }
        | CommandKind::CloseMatching { clients_max, .. } => DirectiveScope::Matching(*clients_max),
        CommandKind::Barrier => return None,
    };
    Some(PreparedDirective { command: encode_command(command).into(), scope })
}

/// Gives a command to the bridge, after the publications before it. Returns false if no other host is to get it.
pub(super) fn forward(router: &mut Router, id: CommandId, directive: PreparedDirective) -> bool {
    names::send_changes(router);
    let moved = match &directive.scope {
        DirectiveScope::One(key) => whereabouts::holder(router, key),
        DirectiveScope::Matching(_) => None,
    };
    let Router { hosts: Some(hosts), workers, last_sequence, .. } = router else { return false };
    let CommandId { source, number } = id;
    let reach = match directive.scope {
        DirectiveScope::Matching(_) => ForwardReach::All,
        DirectiveScope::One(key) => match moved.map(ForwardReach::One) {
            Some(reach) => reach,
            None => match hosts.reach_of(key.uuid) {
                Some(reach) => reach,
                None => return false,
            },
        },
    };
    let publication = CarriedPublication {
        source,
        number,
        generation: hosts.generation,
        sequence: Sequence(*last_sequence),
        route: directive.command,
        form: PayloadForm::Message,
        payload: Bytes::new(),
        is_repeated: workers.get(&source.worker).is_some_and(|member| member.may_repeat),
        directive: Some(0),
        question: None,
        replay: CarriedReplay::None,
    };
    hosts.forwards.push(Forward { reach, publication });
    true
}
