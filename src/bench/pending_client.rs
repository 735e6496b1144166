//! A connection of the load generator whose handshake is in progress.

use std::collections::VecDeque;

use serde::Deserialize;

use super::connect::Resumption;
use super::error::{At, BenchError};
use super::socket::Socket;
use super::splitter::{ServerFrame, Splitter};
use super::target::{BenchProtocol, BenchTarget};
use super::template::RenderedStep;

/// Characters of an unexpected message that an error repeats.
const SHOWN_MAX: usize = 120;
const END_OF_HEAD: &[u8] = b"\r\n\r\n";
const SWITCHING: &[u8] = b"HTTP/1.1 101 ";
/// Start of the first packet of phpWebSocketServer, before the UUID.
const READY: &str = r#"{"opcode":"ready","uuid":""#;

/// A connection whose handshake is in progress.
#[derive(Debug)]
pub(super) struct PendingClient {
    pub(super) socket: Socket,
    pub(super) wire: BenchProtocol,
    pub(super) since: u64,
    pub(super) head: Vec<u8>,
    pub(super) splitter: Splitter,
    pub(super) uuid: Option<Box<str>>,
    pub(super) resumption: Option<Box<Resumption>>,
    pub(super) has_switched: bool,
    /// Steps of the template before the client counts as open.
    pub(super) steps: VecDeque<RenderedStep>,
    /// The last message that was not expected.
    pub(super) unexpected: String,
}

/// The members of frames of `tagcast.v1` that an opening needs.
#[derive(Debug, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "two answers of the server")]
struct FirstFrame {
    op: String,
    #[serde(default)]
    uuid: Box<str>,
    resume: Option<String>,
    at: Option<String>,
    #[serde(default, rename = "resumed")]
    is_resumed: bool,
    #[serde(default, rename = "recovered")]
    is_recovered: bool,
}

impl PendingClient {
    pub(super) fn on_bytes(
        &mut self,
        bytes: &[u8],
        target: &BenchTarget,
    ) -> Result<(), BenchError> {
        if self.has_switched {
            return self.take_frames(bytes, target);
        }
        self.head.extend_from_slice(bytes);
        let Some(end) = self.head.windows(END_OF_HEAD.len()).position(|it| it == END_OF_HEAD)
        else {
            return Ok(());
        };
        if !self.head.starts_with(SWITCHING) {
            return Err(self.refusal());
        }
        self.has_switched = true;
        let head = std::mem::take(&mut self.head);
        self.send_steps(target)?;
        self.take_frames(head.get(end + END_OF_HEAD.len()..).unwrap_or_default(), target)
    }

    fn take_frames(&mut self, bytes: &[u8], target: &BenchTarget) -> Result<(), BenchError> {
        let mut closed = None;
        let mut messages = Vec::new();
        let is_v1 = self.wire == BenchProtocol::V1;
        let (uuid, has_steps) = (&mut self.uuid, !self.steps.is_empty());
        self.splitter.split(bytes, |frame| match frame {
            ServerFrame::Message(text) if has_steps || is_v1 => {
                messages.push(String::from_utf8_lossy(text).into_owned());
            }
            ServerFrame::Message(text) if uuid.is_none() => *uuid = uuid_in(text),
            ServerFrame::Close(reason) => closed = Some(close_words(reason)),
            _ => {}
        });
        if let Some(reason) = closed {
            return Err(BenchError::Refused(reason));
        }
        if is_v1 {
            messages.iter().for_each(|message| self.take_first_frame(message));
            return Ok(());
        }
        messages.iter().try_for_each(|message| self.take_message(message, target))
    }

    /// Takes a frame of `tagcast.v1`: the `welcome`, or the `recovery` that arrives together with it.
    fn take_first_frame(&mut self, text: &str) {
        let Ok(frame) = serde_json::from_str::<FirstFrame>(text) else { return };
        match (frame.op.as_str(), &mut self.resumption) {
            ("welcome", _) => {
                self.uuid = Some(frame.uuid);
                let FirstFrame { resume: token, at, is_resumed, .. } = frame;
                let resumption = Resumption { token, at, is_resumed, is_recovered: false };
                self.resumption = Some(Box::new(resumption));
            }
            ("recovery", Some(resumption)) => {
                resumption.is_recovered = frame.is_recovered;
                resumption.at = frame.at;
            }
            _ => {}
        }
    }

    /// Sends all steps before the next expected message.
    fn send_steps(&mut self, target: &BenchTarget) -> Result<(), BenchError> {
        while let Some(RenderedStep::Send(text)) = self.steps.front() {
            let mut frame = Vec::new();
            target.put(&mut frame, text.as_bytes());
            self.socket.queue(&frame).at("speaking TLS")?;
            self.steps.pop_front();
        }
        Ok(())
    }

    /// One message can be what several steps expect.
    fn take_message(&mut self, message: &str, target: &BenchTarget) -> Result<(), BenchError> {
        let mut rest = message;
        while let Some(RenderedStep::Expect(text)) = self.steps.front() {
            let Some((_, behind)) = rest.split_once(text.as_str()) else {
                self.unexpected = message.chars().take(SHOWN_MAX).collect();
                break;
            };
            rest = behind;
            self.steps.pop_front();
            self.send_steps(target)?;
        }
        Ok(())
    }

    pub(super) fn is_open(&self) -> bool {
        self.has_switched
            && self.steps.is_empty()
            && (!matches!(self.wire, BenchProtocol::Phpws | BenchProtocol::V1)
                || self.uuid.is_some())
    }

    /// Returns the error if the server does not continue.
    pub(super) fn silence(&self) -> Option<BenchError> {
        let Some(RenderedStep::Expect(expected)) = self.steps.front() else { return None };
        let received = self.unexpected.clone();
        Some(BenchError::Unexpected { expected: expected.clone(), received })
    }

    pub(super) fn refusal(&self) -> BenchError {
        let text = String::from_utf8_lossy(&self.head);
        let line = text.lines().next().unwrap_or_default();
        let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body).trim();
        BenchError::Refused(match (line, body) {
            ("", _) => "it hung up without a word".to_owned(),
            (line, "") => line.to_owned(),
            (line, body) => format!("{line}: {body}"),
        })
    }
}

fn uuid_in(text: &[u8]) -> Option<Box<str>> {
    let text = str::from_utf8(text).ok()?;
    let (uuid, _) = text.strip_prefix(READY)?.split_once('"')?;
    Some(uuid.into())
}

/// Returns the code and reason of a Close frame as text.
pub(super) fn close_words(payload: &[u8]) -> String {
    match payload.split_first_chunk() {
        Some((code, reason)) => {
            let code = u16::from_be_bytes(*code);
            format!("{code} {}", String::from_utf8_lossy(reason))
        }
        None => "without a code".to_owned(),
    }
}
