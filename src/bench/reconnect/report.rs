//! The result of a run with clients that reconnect.

use std::fmt::{self, Display, Formatter};

use serde::Serialize;

use crate::bench::latency::Percentiles;
use crate::bench::report::row;

/// The result of a run with clients that reconnect.
#[derive(Clone, Debug, Serialize)]
pub struct ReconnectReport {
    /// The disruption.
    pub kill: String,
    /// Connections before the disruption.
    pub clients: usize,
    /// Seconds over which the first attempts were spread.
    pub jitter: f64,
    /// Whether the clients used session tickets. None without TLS.
    pub tls_tickets: Option<bool>,
    /// Connections that ended.
    pub lost: u64,
    /// Attempts that the server or the system refused.
    pub refused: u64,
    /// What became of clients that resume. None without them.
    pub returned: Option<ReturnedClients>,
    /// Seconds from the disruption until all clients were open again.
    pub seconds_until_open: f64,
    /// Seconds from the disruption until all clients had received a message.
    pub seconds_until_served: f64,
    /// Microseconds from the end of each connection until it was open again.
    pub away_us: Percentiles,
    /// Processor time of all server processes from the disruption until all clients were open
    /// again, in seconds.
    pub server_cpu_seconds: f64,
    /// The part of it for the messages of the bystanders, at their cost before the disruption.
    pub bystander_cpu_seconds: f64,
    /// Processor time of the same number of sequential openings, in seconds.
    pub openings_cpu_seconds: f64,
    /// Processor time of the same number of openings with 64 at the same time, in seconds.
    pub openings_by_64_cpu_seconds: f64,
    /// Processor time without the part of the bystanders, divided by that of sequential openings.
    pub cpu_ratio: f64,
    /// The same, divided by that of openings with 64 at the same time.
    pub cpu_ratio_by_64: f64,
    /// Bystanders that stayed connected.
    pub bystanders: usize,
    /// Latency of these messages before the disruption, in microseconds.
    pub bystander_before_us: Percentiles,
    /// Latency of these messages until all clients were open again. None if no client stayed.
    pub bystander_us: Option<Percentiles>,
    /// Lost messages of bystanders that stayed connected.
    pub bystander_lost: usize,
}

/// Clients of `tagcast.v1` that came back.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ReturnedClients {
    /// Connections that continued an earlier one.
    pub resumed: u64,
    /// Those of them whose clients got everything that they had missed.
    pub recovered: u64,
}

impl Display for ReconnectReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { kill, clients, lost, refused, jitter, .. } = self;
        let tickets = match self.tls_tickets {
            None => "",
            Some(true) => ", TLS with tickets",
            Some(false) => ", TLS without tickets",
        };
        row(f, "load", format_args!("{clients} clients, {kill}, jitter {jitter} s{tickets}"))?;
        row(f, "connections lost", lost)?;
        row(f, "refused attempts", refused)?;
        if let Some(ReturnedClients { resumed, recovered }) = self.returned {
            row(f, "resumed", format_args!("{resumed}, {recovered} of them recovered"))?;
        }
        row(f, "all open again after", format_args!("{:.2} s", self.seconds_until_open))?;
        row(f, "all served after", format_args!("{:.2} s", self.seconds_until_served))?;
        row(f, "each away for", self.away_us)?;
        let (cpu, messages) = (self.server_cpu_seconds, self.bystander_cpu_seconds);
        let cpu = format_args!("{cpu:.2} s, {messages:.2} s of it for the bystanders");
        row(f, "CPU of the server", cpu)?;
        let openings = self.openings_cpu_seconds;
        let ratio = format_args!("{:.2} ({openings:.2} s)", self.cpu_ratio);
        row(f, "to sequential openings", ratio)?;
        let openings = self.openings_by_64_cpu_seconds;
        let ratio = format_args!("{:.2} ({openings:.2} s)", self.cpu_ratio_by_64);
        row(f, "to openings, 64 at once", ratio)?;
        row(f, "bystanders before", self.bystander_before_us)?;
        match &self.bystander_us {
            Some(latency) => {
                row(f, "bystanders meanwhile", latency)?;
                row(f, "", format_args!("{} stayed, {} lost", self.bystanders, self.bystander_lost))
            }
            None => row(f, "bystanders meanwhile", "no client stayed connected"),
        }
    }
}
