//! What accompanies the data of a publication: the members of `msg` before `data`.

use crate::json::push_text;
use crate::types::limits::V1_EVENT_BYTES_MAX;
use crate::types::{Address, PayloadForm};

/// What names of events may not begin with.
const RESERVED_EVENTS: [&str; 3] = ["tagcast:", "pusher:", "pusher_internal:"];

/// Returns whether an event may have this name.
#[must_use]
pub fn is_event_name(name: &str) -> bool {
    (1..=V1_EVENT_BYTES_MAX).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_graphic())
        && !RESERVED_EVENTS.iter().any(|reserved| name.starts_with(reserved))
}

/// Headers of a publication. Other protocols do not show them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct V1Headers<'a> {
    /// Name of an event; empty if there is none.
    pub event: &'a str,
    /// The topic to which it was published; empty unless it was exactly one.
    pub topic: &'a str,
    /// UUID of the sender; empty if it is not shown.
    pub from: &'a str,
}

impl V1Headers<'_> {
    /// Returns true if there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.event.is_empty() && self.topic.is_empty() && self.from.is_empty()
    }

    /// Returns the payload of a publication with these headers, given the payload and the form that it would have
    /// without them. The form with them is [`PayloadForm::WithHeaders`].
    #[must_use]
    pub fn payload(&self, form: PayloadForm, payload: &str) -> String {
        let mut all = String::with_capacity(payload.len() + 2 * V1_EVENT_BYTES_MAX + self.topic.len() + 128);
        all.push(match form {
            PayloadForm::Text => PayloadForm::TEXT_MARK,
            _ => PayloadForm::MESSAGE_MARK,
        });
        for (name, value) in [("event", self.event), ("topic", self.topic), ("from", self.from)] {
            if !value.is_empty() {
                all.push('"');
                all.push_str(name);
                all.push_str("\":");
                push_text(value, &mut all);
                all.push(',');
            }
        }
        all.push(PayloadForm::HEADERS_END);
        all.push_str(payload);
        all
    }
}

/// Returns the payload of a publication with its topic, given its address and the payload without headers. The form
/// with them is [`PayloadForm::WithHeaders`]. `None`: its recipients are not those of exactly one topic, or its payload
/// has headers, or is a packet.
#[must_use]
pub fn with_topic(address: &Address, form: PayloadForm, payload: &[u8]) -> Option<String> {
    let topic = address.recipients.topic()?;
    match form {
        PayloadForm::Message | PayloadForm::Text => {
            let headers = V1Headers { topic, ..V1Headers::default() };
            Some(headers.payload(form, str::from_utf8(payload).ok()?))
        }
        PayloadForm::Packet | PayloadForm::WithHeaders => None,
    }
}
