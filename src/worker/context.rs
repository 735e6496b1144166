//! State that work on a connection needs in addition to the connection.

use std::os::fd::OwnedFd;

use super::accept::tls_handshakes::{TlsHandshakes, Watcher};
use super::applications::ApplicationStats;
use super::asks::AskedQuestions;
use super::clock::{Moment, TurnClock};
use super::connection::bye::RetryTimes;
use super::connection::deferred_replies::DeferredReplies;
use super::connection::read::ReadBuffers;
use super::connection::scheduled_closes::ScheduledCloses;
use super::connection::serve::ServeQueue;
use super::connection::table::SocketTable;
use super::connection::timers::Timers;
use super::control::drain::Stage;
use super::control::overload::MemoryAccount;
use super::control::reload::ConfigReview;
use super::control::revoke::RevocationCheck;
use super::control::supervisor_link::SupervisorLink;
use super::describe::OpenTimes;
use super::dispatch::presence::NewsQueue;
use super::dispatch::requests::OpenRequests;
use super::dispatch::resource_registry::ResourceRegistry;
use super::dispatch::without_client::ResourceQueries;
use super::handshake::count::HandshakeCount;
use super::handshake::joining::QueryTokenLog;
use super::handshake::refusals::RefusalLog;
use super::hosts::HostsView;
use super::offload::Offload;
use super::questions::OpenQuestions;
use super::rng::Rng;
use super::settings::WorkerSettings;
use super::stats::LabelledStats;
use super::throttle::Throttle;
use super::webhook::queue::WebhookQueue;
use crate::broker_client::BrokerClient;
use crate::reactor::poller::Poller;
use crate::types::{Slot, TagEdit, WorkerCounts};

/// Components of a worker that its connections share. Each component keeps its state private. A
/// function that works on one connection takes the context and the
/// [`Connection`](super::connection::Connection), which is out of its table meanwhile.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) settings: WorkerSettings,
    pub(super) clock: TurnClock,
    pub(super) rng: Rng,
    pub(super) stats: WorkerCounts,
    pub(super) labelled: LabelledStats,
    pub(super) applications: ApplicationStats,
    pub(super) memory: MemoryAccount,
    pub(super) supervisor: SupervisorLink,
    pub(super) stage: Stage,
    /// Review of the connections after a reload, until it is complete.
    pub(super) review: Option<ConfigReview>,
    /// Other hosts of a cluster.
    pub(super) hosts: HostsView,
    /// Check of the connections after a revocation of tokens, until it is complete.
    pub(super) revoking: Option<RevocationCheck>,
    pub(super) poller: Poller,
    pub(super) tls_handshakes: TlsHandshakes,
    pub(super) sockets: SocketTable,
    pub(super) timers: Timers,
    pub(super) buffers: ReadBuffers,
    pub(super) serving: ServeQueue,
    pub(super) throttle: Throttle,
    pub(super) handshakes: HandshakeCount,
    pub(super) refusal_log: RefusalLog,
    pub(super) query_tokens: QueryTokenLog,
    pub(super) broker: BrokerClient,
    /// Time since which there has been no link to a broker.
    pub(super) unlinked_since: Option<Moment>,
    pub(super) deferred_replies: DeferredReplies,
    pub(super) requests: OpenRequests,
    pub(super) news: NewsQueue,
    pub(super) retry_times: RetryTimes,
    pub(super) resources: ResourceRegistry,
    pub(super) resource_queries: ResourceQueries,
    pub(super) webhooks: WebhookQueue,
    pub(super) scheduled_closes: ScheduledCloses,
    pub(super) questions: OpenQuestions,
    pub(super) asks: AskedQuestions,
    pub(super) offload: Offload,
    pub(super) open_times: OpenTimes,
    /// Takes the connections that the API process serves; none where it is off.
    pub(super) handover: Option<OwnedFd>,
}

impl Context {
    /// Returns whether more messages of the broker may be taken.
    pub(super) fn takes_more(&self) -> bool {
        self.broker.takes_more() && self.news.has_room()
    }

    /// Returns the poller that watches a socket.
    pub(super) fn watcher(&self, watcher: Watcher) -> &Poller {
        match watcher {
            Watcher::Loop => &self.poller,
            Watcher::TlsHandshakes => self.tls_handshakes.poller(),
        }
    }

    /// Counts a client of an application whose WebSocket ends.
    pub(super) fn note_client_ended(&mut self, slot: Slot) {
        let application = self.sockets.application(slot);
        self.applications.note(application, |it| it.clients = it.clients.saturating_sub(1));
    }

    /// Counts a publication of a client that was denied for this reason.
    pub(super) fn note_denied(&mut self, slot: Slot, reason: &'static str) {
        self.labelled.note_denied(reason);
        if reason == "permission" {
            self.labelled.note_auth_failure("send", "permission_denied");
            let application = self.sockets.application(slot);
            self.applications.note(application, |it| it.auth_failures += 1);
        }
    }

    /// Changes the tags of a client, for its resource or its token.
    pub(super) fn change_tags(&mut self, slot: Slot, edit: TagEdit, source: &'static str) {
        self.memory.grow(edit.held());
        self.labelled.note_tag_change(source);
        self.broker.uplink.change_tags(slot, edit);
    }
}
