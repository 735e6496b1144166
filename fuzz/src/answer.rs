//! Answers of backends: accepted answers are bounded, and agree with a JSON parser.

use serde_json::Value;
use tagcast::webhook::{COMMANDS_MAX, USER_BYTES_MAX, WebhookCommand, parse};

/// Parses the bytes as an answer.
pub fn run(data: &[u8]) {
    let json = serde_json::from_slice::<Value>(data);
    match parse(data) {
        Ok(commands) => {
            assert!(commands.len() <= COMMANDS_MAX);
            commands.iter().for_each(bounded);
            // `serde_json::Value` rejects some numbers and escapes in members that the parser
            // ignores.
            if let Ok(json) = json {
                assert_eq!(commands.len(), count(&json), "{json}");
            }
        }
        Err(why) => assert!(!why.to_string().is_empty()),
    }
}

fn bounded(command: &WebhookCommand) {
    match command {
        WebhookCommand::Accept { user: Some(user), tags } => {
            assert!(user.len() <= USER_BYTES_MAX);
            assert!(tags.iter().all(|tag| !tag.is_servers_own()));
        }
        WebhookCommand::Tag { set, remove } => {
            assert!(set.iter().all(|tag| !tag.is_servers_own()));
            assert!(remove.iter().all(|name| !name.starts_with('@')));
        }
        WebhookCommand::Close(reason) => {
            assert!(matches!(reason.code.0, 1000 | 3000..=4999) && reason.text.len() <= 123);
        }
        WebhookCommand::Refuse(reason) => assert!(reason.len() <= 123),
        _ => {}
    }
}

fn count(json: &Value) -> usize {
    match json {
        Value::Array(list) => list.len(),
        Value::Object(members) => match members.get("commands") {
            Some(Value::Array(list)) => list.len(),
            _ => 1,
        },
        _ => 0,
    }
}
