//! Questions of other clients and of backends, and the functions that answer them.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

/// The event of questions without one.
const WITHOUT_EVENT: &str = "message";

/// A question that a client or a backend asks this client.
#[derive(Clone, Debug)]
pub struct Question {
    event: Option<String>,
    data: Box<RawValue>,
}

/// What a function answers: JSON, or the reason why it refuses.
pub(crate) type Reply = Result<Box<RawValue>, String>;

/// The answer of a function, which the task of the client waits for.
pub(crate) type ReplyFuture = Pin<Box<dyn Future<Output = Reply> + Send>>;

type AnswerFunction = Arc<dyn Fn(Question) -> ReplyFuture + Send + Sync>;

/// The functions that answer questions, by their events.
#[derive(Clone, Default)]
pub(crate) struct AnswerFunctions(BTreeMap<String, AnswerFunction>);

impl Question {
    pub(crate) const fn new(event: Option<String>, data: Box<RawValue>) -> Self {
        Self { event, data }
    }

    /// The name of its event.
    #[must_use]
    pub fn event(&self) -> Option<&str> {
        self.event.as_deref()
    }

    /// Its data as JSON.
    #[must_use]
    pub fn json(&self) -> &str {
        self.data.get()
    }

    /// Its data.
    ///
    /// # Errors
    ///
    /// If they have another form.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.json())
    }
}

impl AnswerFunctions {
    pub(crate) fn add(&mut self, event: String, function: AnswerFunction) {
        self.0.insert(event, function);
    }

    /// The function for a question. None: this client does not answer it.
    pub(crate) fn of(&self, question: &Question) -> Option<AnswerFunction> {
        self.0.get(question.event().unwrap_or(WITHOUT_EVENT)).cloned()
    }
}

/// Shows the events only.
impl fmt::Debug for AnswerFunctions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
