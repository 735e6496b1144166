//! RFC 6455 after the handshake: bytes in, messages out, and back.
//!
//! Pure: no socket, no clock. [`FrameReader`] takes events out of whatever bytes have arrived and
//! owns memory only while a message is incomplete; the functions of [`write`] append frames.

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
pub use self::legacy::{LegacyFraming, MessageReader};
pub use header::{Leniency, LoneContinuation, MessageLimits, PeerRole};
pub use opcode::{Fin, Opcode};
pub use reader::{FrameEvent, FrameReader};
pub use violation::Violation;

use reader::take;
