//! A template describes another server: how to start it, how clients subscribe, how to publish.
//!
//! Templates are INI files. `benches/compare/` has some, and `docs/benchmarks.md` has all keys.

mod read;
mod start;
mod text;

use std::path::PathBuf;

pub(super) use self::start::{OUTPUT, StartedTemplate};
pub(super) use self::text::TemplateText;

/// A server and its dialect.
#[derive(Clone, Debug)]
pub struct ServerTemplate {
    /// The file, for errors.
    pub(super) file: PathBuf,
    /// Its folder.
    pub(super) folder: PathBuf,
    /// Name of the server in the table.
    pub(super) name: String,
    pub(super) place: TemplatePlace,
    pub(super) dialect: ServerDialect,
}

/// How the server is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TemplatePlace {
    /// The benchmark starts it.
    Started {
        /// The command line, with placeholders.
        command: Vec<String>,
        /// Configuration files, which are copied with their placeholders filled in.
        files: Vec<PathBuf>,
    },
    /// It is running.
    Running {
        /// Its URL, without a path.
        url: String,
        /// Its process: an id, or a name.
        process: Option<String>,
    },
}

/// How clients and publishers talk to the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ServerDialect {
    /// Path of the WebSocket.
    pub(super) path: TemplateText,
    /// Path of the WebSocket of a publisher, if it differs.
    pub(super) publisher_path: Option<TemplateText>,
    /// Additional lines of the handshake request.
    pub(super) headers: Vec<String>,
    /// Whether clients send binary frames.
    pub(super) is_binary: bool,
    /// Steps of every connection after the handshake.
    pub(super) open: Vec<OpeningStep>,
    /// Steps of a subscriber after those.
    pub(super) subscribe: Vec<OpeningStep>,
    pub(super) publish: PublishForm,
    /// Pattern of a received message.
    pub(super) message: TemplateText,
    /// A message that must be answered, and the answer.
    pub(super) ping: Option<PingPong>,
    /// A text in a received message that reports an error.
    pub(super) error: Option<String>,
}

/// One step after the handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum OpeningStep {
    /// Send this.
    Send(TemplateText),
    /// Wait for a message that contains this.
    Expect(TemplateText),
}

/// How a message is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PublishForm {
    /// As a frame.
    Frame(TemplateText),
    /// As the body of an HTTP request.
    Post {
        /// Path of the request.
        path: TemplateText,
        /// Additional header lines.
        headers: Vec<String>,
        body: TemplateText,
    },
}

/// A ping of the dialect and its answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PingPong {
    pub(super) ping: String,
    pub(super) pong: String,
}

impl Default for PublishForm {
    fn default() -> Self {
        Self::Frame(TemplateText::default())
    }
}

impl ServerTemplate {
    /// Returns the name of the server.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl ServerDialect {
    /// Returns the topic of a group of clients.
    pub(super) fn topic(group: usize) -> String {
        format!("t{group}")
    }

    /// Returns the path of a subscriber to this topic, or of a publisher.
    pub(super) fn path_of(&self, topic: Option<&str>) -> String {
        let path = match topic {
            None => self.publisher_path.as_ref().unwrap_or(&self.path),
            Some(_) => &self.path,
        };
        path.render(topic.unwrap_or_default(), "")
    }

    /// Returns the steps after the handshake of a subscriber to this topic, or of a publisher.
    pub(super) fn steps(&self, topic: Option<&str>) -> Vec<RenderedStep> {
        let subscribe = topic.map_or(&[][..], |_| &self.subscribe);
        let topic = topic.unwrap_or_default();
        let steps = self.open.iter().chain(subscribe);
        let rendered = steps.map(|step| match step {
            OpeningStep::Send(text) => RenderedStep::Send(text.render(topic, "")),
            OpeningStep::Expect(text) => RenderedStep::Expect(text.render(topic, "")),
        });
        rendered.collect()
    }

    /// Returns the answer to a received message, if it is a ping.
    pub(super) fn answer_to(&self, received: &[u8]) -> Option<&str> {
        let pings = self.ping.as_ref()?;
        (received == pings.ping.as_bytes()).then_some(pings.pong.as_str())
    }

    /// Returns true if the received message reports an error.
    pub(super) fn is_error(&self, received: &[u8]) -> bool {
        let text = self.error.as_deref().unwrap_or_default().as_bytes();
        !text.is_empty() && received.windows(text.len()).any(|window| window == text)
    }
}

/// One step after the handshake of one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RenderedStep {
    /// Send this.
    Send(String),
    /// Wait for a message that contains this.
    Expect(String),
}
