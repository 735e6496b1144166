//! The link between worker and broker: messages, their bytes, and what carries them.

pub mod codec;
pub mod message;
