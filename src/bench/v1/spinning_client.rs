//! A client that sends one frame and waits for the answer in a busy loop, so that no wake-up of the generator is measured.

use std::collections::VecDeque;

use crate::bench::clock::{RunClock, nanos};
use crate::bench::connect::BenchClient;
use crate::bench::error::{At, BenchError};
use crate::bench::pending_client::close_words;
use crate::bench::socket::{Buffers, ReadResult};
use crate::bench::splitter::ServerFrame;
use crate::bench::target::{pong, put_text};

/// Time without an answer after which a run fails.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);
/// Frames of `tagcast.v1`.
const PING: &str = r#"{"op":"ping""#;
const PONG: &[u8] = br#"{"op":"pong"}"#;

/// A client with its unread messages.
#[derive(Debug)]
pub(super) struct SpinningClient {
    client: BenchClient,
    messages: VecDeque<String>,
}

impl SpinningClient {
    pub(super) fn new(client: BenchClient) -> Self {
        Self { client, messages: VecDeque::new() }
    }

    pub(super) fn uuid(&self) -> &str {
        &self.client.uuid
    }

    /// Sends a text frame.
    pub(super) fn send(&mut self, text: &str) -> Result<(), BenchError> {
        let mut frame = Vec::new();
        put_text(&mut frame, text.as_bytes());
        self.client.socket.queue(&frame).at("sending a frame")?;
        self.flush()
    }

    fn flush(&mut self) -> Result<(), BenchError> {
        while self.client.socket.flush().at("sending a frame")? {
            std::hint::spin_loop();
        }
        Ok(())
    }

    /// Reads what has arrived, without waiting. Answers pings.
    pub(super) fn read(&mut self, buffers: &mut Buffers) -> Result<(), BenchError> {
        let bytes = match self.client.socket.read(buffers).at("reading a frame")? {
            ReadResult::Bytes(bytes) => bytes,
            ReadResult::Nothing => return Ok(()),
            ReadResult::End => return Err(BenchError::Closed("without a word".to_owned())),
        };
        let (messages, mut pongs, mut closed) = (&mut self.messages, Vec::new(), None);
        self.client.splitter.split(bytes, |frame| match frame {
            ServerFrame::Message(text) if text.starts_with(PING.as_bytes()) => {
                put_text(&mut pongs, PONG);
            }
            ServerFrame::Message(text) => {
                messages.push_back(String::from_utf8_lossy(text).into_owned());
            }
            ServerFrame::Ping(payload) => pongs.extend(pong(payload)),
            ServerFrame::Close(reason) => closed = Some(close_words(reason)),
            ServerFrame::Pong => {}
        });
        if let Some(reason) = closed {
            return Err(BenchError::Closed(reason));
        }
        self.client.socket.queue(&pongs).at("answering a ping")?;
        self.flush()
    }

    /// Returns the next message that has arrived.
    pub(super) fn next(&mut self) -> Option<String> {
        self.messages.pop_front()
    }

    /// Waits for a message that begins like this, and drops those before it. `meanwhile` runs between two reads.
    pub(super) fn wait_for(
        &mut self,
        start: &str,
        buffers: &mut Buffers,
        mut meanwhile: impl FnMut(&mut Buffers) -> Result<(), BenchError>,
    ) -> Result<String, BenchError> {
        let clock = RunClock::start();
        loop {
            self.read(buffers)?;
            while let Some(message) = self.next() {
                if message.starts_with(start) {
                    return Ok(message);
                }
                if message.starts_with(r#"{"op":"error""#) {
                    return Err(BenchError::Refused(message));
                }
            }
            meanwhile(buffers)?;
            if clock.nanos() > nanos(PATIENCE) {
                let awaited = "the answer to a frame of tagcast.v1";
                return Err(BenchError::Silent(PATIENCE.as_secs(), awaited));
            }
        }
    }
}
