//! `POST /publish:batch`: checks and publishes a list of publications one by one, in order.

use futures_util::future::join_all;
use serde_json::value::RawValue;

use super::EndpointContext;
use super::publish::PUBLISH_MEMBERS;
use super::taken::{PublicationAnswer, TakenPublication};
use crate::api::error::ApiError;
use crate::api::json_object::{JsonObject, JsonPlace, list_of};
use crate::api::response::ApiAnswer;
use crate::api::window_waits::BatchTurn;
use crate::json;
use crate::types::limits::API_BATCH_MAX;

/// Bytes that a result has at most, unless it has an id or is an error.
const RESULT_BYTES_USUAL: usize = 64;

impl EndpointContext<'_> {
    /// Publishes what a body lists. Each publication has a result of its own, in their order.
    ///
    /// # Errors
    ///
    /// If the list as a whole is invalid. Nothing is published then.
    pub(in crate::api) async fn batch(self, text: &str) -> Result<ApiAnswer, ApiError> {
        let body = JsonObject::read(text, JsonPlace::Body, &["publications"])?;
        let right = format!("`publications` is a list of 1 to {API_BATCH_MAX} publications");
        let list = body.raw("publications").ok_or_else(|| body.missing("publications", &right))?;
        let items =
            list_of(list, API_BATCH_MAX).map_err(|_| body.wrong_type("publications", "a list"))?;
        if !(1..=API_BATCH_MAX).contains(&items.len()) {
            return Err(body.invalid("publications", right));
        }
        let bodies: Vec<Result<JsonObject<'_>, ApiError>> =
            items.into_iter().enumerate().map(|(at, item)| publication_at(at, item)).collect();
        for body in bodies.iter().flatten() {
            refuse_written(body)?;
        }
        let turn = BatchTurn::default();
        let context = EndpointContext { turn: Some(&turn), ..self };
        let mut taken = Vec::with_capacity(bodies.len());
        for body in bodies {
            taken.push(match body {
                Ok(body) => context.take_over_object(&body).await,
                Err(error) => Err(error),
            });
        }
        let mut results = String::with_capacity(taken.len() * RESULT_BYTES_USUAL);
        results.push_str("{\"results\":[");
        for reached in context.all_reached(taken).await {
            let (status, members) = match reached {
                Ok(answer) => (answer.status, answer.members),
                Err(error) => {
                    self.state.request_stats.note_denied(error.code());
                    self.state.request_stats.note_error_of(&self.application.key, error.code());
                    self.state.refusals.borrow_mut().note(&self.application.key, error.code());
                    (error.status(), error.members(None))
                }
            };
            results.extend(["{\"status\":", status.as_str(), ",", &members, "},"]);
        }
        // There is at least one.
        results.pop();
        results.push_str("]}");
        Ok(ApiAnswer::ok(results))
    }

    /// Waits for all publications.
    async fn all_reached(
        self,
        taken: Vec<Result<TakenPublication<'_>, ApiError>>,
    ) -> Vec<Result<PublicationAnswer, ApiError>> {
        let reached = async |taken: Result<TakenPublication<'_>, ApiError>| match taken {
            Ok(taken) => taken.reached(self.until).await,
            Err(error) => Err(error),
        };
        if taken.iter().flatten().any(TakenPublication::asks_other_hosts) {
            return join_all(taken.into_iter().map(reached)).await;
        }
        // The broker acknowledges all of them together, so this waits as long and costs less.
        let mut all = Vec::with_capacity(taken.len());
        for taken in taken {
            all.push(reached(taken).await);
        }
        all
    }
}

fn publication_at(index: usize, item: &RawValue) -> Result<JsonObject<'_>, ApiError> {
    const LIST: JsonPlace<'_> = JsonPlace::Member { of: &JsonPlace::Body, name: "publications" };
    JsonObject::read(item.get(), JsonPlace::Element { of: &LIST, index }, PUBLISH_MEMBERS)
}

/// The answer to a batch does not wait until sockets have accepted it.
fn refuse_written(body: &JsonObject<'_>) -> Result<(), ApiError> {
    match body.raw("ack") {
        Some(ack) if json::text(ack) == "written" => {
            Err(body.invalid("ack", "`ack` of a batch is none or accepted"))
        }
        _ => Ok(()),
    }
}
