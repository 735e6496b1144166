//! Data that a client of `tagcast.v1` passes to the resource of its path.

use std::ops::Range;

use super::requests::{RequestProgress, error_frame};
use super::{ClientRef, ConnectionEffects, apply_with, call, text_frame};
use crate::protocol::v1::{V1Error, V1ErrorCode, V1RequestId, ack, sent_text};
use crate::resource::{BuiltinKind, Effect, RequestEffect};
use crate::session::Message;
use crate::worker::context::Context;

/// Passes data to the resource of the path: the text of a string, and the JSON of anything else.
pub(super) fn pass_on(
    context: &mut Context,
    client: ClientRef<'_>,
    id: Option<V1RequestId>,
    received: &[u8],
    data: Range<usize>,
) -> ConnectionEffects {
    let refused = |error: &V1Error| [error_frame(id, error)].into_iter().collect();
    if client.resource == BuiltinKind::V1.id() {
        let why = "there is no resource on this path";
        return refused(&V1Error::new(V1ErrorCode::Unsupported, why));
    }
    let data = received.get(data).and_then(|data| str::from_utf8(data).ok()).unwrap_or("null");
    let text = sent_text(data);
    let mut effects = call(context, client, |resource, handle| {
        resource.on_message(handle, Message::Text(&text));
    });
    let mut denied = None;
    effects.retain_mut(|effect| match effect {
        Effect::Request(RequestEffect::Refuse { error, .. }) => {
            denied.get_or_insert_with(|| error_frame(id, error));
            false
        }
        _ => true,
    });
    let mut progress = RequestProgress::default();
    let mut rest = apply_with(context, client, effects, text.as_bytes(), &mut progress);
    let busy = progress.take_error().map(|error| error_frame(id, &error));
    let accepted = || id.map(|id| text_frame(ack(id, None).as_bytes()));
    if let Some(answer) = denied.or(busy).or_else(accepted) {
        rest.insert(0, answer);
    }
    rest
}
