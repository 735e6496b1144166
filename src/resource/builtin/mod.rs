//! Built-in resources.

pub(crate) mod broadcast;
pub(crate) mod echo;
pub(crate) mod gomoob;
pub(crate) mod phpws;
pub(crate) mod v1;
