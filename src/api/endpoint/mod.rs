//! The endpoints: one file for each kind.

mod batch;
pub(super) mod info;
pub(super) mod publish;
mod recipients;
