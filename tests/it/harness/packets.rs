//! phpWebSocketServer's packets, as its clients write them.

/// The acknowledgement of a message.
pub const NEXT: &str = r#"{"opcode":"next","fyi":""}"#;

/// To everyone else.
pub fn broadcast(message: &str) -> String {
    format!(r#"{{"opcode":"broadcast","message":"{message}"}}"#)
}

/// Back to the sender.
pub fn echo(message: &str) -> String {
    format!(r#"{{"opcode":"echo","message":"{message}"}}"#)
}

/// To one client by UUID, in the shape of the JavaScript client.
pub fn feedback_to(uuid: &str, message: &str) -> String {
    format!(r#"{{"opcode":"feedback","message":"{message}","uuid":"{uuid}","from":"x"}}"#)
}

/// To one client by ident, in the shape of the PHP client.
pub fn feedback_to_ident(ident: &str, message: &str) -> String {
    format!(
        r#"{{"opcode":"feedback","ident":"{ident}","uuid":"","message":"{message}","fromUUID":"x"}}"#
    )
}
