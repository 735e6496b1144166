//! `/status`: reports when clients of any application connect, send and disconnect.

use core::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::StatusClients;
use super::status_updates::ConnectionNews;
use super::{BloatlessApp, BloatlessOptions, Room};
use crate::auth::Right;
use crate::protocol::bloatless::{NO_BINARY, packet};
use crate::resource::{ClientHandle, Limit, Presence};
use crate::session::Message;

pub(super) const NAME: &str = "status";

/// Application `status`. It shows client addresses, so the right to listen is not enough.
#[derive(Clone, Copy, Debug)]
pub(super) struct StatusApp;

impl BloatlessApp for StatusApp {
    fn name(&self) -> &'static str {
        NAME
    }

    fn needs(&self) -> Right {
        Right::Publish
    }

    fn greets_with_server_info(&self) -> bool {
        true
    }

    fn on_message(&self, _: &Room, client: &mut ClientHandle<'_>, message: Message<'_>) {
        if let Message::Binary(_) = message {
            client.close(NO_BINARY);
        }
    }
}

/// Formats the first message: the limits, and the connected clients except the recipient.
pub(super) fn server_info(options: &BloatlessOptions, who: &Presence, own: &str) -> String {
    let others = who.values.iter().filter(|peer| ***peer != *own);
    let clients: Map<String, Value> = match options.clients {
        StatusClients::V3 => others.map(|peer| (peer.to_string(), Value::Bool(true))).collect(),
        StatusClients::V1 => others
            .filter_map(|peer| peer.parse::<SocketAddr>().ok())
            .map(|peer| (peer.port().to_string(), peer.ip().to_string().into()))
            .collect(),
    };
    // PHP encodes an empty map as an empty list.
    let clients = if clients.is_empty() { json!([]) } else { Value::Object(clients) };
    packet(
        "serverInfo",
        &OrderedMembers(&[
            ("maxClients", options.max_clients.into()),
            ("maxConnectionsPerIp", options.max_per_ip.into()),
            // The misspelling is part of version 2.
            ("maxRequetsPerMinute", options.requests_per_minute.into()),
            ("clientCount", who.clients.saturating_sub(1).into()),
            ("clients", clients),
        ]),
    )
}

/// Formats the two messages about a client that connected or disconnected. `count` is the number of
/// clients afterwards.
pub(super) fn connection_messages(
    event: &ConnectionNews,
    count: u64,
    unix_time: Duration,
) -> [String; 2] {
    let (peer, word, action) = match event {
        ConnectionNews::Connected(peer) => (peer, "connected", "clientConnected"),
        ConnectionNews::Disconnected(peer) => (peer, "disconnected", "clientDisconnected"),
    };
    [
        message("info", &format!("Client {word}: {peer}"), unix_time),
        packet(
            action,
            &OrderedMembers(&[
                ("client", peer.to_string().into()),
                ("ip", peer.ip().to_string().into()),
                ("port", peer.port().into()),
                ("clientCount", count.into()),
            ]),
        ),
    ]
}

/// Formats the message about a client that a limit refused.
pub(super) fn warning(limit: Limit, ip: IpAddr, unix_time: Duration) -> String {
    let text = match limit {
        Limit::Clients => "Attention: Client Limit Reached!".to_owned(),
        Limit::Address => format!("Connection/Ip limit for ip {ip} was reached!"),
    };
    message("warning", &text, unix_time)
}

/// Formats a message for human readers.
fn message(kind: &str, text: &str, unix_time: Duration) -> String {
    let text = format!("[{}] {text}", minute(unix_time));
    packet("statusMsg", &OrderedMembers(&[("type", kind.into()), ("text", text.into())]))
}

/// Formats the message about a client that sent something.
pub(super) fn activity(clients: StatusClients, peer: SocketAddr) -> String {
    match clients {
        StatusClients::V3 => packet("clientActivity", &peer.to_string()),
        StatusClients::V1 => packet("clientActivity", &peer.port()),
    }
}

/// Serializes members in the given order.
struct OrderedMembers<'a>(&'a [(&'a str, Value)]);

impl serde::Serialize for OrderedMembers<'_> {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// Formats month, day, hour and minute (UTC), such as `11-20 22:56`.
fn minute(unix_time: Duration) -> String {
    let minutes = unix_time.as_secs() / 60;
    let (month, day) = month_and_day(minutes / (24 * 60));
    format!("{month:02}-{day:02} {:02}:{:02}", minutes / 60 % 24, minutes % 60)
}

/// Returns month and day of the date `days` days after 1 January 1970.
fn month_and_day(days: u64) -> (u64, u64) {
    const MONTHS: [u64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    /// Days in four hundred years, after which the calendar repeats.
    const CYCLE: u64 = 400 * 365 + 97;
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let (mut rest, mut year) = (days % CYCLE, 1970);
    while rest >= 365 + u64::from(is_leap(year)) {
        rest -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    for (number, length) in (1..).zip(MONTHS) {
        let length = length + u64::from(number == 2 && is_leap(year));
        if rest < length {
            return (number, rest + 1);
        }
        rest -= length;
    }
    (12, 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::TagQuery;

    fn who(peers: &[&str]) -> Presence {
        Presence {
            query: TagQuery::default().into(),
            error: None,
            tag: "@peer".into(),
            clients: u64::try_from(peers.len()).unwrap(),
            values: peers.iter().map(|peer| (*peer).into()).collect(),
        }
    }

    #[test]
    fn times_are_month_day_hour_and_minute() {
        for (seconds, text) in [
            (0, "01-01 00:00"),
            (951_782_400, "02-29 00:00"),
            (951_868_799, "02-29 23:59"),
            (951_868_800, "03-01 00:00"),
            (1_763_679_419, "11-20 22:56"),
            (4_107_542_400, "03-01 00:00"),
            (1_735_689_599, "12-31 23:59"),
        ] {
            assert_eq!(minute(Duration::from_secs(seconds)), text, "{seconds}");
        }
    }

    #[test]
    fn the_first_message_leaves_the_client_itself_out() {
        let mut options =
            BloatlessOptions { max_clients: 30, max_per_ip: 5, ..BloatlessOptions::default() };
        let own = "127.0.0.1:1";
        let head = r#"{"action":"serverInfo","data":{"maxClients":30,"maxConnectionsPerIp":5,"#;
        let alone = server_info(&options, &who(&[own]), own);
        let rest = r#""maxRequetsPerMinute":0,"clientCount":0,"clients":[]}}"#;
        assert_eq!(alone, format!("{head}{rest}"));
        let two = server_info(&options, &who(&[own, "[::1]:7"]), own);
        assert!(two.ends_with(r#""clientCount":1,"clients":{"[::1]:7":true}}}"#), "{two}");
        options.clients = StatusClients::V1;
        let two = server_info(&options, &who(&[own, "[::1]:7"]), own);
        assert!(two.ends_with(r#""clientCount":1,"clients":{"7":"::1"}}}"#), "{two}");
    }

    #[test]
    fn an_activity_is_an_address_or_a_port() {
        let peer = "127.0.0.1:41346".parse().unwrap();
        let v3 = r#"{"action":"clientActivity","data":"127.0.0.1:41346"}"#;
        assert_eq!(activity(StatusClients::V3, peer), v3);
        assert_eq!(
            activity(StatusClients::V1, peer),
            r#"{"action":"clientActivity","data":41346}"#
        );
    }
}
