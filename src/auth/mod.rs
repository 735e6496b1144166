//! Who may do what, and identities that cannot be forged.

mod access;
pub mod uuid;

pub use access::{Access, Denied, Grant, Right};
