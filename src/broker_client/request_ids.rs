//! Requests of clients that may resume: which were accepted, on this connection of a client or an earlier one.
//!
//! A client has one place, and before it resumes, its former worker has sent everything that it has read. So the worker
//! of a client decides alone whether a request is repeated.

use super::resumable::{InstanceIds, RequestInFlight, RequestVerdict, ResumableClients};
use crate::link::resume::{ClientRequest, FromResumable};
use crate::types::{ClientUuid, IdNovelty, Number, Slot};

impl ResumableClients {
