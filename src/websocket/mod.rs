//! RFC 6455 after the handshake: bytes in, messages out, and back.
//!
//! Pure: no socket, no clock. [`FrameReader`] takes events out of whatever bytes have arrived and
//! owns memory only while a message is incomplete; the functions of [`write`] append frames.

mod assembly;
mod header;
mod mask;
mod opcode;
mod reader;
mod violation;
pub mod write;

pub use header::{Leniency, LoneContinuation, MessageLimits, Peer};
pub use opcode::{Fin, Opcode};
pub use reader::{Event, FrameReader};
pub use violation::Violation;
