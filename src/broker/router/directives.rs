//! Commands that other hosts carry out too, in the order of publications, and what publishers await of other hosts:
//! reports on what sockets have taken, and answers of clients.

use std::time::Duration;

use bytes::Bytes;

use super::publications::CommandId;
use super::{ProtocolError, Router, names, whereabouts};
use crate::broker::records::RecordKey;
use crate::broker::tracking::BegunTracking;
use crate::cluster::{CarriedPublication, CarriedQuestion, CarriedReplay, Forward, ForwardReach};
use crate::link::codec::encode_command;
use crate::link::command::{ClientCommand, CommandKind, CommandOutcome};
use crate::link::message::{PublishFrame, ToBroker};
use crate::types::limits::WRITE_TIMEOUT_MAX;
use crate::types::{PayloadForm, Sequence, TrackedSubject, Tracking, WorkerIncarnation};

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
        report_ms: None,
        replay: CarriedReplay::None,
    };
    hosts.forwards.push(&Forward { reach, publication });
    true
}

/// What other hosts are to answer.
#[derive(Clone, Copy, Debug)]
pub(super) enum AwaitedOfHosts {
    Nothing,
    /// How many sockets have taken the publication within this time, in milliseconds.
    Report(u32),
    /// What the client says.
    Answer(CarriedQuestion),
}

impl AwaitedOfHosts {
    /// Returns what another host needs to report on a publication. The publisher of an arrival awaits the report of this
    /// host alone.
    pub(super) fn of(source: WorkerIncarnation, tracking: Option<&BegunTracking>) -> Self {
        let tracking = tracking.filter(|_| !source.worker.is_bridge());
        let Some(Tracking { subject, within }) = tracking.map(|begun| begun.tracking) else {
            return Self::Nothing;
        };
        let within_ms = u32::try_from(within.as_millis()).unwrap_or(u32::MAX);
        match subject {
            TrackedSubject::Writes | TrackedSubject::TimedWrites => Self::Report(within_ms),
            TrackedSubject::Answer(token) => Self::Answer(CarriedQuestion { token, within_ms }),
        }
    }

    pub(super) fn question(self) -> Option<CarriedQuestion> {
        match self {
            Self::Answer(question) => Some(question),
            Self::Nothing | Self::Report(_) => None,
        }
    }

    pub(super) fn report_ms(self) -> Option<u32> {
        match self {
            Self::Report(within_ms) => Some(within_ms),
            Self::Nothing | Self::Answer(_) => None,
        }
    }
}

/// Returns what another host awaits of a publication.
pub(super) fn tracking_of<B>(publication: &CarriedPublication<B>) -> Option<Tracking> {
    let within = |millis: u32| Duration::from_millis(millis.into());
    if let Some(CarriedQuestion { token, within_ms }) = publication.question {
        let (subject, within) = (TrackedSubject::Answer(token), within(within_ms));
        return Some(Tracking { subject, within });
    }
    let within = within(publication.report_ms?).min(WRITE_TIMEOUT_MAX);
    Some(Tracking { subject: TrackedSubject::Writes, within })
}

/// Delivers a publication of another host that awaits a report, or the answer of its client.
pub(super) fn track(
    router: &mut Router,
    source: WorkerIncarnation,
    frame: PublishFrame<'_>,
    tracking: Tracking,
) -> Result<(), ProtocolError> {
    // The request for a report is for this publication, so it must be readable.
    frame.route().map_err(ProtocolError::Malformed)?;
    let tracking = Some(tracking);
    router.apply_or_hold(source, ToBroker::Count { clients_max: None, tracking })?;
    router.on_publish(source, frame)
}
