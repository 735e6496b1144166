//! What the client answers: pings, and questions that other clients ask it.

use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::{Machine, Phase, read};
use crate::frame;
use crate::questions::{Question, Reply, ReplyFuture};

/// What a client answers that has no function for a question.
const UNHANDLED: &str = "unhandled";

/// A frame `ask`.
#[derive(Deserialize)]
struct AskFrame {
    ask: String,
    #[serde(default)]
    event: Option<String>,
    #[serde(default = "longest")]
    timeout_ms: u64,
    data: Box<RawValue>,
}

/// The longest time that a server gives, in milliseconds.
const fn longest() -> u64 {
    60_000
}

/// A question whose function the task calls.
#[derive(Debug)]
pub(crate) struct OpenQuestion {
    number: String,
    within: Duration,
    question: Question,
}

/// The answer to a question.
pub(crate) struct Answering {
    number: String,
    within: Duration,
    reply: ReplyFuture,
}

impl Answering {
    /// Waits for the function. Returns the number of the question and its answer; `None` if it is too late for one.
    pub(crate) async fn finish(self) -> Option<(String, Reply)> {
        let reply = timeout(self.within, self.reply).await.ok()?;
        Some((self.number, reply))
    }
}

impl Machine {
    /// Answers a ping. One answer is enough for all pings that came before it is written.
    pub(super) fn pong(&mut self) {
        if !self.outbound.iter().any(|text| text.as_str() == frame::PONG) {
            self.outbound.push_back(Utf8Bytes::from_static(frame::PONG));
        }
    }

    /// Takes a question of another client.
    pub(super) fn asked(&mut self, text: &str) {
        let Some(AskFrame { ask: number, event, timeout_ms, data }) = read(text) else { return };
        let question = Question::new(event, data);
        if self.options.answers.of(&question).is_some() {
            let within = Duration::from_millis(timeout_ms);
            self.questions.push_back(OpenQuestion { number, within, question });
        } else {
            self.reply(&number, &Err(UNHANDLED.to_owned()));
        }
    }

    /// Takes the next question, with a call that makes its answer. Make it without the lock.
    pub(crate) fn next_question(&mut self) -> Option<impl FnOnce() -> Answering + use<>> {
        let OpenQuestion { number, within, question } = self.questions.pop_front()?;
        let function = self.options.answers.of(&question)?;
        Some(move || Answering { number, within, reply: function(question) })
    }

    /// Answers a question. Its asker has no answer if the connection was lost meanwhile.
    pub(crate) fn reply(&mut self, number: &str, reply: &Reply) {
        if !matches!(self.phase, Phase::Online) {
            return;
        }
        let number = serde_json::Value::from(number);
        let frame = match reply {
            Ok(data) => format!(r#"{{"op":"answer","ask":{number},"data":{}}}"#, data.get()),
            Err(reason) => {
                let reason = serde_json::Value::from(reason.as_str());
                format!(r#"{{"op":"answer","ask":{number},"error":{reason}}}"#)
            }
        };
        self.outbound.push_back(frame.into());
    }
}
