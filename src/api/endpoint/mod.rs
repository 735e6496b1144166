//! The endpoints: one file for each kind.

pub(super) mod ask;
mod batch;
pub(super) mod info;
mod payload;
pub(super) mod probe;
pub(super) mod publish;
mod recipients;
mod taken;
