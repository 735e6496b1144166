//! `/chat`: sends each client's text to all clients, prefixed with a guest name.

use super::{BloatlessApp, Room};
use crate::json::push_text;
use crate::protocol::bloatless;
use crate::protocol::bloatless::NO_BINARY;
use crate::resource::{ClientHandle, ResourceContext};
use crate::session::Message;
use crate::types::{ClientUuid, PayloadForm, Tenant};

/// Application `chat`.
#[derive(Clone, Copy, Debug)]
pub(super) struct ChatApp;

impl BloatlessApp for ChatApp {
    fn name(&self) -> &'static str {
        "chat"
    }

    fn on_message(&self, room: &Room, client: &mut ClientHandle<'_>, message: Message<'_>) {
        let Message::Text(text) = message else { return client.close(NO_BINARY) };
        if let Some(packet) = bloatless::parse(text)
            && packet.action == "echo"
        {
            let name = format!("Guest{}", guest_number(client.id()));
            room.publish(client, PayloadForm::Message, line(&name, packet.data));
        }
    }

    fn on_push(
        &self,
        room: &Room,
        context: &mut ResourceContext<'_>,
        tenant: &Tenant,
        data: &str,
    ) -> Result<(), &'static str> {
        let packet = bloatless::parse(data).ok_or("its data has no action, or no data inside")?;
        // Method names are case-insensitive in PHP.
        if packet.action.eq_ignore_ascii_case("echo") {
            let line = line("System Message", packet.data);
            room.announce(context, tenant, PayloadForm::Message, line);
        }
        Ok(())
    }
}

/// Returns the number in a client's guest name: 10 to 999, constant for the connection. It is
/// derived from the client's random identity.
fn guest_number(id: ClientUuid) -> u16 {
    let [first, second, ..] = id.0;
    10 + u16::from_be_bytes([first, second]) % 990
}

/// Formats one chat line as a JSON string.
fn line(name: &str, data: &str) -> String {
    let mut json = String::new();
    push_text(&format!("{name}: {}", bloatless::as_text(data)), &mut json);
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_has_two_or_three_digits_and_all_of_them_occur() {
        let of = |number: u16| {
            let [first, second] = number.to_be_bytes();
            let mut id = [0; 16];
            (id[0], id[1]) = (first, second);
            guest_number(ClientUuid(id))
        };
        let mut seen: Vec<u16> = (0..=u16::MAX).map(of).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, (10..=999).collect::<Vec<_>>());
    }
}
