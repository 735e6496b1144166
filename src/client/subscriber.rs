//! Receives messages over one connection with tags.

use std::io::{self, PipeReader, PipeWriter};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::de::IgnoredAny;
use serde_json::Value;
use tungstenite::Message;

use super::connection::{ClientConnection, Reports};
use super::credentials::ClientCredentials;
use super::error::{ClientError, is_obeyed, printable};
use super::publisher::open_with_tags;
use super::url::ServerUrl;
use crate::types::Tags;

/// A timeout of zero, for polling without waiting.
const NOW: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// A connection that receives publications to all clients and to its own tags.
#[derive(Debug)]
pub struct Subscriber {
    connection: ClientConnection,
    url: ServerUrl,
    stop: Option<PipeReader>,
}

/// Stops [`Subscriber::receive`] from another thread when it is dropped.
#[derive(Debug)]
pub struct StopHandle(#[expect(dead_code, reason = "what counts is that it is there")] PipeWriter);

/// One message as the server sent it. It is JSON, unless the server is not Tagcast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received(String);

impl Subscriber {
    /// Opens a connection with these tags. Without tags it receives only publications to all
    /// clients.
    ///
    /// # Errors
    ///
    /// If no server answers at this URL, or if it rejects the connection.
    pub fn connect(
        url: &ServerUrl,
        access: &ClientCredentials,
        tags: &Tags,
    ) -> Result<Self, ClientError> {
        let connection = open_with_tags(url, access, tags, Reports::Unwanted)?;
        connection.tcp().set_nonblocking(true).map_err(|error| ClientError::from_io(url, error))?;
        Ok(Self { connection, url: url.clone(), stop: None })
    }

    /// Returns a handle that stops [`Subscriber::receive`] when it is dropped. It replaces an
    /// earlier handle, which then has no effect.
    ///
    /// # Errors
    ///
    /// If this process has no descriptors left.
    pub fn stop(&mut self) -> io::Result<StopHandle> {
        let (reader, writer) = io::pipe()?;
        self.stop = Some(reader);
        Ok(StopHandle(writer))
    }

    /// Waits for the next message. Returns None after the stop handle was dropped. Answers pings.
    ///
    /// # Errors
    ///
    /// If the connection is closed or broken.
    pub fn receive(&mut self) -> Result<Option<Received>, ClientError> {
        // The stop also takes effect while messages arrive faster than they are read.
        if self.is_stopped() {
            return Ok(None);
        }
        loop {
            match self.connection.read_if_any()? {
                Some(Message::Close(frame)) => {
                    return Err(ClientError::ended_by(frame.as_ref()));
                }
                Some(Message::Text(text)) => return Ok(Some(Received(text.as_str().to_owned()))),
                Some(Message::Binary(bytes)) => {
                    return Ok(Some(Received(String::from_utf8_lossy(&bytes).into_owned())));
                }
                Some(_) => {}
                None => {
                    self.wait(None).map_err(|error| ClientError::from_io(&self.url, error))?;
                    if self.is_stopped() {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Closes the connection.
    pub fn close(self) {
        self.connection.goodbye();
    }

    fn is_stopped(&self) -> bool {
        let Some(stop) = &self.stop else { return false };
        // The pipe never carries data. It becomes readable only when the other end is closed.
        poll(&mut [PollFd::new(stop, PollFlags::IN)], Some(&NOW)).is_ok_and(|ready| ready > 0)
    }

    /// Waits until the socket has data or the stop handle is dropped.
    fn wait(&self, time: Option<&Timespec>) -> io::Result<()> {
        let mut places = vec![PollFd::new(self.connection.tcp(), PollFlags::IN)];
        places.extend(self.stop.iter().map(|stop| PollFd::new(stop, PollFlags::IN)));
        rustix::io::retry_on_intr(|| poll(&mut places, time))?;
        Ok(())
    }
}

impl Received {
    /// Formats the message as one line for users: a text as it is, any other value as JSON.
    /// Characters that control a terminal are escaped.
    #[must_use]
    pub fn print_line(&self) -> String {
        match serde_json::from_str::<String>(&self.0) {
            Ok(text) => printable(&text),
            Err(_) if self.is_json() => self.json_line(),
            Err(_) => printable(&self.0),
        }
    }

    /// Formats the message as one line for programs: always JSON, with the original value.
    #[must_use]
    pub fn json_line(&self) -> String {
        if !self.is_json() {
            return Self(Value::from(self.0.as_str()).to_string()).json_line();
        }
        let mut line = String::with_capacity(self.0.len());
        for character in self.0.chars() {
            match character {
                // In valid JSON these characters occur only between values.
                '\n' | '\r' | '\t' => line.push(' '),
                // In valid JSON these characters occur only within strings.
                _ if is_obeyed(character) => line.push_str(&escaped(character)),
                _ => line.push(character),
            }
        }
        line
    }

    /// Checks the syntax without building a value, because a message may be nested to any depth.
    fn is_json(&self) -> bool {
        serde_json::from_str::<IgnoredAny>(&self.0).is_ok()
    }
}

/// Escapes a character as `\u` and four hexadecimal digits. All escaped characters are in the basic
/// multilingual plane.
fn escaped(character: char) -> String {
    format!("\\u{:04x}", u32::from(character))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> (String, String) {
        let received = Received(text.to_owned());
        (received.print_line(), received.json_line())
    }

    #[test]
    fn a_text_is_printed_as_it_is_and_anything_else_as_json() {
        assert_eq!(lines(r#""H\u00e9 \"x\"""#), ("Hé \"x\"".into(), r#""H\u00e9 \"x\"""#.into()));
        assert_eq!(lines("12.50"), ("12.50".into(), "12.50".into()));
        assert_eq!(lines(r#"{"b":1,"a":2}"#).0, r#"{"b":1,"a":2}"#);
    }

    #[test]
    fn no_message_breaks_its_line_or_the_terminal() {
        assert_eq!(lines(r#""a\nb\u001b[2J""#).0, "a\\nb\\u{1b}[2J");
        assert_eq!(lines("{\n\t\"a\": 1\r\n}").1, "{  \"a\": 1  }");
        let (text, json) = lines("\"\u{9b}\u{202e}\"");
        assert_eq!((text.as_str(), json.as_str()), ("\\u{9b}\\u{202e}", r#""\u009b\u202e""#));
    }

    #[test]
    fn invalid_json_becomes_a_text() {
        let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
        assert_eq!(lines(&deep), (deep.clone(), deep));
        assert_eq!(lines(r#""\ud800""#), (r#""\ud800""#.into(), r#""\ud800""#.into()));
        assert_eq!(lines("plain\n"), ("plain\\n".into(), r#""plain\n""#.into()));
    }
}
