//! RFC 6455 after the handshake: reads messages from bytes and writes messages to bytes.
//!
//! Pure: no socket, no clock. [`FrameReader`] reads events from received bytes and holds heap
//! memory only while a message is incomplete. The functions of [`write`] append frames to a buffer.

mod assembly;
mod header;
mod legacy;
mod mask;
mod opcode;
mod reader;
mod violation;
pub mod write;

pub use self::legacy::hixie::HixieReader;
pub use self::legacy::raw::{RawEnd, RawReader};
pub use self::legacy::{LegacyFraming, MessageReader, UnexpectedInput};
pub use header::{Leniency, LoneContinuation, MessageLimits, PeerRole};
pub use opcode::{Fin, Opcode};
pub use reader::{FrameEvent, FrameReader};
pub use violation::Violation;

use reader::take;
