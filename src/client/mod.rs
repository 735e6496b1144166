//! What programs speak to a server: the command line, and whoever embeds this crate.

mod access;
mod connection;
mod error;
mod publisher;
mod subscriber;
pub(crate) mod tls;
mod url;

pub use access::{Access, Credentials};
pub use error::ClientError;
pub use publisher::{Publisher, To, publish_to_tags};
pub use subscriber::{Received, Stop, Subscriber};
pub use url::ServerUrl;

/// Why nothing was published.
pub type PublishError = ClientError;
