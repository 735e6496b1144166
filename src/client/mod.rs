//! What programs speak to a server: the command line, and whoever embeds this crate.

mod access;
mod connection;
mod error;
mod pinned;
mod publisher;
mod report;
mod subscriber;
pub(crate) mod tls;
mod tls_failure;
mod url;

pub use access::{Access, Credentials};
pub(crate) use error::printable;
pub use error::{ClientError, Kind};
pub use publisher::{Publisher, To, publish_to_tags};
pub use subscriber::{Received, Stop, Subscriber};
pub use tls_failure::TlsFailure;
pub use url::ServerUrl;

/// Why nothing was published.
pub type PublishError = ClientError;
