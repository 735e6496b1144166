//! The roles put together: as processes of one binary, or as threads of one process.

mod role;

pub use role::Role;
