//! Handles admin requests to a running server.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::pings::WaitingPings;
use super::revocations::{WantedRevocation, token_age};
use super::{Supervisor, now};
use crate::admin::{
    AdminRequest, AdminResponse, Configuration, ProcessStatus, ServerReport, ServerStage,
    ServerStatus,
};
use crate::link::control::{ApiCommand, CommonCommand};
use crate::supervisor::child::ChildHandle;
use crate::supervisor::control_socket::{AdminConnection, PendingRequest};
use crate::supervisor::lifecycle::{Action, ChildId};
use crate::supervisor::memory_limit::resident_bytes;
use crate::telemetry::unix_millis;
use crate::types::limits::TOP_ROWS;
use crate::types::{
    CountDetail, MemoryFigures, MetricsSnapshot, ProcessCounts, WorkerId, WorkerIncarnation,
};

/// Maximum wait for a process to report its counters.
const COUNT_WAIT: Duration = Duration::from_secs(1);

/// Admin connections that wait for an answer.
#[derive(Debug, Default)]
pub(super) struct WaitingAdmins {
    counting: Option<Counting>,
    /// Requests for more detail than the collection that is under way has.
    next: Vec<(StatusRequester, CountDetail)>,
    last_count: u32,
    restarting: Vec<AdminConnection>,
    ending: Vec<AdminConnection>,
    pub(super) pings: WaitingPings,
}

/// Counters that are being collected for a status.
#[derive(Debug)]
struct Counting {
    number: u32,
    detail: CountDetail,
    requesters: Vec<StatusRequester>,
    waits: BTreeSet<ChildId>,
    counts: BTreeMap<ChildId, ProcessCounts>,
    until: Instant,
}

/// A client of the supervisor that waits for the counters of all processes.
#[derive(Debug)]
pub(super) enum StatusRequester {
    /// An admin connection, for the status.
    Admin(AdminConnection),
    /// An admin connection, for the figures.
    Top(AdminConnection),
    /// An admin connection, for the hosts of the cluster.
    Cluster(AdminConnection),
    /// An API process, for the metrics.
    Api(ChildId),
}

impl WaitingAdmins {
    pub(super) fn wakes_at(&self) -> Option<Instant> {
        let counting = self.counting.as_ref().map(|counting| counting.until);
        [counting, self.pings.wakes_at()].into_iter().flatten().min()
    }

    pub(super) fn counted(&mut self, child: ChildId, of: u32, counts: ProcessCounts) {
        if let Some(counting) = &mut self.counting
            && counting.number == of
            && counting.waits.remove(&child)
        {
            counting.counts.insert(child, counts);
        }
    }

    pub(super) fn counts_no_more(&mut self, child: ChildId) {
        if let Some(counting) = &mut self.counting {
            counting.waits.remove(&child);
        }
    }

    /// Reports progress: a worker is being replaced.
    pub(super) fn notify_restart(&self, old: WorkerIncarnation, successor: WorkerId) {
        let text = format!("worker {} is replaced by worker {successor}", old.worker);
        self.restarting
            .iter()
            .for_each(|requester| requester.answer(AdminResponse::Progress(text.clone())));
    }

    pub(super) fn notify_restarted(&mut self) {
        let done = AdminResponse::Done(vec!["all workers were replaced".to_owned()]);
        self.restarting.drain(..).for_each(|requester| requester.answer(done.clone()));
    }

    /// Answers the connections that wait for a rolling restart, which fails because of the
    /// shutdown.
    pub(super) fn notify_shutdown(&mut self) {
        let failed = AdminResponse::Failed(vec!["the server is shutting down".to_owned()]);
        self.restarting.drain(..).for_each(|requester| requester.answer(failed.clone()));
    }

    pub(super) fn notify_stopped(&mut self) {
        let done = AdminResponse::Done(vec!["the server has stopped".to_owned()]);
        self.ending.drain(..).for_each(|requester| requester.answer(done.clone()));
    }
}

impl Supervisor {
    pub(super) fn on_admin_request(
        &mut self,
        PendingRequest { request, requester }: PendingRequest,
        effects: &mut Vec<Action>,
    ) {
        match request {
            AdminRequest::Status => {
                self.request_status(StatusRequester::Admin(requester), CountDetail::Process);
            }
            AdminRequest::Cluster | AdminRequest::Ping { .. }
                if self.prepared.config.cluster.is_none() =>
            {
                let alone = "this server is no host of a cluster: nats of [cluster] is not set";
                requester.answer(AdminResponse::Failed(vec![alone.to_owned()]));
            }
            AdminRequest::Cluster => {
                self.request_status(StatusRequester::Cluster(requester), CountDetail::Process);
            }
            AdminRequest::Ping { host } => {
                self.requesters.pings.request(host, requester, &self.children);
            }
            AdminRequest::Figures => {
                self.request_status(StatusRequester::Top(requester), CountDetail::Outboxes);
            }
            AdminRequest::Events { after } => {
                let page = self.events.page(self.started_unix, after);
                requester.answer(AdminResponse::Events(Box::new(page)));
            }
            AdminRequest::NoteChange { application, text } => {
                self.events.note_change(application, text);
                requester.answer(AdminResponse::Done(Vec::new()));
            }
            AdminRequest::Reload => self.request_reload(Some(requester)),
            AdminRequest::LogLevel { level, seconds } => {
                requester.answer(self.log_level.change_for(level, seconds, &self.children));
            }
            AdminRequest::RevokeTokens { application, tokens } => {
                let max_age = token_age(&self.loaded.config, &application);
                let wanted = WantedRevocation { application, tokens, max_age, requester };
                self.revocations.request(wanted, &self.children);
            }
            AdminRequest::RestartWorkers => match self.processes.restart_workers(now(), effects) {
                Ok(()) => {
                    tracing::info!(
                        event = "rolling_restart_started",
                        "restarting the workers one by one"
                    );
                    self.requesters.restarting.push(requester);
                }
                Err(not_now) => requester.answer(AdminResponse::Failed(vec![not_now.to_string()])),
            },
            AdminRequest::Drain => {
                let within = self.prepared.config.limits.drain_time;
                let text = format!("closing all connections within {} s", within.as_secs_f32());
                requester.answer(AdminResponse::Progress(text));
                self.requesters.ending.push(requester);
                if !self.processes.is_ending() {
                    self.begin_shutdown("tagcast drain", effects);
                }
            }
        }
    }

    /// Asks all processes for their counters, unless that is under way with as much detail. Requests for more
    /// wait for the next collection.
    pub(super) fn request_status(&mut self, requester: StatusRequester, detail: CountDetail) {
        if let Some(counting) = &mut self.requesters.counting {
            match counting.detail >= detail {
                true => counting.requesters.push(requester),
                false => self.requesters.next.push((requester, detail)),
            }
            return;
        }
        self.requesters.last_count = self.requesters.last_count.wrapping_add(1);
        let number = self.requesters.last_count;
        for child in self.children.members() {
            self.children.send(child, CommonCommand::Count { number, detail });
        }
        self.requesters.counting = Some(Counting {
            number,
            detail,
            requesters: vec![requester],
            waits: self.children.members().collect(),
            counts: BTreeMap::new(),
            until: now() + COUNT_WAIT,
        });
    }

    /// Sends the status when all counters have arrived or the wait is over.
    pub(super) fn answer_status(&mut self) {
        let is_over = |it: &mut Counting| it.waits.is_empty() || it.until <= now();
        let Some(counting) = self.requesters.counting.take_if(is_over) else { return };
        let status = Box::new(self.status(&counting.counts));
        for requester in counting.requesters {
            match requester {
                StatusRequester::Admin(admin) => {
                    admin.answer(AdminResponse::Status(status.clone()));
                }
                StatusRequester::Top(admin) => {
                    let figures = self.snapshot(&counting.counts, counting.detail);
                    let report = self.report(figures);
                    admin.answer(AdminResponse::Figures(Box::new(report)));
                }
                StatusRequester::Cluster(admin) => admin.answer(match self.metrics.cluster() {
                    Some(report) => AdminResponse::Cluster(report),
                    None => AdminResponse::Failed(vec!["the bridge does not answer".to_owned()]),
                }),
                StatusRequester::Api(api) => {
                    let snapshot = self.snapshot(&counting.counts, counting.detail);
                    self.children.send(api, ApiCommand::Metrics(Box::new(snapshot)));
                }
            }
        }
        for (requester, detail) in std::mem::take(&mut self.requesters.next) {
            self.request_status(requester, detail);
        }
    }

    fn report(&self, figures: MetricsSnapshot) -> ServerReport {
        ServerReport {
            at_ms: unix_millis(),
            figures,
            outboxes: self.metrics.outboxes(),
            events: self.events.last(TOP_ROWS),
        }
    }

    /// Returns the figures of all processes. `counts` are those that the processes just reported.
    fn snapshot(
        &mut self,
        counts: &BTreeMap<ChildId, ProcessCounts>,
        detail: CountDetail,
    ) -> MetricsSnapshot {
        let state = match self.stage() {
            ServerStage::Starting => "starting",
            ServerStage::Serving => "serving",
            ServerStage::RestartingWorkers => "restarting",
            ServerStage::Draining => "draining",
        };
        let snapshot = MetricsSnapshot {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: self.started_unix,
            state: state.to_owned(),
            configuration: self.prepared.number.0,
            last_reload: self.reloading.result(),
            memory: self.memory.status().map(|memory| MemoryFigures {
                used: memory.used_bytes,
                limit: memory.ceiling_bytes,
                pressure: memory.pressure,
            }),
            processes: self.metrics.processes(&self.children, counts),
            ended: self.metrics.ended_counts(),
            exits: self.metrics.exits(),
            series: self.metrics.series(),
            applications: (detail.has_applications()).then(|| self.metrics.applications()),
            cluster: self.metrics.cluster(),
        };
        self.events.count(&snapshot, now());
        snapshot
    }

    fn status(&self, counts: &BTreeMap<ChildId, ProcessCounts>) -> ServerStatus {
        let process = |(child, state): (ChildId, &str)| {
            let handle = self.children.get(child);
            let pid = handle.and_then(ChildHandle::pid);
            ProcessStatus {
                role: child.to_string(),
                pid,
                generation: child.generation().0,
                state: state.to_owned(),
                uptime_s: handle.map_or(0, |it| seconds_since(it.started_at())),
                resident_bytes: pid.and_then(resident_bytes),
                descriptors: pid.and_then(descriptors),
                counts: counts.get(&child).copied(),
            }
        };
        ServerStatus {
            cluster: self.prepared.config.cluster.as_ref().map(|it| it.name.clone()),
            host: self.prepared.config.cluster.as_ref().map(|it| it.host_name.clone()),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            stage: self.stage(),
            uptime_s: seconds_since(self.started_at),
            memory: self.memory.status(),
            listen: self.prepared.listeners.urls().map(|url| url.to_string()).collect(),
            configuration: Configuration {
                number: self.prepared.number.0,
                file: self.loaded.ini.as_ref().map(|path| path.display().to_string()),
                last_reload: self.reloading.last().map(str::to_owned),
                waits_for_restart: self.reloading.waits_for_restart().to_vec(),
            },
            processes: self.processes.members().map(process).collect(),
        }
    }

    fn stage(&self) -> ServerStage {
        if self.processes.is_ending() {
            ServerStage::Draining
        } else if self.processes.is_restarting() {
            ServerStage::RestartingWorkers
        } else if self.processes.is_announced() {
            ServerStage::Serving
        } else {
            ServerStage::Starting
        }
    }
}

fn seconds_since(moment: Instant) -> u64 {
    now().saturating_duration_since(moment).as_secs()
}

/// Returns the number of open descriptors. Since Linux 6.2 it is the size of the folder; in older
/// versions its entries are counted.
pub(super) fn descriptors(pid: u32) -> Option<u64> {
    let folder = format!("/proc/{pid}/fd");
    match std::fs::metadata(&folder).ok()?.len() {
        0 => std::fs::read_dir(&folder).ok().map(|entries| entries.count() as u64),
        count => Some(count),
    }
}
