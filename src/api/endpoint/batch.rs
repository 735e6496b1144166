//! `POST /publish:batch`: checks and publishes a list of publications one by one, in order.

use std::fmt::Write;

use futures_util::future::join_all;
use serde_json::value::RawValue;

use super::EndpointContext;
use super::publish::PUBLISH_MEMBERS;
use super::taken::{PublicationAnswer, TakenPublication};
use crate::api::error::ApiError;
use crate::api::json_object::{JsonObject, list_of};
use crate::api::response::ApiAnswer;
use crate::json;
use crate::types::limits::API_BATCH_MAX;

impl EndpointContext<'_> {
    /// Publishes what a body lists. Each publication has a result of its own, in their order.
    ///
    /// # Errors
    ///
    /// If the list as a whole is invalid. Nothing is published then.
    pub(in crate::api) async fn batch(self, text: &str) -> Result<ApiAnswer, ApiError> {
        let body = JsonObject::read(text, "", &["publications"])?;
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
        let mut taken = Vec::with_capacity(bodies.len());
        for body in bodies {
            taken.push(match body {
                Ok(body) => self.take_over_object(&body).await,
                Err(error) => Err(error),
            });
        }
        let mut results = "{\"results\":[".to_owned();
        for (at, reached) in self.all_reached(taken).await.into_iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            let _written = match reached {
                Ok(answer) => {
                    let (status, members) = (answer.status.as_u16(), &answer.members);
                    write!(results, "{comma}{{\"status\":{status},{members}}}")
                }
                Err(error) => {
                    self.state.request_stats.note_denied(error.code());
                    self.state.request_stats.note_error_of(&self.application.key, error.code());
                    self.state.refusals.borrow_mut().note(&self.application.key, error.code());
                    let (status, members) = (error.status().as_u16(), error.members(None));
                    write!(results, "{comma}{{\"status\":{status},{members}}}")
                }
            };
        }
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

fn publication_at(at: usize, item: &RawValue) -> Result<JsonObject<'_>, ApiError> {
    JsonObject::read(item.get(), &format!("/publications/{at}"), PUBLISH_MEMBERS)
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
