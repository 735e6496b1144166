//! What a client receives.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::status::{Recovery, Status};
use crate::target::Tags;

/// A publication that has arrived. Cloning it copies no data.
#[derive(Clone, Debug)]
pub struct Message(Arc<Received>);

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "two independent members of a frame")]
struct Received {
    data: Box<RawValue>,
    event: Option<String>,
    topic: Option<String>,
    from: Option<String>,
    is_direct: bool,
    is_replayed: bool,
}

/// Where a message is among those of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Published before this connection.
    Replay,
    Live,
}

/// The members of a frame `msg`.
#[derive(Deserialize)]
pub(crate) struct MessageFrame {
    data: Box<RawValue>,
    #[serde(default)]
    event: Option<String>,
    #[serde(default)]
    topic: Option<String>,
    #[serde(default)]
    from: Option<String>,
    #[serde(default)]
    direct: bool,
}

impl Message {
    pub(crate) fn new(frame: MessageFrame, place: Place) -> Self {
        let MessageFrame { data, event, topic, from, direct: is_direct } = frame;
        let is_replayed = place == Place::Replay;
        Self(Arc::new(Received { data, event, topic, from, is_direct, is_replayed }))
    }

    /// Reads the data.
    ///
    /// # Errors
    ///
    /// If the data do not have the form of `T`.
    pub fn data<'a, T: Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.json())
    }

    /// The data as the publisher has written them, byte for byte.
    #[must_use]
    pub fn json(&self) -> &str {
        self.0.data.get()
    }

    /// The name of the event, if the publisher named one.
    #[must_use]
    pub fn event(&self) -> Option<&str> {
        self.0.event.as_deref()
    }

    /// The topic, if the message was published to exactly one.
    #[must_use]
    pub fn topic(&self) -> Option<&str> {
        self.0.topic.as_deref()
    }

    /// UUID of the sender, if the sender showed it.
    #[must_use]
    pub fn from(&self) -> Option<&str> {
        self.0.from.as_deref()
    }

    /// Whether the message was for this client alone.
    #[must_use]
    pub fn is_direct(&self) -> bool {
        self.0.is_direct
    }

    /// Whether the message was published before this connection.
    #[must_use]
    pub fn is_replayed(&self) -> bool {
        self.0.is_replayed
    }
}

/// What happens to a client, in its order.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The state has changed.
    Status(Status),
    /// A message has arrived.
    Message(Message),
    /// What the client has missed: once after each connection, and when the server reports a gap.
    Recovery(Recovery),
    /// Something else has changed the tags or topics of this client.
    Tags {
        /// All of its present tags.
        tags: Tags,
        /// All topics that it is in now.
        topics: BTreeSet<String>,
    },
}

impl Event {
    /// Bytes that this event occupies in a queue, about.
    pub(crate) fn weight(&self) -> usize {
        /// What an event takes without its data.
        const BASE: usize = 128;
        match self {
            Self::Message(message) => BASE + message.json().len(),
            Self::Tags { tags, topics } => {
                let tags = tags.iter().map(|(name, value)| name.len() + value.len());
                BASE + tags.chain(topics.iter().map(String::len)).sum::<usize>()
            }
            Self::Status(_) | Self::Recovery(_) => BASE,
        }
    }
}
