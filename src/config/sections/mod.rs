//! The other sections of `websock.ini`. Each file has the settings and the parser of one section.

pub(super) mod api;
pub(super) mod backend;
pub(super) mod bloatless;
pub(super) mod cluster;
pub(super) mod compat;
pub(super) mod echo;
pub(super) mod gomoob;
pub(super) mod jsauth;
pub(super) mod legacy;
pub(super) mod operators;
pub(super) mod phpws;
pub(super) mod rates;
pub(super) mod resource;
pub(super) mod sse;
pub(super) mod tls;
