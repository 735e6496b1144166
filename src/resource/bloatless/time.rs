//! `/time`: sends the time every four seconds.

use std::time::Duration;

use super::{BloatlessApp, Room};
use crate::protocol::Protocol;
use crate::protocol::bloatless::NO_BINARY;
use crate::resource::{ClientHandle, ResourceContext};
use crate::session::Message;
use crate::types::PayloadForm;

/// Application `time`.
#[derive(Clone, Copy, Debug)]
pub(super) struct TimeApp;

/// Interval of the messages, as in the original.
const EVERY: Duration = Duration::from_secs(4);

impl BloatlessApp for TimeApp {
    fn name(&self) -> &'static str {
        "time"
    }

    fn protocol(&self) -> Protocol {
        Protocol::Plain
    }

    fn on_message(&self, _: &Room, client: &mut ClientHandle<'_>, message: Message<'_>) {
        if let Message::Binary(_) = message {
            client.close(NO_BINARY);
        }
    }

    fn every(&self) -> Option<Duration> {
        Some(EVERY)
    }

    fn tick(&self, room: &Room, context: &mut ResourceContext<'_>) {
        let text = text(context.unix_time());
        for tenant in context.tenants() {
            room.announce(context, &tenant, PayloadForm::Text, text.clone());
        }
    }
}

/// Formats whole seconds since 1970 in decimal digits.
fn text(unix_time: Duration) -> String {
    unix_time.as_secs().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_whole_seconds() {
        assert_eq!(text(Duration::from_millis(1_289_000_000_999)), "1289000000");
    }
}
