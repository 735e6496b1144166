//! `/time`: the time, every four seconds.

use std::time::Duration;

use super::{Room, Talk};
use crate::dialect::bloatless::NO_BINARY;
use crate::resource::{Desk, Handle};
use crate::session::{Message, Speech};
use crate::types::Form;

/// The application `time`.
#[derive(Clone, Copy, Debug)]
pub struct Time;

/// As often as the original.
const EVERY: Duration = Duration::from_secs(4);

impl Talk for Time {
    fn name(&self) -> &'static str {
        "time"
    }

    fn speech(&self) -> Speech {
        Speech::Plain
    }

    fn hear(&self, _: &Room, client: &mut Handle<'_>, message: Message<'_>) {
        if let Message::Binary(_) = message {
            client.close(NO_BINARY);
        }
    }

    fn every(&self) -> Option<Duration> {
        Some(EVERY)
    }

    fn tick(&self, room: &Room, desk: &mut Desk<'_>) {
        let text = text(desk.unix_time());
        for tenant in desk.tenants() {
            room.announce(desk, &tenant, (Form::Text, text.clone()));
        }
    }
}

/// Whole seconds since 1970, in decimal digits.
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
