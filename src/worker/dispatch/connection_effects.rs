//! Effects of a call on the connection itself. They are applied after those that concern the broker.

use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;
use tracing::info;

use super::token_refresh;
use crate::protocol::v1::{V1RequestId, pong};
use crate::resource::TokenRefresh;
use crate::session::SessionFact;
use crate::types::CloseReason;
use crate::types::limits::CONTROL_FRAMES_PER_SECOND;
use crate::websocket::write as frames;
use crate::worker::clock::unix_time;
use crate::worker::connection::outbox::PartKind;
use crate::worker::connection::{CONTROL_FLOOD, Connection, Phase};
use crate::worker::connection::{close, deferred_replies, message, write};
use crate::worker::context::Context;

/// Effects on the connection itself. They are applied after those that concern the broker.
pub(in crate::worker) type ConnectionEffects = SmallVec<[ConnectionEffect; 1]>;

/// Effect on the connection itself.
pub(in crate::worker) enum ConnectionEffect {
    /// Later writes wait until the broker has processed everything sent so far.
    AwaitBroker,
    Frame(BytesMut),
    /// Large frame that is shared.
    LargeFrame(Bytes),
    Fyi(String),
    /// Name that the client registered.
    Registered(String),
    /// New token of the connection.
    Refreshed(Box<TokenRefresh>),
    /// Tags of the client's packets were ignored.
    IgnoredTags,
    /// Answer to a ping of the client, with the number that it chose. It counts as a control frame.
    Pong(Option<V1RequestId>),
    /// A pong of the client, which counts as a control frame.
    Alive,
    Close(CloseReason),
}

/// Applies effects on the connection itself.
pub(in crate::worker) fn apply_rest(
    context: &mut Context,
    connection: &mut Connection,
    rest: ConnectionEffects,
) {
    let mut replies = BytesMut::new();
    let end = apply_to_connection(context, connection, rest, &mut replies);
    write::write(context, connection, replies.freeze(), PartKind::Frames);
    if let Some(reason) = end {
        close::close(context, connection, &reason);
    }
}

/// Applies effects on the connection itself. Returns the reason if one of them closes the
/// connection.
pub(in crate::worker) fn apply_to_connection(
    context: &mut Context,
    connection: &mut Connection,
    rest: ConnectionEffects,
    replies: &mut BytesMut,
) -> Option<CloseReason> {
    for own in rest {
        match own {
            ConnectionEffect::AwaitBroker => {
                deferred_replies::defer_until_done(context, connection, replies);
            }
            ConnectionEffect::Frame(frame) => {
                message::reply(context, connection, replies, frame, PartKind::Frames);
            }
            ConnectionEffect::LargeFrame(frame) => {
                message::reply_large(context, connection, replies, frame);
            }
            ConnectionEffect::Fyi(fyi) => {
                if let Phase::Open(session) = &mut connection.phase {
                    session.extras.get_or_insert_default().words.fyi = fyi;
                }
            }
            ConnectionEffect::Registered(uuid) => {
                if let Phase::Open(session) = &mut connection.phase {
                    session.extras.get_or_insert_default().words.uuid = Some(uuid);
                }
            }
            ConnectionEffect::Refreshed(refresh) => {
                if let Some(reason) = token_refresh::apply(context, connection, *refresh) {
                    return Some(reason);
                }
            }
            ConnectionEffect::IgnoredTags => note_ignored_tags(connection),
            ConnectionEffect::Pong(_) | ConnectionEffect::Alive
                if !connection
                    .control_frames
                    .admits(context.clock.now().second(), CONTROL_FRAMES_PER_SECOND) =>
            {
                return Some(CONTROL_FLOOD);
            }
            ConnectionEffect::Pong(id) => {
                let mut frame = BytesMut::new();
                frames::text(&mut frame, pong(id, unix_time().as_millis()).as_bytes());
                message::reply(context, connection, replies, frame, PartKind::Frames);
            }
            ConnectionEffect::Alive => {}
            ConnectionEffect::Close(reason) => return Some(reason),
        }
    }
    None
}

/// Logs once that tags are ignored. A new user may expect `tags` to select recipients, while
/// existing pages may use the member for their own purposes.
fn note_ignored_tags(connection: &mut Connection) {
    let Phase::Open(session) = &mut connection.phase else { return };
    session.facts.add(SessionFact::TagsNoted);
    info!(
        event = "broadcast_tags_ignored",
        connection = connection.serial,
        "tags of a broadcast are ignored; `[phpws] broadcastTags = select` enables them"
    );
}
