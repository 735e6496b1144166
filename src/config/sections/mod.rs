//! The sections of `websock.ini` beside our own: one file for each, with what is in it and how it is
//! read.

pub(super) mod backend;
pub(super) mod bloatless;
pub(super) mod compat;
pub(super) mod echo;
pub(super) mod gomoob;
pub(super) mod jsauth;
pub(super) mod legacy;
pub(super) mod phpws;
pub(super) mod resource;
