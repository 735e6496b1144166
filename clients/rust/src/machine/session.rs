//! What the server has said about this client, and what the client shows it on the next connection.

use super::tags::OwnTags;
use crate::frame::{Hello, Welcome};
use crate::options::Options;

#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts")]
pub(super) struct Session {
    uuid: Option<String>,
    features: Vec<String>,
    resume: Option<String>,
    since: Option<String>,
    is_resumed: bool,
    is_recovering: bool,
    /// Whether this client has been online, so that it can have missed something.
    was_online: bool,
}

impl Session {
    pub(super) fn uuid(&self) -> Option<&str> {
        self.uuid.as_deref()
    }

    pub(super) fn features(&self) -> &[String] {
        &self.features
    }

    pub(super) const fn is_resumed(&self) -> bool {
        self.is_resumed
    }

    pub(super) const fn is_recovering(&self) -> bool {
        self.is_recovering
    }

    pub(super) const fn recovered(&mut self) {
        self.is_recovering = false;
    }

    /// Whether nothing can have been missed.
    pub(super) const fn is_new(&self) -> bool {
        !self.was_online && self.resume.is_none() && self.since.is_none()
    }

    pub(super) fn welcomed(&mut self, welcome: &mut Welcome, options: &Options) {
        *self = Self {
            uuid: Some(std::mem::take(&mut welcome.uuid)),
            features: std::mem::take(&mut welcome.features),
            resume: welcome.resume.take().filter(|_| options.is_resuming),
            since: self.since.take(),
            is_resumed: welcome.resumed,
            is_recovering: welcome.recovering,
            was_online: true,
        };
    }

    /// The client has received everything up to this position.
    pub(super) fn moved_to(&mut self, at: String, options: &Options) {
        if options.is_resuming {
            self.since = Some(at);
        }
    }

    /// The first frame of a connection.
    pub(super) fn hello(&self, options: &Options, opening: &Opening<'_>) -> String {
        let hello = Hello {
            op: "hello",
            instance: opening.instance,
            client: &options.client,
            key: options.key.as_deref(),
            secret: options.secret.as_deref(),
            ident: options.ident.as_deref(),
            token: opening.token,
            tags: opening.own.wanted(),
            topics: opening.own.wanted_topics(),
            resume: self.resume.as_deref(),
            since: self.since.as_deref(),
            rewind: options.rewind.filter(|_| self.is_new()),
        };
        // Texts and maps of texts are always JSON.
        serde_json::to_string(&hello).unwrap_or_default()
    }
}

/// What a connection is opened with beyond the options.
pub(super) struct Opening<'a> {
    pub(super) instance: &'a str,
    pub(super) token: Option<&'a str>,
    pub(super) own: &'a OwnTags,
}
