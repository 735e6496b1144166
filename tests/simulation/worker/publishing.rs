//! Publications of a worker's clients, which wait until the window has room for them.

use tagcast::broker_client::uplink::NewPublication;
use tagcast::broker_client::window_turns::{TurnOutcome, TurnRound};
use tagcast::types::{Address, NamedClient, PayloadForm, Slot, Tenant};
use tagcast::websocket::write;

use super::{LARGE_BYTES, Phase, TENANTS, Window, Worker};
use crate::connection::Connection;
use crate::model::{ClientNo, Model, PublicationNo, To};
use crate::reports;
use crate::shutdown::{Shutdown, Stage};

/// More than the bytes that a publication has in the window in addition to its payload.
const HEAD_BYTES: usize = 500;

/// A publication that waits for room in the window.
#[derive(Debug)]
pub(super) struct Pending {
    slot: Slot,
    client: ClientNo,
    to: To,
}

impl Worker {
    /// Publishes for a client if the window has room.
    pub fn publish(
        &mut self,
        slot: Slot,
        to: &To,
        (model, shutdown): (&mut Model, Shutdown),
    ) -> Option<PublicationNo> {
        let client = self.connections.get(&slot)?.client;
        let tenant = model.lives[client].client.tenant.clone();
        let address = match to {
            To::Matching(query) => Address::matching(query.clone()),
            To::MatchingButSelf(query) => {
                Address::matching(query.clone()).but(model.lives[client].client.uuid)
            }
            To::Uuid(uuid) => Address::first(Some(*uuid), None),
            To::Ident(ident) => Address::first(None, Some(ident.clone())),
            To::Alias(alias) => {
                Address::named(NamedClient { alias: Some(alias.clone()), ..NamedClient::default() })
            }
        };
        let text = next_text(model, client);
        let is_read = !matches!(self.stage, Stage::Quiescing { .. });
        if !is_read || self.broker_client.uplink.is_throttled(&tenant) {
            return None;
        }
        if self.lack_of_room(&tenant, text.len()).is_some() {
            let pending = Pending { slot, client, to: to.clone() };
            self.waiting.push_with(&tenant, |queue| queue.push_back(pending));
            return None;
        }
        let publication = NewPublication {
            tenant: &tenant,
            address: &address,
            form: PayloadForm::Message,
            payload: text.as_bytes(),
        };
        let no = model.publishes(client, to.clone());
        let uplink = &mut self.broker_client.uplink;
        match reports::tracking(no) {
            None if text.len() >= LARGE_BYTES => {
                uplink.publish_large(publication, write::framed_text(text.as_bytes()));
            }
            None => uplink.publish(publication),
            tracking => {
                uplink.publish_tracked(reports::REQUESTER, None, tracking, publication);
                self.reports.open(uplink.last_number(), no);
            }
        }
        self.owed.push_back((self.broker_client.uplink.last_number().0, no));
        self.keeps_to_half(&tenant);
        if !self.drains() || shutdown == Shutdown::WithoutBroker {
            model.promises(no);
        }
        Some(no)
    }

    /// Returns why a publication must wait for the window.
    pub fn lack_of_room(&self, tenant: &Tenant, bytes: usize) -> Option<TurnOutcome> {
        let others_wait = || self.waiting.others_wait(tenant);
        self.broker_client.uplink.lack_of_room(tenant, bytes, others_wait)
    }

    /// Publishes what has waited for the window, in turns of the tenants.
    pub(super) fn resume_waiting(&mut self, model: &mut Model, shutdown: Shutdown) {
        let mut round = TurnRound::default();
        while let Some((tenant, queue)) = self.waiting.select(&mut round) {
            let Some(pending) = queue.pop_front() else { return };
            let tenant = tenant.clone();
            let connection = self.connections.get(&pending.slot);
            let publishes =
                |it: &Connection| it.client == pending.client && it.phase == Phase::Open;
            let outcome = if !connection.is_some_and(publishes) {
                TurnOutcome::Served(0)
            } else if let Some(lack) =
                self.lack_of_room(&tenant, next_text(model, pending.client).len())
            {
                self.waiting.push_with(&tenant, |queue| queue.push_front(pending));
                lack
            } else {
                let _published = self.publish(pending.slot, &pending.to, (model, shutdown));
                TurnOutcome::Served(1)
            };
            self.waiting.settle(&mut round, outcome);
        }
    }

    /// Returns the number of tenants with publications that wait for the window.
    pub fn waiting_tenants(&self) -> usize {
        self.waiting.len()
    }

    /// Checks that a tenant that has just published has at most half of the window while others wait.
    fn keeps_to_half(&mut self, tenant: &Tenant) {
        let (count, bytes) = self.broker_client.uplink.unacknowledged_in(tenant);
        let Window { publications, bytes: most } = self.window;
        let is_more = count > publications / 2 || bytes > most / 2 + HEAD_BYTES;
        if count > 1 && is_more && self.waiting.others_wait(tenant) {
            let fault = || format!("{tenant:?} has {count} and {bytes} bytes while others wait");
            self.fault.get_or_insert_with(fault);
        }
    }

    /// Checks that each publication in the window is counted for its tenant.
    pub(super) fn counts_all_tenants(&mut self) {
        let uplink = &self.broker_client.uplink;
        let used = TENANTS.map(|it| uplink.unacknowledged_in(&Tenant(it.into())).0);
        let all = uplink.unacknowledged();
        if used.iter().sum::<u64>() != all {
            let fault = || format!("{all} publications in the window, {used:?} of the tenants");
            self.fault.get_or_insert_with(fault);
        }
    }
}

/// Returns the text of the next publication, if this client publishes it.
fn next_text(model: &Model, client: ClientNo) -> String {
    format!("{:>width$}", model.published.len(), width = 1 + client % 9 * 20)
}
