//! How a worker can break the rules of the link.

use std::fmt;

use crate::link::message::VERSION;
use crate::types::{Number, Slot, WorkerIncarnation};

/// A worker that does not keep to the rules of the link; its link ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolError {
    /// It speaks another version of the language.
    Version(u16),
    /// It says that it is another worker.
    Stranger(WorkerIncarnation),
    /// A message that may not come at this point.
    OutOfPlace(&'static str),
    /// It puts a client into a slot that is taken, or with a UUID that is.
    Taken(Slot),
    /// Its publications are not in order.
    Disorder(Number),
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => write!(f, "version {version} instead of {VERSION}"),
            Self::Stranger(source) => {
                write!(f, "says it is worker {} of generation {}", source.worker, source.generation)
            }
            Self::OutOfPlace(what) => write!(f, "{what} out of place"),
            Self::Taken(slot) => write!(f, "slot {slot} or its UUID is taken"),
            Self::Disorder(number) => write!(f, "publication {} out of order", number.0),
        }
    }
}
