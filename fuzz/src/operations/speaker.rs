//! Session of a client with its models: chunks as a text and a count, heartbeat and rate limit as
//! numbers.

use std::borrow::Cow;

use tagcast::auth::Permissions;
use tagcast::auth::uuid::{Signer, UuidForm};
use tagcast::session::{
    Heartbeat, HeartbeatAction, Message, NextStep, RateLimiter, Session, SessionRules,
};
use tagcast::types::{ClientClass, ClientUuid, CloseCode};

use super::Choices;
use tagcast::protocol::{Protocol, ProtocolOptions};

const BYTES_MAX: usize = 100;
const CHUNKS_MAX: usize = 4;
/// Frequent messages of phpWebSocketServer clients.
const TEXTS: [&str; 8] = [
    "bufferON",
    "bufferOFF",
    r#"{"opcode":"broadcast","m":1}"#,
    r#"{"opcode":"feedback","ident":"x"}"#,
    r#"{"opcode":"#,
    r#""broadcast"}"#,
    r#"{"opcode":"echo"}"#,
    "bufferON ",
];

pub struct Speaker {
    rules: SessionRules,
    session: Session,
    chunks: Option<(String, usize)>,
    heartbeat: Heartbeat,
    unanswered: usize,
    quota: RateLimiter,
    second: u32,
    this_second: u32,
}

impl Default for Speaker {
    fn default() -> Self {
        Self {
            rules: SessionRules {
                signer: Signer::new(&[1; 32], UuidForm::Signed),
                access: Permissions::everything(),
                message_bytes_max: BYTES_MAX,
                chunks_max: CHUNKS_MAX,
                topics_max: 3,
                protocols: ProtocolOptions::default(),
            },
            session: session(Protocol::Phpws),
            chunks: None,
            heartbeat: Heartbeat::default(),
            unanswered: 0,
            quota: RateLimiter::default(),
            second: 0,
            this_second: 0,
        }
    }
}

fn session(protocol: Protocol) -> Session {
    let grant = Permissions::everything().open(None).unwrap();
    Session::new(ClientUuid([1; 16]), grant, ClientClass::Web, protocol)
}

impl Speaker {
    pub fn uuid(&self) -> ClientUuid {
        self.session.uuid
    }

    /// Sends a message. Returns the text that its resource receives.
    pub fn send_message(&mut self, choices: &mut Choices<'_>) -> Option<String> {
        let kind = choices.below(16);
        let bytes = match TEXTS.get(kind) {
            Some(message_text) => message_text.as_bytes(),
            None => {
                let length = choices.below(64);
                choices.bytes(length)
            }
        };
        let message = match std::str::from_utf8(bytes) {
            Ok(text) if kind != 15 => Message::Text(text),
            _ => Message::Binary(bytes),
        };
        self.plainly(message);
        let weight = self.session.weight(message);
        let incoming = self.session.on_message(message, &self.rules);
        assert!(incoming.acknowledgement.is_some());
        let expected = expected(&mut self.chunks, message.text());
        match (incoming.then, expected) {
            (NextStep::Nothing, Expected::Nothing) => None,
            (NextStep::Text(text), Expected::Text(expected)) => {
                assert_eq!(text, expected);
                assert!(text.len() <= weight, "a message weighs what it may publish");
                Some(text.into_owned())
            }
            (NextStep::Close(reason), Expected::Close(code)) => {
                assert_eq!(reason.code, code);
                // The connection was closed. Another client takes its place.
                (self.session, self.chunks) = (session(Protocol::Phpws), None);
                None
            }
            (then, _) => panic!("{message:?} came to {then:?}"),
        }
    }

    /// Checks that other protocols pass a message on unchanged and acknowledge nothing.
    fn plainly(&self, message: Message<'_>) {
        for protocol in [Protocol::Gomoob, Protocol::Echo] {
            let incoming = session(protocol).on_message(message, &self.rules);
            let expected = match message {
                Message::Text(text) => NextStep::Text(Cow::Borrowed(text)),
                Message::Binary(bytes) => NextStep::Binary(bytes),
            };
            assert_eq!((incoming.acknowledgement, incoming.then), (None, expected));
        }
    }

    /// Simulates intervals, signs of life and control frames.
    pub fn time(&mut self, choices: &mut Choices<'_>) {
        match choices.below(8) {
            0 | 1 => {
                self.heartbeat.reset();
                self.unanswered = 0;
            }
            2..=4 => {
                let expected = if self.unanswered == 2 {
                    HeartbeatAction::Silent
                } else {
                    HeartbeatAction::Ping
                };
                assert_eq!(self.heartbeat.tick(), expected);
                self.unanswered = 2.min(self.unanswered + 1);
            }
            5 => (self.second, self.this_second) = (self.second + 1, 0),
            _ => {
                self.this_second += 1;
                assert_eq!(self.quota.admits(self.second, 3), self.this_second <= 3);
            }
        }
    }
}

enum Expected {
    Nothing,
    Text(String),
    Close(CloseCode),
}

fn expected(chunks: &mut Option<(String, usize)>, text: Option<&str>) -> Expected {
    let Some(text) = text else { return Expected::Close(CloseCode::DATA) };
    match (text, chunks.as_mut()) {
        ("bufferON", _) => *chunks = Some(Default::default()),
        ("bufferOFF", None) => {}
        ("bufferOFF", Some((whole, _))) => {
            let whole = std::mem::take(whole);
            *chunks = None;
            return Expected::Text(whole);
        }
        (text, None) => return Expected::Text(text.to_owned()),
        (text, Some((whole, count))) => {
            if *count == CHUNKS_MAX || whole.len() + text.len() > BYTES_MAX {
                return Expected::Close(CloseCode::TOO_BIG);
            }
            *count += 1;
            whole.push_str(text);
        }
    }
    Expected::Nothing
}
