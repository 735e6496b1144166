//! What programs speak to a server: the command line, and whoever embeds this crate.

mod publisher;

pub use publisher::{PublishError, Publisher, To};
