//! The endpoints: one file for each kind.

pub(super) mod ask;
mod batch;
pub(super) mod info;
pub(super) mod openapi;
mod payload;
pub(super) mod probe;
pub(super) mod publish;
mod recipients;
mod taken;
