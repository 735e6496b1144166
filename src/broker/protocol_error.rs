//! Violations of the rules of the link by a worker.

use std::fmt;

use crate::link::codec::Malformed;
use crate::link::message::VERSION;
use crate::types::{Number, Slot, WorkerIncarnation};

/// A violation of the rules of the link by a worker. Its link is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolError {
    /// The worker uses this other protocol version.
    Version(u16),
    /// The worker identifies itself as another worker.
    OtherWorker(WorkerIncarnation),
    /// A message that is not allowed at this point.
    OutOfPlace(&'static str),
    /// The worker put a client into a taken slot, or with a UUID that is already connected.
    Taken(Slot),
    /// The address of a publication cannot be decoded.
    Malformed(Malformed),
    /// The number of this publication is not greater than that of the previous one.
    Disorder(Number),
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => write!(f, "version {version} instead of {VERSION}"),
            Self::OtherWorker(source) => {
                write!(
                    f,
                    "identifies itself as worker {} of generation {}",
                    source.worker, source.generation
                )
            }
            Self::OutOfPlace(what) => write!(f, "unexpected {what}"),
            Self::Taken(slot) => write!(f, "slot {slot} or its UUID is taken"),
            Self::Malformed(malformed) => write!(f, "{malformed}"),
            Self::Disorder(number) => write!(f, "publication {} out of order", number.0),
        }
    }
}
