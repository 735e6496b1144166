//! Combines the roles: as processes of one binary, or as threads of one process.

mod builder;
mod in_process;
mod role;

pub use builder::Builder;
pub use in_process::InProcess;
pub use role::Role;
