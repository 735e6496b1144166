//! The endpoints: one file for each kind.

pub(super) mod info;
pub(super) mod publish;
