//! Results of a run with requests to the HTTP API, as text and as JSON.

use std::fmt::{self, Display, Formatter};

use serde::Serialize;

use super::ApiLoad;
use super::run::ApiSnapshot;
use crate::bench::latency::Percentiles;
use crate::bench::report::{LoadReport, grouped, row};

/// The result of a run with requests to the HTTP API. Every publication was accepted: a run fails at the
/// first that is not.
#[derive(Clone, Debug, Serialize)]
pub struct ApiReport {
    /// Connections, each with one request in flight.
    pub connections: usize,
    /// Publications of a request.
    pub batch: usize,
    /// True if requests were signed.
    pub is_signed: bool,
    /// Requests per second, if the plan fixed them.
    pub rate: Option<f64>,
    /// Bytes of a message.
    pub payload: usize,
    /// Length of the counted part in seconds.
    pub seconds: f64,
    /// Answers in the counted part.
    pub answers: u64,
    /// Answers per second.
    pub answers_per_second: f64,
    /// Publications per second.
    pub publications_per_second: f64,
    /// Processor time of all server processes in seconds. None if the process id of the server is
    /// unknown.
    pub server_cpu_seconds: Option<f64>,
    /// Processor time of the load generator in seconds.
    pub generator_cpu_seconds: f64,
    /// Microseconds from the time at which a request was due until its answer was read.
    pub latency_us: Percentiles,
    /// Feedback with and without the requests, if the plan has any.
    pub feedback: Option<FeedbackBeside>,
}

/// Latency of feedback over WebSocket with and without requests to the HTTP API.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct FeedbackBeside {
    /// Feedback per second.
    pub rate: f64,
    /// Without requests, before and after.
    pub alone_us: [Percentiles; 2],
    /// With requests.
    pub beside_us: Percentiles,
    /// 99th percentile with requests, divided by the mean of the two without.
    pub p99_ratio: f64,
    /// True if no feedback was lost, duplicated or out of order.
    pub is_clean: bool,
}

impl FeedbackBeside {
    /// From runs before, with and after the requests.
    pub(super) fn new(rate: f64, runs: [LoadReport; 3]) -> Self {
        let is_clean = runs.iter().all(LoadReport::is_clean);
        let [before, beside_us, after] = runs.map(|run| run.latency_us);
        let p99_ratio = beside_us.p99 / f64::midpoint(before.p99, after.p99);
        Self { rate, alone_us: [before, after], beside_us, p99_ratio, is_clean }
    }
}

impl ApiReport {
    pub(super) fn new(
        plan: &ApiLoad,
        [begin, end]: &[ApiSnapshot; 2],
        latency_us: Percentiles,
    ) -> Self {
        let seconds = (end.at - begin.at) as f64 / 1e9;
        let answers = end.answers - begin.answers;
        let per_second = answers as f64 / seconds;
        let server = end.server.zip(begin.server).map(|(end, begin)| end.saturating_sub(begin));
        Self {
            connections: plan.connections,
            batch: plan.batch,
            is_signed: plan.is_signed,
            rate: plan.rate,
            payload: plan.payload,
            seconds,
            answers,
            answers_per_second: per_second,
            publications_per_second: per_second * plan.batch as f64,
            server_cpu_seconds: server.map(|cpu| cpu.as_secs_f64()),
            generator_cpu_seconds: (end.generator - begin.generator).as_secs_f64(),
            latency_us,
            feedback: None,
        }
    }

    /// Returns true if no feedback was lost, duplicated or out of order.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.feedback.is_none_or(|feedback| feedback.is_clean)
    }
}

impl Display for ApiReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let credentials = if self.is_signed { "signed" } else { "bearer" };
        let pace = match self.rate {
            Some(rate) => format!(", {rate} requests a second"),
            None => String::new(),
        };
        let (connections, batch, payload) = (self.connections, self.batch, self.payload);
        let load = format_args!(
            "{connections} connections, {credentials}, {batch} publications of {payload} bytes a request{pace}"
        );
        row(f, "load", load)?;
        row(f, "answers a second", grouped(self.answers_per_second))?;
        row(f, "publications a second", grouped(self.publications_per_second))?;
        if let Some(cpu) = self.server_cpu_seconds {
            row(f, "CPU of the server", format_args!("{cpu:.2} of {:.2} s", self.seconds))?;
        }
        row(f, "CPU of the generator", format_args!("{:.2} s", self.generator_cpu_seconds))?;
        row(f, "latency", self.latency_us)?;
        let Some(feedback) = self.feedback else { return Ok(()) };
        let [before, after] = feedback.alone_us;
        row(f, "feedback without requests", before)?;
        row(f, "feedback with requests", feedback.beside_us)?;
        row(f, "feedback without requests", after)?;
        row(f, "ratio of p99", format_args!("{:.2}", feedback.p99_ratio))?;
        let lost = match feedback.is_clean {
            true => "nothing lost, doubled or out of order",
            false => "LOST, OUT OF ORDER OR TWICE",
        };
        row(f, "feedback", lost)
    }
}
