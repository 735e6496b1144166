//! Measures the HTTP API: requests on kept connections, and feedback next to them.
//!
//! Publications go to a tag that no client has. So the API, its link and the broker are measured, and
//! not the fan-out, which the other benchmarks measure.

mod report;
mod requests;
mod run;

use std::thread;
use std::time::Duration;

pub use self::report::{ApiReport, FeedbackBeside};

use self::requests::RequestAccess;
use super::error::BenchError;
use super::load;
use super::plan::{Audience, Load, PublishPace, Until};
use super::process::Tree;
use super::server::OwnServer;
use super::target::{BenchProtocol, BenchTarget};
use super::{MeasuredServer, NamedReport};

/// A run with requests to the HTTP API.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiLoad {
    /// Connections, each with one request in flight.
    pub connections: usize,
    /// Publications of a request; more than one makes it a batch.
    pub batch: usize,
    /// True if requests are signed. Otherwise they show the secret.
    pub is_signed: bool,
    /// Requests per second of all connections. None: each connection sends the next request when one
    /// is answered.
    pub rate: Option<f64>,
    /// Bytes of a message.
    pub payload: usize,
    /// Time before the counted part.
    pub warmup: Duration,
    /// Length of the counted part.
    pub duration: Duration,
    /// Feedback to one client, per second, whose latency is measured with and without the requests.
    pub feedback: Option<f64>,
}

/// Publications of the largest batch.
const BATCH_MAX: usize = 100;
/// Requests per second.
const RATE_MIN: f64 = 0.001;
const RATE_MAX: f64 = 1e9;
/// Clients while feedback is measured; one of them gets it.
const FEEDBACK_CLIENTS: usize = 100;

/// Runs a benchmark of the HTTP API.
///
/// # Errors
///
/// If the server cannot be reached or does not accept a request, or if the plan is impossible.
pub fn api(plan: &ApiLoad, server: &MeasuredServer) -> Result<NamedReport<ApiReport>, BenchError> {
    plan.check()?;
    let report = match server {
        MeasuredServer::Own(kind, shares) => {
            let own = OwnServer::start(*kind, BenchProtocol::Phpws, shares)?;
            let access = RequestAccess::new(own.application());
            plan.measure(&own.target, &access, Some(&Tree::of(own.pid())))?
        }
        MeasuredServer::At { url, access, pid } => {
            let target = BenchTarget::new(BenchProtocol::Phpws, url.clone(), access.clone())?;
            let access = RequestAccess::new(access.credentials.as_ref());
            plan.measure(&target, &access, pid.map(Tree::of).as_ref())?
        }
    };
    Ok(NamedReport { scenario: "api".to_owned(), server: server.name(), report })
}

impl ApiLoad {
    fn check(&self) -> Result<(), BenchError> {
        if self.connections == 0 || !(1..=BATCH_MAX).contains(&self.batch) {
            let why = format!("there must be connections, and 1 to {BATCH_MAX} publications");
            return Err(BenchError::Plan(why));
        }
        if self.rate.is_some_and(|rate| !(RATE_MIN..=RATE_MAX).contains(&rate)) {
            return Err(BenchError::Plan(format!("--rate must be from {RATE_MIN} to {RATE_MAX}")));
        }
        Ok(())
    }

    fn measure(
        &self,
        target: &BenchTarget,
        access: &RequestAccess,
        tree: Option<&Tree>,
    ) -> Result<ApiReport, BenchError> {
        let Some(rate) = self.feedback else { return run::run(self, target, access, tree) };
        let feedback = self.feedback_load(rate);
        let before = load::run_beside(&feedback, target)?;
        // The requests last longer than the feedback on both sides.
        let margin = Duration::from_secs(1);
        let requests = Self { duration: self.warmup + self.duration + 2 * margin, ..self.clone() };
        let (report, beside) = thread::scope(|scope| {
            let requests = scope.spawn(|| run::run(&requests, target, access, tree));
            let beside = load::run_beside(&feedback, target);
            let report = requests.join();
            let lost = || Err(BenchError::Plan("the thread with the requests failed".to_owned()));
            (report.unwrap_or_else(|_| lost()), beside)
        });
        let (report, beside) = (report?, beside?);
        let after = load::run_beside(&feedback, target)?;
        let feedback = Some(FeedbackBeside::new(rate, [before, beside, after]));
        Ok(ApiReport { feedback, ..report })
    }

    fn feedback_load(&self, rate: f64) -> Load {
        Load {
            clients: FEEDBACK_CLIENTS,
            tags: 0,
            audience: Audience::One,
            pace: PublishPace::PerSecond(rate),
            publishers: 1,
            payload: 128,
            fanout_rate: None,
            warmup: self.warmup,
            until: Until::Time(self.duration),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_impossible_plan_is_refused_with_its_reason() {
        let plan = ApiLoad {
            connections: 1,
            batch: 1,
            is_signed: false,
            rate: None,
            payload: 1,
            warmup: Duration::ZERO,
            duration: Duration::ZERO,
            feedback: None,
        };
        assert!(plan.check().is_ok());
        for wrong in [
            ApiLoad { connections: 0, ..plan.clone() },
            ApiLoad { batch: 0, ..plan.clone() },
            ApiLoad { batch: 101, ..plan.clone() },
            ApiLoad { rate: Some(0.0), ..plan.clone() },
            ApiLoad { rate: Some(-1.0), ..plan.clone() },
            ApiLoad { rate: Some(f64::NAN), ..plan },
        ] {
            assert!(matches!(wrong.check(), Err(BenchError::Plan(_))), "{wrong:?}");
        }
    }
}
