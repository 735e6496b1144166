//! Clients for the command line, and a publisher for programs that embed this crate.

pub(crate) mod api;
mod api_url;
mod connection;
mod credentials;
mod error;
pub(crate) mod following;
pub(crate) mod health;
mod pinned;
pub(crate) mod public;
mod publisher;
mod received;
mod report;
pub(crate) mod tls;
mod tls_failure;
mod url;

pub(crate) use self::api_url::ApiUrl;
pub use self::credentials::{ApplicationKey, ClientCredentials};
pub(crate) use error::printable;
pub use error::{ClientError, ClientErrorKind};
pub use publisher::{Destination, Publisher, publish_to_tags};
pub(crate) use received::Received;
pub use tls_failure::TlsFailure;
pub use url::ServerUrl;

/// The error of a failed publication.
pub type PublishError = ClientError;
