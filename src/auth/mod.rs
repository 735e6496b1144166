//! Who may do what, and identities that cannot be forged.

mod access;
mod ground;
pub mod php_session;
mod schema;
pub mod uuid;

pub use access::{Access, Denied, Grant, Permit, Right};
pub use ground::Ground;
pub use schema::MessageCheck;
