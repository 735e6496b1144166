//! What is known about one connected client.

use core::net::IpAddr;

use super::{ClientClass, ClientUuid, Ident, TagVersion, Tags, WorkerId};

/// What the worker of a client knows about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientDescription {
    /// Its UUID.
    pub uuid: ClientUuid,
    /// Name that it gave itself.
    pub ident: Option<Ident>,
    /// Web-type or php-type.
    pub class: ClientClass,
    /// Its tags.
    pub tags: Tags,
    /// Version of these tags, for changes with a condition.
    pub version: TagVersion,
    /// Its worker.
    pub worker: WorkerId,
    /// Name of the protocol family of its connection.
    pub dialect: Box<str>,
    /// Key of the application that admitted it; `None` if it needed none.
    pub application: Option<Box<str>>,
    /// Its address, after trusted proxies are taken into account.
    pub ip: IpAddr,
    /// Unix second at which its connection was opened.
    pub opened_at: u32,
    /// The user that its backend or its token has named, as JSON.
    pub user: Option<Box<str>>,
    /// The token that it was admitted with.
    pub token: Option<DescribedToken>,
    /// Bytes in its outbox.
    pub outbox_bytes: u64,
    /// Deliveries in its outbox.
    pub outbox_waiting: u64,
}

/// What is shown of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedToken {
    /// The user that it names.
    pub subject: Option<Box<str>>,
    /// Unix second at which it expires.
    pub expires: u64,
    /// Id of the key that signed it.
    pub key: Box<str>,
}

/// Clients and tags of one tenant, and what was published there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TenantStatistics {
    /// Clients that tags can reach.
    pub web: u64,
    /// Clients that take publications by name only.
    pub php: u64,
    /// Clients that take no publications.
    pub send_only: u64,
    /// Publications that this broker has resolved.
    pub publications: u64,
    /// Their recipients.
    pub deliveries: u64,
    /// Tag names in the part that was searched.
    pub tag_names: u64,
    /// Values of these names.
    pub tag_values: u64,
    /// Where the next part begins; `None` after the last one.
    pub rest: Option<u32>,
}
