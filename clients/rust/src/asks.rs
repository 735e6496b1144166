//! The request to one client that is answered by it.

use std::future::IntoFuture;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::calls::{Answered, Call};
use crate::error::RequestError;
use crate::machine::{Answer, Offline};
use crate::target::To;
use crate::task::Shared;

/// A question to one client. It is asked when it is awaited, or by [`Ask::start`].
#[derive(Debug)]
#[must_use = "a question is asked when it is awaited"]
pub struct Ask<T> {
    call: Call,
    data: Result<Box<RawValue>, serde_json::Error>,
    members: AskMembers,
    answer: PhantomData<fn() -> T>,
}

#[derive(Debug, Serialize)]
struct AskMembers {
    to: To,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<String>,
    timeout_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Box<RawValue>>,
}

impl<T: DeserializeOwned> Ask<T> {
    pub(crate) fn new<D: Serialize + ?Sized>(shared: &Arc<Shared>, to: To, data: &D) -> Self {
        /// The server's own default.
        const TIMEOUT_MS: u64 = 5000;
        Self {
            call: Call::new(shared, Offline::Fail),
            data: serde_json::value::to_raw_value(data),
            members: AskMembers { to, event: None, timeout_ms: TIMEOUT_MS, data: None },
            answer: PhantomData,
        }
    }

    /// Sets the name of the event: 1 to 64 printable ASCII characters.
    pub fn event(mut self, name: impl Into<String>) -> Self {
        self.members.event = Some(name.into());
        self
    }

    /// Sets the time for the answer: 100 ms to a minute, by default 5 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.members.timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        self
    }

    /// Asks, and returns the answer.
    pub fn start(self) -> Answered<T> {
        #[derive(Deserialize)]
        struct AnswerFrame<T> {
            data: T,
        }
        /// The server keeps the time. This is for a server that does not.
        const MORE: Duration = Duration::from_secs(1);
        let Self { mut call, data, mut members, .. } = self;
        call.timeout = Some(Duration::from_millis(members.timeout_ms).saturating_add(MORE));
        let text = data.and_then(|data| {
            members.data = Some(data);
            serde_json::to_string(&members)
        });
        call.start("ask", text, None, |answer| match answer {
            Answer::Frame(text) => serde_json::from_str(text).map(|it: AnswerFrame<T>| it.data),
            Answer::Dropped => Err(serde::de::Error::custom("a question is not dropped")),
        })
    }
}

impl<T: DeserializeOwned> IntoFuture for Ask<T> {
    type Output = Result<T, RequestError>;
    type IntoFuture = Answered<T>;

    fn into_future(self) -> Answered<T> {
        self.start()
    }
}
