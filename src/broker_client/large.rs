//! Large publications from the link: their payload is not copied.

use std::io;

use super::fanout::{Fanout, UnknownSet};
use super::link_io::malformed;
use super::uplink::Uplink;
use crate::link::message::{Deliver, FromBroker};
use crate::types::{Content, FramedPayload};
use crate::websocket::write;

/// Large message of the broker, in memory of its own.
#[derive(Debug)]
pub(crate) struct LargeLinkMessage {
    pub(crate) bytes: Vec<u8>,
    /// Place in `bytes` where the message begins.
    pub(crate) start: usize,
}

/// What becomes of a large message.
pub(crate) enum LargeOutcome {
    /// A publication was queued, or had been received before.
    Delivered(Result<(), UnknownSet>),
    /// Any other message.
    Other(LargeLinkMessage),
}

impl LargeLinkMessage {
    /// Queues a publication without a copy of its payload. The frame for its recipients takes the place of
    /// the fields before the payload.
    ///
    /// # Errors
    ///
    /// If the bytes are not a message (rule L1).
    pub(crate) fn deliver(
        self,
        uplink: &mut Uplink,
        fanout: &mut Fanout,
    ) -> io::Result<LargeOutcome> {
        let FromBroker::Deliver(deliver) = self.message()? else {
            return Ok(LargeOutcome::Other(self));
        };
        let Deliver { target, content: Some(Content { form, payload }), .. } = deliver else {
            return Ok(LargeOutcome::Other(self));
        };
        if fanout.tracks_next() {
            return Ok(LargeOutcome::Other(self));
        }
        if !uplink.is_new(&deliver) {
            fanout.forget_next();
            fanout.note_dropped(target, payload.len());
            return Ok(LargeOutcome::Delivered(Ok(())));
        }
        let place = self.bytes.len() - payload.len();
        let payload = write::framed_in_place(self.bytes, place)
            .unwrap_or_else(|bytes| write::framed_text(bytes.get(place..).unwrap_or_default()));
        Ok(LargeOutcome::Delivered(fanout.deliver_large(target, Content { form, payload })))
    }

    /// Decodes the message.
    ///
    /// # Errors
    ///
    /// If the bytes are not a message (rule L1).
    pub(crate) fn message(&self) -> io::Result<FromBroker<'_>> {
        FromBroker::decode(self.bytes.get(self.start..).unwrap_or_default()).map_err(malformed)
    }
}

/// Content of a delivery, in the form in which it is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) enum DeliveredContent<'a> {
    /// It is copied into a batch.
    Small(Content<&'a [u8]>),
    /// It is shared.
    Large(&'a Content<FramedPayload>),
}

impl<'a> DeliveredContent<'a> {
    pub(crate) fn borrowed(self) -> Content<&'a [u8]> {
        match self {
            Self::Small(content) => content,
            Self::Large(Content { form, payload }) => {
                Content { form: *form, payload: payload.payload() }
            }
        }
    }
}
