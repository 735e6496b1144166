//! How clients of an application resume.

use serde::{Deserialize, Serialize};

use crate::types::limits::{MAILBOX, RESUME_FOR};

/// How clients of an application resume (`tagcast.v1`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResumeSettings {
    /// How long a client may be away, in milliseconds. 0: clients do not resume.
    pub grace_ms: u32,
    /// Maximum publications to a single client that are kept while it is away.
    pub mailbox: u16,
    /// Maximum publications of the past that a client gets when it asks for the latest ones. 0: none.
    #[serde(default)]
    pub rewind: u32,
}

impl Default for ResumeSettings {
    fn default() -> Self {
        let grace_ms = u32::try_from(RESUME_FOR.as_millis()).unwrap_or(u32::MAX);
        Self { grace_ms, mailbox: MAILBOX, rewind: 0 }
    }
}
