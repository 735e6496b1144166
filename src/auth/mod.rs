//! Who may do what, and identities that cannot be forged.

pub mod uuid;
