//! Packets of phpWebSocketServer in the form that its clients send.

/// The acknowledgement of a message.
pub const NEXT: &str = r#"{"opcode":"next","fyi":""}"#;

/// Returns a packet to all other clients.
pub fn broadcast(message: &str) -> String {
    format!(r#"{{"opcode":"broadcast","message":"{message}"}}"#)
}

/// Returns a packet that is sent back to the sender.
pub fn echo(message: &str) -> String {
    format!(r#"{{"opcode":"echo","message":"{message}"}}"#)
}

/// Returns a packet to one client by UUID, in the form of the JavaScript client.
pub fn feedback_to(uuid: &str, message: &str) -> String {
    format!(r#"{{"opcode":"feedback","message":"{message}","uuid":"{uuid}","from":"x"}}"#)
}

/// Returns a packet to one client by ident, in the form of the PHP client.
pub fn feedback_to_ident(ident: &str, message: &str) -> String {
    format!(
        r#"{{"opcode":"feedback","ident":"{ident}","uuid":"","message":"{message}","fromUUID":"x"}}"#
    )
}
