//! A client's session beside what it has to agree with: chunks as a text and a count, a heartbeat
//! and a quota as numbers.

use std::borrow::Cow;

use tagcast::auth::Permissions;
use tagcast::auth::uuid::{Signer, UuidForm};
use tagcast::session::{
    Acknowledge, Beat, Heartbeat, Message, NextStep, RateLimiter, Session, SessionRules, Speech,
};
use tagcast::types::{ClientClass, ClientUuid, CloseCode};

use super::Choices;
use tagcast::protocol::gomoob::GomoobOptions;
use tagcast::protocol::phpws::PhpwsOptions;

const BYTES_MAX: usize = 100;
const CHUNKS_MAX: usize = 4;
/// What clients of this family say most.
const SAID: [&str; 8] = [
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
                phpws: PhpwsOptions::default(),
                gomoob: GomoobOptions::default(),
            },
            session: session(Speech::Phpws),
            chunks: None,
            heartbeat: Heartbeat::default(),
            unanswered: 0,
            quota: RateLimiter::default(),
            second: 0,
            this_second: 0,
        }
    }
}

fn session(speech: Speech) -> Session {
    let grant = Permissions::everything().open(None).unwrap();
    Session::new(ClientUuid([1; 16]), grant, (ClientClass::Web, speech))
}

impl Speaker {
    pub fn uuid(&self) -> ClientUuid {
        self.session.uuid
    }

    /// Says something; what its resource gets of it comes back.
    pub fn say(&mut self, choices: &mut Choices<'_>) -> Option<String> {
        let kind = choices.below(16);
        let bytes = match SAID.get(kind) {
            Some(said) => said.as_bytes(),
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
        let heard = self.session.on_message(message, &self.rules);
        assert_eq!(heard.acknowledge, Acknowledge::Yes);
        let expected = expected(&mut self.chunks, message.text());
        match (heard.then, expected) {
            (NextStep::Nothing, Expected::Nothing) => None,
            (NextStep::Text(text), Expected::Text(expected)) => {
                assert_eq!(text, expected);
                assert!(text.len() <= weight, "a message weighs what it may publish");
                Some(text.into_owned())
            }
            (NextStep::Close(reason), Expected::Close(code)) => {
                assert_eq!(reason.code, code);
                // The connection is over; somebody else comes.
                (self.session, self.chunks) = (session(Speech::Phpws), None);
                None
            }
            (then, _) => panic!("{message:?} came to {then:?}"),
        }
    }

    /// The other dialects take a message as it is, and acknowledge nothing.
    fn plainly(&self, message: Message<'_>) {
        for speech in [Speech::Gomoob, Speech::Echo] {
            let heard = session(speech).on_message(message, &self.rules);
            let expected = match message {
                Message::Text(text) => NextStep::Text(Cow::Borrowed(text)),
                Message::Binary(bytes) => NextStep::Binary(bytes),
            };
            assert_eq!((heard.acknowledge, heard.then), (Acknowledge::No, expected));
        }
    }

    /// Intervals pass, signs of life and control frames come.
    pub fn time(&mut self, choices: &mut Choices<'_>) {
        match choices.below(8) {
            0 | 1 => {
                self.heartbeat.heard();
                self.unanswered = 0;
            }
            2..=4 => {
                let expected = if self.unanswered == 2 { Beat::Silent } else { Beat::Ping };
                assert_eq!(self.heartbeat.beat(), expected);
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
