//! Subscribing: one connection that carries tags, and the messages that come over it.

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

/// Not waiting at all, only looking.
const NOW: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// A connection that gets what is published to everyone, and to tags that it carries.
#[derive(Debug)]
pub struct Subscriber {
    connection: ClientConnection,
    url: ServerUrl,
    stop: Option<PipeReader>,
}

/// Ends [`Subscriber::receive`] from elsewhere when it is dropped.
#[derive(Debug)]
pub struct StopHandle(#[expect(dead_code, reason = "what counts is that it is there")] PipeWriter);

/// One message as the server sent it: JSON, unless the server is another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received(String);

impl Subscriber {
    /// Opens a connection that carries these tags; with none it gets what goes to everyone.
    ///
    /// # Errors
    ///
    /// When there is no server at this URL, or it does not let us in.
    pub fn connect(
        url: &ServerUrl,
        access: &ClientCredentials,
        tags: &Tags,
    ) -> Result<Self, ClientError> {
        let connection = open_with_tags(url, access, tags, Reports::Unwanted)?;
        connection.tcp().set_nonblocking(true).map_err(|error| ClientError::from_io(url, error))?;
        Ok(Self { connection, url: url.clone(), stop: None })
    }

    /// What ends [`Subscriber::receive`] when it is dropped; an earlier one does not any more.
    ///
    /// # Errors
    ///
    /// When this process has no descriptors left.
    pub fn stop(&mut self) -> io::Result<StopHandle> {
        let (reader, writer) = io::pipe()?;
        self.stop = Some(reader);
        Ok(StopHandle(writer))
    }

    /// Waits for the next message; none when it was stopped. Answers pings.
    ///
    /// # Errors
    ///
    /// When the connection has ended.
    pub fn receive(&mut self) -> Result<Option<Received>, ClientError> {
        // Also while messages come faster than they are taken.
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

    /// Says goodbye.
    pub fn close(self) {
        self.connection.goodbye();
    }

    fn is_stopped(&self) -> bool {
        let Some(stop) = &self.stop else { return false };
        // Nothing is ever written: what is there is the end.
        poll(&mut [PollFd::new(stop, PollFlags::IN)], Some(&NOW)).is_ok_and(|ready| ready > 0)
    }

    /// Until the socket has something, or it was stopped.
    fn wait(&self, time: Option<&Timespec>) -> io::Result<()> {
        let mut places = vec![PollFd::new(self.connection.tcp(), PollFlags::IN)];
        places.extend(self.stop.iter().map(|stop| PollFd::new(stop, PollFlags::IN)));
        rustix::io::retry_on_intr(|| poll(&mut places, time))?;
        Ok(())
    }
}

impl Received {
    /// One line for people: a text as it is, anything else as JSON; what a terminal would obey
    /// is escaped.
    #[must_use]
    pub fn print_line(&self) -> String {
        match serde_json::from_str::<String>(&self.0) {
            Ok(text) => printable(&text),
            Err(_) if self.is_json() => self.json_line(),
            Err(_) => printable(&self.0),
        }
    }

    /// One line for programs: always JSON, with the value that was sent.
    #[must_use]
    pub fn json_line(&self) -> String {
        if !self.is_json() {
            return Self(Value::from(self.0.as_str()).to_string()).json_line();
        }
        let mut line = String::with_capacity(self.0.len());
        for character in self.0.chars() {
            match character {
                // JSON has these between values only.
                '\n' | '\r' | '\t' => line.push(' '),
                // And these within texts only.
                _ if is_obeyed(character) => line.push_str(&escaped(character)),
                _ => line.push(character),
            }
        }
        line
    }

    /// Without building it: a message may be nested as deeply as it likes.
    fn is_json(&self) -> bool {
        serde_json::from_str::<IgnoredAny>(&self.0).is_ok()
    }
}

/// As JSON writes a character of the basic plane, where all that are obeyed stand.
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
    fn what_is_no_json_becomes_a_text() {
        let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
        assert_eq!(lines(&deep), (deep.clone(), deep));
        assert_eq!(lines(r#""\ud800""#), (r#""\ud800""#.into(), r#""\ud800""#.into()));
        assert_eq!(lines("plain\n"), ("plain\\n".into(), r#""plain\n""#.into()));
    }
}
