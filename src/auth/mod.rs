//! Who may do what, and identities that cannot be forged.

mod access;
mod ground;
pub mod php_session;
mod schema;
pub mod uuid;

pub use access::{Denied, Grant, Permissions, Permit, Right};
pub use ground::AuthBasis;
pub use schema::MessageCheck;
