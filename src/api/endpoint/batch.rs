//! `POST /publish:batch`: checks and publishes a list of publications one by one, in order.

use std::fmt::Write;

use futures_util::future::join_all;

use super::EndpointContext;
use crate::api::error::{ApiError, ErrorCode};
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
        for (at, item) in items.iter().enumerate() {
            refuse_written(at, item.get())?;
        }
        let mut taken = Vec::with_capacity(items.len());
        let mut place = String::new();
        for (at, item) in items.iter().enumerate() {
            place.clear();
            let _written = write!(place, "/publications/{at}");
            taken.push(self.take_over(item.get(), &place).await);
        }
        let mut results = "{\"results\":[".to_owned();
        // All at once, because other hosts may be waited for.
        let reached = taken.into_iter().map(async |taken| match taken {
            Ok(taken) => taken.reached(self.until).await,
            Err(error) => Err(error),
        });
        for (at, reached) in join_all(reached).await.into_iter().enumerate() {
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
}

/// The answer to a batch does not wait until sockets have accepted it.
fn refuse_written(at: usize, item: &str) -> Result<(), ApiError> {
    let Ok(json::JsonShape::Object(members)) = json::pick(item, ["ack"]) else { return Ok(()) };
    let [ack] = members.named;
    if ack.is_none_or(|ack| json::text(ack) != "written") {
        return Ok(());
    }
    let at = format!("/publications/{at}/ack");
    Err(ApiError::at(ErrorCode::InvalidValue, &at, "`ack` of a batch is none or accepted"))
}
