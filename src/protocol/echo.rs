//! Echo: messages are sent back to their sender, and there are no publications.

use super::ProtocolSpec;

/// Properties of this protocol family.
pub const SPEC: ProtocolSpec = ProtocolSpec { has_echo_handshake: true, ..ProtocolSpec::BARE };
