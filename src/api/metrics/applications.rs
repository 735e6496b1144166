//! Families of applications.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::text::{FamilyHead, family, float};
use crate::types::{ApplicationFigures, ApplicationTable};

/// The figures of applications.
#[derive(Debug)]
pub(super) struct ApplicationMetrics(pub(super) ApplicationTable);

/// A counter of each application.
struct Series {
    name: &'static str,
    help: &'static str,
    of: fn(&ApplicationFigures) -> f64,
}

const COUNTERS: [Series; 6] = [
    Series {
        name: "application_messages_received",
        help: "Messages from its clients",
        of: |it| float(it.messages),
    },
    Series {
        name: "application_publications",
        help: "Publications of its clients, and of its backends by the HTTP API",
        of: |it| float(it.publications),
    },
    Series {
        name: "application_deliveries",
        help: "Deliveries to its clients that the broker ordered",
        of: |it| float(it.deliveries),
    },
    Series {
        name: "application_rate_limited",
        help: "Requests, and publications of batches, that got 429",
        of: |it| float(it.rate_limited),
    },
    Series {
        name: "application_auth_failures",
        help: "Messages and requests with wrong credentials",
        of: |it| float(it.auth_failures),
    },
    Series {
        name: "application_throttled_seconds",
        help: "Time that its publishers had to wait, all together",
        of: |it| float(it.throttled_ms) / 1000.0,
    },
];

impl Collector for ApplicationMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let encoder = &mut encoder;
        let label = |key: &str| [("application", key.to_owned())];
        let clients = self.0.rows().map(|(key, it)| (label(key), float(it.clients))).collect();
        let head = FamilyHead::Gauge("application_clients", "Its open WebSockets");
        family(encoder, head, clients)?;
        for Series { name, help, of } in COUNTERS {
            let values = self.0.rows().map(|(key, it)| (label(key), of(it))).collect();
            family(encoder, FamilyHead::Counter(name, help), values)?;
        }
        let directions = self.0.rows().flat_map(|(key, it)| {
            [("in", it.bytes_in), ("out", it.bytes_out)].map(|(direction, bytes)| {
                let direction = ("direction", direction.to_owned());
                ([("application", key.to_owned()), direction], float(bytes))
            })
        });
        let help = "Bytes of messages from its clients and backends, and of frames for its clients";
        let head = FamilyHead::Counter("application_message_bytes", help);
        family(encoder, head, directions.collect())
    }
}
