//! Questions of requests to the broker.

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::publisher::{ApiPublisher, PublisherState};
use crate::link::query::{QueryKind, QueryResult};
use crate::types::Tenant;

/// A question whose answer a request awaits. It is dropped with the request, so that a new broker is not asked
/// for nothing.
struct AwaitedAnswer<'a> {
    publisher: &'a ApiPublisher,
    number: u32,
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
}
