//! The words that every room shares: who, to whom, what, and every number with its reason.

mod address;
mod alias;
mod budget;
mod client;
mod close;
mod counts;
mod credentials;
mod encryption;
mod ids;
mod ip_range;
pub mod limits;
mod origin;
mod pressure;
mod publication;
mod slots;
mod switches;
mod tag;
mod wiped;

pub use address::{Address, Laxity, Named, Recipients};
pub use alias::{Alias, Claim, GrantNumber, Keeping};
pub use budget::TurnBudget;
pub use client::{Client, ClientClass, Counted, Ident, IdentError};
pub use close::{CloseCode, CloseReason};
pub use counts::{BrokerCounts, Counts, WorkerCounts};
pub use credentials::Credentials;
pub use encryption::Encryption;
pub use ids::{
    ClientUuid, ConfigNumber, Generation, JoinNumber, Number, Place, Sequence, Slot, Source,
    Tenant, WorkerId,
};
pub use ip_range::{IpRange, counted_as};
pub use origin::{HostPattern, NoOrigin, Origin, OriginPattern, canonical_host};
pub use pressure::{Allowance, Pressure};
pub use publication::{Content, Form, Publication};
pub use slots::SlotSet;
pub use switches::{Switch, Switches};
pub use tag::{Tag, TagError, TagQuery, Tags};
pub use wiped::{WipedBytes, scrub_stack};
