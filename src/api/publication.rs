//! A publication of the API, and what the broker says about it.

use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;
use tokio::time::{Instant, timeout_at};

use super::traces::PublicationTrace;
use super::window_waits::BatchTurn;
use crate::broker_client::uplink::NewPublication;
use crate::link::message::CountedPublication;
use crate::replay::IdOutcome;
use crate::types::{Address, PayloadForm, PublicationId, Tenant};

/// The counts of the broker, after every link has accepted the publication (rule L5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reached {
    /// Clients that the address matched.
    pub(super) clients: u64,
    /// Workers that hold these clients.
    pub(super) workers: u32,
    /// Nonzero if an expression was not evaluated because it would scan too many values.
    pub(super) scan_values: u64,
    /// Whether it is kept for a client that is away.
    pub(super) is_away: bool,
    /// The hosts that get it.
    pub(super) hosts: ReachedHosts,
    /// What is known about the id of the publication.
    pub(super) id: IdOutcome,
}

/// The hosts that get a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReachedHosts {
    /// This one alone.
    Own,
    /// Others, too.
    Others,
}

/// Why a publication was not taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotTaken {
    /// The window stayed full.
    NoRoom,
    /// The tenant stayed throttled.
    Throttled,
    /// Too many reports are open.
    TooManyReports,
}

/// The content of a publication.
#[derive(Clone, Copy, Debug)]
pub(super) struct ApiPublication<'a> {
    pub(super) tenant: &'a Tenant,
    pub(super) address: &'a Address,
    pub(super) form: PayloadForm,
    pub(super) payload: &'a [u8],
    /// Its id, which the request has claimed.
    pub(super) id: Option<PublicationId>,
    /// The trace of its request.
    pub(super) trace: Option<PublicationTrace<'a>>,
    /// The turn of its batch.
    pub(super) turn: Option<&'a BatchTurn>,
}

impl Reached {
    /// Reads what the broker says.
    pub(super) fn new(counted: CountedPublication, id: IdOutcome) -> Self {
        let CountedPublication { clients, workers, scan_values, away, is_forwarded, .. } = counted;
        let hosts = if is_forwarded { ReachedHosts::Others } else { ReachedHosts::Own };
        Self { clients, workers, scan_values, is_away: away == Some(true), hosts, id }
    }
}

impl<'a> From<ApiPublication<'a>> for NewPublication<'a> {
    fn from(publication: ApiPublication<'a>) -> Self {
        let ApiPublication { tenant, address, form, payload, .. } = publication;
        Self { tenant, address, form, payload }
    }
}

/// A publication that was accepted. Its count arrives with the acknowledgement of the broker.
#[derive(Debug)]
pub(super) struct PublicationReceipt(pub(super) oneshot::Receiver<Reached>);

impl PublicationReceipt {
    /// Waits for the count. Returns `None` if the broker does not acknowledge by the deadline. The
    /// publication stays in the window and will be delivered.
    pub(super) async fn reached(mut self, until: Instant) -> Option<Reached> {
        // Without a timer if it is known already, as for most publications of a batch.
        match self.0.try_recv() {
            Ok(reached) => Some(reached),
            Err(TryRecvError::Closed) => None,
            Err(TryRecvError::Empty) => timeout_at(until, self.0).await.ok()?.ok(),
        }
    }
}
