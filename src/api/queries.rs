//! Questions and commands of requests to the broker. Commands are in one window with publications, and in their
//! order.

use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::{Instant, timeout_at};

use super::publisher::{ApiPublisher, NotTaken, PublisherState};
use super::window_waits::WindowRequest;
use crate::link::command::{ClientCommand, CommandKind, CommandOutcome};
use crate::link::query::{QueryKind, QueryResult};
use crate::types::{Number, Tenant};

/// A question whose answer a request awaits. It is dropped with the request, so that a new broker is not asked
/// for nothing.
struct AwaitedAnswer<'a> {
    publisher: &'a ApiPublisher,
    number: u32,
}

/// A command that was taken over. Its outcome arrives with the acknowledgement of the broker.
#[derive(Debug)]
pub(super) struct CommandReceipt {
    /// Its number in the window.
    pub(super) number: Number,
    outcome: oneshot::Receiver<CommandOutcome>,
}

/// A request that waits for the outcome of a command.
#[derive(Debug)]
pub(super) struct AwaitedOutcome {
    sender: oneshot::Sender<CommandOutcome>,
    /// Free again when the outcome arrives, even if the request has stopped waiting.
    _place: Option<OwnedSemaphorePermit>,
}

impl AwaitedOutcome {
    /// Passes the outcome on. The request may have stopped waiting.
    pub(super) fn send(self, outcome: CommandOutcome) {
        let _gone = self.sender.send(outcome);
    }
}

/// Bytes of the largest command in the window, rounded up: a client has at most 128 tags of 510 bytes.
const COMMAND_BYTES: usize = 128 * 1024;

impl CommandReceipt {
    /// Waits for the outcome. Returns `None` if the broker does not acknowledge by this time. The command stays
    /// in the window, and a broker will carry it out.
    pub(super) async fn outcome(self, until: Instant) -> Option<CommandOutcome> {
        timeout_at(until, self.outcome).await.ok()?.ok()
    }
}

impl Drop for AwaitedAnswer<'_> {
    fn drop(&mut self) {
        let PublisherState { client, asking, .. } = &mut *self.publisher.state.borrow_mut();
        if asking.remove(&self.number).is_some() {
            client.uplink.drop_query(self.number);
        }
    }
}

impl ApiPublisher {
    /// Asks the broker about the clients of a tenant; this one or its successor answers. `None` if neither does
    /// by this time.
    pub(super) async fn query(
        &self,
        tenant: &Tenant,
        kind: QueryKind,
        until: Instant,
    ) -> Option<QueryResult> {
        let (sender, answer) = oneshot::channel();
        let awaited = {
            let PublisherState { client, asking, .. } = &mut *self.state.borrow_mut();
            let number = client.uplink.query_for_process(tenant.clone(), kind)?;
            asking.insert(number, sender);
            AwaitedAnswer { publisher: self, number }
        };
        self.wake.notify_one();
        let answer = timeout_at(until, answer).await.ok()?.ok();
        drop(awaited);
        answer
    }

    /// Accepts a command about clients of a tenant.
    ///
    /// # Errors
    ///
    /// If the window has no room for it by this time.
    pub(super) async fn command(
        &self,
        tenant: &Tenant,
        kind: CommandKind,
        until: Instant,
    ) -> Result<CommandReceipt, NotTaken> {
        self.command_in(None, tenant, kind, until).await
    }

    /// Accepts a command that keeps a place until its outcome arrives.
    ///
    /// # Errors
    ///
    /// If the window has no room for it by this time.
    pub(super) async fn command_in(
        &self,
        place: Option<OwnedSemaphorePermit>,
        tenant: &Tenant,
        kind: CommandKind,
        until: Instant,
    ) -> Result<CommandReceipt, NotTaken> {
        let (publisher, bytes) = (self, COMMAND_BYTES);
        WindowRequest { publisher, tenant, bytes, turn: None }.wait(until).await?;
        let (sender, outcome) = oneshot::channel();
        let number = {
            let mut state = self.state.borrow_mut();
            let command = ClientCommand { tenant: tenant.clone(), kind };
            let number = state.client.uplink.command(command);
            state.commanded.insert(number, AwaitedOutcome { sender, _place: place });
            number
        };
        self.wake.notify_one();
        Ok(CommandReceipt { number, outcome })
    }
}
