//! The frames of a batch.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};

use super::batch::{BatchQueue, Question, QueuedPublication};
use crate::protocol::Protocol;
use crate::types::{Content, FramedPayload, PayloadForm, Slot};
use crate::websocket::write;

/// The publications of a batch, encoded as frames of one protocol.
#[derive(Debug, Default)]
pub struct Joined {
    /// All frames, concatenated.
    pub(crate) bytes: Bytes,
    /// End offset of each frame.
    ends: Vec<usize>,
}

pub(super) fn join(queue: &BatchQueue, protocol: Protocol) -> Joined {
    let BatchQueue { publications, payloads, positions } = queue;
    let mut frames = Vec::with_capacity(payloads.len() + publications.len() * FRAME_BYTES_MORE);
    let mut ends = Vec::with_capacity(publications.len());
    let is_event_stream = protocol.spec().is_event_stream;
    let mut start = 0;
    let mut positions = positions.iter().peekable();
    for (place, QueuedPublication { end, form, cast }) in publications.iter().enumerate() {
        let payload = payloads.get(start..*end).unwrap_or_default();
        let at = positions.next_if(|(of, _)| *of == place).map(|(_, at)| *at);
        let rendered = protocol.render_at(Content { form: *form, payload }, *cast, at);
        match is_event_stream {
            false => write::text(&mut frames, &rendered),
            true => frames.extend_from_slice(&rendered),
        }
        ends.push(frames.len());
        start = *end;
    }
    Joined { bytes: frames.into(), ends }
}

/// Returns the frame of a large publication. It is not copied if the protocol sends its payload unchanged.
pub(super) fn frame_of_large(
    queue: &BatchQueue,
    large: &FramedPayload,
    protocol: Protocol,
) -> Joined {
    let Some(QueuedPublication { form, cast, .. }) = queue.publications.first() else {
        return Joined::default();
    };
    let payload = large.payload();
    let at = queue.positions.first().map(|(_, at)| *at);
    let frame = match protocol.render_at(Content { form: *form, payload }, *cast, at) {
        Cow::Borrowed(rendered) if std::ptr::eq(rendered, payload) => large.frame().clone(),
        rendered if protocol.spec().is_event_stream => rendered.into_owned().into(),
        rendered => write::text_frame(&rendered),
    };
    let ends = vec![frame.len()];
    Joined { bytes: frame, ends }
}

/// Returns the frame of a question; the frame of a publication if the protocol has no questions.
pub(super) fn ask(queue: &BatchQueue, protocol: Protocol, question: &Question) -> Joined {
    let Some(questions) = &protocol.spec().questions else { return join(queue, protocol) };
    let form = queue.publications.first().map_or(PayloadForm::Message, |it| it.form);
    let mut frame = Vec::new();
    let content = Content { form, payload: &*queue.payloads };
    write::text(&mut frame, &(questions.ask)(content, question.token, question.within));
    let ends = vec![frame.len()];
    Joined { bytes: frame.into(), ends }
}

/// Usual number of bytes of a frame in addition to its payload, rounded up.
const FRAME_BYTES_MORE: usize = 16;

impl Joined {
    /// Returns the number of frames.
    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.ends.len()).unwrap_or(u32::MAX)
    }

    /// Returns each frame separately, for a client that reads one frame at a time.
    pub fn each(&self) -> impl Iterator<Item = Bytes> + '_ {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| self.bytes.slice(start..*end))
    }

    pub(super) fn without<'a>(&self, excepts: impl Iterator<Item = &'a (Slot, usize)>) -> Self {
        let mut left_out = excepts.map(|(_, place)| *place).peekable();
        let mut frames = BytesMut::new();
        let mut ends = Vec::new();
        for (place, frame) in self.each().enumerate() {
            if left_out.next_if_eq(&place).is_some() {
                continue;
            }
            frames.extend_from_slice(&frame);
            ends.push(frames.len());
        }
        Self { bytes: frames.freeze(), ends }
    }
}
