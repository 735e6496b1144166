//! What a client is opened with.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use serde::Serialize;

use crate::clock::Clock;
use crate::machine::Topics;
use crate::questions::{AnswerFunctions, Question, ReplyFuture};
use crate::target::Tags;
use crate::testing::TestClock;

/// Any error of a token function.
pub(crate) type TokenError = Box<dyn std::error::Error + Send + Sync>;
/// A call of a token function.
pub(crate) type TokenFuture = Pin<Box<dyn Future<Output = Result<String, TokenError>> + Send>>;

type TokenFunction = Arc<dyn Fn(TokenReason) -> TokenFuture + Send + Sync>;

/// Why a token is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenReason {
    /// A connection is made.
    Connect,
    /// The present token expires soon.
    Expires,
    /// The present token has expired, and the server has closed the connection.
    Expired,
    /// The server has refused the present token.
    Refused,
}

/// Where tokens come from.
#[derive(Clone)]
pub(crate) enum TokenSource {
    Absent,
    Fixed(String),
    Function(TokenFunction),
}

/// What happens when a program does not read its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overflow {
    DropOldest,
    /// The client does not read meanwhile.
    Wait,
}

/// Bounds of the requests that wait to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queue {
    /// Number of requests: 100.
    pub count: usize,
    /// Bytes of all requests together: 256 KiB.
    pub bytes: usize,
    /// How long a request may wait: 60 s.
    pub age: Duration,
}

impl Default for Queue {
    fn default() -> Self {
        Self { count: 100, bytes: 256 * 1024, age: Duration::from_secs(60) }
    }
}

/// Pauses between attempts to connect. The pause before attempt *n* is a random part of `min` × 2ⁿ, at most of `max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// 500 ms.
    pub min: Duration,
    /// 20 s.
    pub max: Duration,
    /// How long a connection must last until the pauses start again: 10 s.
    pub stable: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            min: Duration::from_millis(500),
            max: Duration::from_secs(20),
            stable: Duration::from_secs(10),
        }
    }
}

/// What a client is opened with.
///
/// ```
/// use tagcast_client::Options;
///
/// let options = Options::new().key("shop").tag("language", "FR").ident("cashier-7");
/// ```
#[derive(Clone)]
#[expect(clippy::struct_excessive_bools, reason = "independent choices")]
pub struct Options {
    pub(crate) key: Option<String>,
    pub(crate) secret: Option<String>,
    pub(crate) token: TokenSource,
    pub(crate) tags: Option<Tags>,
    pub(crate) topics: Topics,
    pub(crate) answers: AnswerFunctions,
    pub(crate) ident: Option<String>,
    pub(crate) rewind: Option<u32>,
    pub(crate) is_resuming: bool,
    pub(crate) is_lazy: bool,
    pub(crate) overflow: Overflow,
    pub(crate) queue: Queue,
    pub(crate) backoff: Backoff,
    pub(crate) timeout: Duration,
    pub(crate) tls: Option<Arc<ClientConfig>>,
    pub(crate) client: String,
    pub(crate) clock: Clock,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            key: None,
            secret: None,
            token: TokenSource::Absent,
            tags: None,
            topics: Topics::new(),
            answers: AnswerFunctions::default(),
            ident: None,
            rewind: None,
            is_resuming: true,
            is_lazy: false,
            overflow: Overflow::DropOldest,
            queue: Queue::default(),
            backoff: Backoff::default(),
            timeout: Duration::from_secs(10),
            tls: None,
            client: concat!("tagcast-rust/", env!("CARGO_PKG_VERSION")).to_owned(),
            clock: Clock::System,
        }
    }
}

impl Options {
    /// No credentials, no tags, and the defaults of everything else.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the key of the application.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Sets the secret of the application. It is needed to publish where the key alone does not allow it, and for
    /// [reports](crate::Publish::report).
    #[must_use]
    pub fn secret(mut self, secret: impl Into<String>) -> Self {
        self.secret = Some(secret.into());
        self
    }

    /// Sets a connection token that does not change.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = TokenSource::Fixed(token.into());
        self
    }

    /// Sets a function that gets a connection token. It is called before each connection, and when the present token
    /// expires. If it fails, the attempt to connect has failed.
    ///
    /// ```
    /// use tagcast_client::Options;
    ///
    /// let options = Options::new().token_from(|_reason| async {
    ///     let token = std::env::var("TOKEN")?; // or a request to a backend
    ///     Ok(token)
    /// });
    /// ```
    #[must_use]
    pub fn token_from<F, R>(mut self, function: F) -> Self
    where
        F: Fn(TokenReason) -> R + Send + Sync + 'static,
        R: Future<Output = Result<String, TokenError>> + Send + 'static,
    {
        self.token = TokenSource::Function(Arc::new(move |reason| Box::pin(function(reason))));
        self
    }

    /// Sets a tag on opening. A later value replaces an earlier one of the same name.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "texts and numbers are passed as they are")]
    pub fn tag(mut self, name: impl Into<String>, value: impl ToString) -> Self {
        self.tags.get_or_insert_default().insert(name.into(), value.to_string());
        self
    }

    /// Joins a topic on opening. A topic that the client may not join is left out: see
    /// [`Client::topics`](crate::Client::topics).
    #[must_use]
    pub fn topic(mut self, name: impl Into<String>) -> Self {
        self.topics.insert(name.into());
        self
    }

    /// Answers questions with this event, those without one as `message`. The task of the client calls the function, which
    /// must not block. It answers, or refuses with a reason. Questions without a function are answered by `unhandled`.
    /// If the connection is lost meanwhile, the call is dropped.
    #[must_use]
    pub fn answer<F, R, T>(mut self, event: impl Into<String>, function: F) -> Self
    where
        F: Fn(Question) -> R + Send + Sync + 'static,
        R: Future<Output = Result<T, String>> + Send + 'static,
        T: Serialize,
    {
        let answer = move |question| -> ReplyFuture {
            let reply = function(question);
            Box::pin(async move {
                let data = reply.await?;
                serde_json::value::to_raw_value(&data).map_err(|error| error.to_string())
            })
        };
        self.answers.add(event.into(), Arc::new(answer));
        self
    }

    /// Sets the name by which backends address the client.
    #[must_use]
    pub fn ident(mut self, ident: impl Into<String>) -> Self {
        self.ident = Some(ident.into());
        self
    }

    /// Asks for the latest publications on the first connection, this many at most.
    #[must_use]
    pub const fn rewind(mut self, count: u32) -> Self {
        self.rewind = Some(count);
        self
    }

    /// Makes every connection a new client, instead of resuming after a lost one.
    #[must_use]
    pub const fn without_resuming(mut self) -> Self {
        self.is_resuming = false;
        self
    }

    /// Reads nothing more from the server while a stream of the program is half full, instead of dropping its oldest
    /// events. The server closes a client that does not read for too long; the client then resumes.
    ///
    /// Answers to requests are not read meanwhile either: a program that waits for one must not be the one that reads
    /// the stream. What arrives before the first stream counts too: create the stream before you wait for answers.
    #[must_use]
    pub const fn lossless(mut self) -> Self {
        self.overflow = Overflow::Wait;
        self
    }

    /// Does not connect before [`Client::reopen`](crate::Client::reopen).
    #[must_use]
    pub const fn lazy(mut self) -> Self {
        self.is_lazy = true;
        self
    }

    /// Sets the bounds of the requests that wait to be sent.
    #[must_use]
    pub const fn queue(mut self, queue: Queue) -> Self {
        self.queue = queue;
        self
    }

    /// Sets the pauses between attempts to connect.
    #[must_use]
    pub const fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Sets how long to wait for `welcome`, and for the answer to a request that was sent. Default: 10 s.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the TLS configuration for `wss://`, in place of one that trusts the authorities of the system.
    #[must_use]
    pub fn tls(mut self, config: Arc<ClientConfig>) -> Self {
        self.tls = Some(config);
        self
    }

    /// Sets name and version of the program, as `shop-bot/1.2`, for the log of the server: at most 64 printable ASCII
    /// characters. Default: name and version of this crate.
    #[must_use]
    pub fn client(mut self, name: impl Into<String>) -> Self {
        self.client = name.into();
        self
    }

    /// Sets a clock that a test moves.
    #[must_use]
    pub fn clock(mut self, clock: TestClock) -> Self {
        self.clock = Clock::Test(clock);
        self
    }
}

/// Secrets and tokens are not shown.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("key", &self.key)
            .field("tags", &self.tags)
            .field("topics", &self.topics)
            .field("answers", &self.answers)
            .field("ident", &self.ident)
            .field("is_resuming", &self.is_resuming)
            .field("queue", &self.queue)
            .field("backoff", &self.backoff)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let shown = format!("{:?}", Options::new().key("shop").secret("hunter2").token("hunter3"));
        assert!(shown.contains("shop") && !shown.contains("hunter"), "{shown}");
    }
}
