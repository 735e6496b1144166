//! Messages back to their sender, and no publications.

use super::ProtocolSpec;

/// What this family answers.
pub const SPEC: ProtocolSpec = ProtocolSpec { has_echo_handshake: true, ..ProtocolSpec::BARE };
