//! Who may do what, and identities that cannot be forged.

mod access;
mod ground;
pub mod php_session;
pub mod uuid;

pub use access::{Access, Denied, Grant, Right};
pub use ground::Ground;
