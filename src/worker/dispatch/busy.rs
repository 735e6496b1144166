//! The answer to a publisher when memory is scarce.

use bytes::BytesMut;

use super::ConnectionEffect;
use crate::session::Session;
use crate::types::{ClientClass, CloseCode, CloseReason};
use crate::websocket::write as frames;
use crate::worker::context::Context;

const BUSY_TEXT: &str = "The server is busy, try again later";
const BUSY: CloseReason = CloseReason::new(CloseCode::LATER, BUSY_TEXT);

/// Returns the reply to a publisher when memory for its publication is scarce.
pub(super) fn busy_answer(context: &mut Context, session: &Session) -> ConnectionEffect {
    context.labelled.note_denied("memory");
    match (session.protocol.spec().error, session.class) {
        (Some(error), ClientClass::Web) => {
            let mut frame = BytesMut::new();
            frames::text(&mut frame, error(BUSY_TEXT).as_bytes());
            ConnectionEffect::Frame(frame)
        }
        _ => ConnectionEffect::Close(BUSY),
    }
}
