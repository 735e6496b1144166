//! HTTP behavior that clients and servers before RFC 6455 expect.

pub(crate) mod hixie;
pub(crate) mod legacy_errors;
pub(crate) mod malformed_2021;
pub(crate) mod old_scripts;
pub(crate) mod raw;
