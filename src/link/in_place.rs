//! Messages whose publications stay in the bytes of the link.

use super::bridge::arrival_work;
use super::message::{Deliver, ROW_WORK, ToBroker, ToWorker};
use crate::cluster::{Arrival, Forward};
use crate::types::limits::CLOCK_WORK;
use crate::types::{Content, Number};

/// Work for one byte of an encoded address, whose shortest tags have about sixteen bytes.
const ROUTE_WORK: usize = ROW_WORK / 16;

/// A publication as it lies in the bytes of a link. Its route is decoded only if it differs from the one
/// before it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PublishFrame<'b> {
    /// Its number within the worker.
    pub number: Number,
    /// Tenant and address, encoded.
    pub route: &'b [u8],
    /// The content.
    pub content: Content<&'b [u8]>,
}

/// A message of a worker. Publications stay in the bytes of the link.
#[derive(Debug, PartialEq)]
pub enum FromWorker<'b> {
    /// A [`ToBroker::Publish`].
    Publish(PublishFrame<'b>),
    /// A publication of another host, from the bridge.
    Arrive(Arrival<&'b [u8]>),
    /// Any other message.
    Other(ToBroker),
}

impl FromWorker<'_> {
    /// Returns the work that the broker does for a message: see [`ToBroker::work`].
    #[must_use]
    pub fn work(&self) -> usize {
        match self {
            Self::Publish(publish) if publish.is_costly() => CLOCK_WORK,
            Self::Publish(PublishFrame { route, content, .. }) => {
                content.payload.len() + route.len() * ROUTE_WORK
            }
            Self::Arrive(arrival) => arrival_work(arrival),
            Self::Other(message) => message.work(),
        }
    }
}

/// A message of the broker. Publications stay in the bytes of the link.
#[derive(Debug, PartialEq)]
pub enum FromBroker<'b> {
    /// A [`ToWorker::Deliver`].
    Deliver(Deliver<&'b [u8]>),
    /// Any other message.
    Other(ToWorker),
}

/// A message of the broker to the bridge. Publications stay in the bytes of the link.
#[derive(Debug, PartialEq)]
pub enum ForBridge<'b> {
    /// A publication for other hosts.
    Forward(Forward<&'b [u8]>),
    /// Any other message.
    Other(ToWorker),
}
