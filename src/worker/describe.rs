//! Describes clients for other processes.

use std::time::Duration;

use super::connection::Phase;
use super::connection::outbox::Outbox;
use super::connection::table::ConnectionTable;
use super::context::Context;
use super::dispatch::token_refresh;
use crate::link::query::{DescribeAnswer, DescribeRequest, QueryResult};
use crate::types::{ClientDescription, Slot, VersionedTags};

/// When the connections were opened, by slot. It is not in the connections: only this file reads it.
#[derive(Debug, Default)]
pub(super) struct OpenTimes(Vec<u32>);

impl OpenTimes {
    /// Records that the connection of a slot was opened, at this Unix time.
    pub(super) fn note(&mut self, slot: Slot, now: Duration) {
        let at = position(slot);
        if at >= self.0.len() {
            self.0.resize(at + 1, 0);
        }
        if let Some(opened) = self.0.get_mut(at) {
            *opened = u32::try_from(now.as_secs()).unwrap_or(u32::MAX);
        }
    }

    fn of(&self, slot: Slot) -> u32 {
        self.0.get(position(slot)).copied().unwrap_or_default()
    }
}

fn position(slot: Slot) -> usize {
    // lossless: the crate is built for targets of 32 bits and more
    usize::try_from(slot.0).unwrap_or(usize::MAX)
}

/// Answers a question of the broker about a client.
pub(super) fn answer(
    context: &mut Context,
    connections: &mut ConnectionTable,
    mut request: DescribeRequest,
) {
    if let Some(token) = request.token.take() {
        return token_refresh::refresh_for_backend(context, connections, &request, &token);
    }
    let DescribeRequest { asker, number, slot, .. } = request;
    let result = QueryResult::Described(describe(context, connections, slot).map(Box::new));
    context.broker.uplink.describe(DescribeAnswer { asker, number, result });
}

/// Returns what is known about a client; `None` if its connection is not open any more.
fn describe(
    context: &Context,
    connections: &ConnectionTable,
    slot: Slot,
) -> Option<ClientDescription> {
    let connection = connections.get(slot)?;
    let Phase::Open(session) = &connection.phase else { return None };
    let client = context.broker.uplink.client(slot)?;
    let VersionedTags { version, tags } = context.broker.uplink.confirmed_tags(slot)?;
    let outbox = connection.outbox.as_deref();
    let resource = context.resources.get(connection.resource);
    let token = session.token().map(|token| &token.verified);
    let of_token = || token.and_then(|token| token.claims.user.as_deref());
    let user = resource.and_then(|resource| resource.user(session.uuid)).or_else(of_token);
    let application = context.settings.rules.access.application_of(session.basis);
    Some(ClientDescription {
        uuid: session.uuid,
        ident: client.ident.clone(),
        class: client.class,
        tags,
        version,
        worker: context.broker.uplink.source().worker,
        dialect: session.protocol.name().into(),
        application: application.map(Into::into),
        ip: client.ip,
        opened_at: context.open_times.of(slot),
        user: user.map(Into::into),
        token: session.token().map(token_refresh::described),
        outbox_bytes: outbox.map_or(0, |outbox| count(outbox.bytes())),
        outbox_waiting: outbox.map_or(0, Outbox::waiting),
    })
}

fn count(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_has_the_time_of_its_last_connection() {
        let mut times = OpenTimes::default();
        times.note(Slot(3), Duration::from_secs(1_764_345_600));
        assert_eq!(
            (times.of(Slot(3)), times.of(Slot(0)), times.of(Slot(9))),
            (1_764_345_600, 0, 0)
        );
        times.note(Slot(3), Duration::from_millis(1_764_345_700_900));
        assert_eq!(times.of(Slot(3)), 1_764_345_700);
    }
}
