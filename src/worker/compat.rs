//! Options for compatibility with the old servers that apply before a client has a protocol: they change
//! how handshakes are checked and refused.

use bytes::Bytes;

use crate::http::{Refusal, RefusalStatus, Year};
use crate::protocol::bloatless::BloatlessAnswers;
use crate::protocol::phpws::CompatFlag;
use crate::worker::settings::WorkerSettings;

impl WorkerSettings {
    fn has(&self, flag: CompatFlag) -> bool {
        self.rules.protocols.phpws.switches.has(flag)
    }

    /// Returns true if any flag of `[phpws]` is on.
    pub(super) fn has_any_compat_flag(&self) -> bool {
        !self.rules.protocols.phpws.switches.is_empty()
    }

    /// Returns true if a handshake without `Origin` is refused.
    pub(super) fn requires_origin(&self) -> bool {
        self.has(CompatFlag::RequireOrigin)
    }

    /// Returns true if a target with a query is a different path.
    pub(super) fn has_exact_target(&self) -> bool {
        self.has(CompatFlag::ExactTarget)
    }

    /// Returns true if scripts that do not identify themselves as scripts get broadcasts.
    pub(super) fn reaches_old_scripts(&self) -> bool {
        self.has(CompatFlag::BroadcastToOldScripts)
    }

    /// Returns true if a client that was refused after its 101 response gets no Close frame.
    pub(super) fn refuses_abruptly(&self) -> bool {
        self.has(CompatFlag::AbruptClose)
    }

    /// Returns the year whose bare status lines refuse a handshake; `None` for complete responses.
    pub(super) fn bare_errors(&self) -> Option<Year> {
        let year = || if self.has(CompatFlag::ErrorsOf2021) { Year::Of2021 } else { Year::Of2026 };
        self.has(CompatFlag::BareErrors).then(year)
    }

    /// Returns true if handshakes of this path are answered with the original's bytes.
    pub(super) fn answers_in_legacy_bytes(&self, wanted: &str) -> bool {
        let is_one = || self.bloatless.applications.iter().any(|one| one.path() == wanted);
        self.bloatless.close.answers == BloatlessAnswers::Legacy && is_one()
    }

    /// Returns the application as the subprotocol of the response. The original sends it even if
    /// the client offered none.
    pub(super) fn protocol_by_path<'a>(&self, wanted: &'a str) -> Option<&'a str> {
        wanted.strip_prefix('/').filter(|_| self.answers_in_legacy_bytes(wanted))
    }

    /// Returns the original's form of a refusal, a bare status line. `None` if the option is off.
    pub(super) fn bare_refusal(&self, wanted: &str, refusal: &Refusal) -> Option<Bytes> {
        let is_legacy = self.bloatless.close.answers == BloatlessAnswers::Legacy;
        let is_unknown = refusal.status == RefusalStatus::NotFound && is_legacy;
        if !is_unknown && !self.answers_in_legacy_bytes(wanted) {
            return None;
        }
        let line = match refusal.status {
            RefusalStatus::UpgradeRequired => "501 Not Implemented",
            status => status.line(),
        };
        Some(format!("HTTP/1.1 {line}\r\n").into())
    }
}
