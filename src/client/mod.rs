//! WebSocket client for the command line and for programs that embed this crate.

pub(crate) mod api;
mod api_url;
mod connection;
mod credentials;
mod error;
pub(crate) mod health;
mod pinned;
pub(crate) mod public;
mod publisher;
mod report;
mod subscriber;
pub(crate) mod tls;
mod tls_failure;
mod url;

pub(crate) use self::api_url::ApiUrl;
pub use self::credentials::{ApplicationKey, ClientCredentials};
pub(crate) use error::printable;
pub use error::{ClientError, ClientErrorKind};
pub use publisher::{Destination, Publisher, publish_to_tags};
pub use subscriber::{Received, StopHandle, Subscriber};
pub use tls_failure::TlsFailure;
pub use url::ServerUrl;

/// The error of a failed publication.
pub type PublishError = ClientError;
