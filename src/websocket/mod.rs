//! RFC 6455 after the handshake: bytes in, messages out, and back.
//!
//! Pure: no socket, no clock. [`FrameReader`] takes events out of whatever bytes have arrived and
//! owns memory only while a message is incomplete; the functions of [`write`] append frames.

mod assembly;
mod foreign;
mod header;
mod hixie;
mod mask;
mod opcode;
mod raw;
mod reader;
mod violation;
pub mod write;

pub use foreign::{Foreign, Reader};
pub use header::{Leniency, LoneContinuation, MessageLimits, Peer};
pub use hixie::{HixieForm, HixieReader};
pub use opcode::{Fin, Opcode};
pub use raw::{RawEnd, RawReader};
pub use reader::{Event, FrameReader};
pub use violation::Violation;

use reader::take;
