//! The directory: which names (idents and aliases) clients of all hosts have.
//!
//! Names are few, so every host has all of them. Each host has one record for a name: since when its first client has it.
//! The earliest host gets what is published to the name, and resolves it among its own clients.

mod copy;
mod host_names;
#[cfg(test)]
mod host_tests;
mod name;
mod records;
mod requests;
mod sharing;
#[cfg(test)]
mod tests;

pub use copy::{AnnouncedNames, DirectoryCopy};
pub use name::{DirectoryItem, DirectoryName, NameChange, NameKind, NameRange, NameStamp};
pub use records::{DirectoryBounds, DirectoryCounts, NameDirectory};
pub use sharing::{SharedDirectory, SharedItem};
