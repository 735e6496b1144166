//! Event loop of a worker: waits, and passes each event to its component.

use std::io;
use std::time::Duration;

use super::accept::{Listeners, tls_handshakes};
use super::applications::ApplicationStats;
use super::asks::{self, AskedQuestions};
use super::clock::{Moment, TurnClock, unix_time};
use super::connection::backlog::{self, BacklogPacing};
use super::connection::bye::RetryTimes;
use super::connection::deferred_replies::{self, DeferredReplies};
use super::connection::deliver::Delivery;
use super::connection::read::ReadBuffers;
use super::connection::scheduled_closes::{self, ScheduledCloses};
use super::connection::serve::{self, ServeQueue};
use super::connection::table::{ConnectionTable, SocketTable};
use super::connection::timers::Timers;
use super::connection::{api_pipe, deadlines, paused, throttled};
use super::context::Context;
use super::control::drain::Stage;
use super::control::overload::{self, MemoryAccount};
use super::control::reload;
use super::control::supervisor_link::SupervisorLink;
use super::describe::{self, OpenTimes};
use super::dispatch::resource_registry::ResourceRegistry;
use super::dispatch::ticks::TickScheduler;
use super::dispatch::without_client::ResourceQueries;
use super::dispatch::{self, delivery_report, presence, requests, resumption};
use super::handshake::count::HandshakeCount;
use super::handshake::joining::QueryTokenLog;
use super::handshake::refusals::RefusalLog;
use super::handshake::{self, authorize};
use super::hosts::{self, HostsView};
use super::link_loss;
use super::offload::{self, Offload};
use super::push_socket::{self, PushSocketReader};
use super::questions::OpenQuestions;
use super::rng::Rng;
use super::settings::WorkerSettings;
use super::stats::LabelledStats;
use super::throttle::Throttle;
use super::tokens::Token;
use super::webhook::{self, queue::WebhookQueue};
use crate::broker_client::{BrokerClient, BrokerEvent};
use crate::config::Config;
use crate::link::control::{ExitReason, WorkerIdentity};
use crate::reactor::poller::{Interest, Poller, Ready};
use crate::telemetry::flush;
use crate::types::limits::FANOUT_SLICE;
use crate::types::{TurnBudget, WorkerCounts};

/// Most events that one wait returns.
pub(super) const EVENTS: usize = 512;

/// Event loop and components of a worker.
#[derive(Debug)]
pub(super) struct EventLoop {
    identity: WorkerIdentity,
    pub(super) context: Context,
    pub(super) connections: ConnectionTable,
    pub(super) listeners: Listeners,
    pub(super) ticks: TickScheduler,
    pub(super) push_socket: PushSocketReader,
    backlog: BacklogPacing,
    /// Whether the link to the broker is watched for writing.
    pub(super) is_room_watched: bool,
    /// Reused buffer for the result of a wait.
    ready: Vec<Ready>,
}

impl EventLoop {
    /// Creates a worker without connections. `poller` must already watch the link to the
    /// supervisor.
    pub(super) fn new(
        identity: WorkerIdentity,
        supervisor: SupervisorLink,
        poller: Poller,
        settings: WorkerSettings,
        resources: ResourceRegistry,
    ) -> io::Result<Self> {
        let (clock, mut rng) = (TurnClock::start(), Rng::default());
        let context = Context {
            settings,
            unlinked_since: Some(clock.now()),
            clock,
            retry_times: RetryTimes::starting_at(rng.number()),
            rng,
            stats: WorkerCounts::default(),
            labelled: LabelledStats::default(),
            applications: ApplicationStats::default(),
            memory: MemoryAccount::default(),
            supervisor,
            stage: Stage::Serving,
            review: None,
            hosts: HostsView::default(),
            revoking: None,
            tls_handshakes: tls_handshakes::TlsHandshakes::new(&poller)?,
            offload: Offload::new(&poller)?,
            poller,
            sockets: SocketTable::default(),
            timers: Timers::default(),
            buffers: ReadBuffers::default(),
            serving: ServeQueue::default(),
            throttle: Throttle::default(),
            handshakes: HandshakeCount::default(),
            refusal_log: RefusalLog::default(),
            query_tokens: QueryTokenLog::default(),
            broker: BrokerClient::new(identity.source).traced_with(unix_time),
            deferred_replies: DeferredReplies::default(),
            requests: Default::default(),
            news: Default::default(),
            resources,
            resource_queries: ResourceQueries::default(),
            webhooks: WebhookQueue::default(),
            scheduled_closes: ScheduledCloses::default(),
            questions: OpenQuestions::default(),
            asks: AskedQuestions::default(),
            open_times: OpenTimes::default(),
            handover: None,
        };
        Ok(Self {
            identity,
            context,
            connections: ConnectionTable::default(),
            listeners: Listeners::default(),
            ticks: TickScheduler::default(),
            push_socket: PushSocketReader::default(),
            backlog: BacklogPacing::default(),
            is_room_watched: false,
            ready: Vec::with_capacity(EVENTS),
        })
    }

    /// Binds paths and names to their resources.
    pub(super) fn bind(&mut self, config: &Config) {
        reload::bind(&mut self.context, &mut self.ticks, config);
    }

    /// Runs one turn. Returns the reason if the worker must exit.
    ///
    /// The order of the steps accounts for a third of the throughput. Messages of the broker are
    /// written to the sockets before publishers are read, so publications arrive in full batches.
    /// Messages to the broker are written last, in one write (rule L2). Each kind of work has a
    /// time budget in the turn ([`TURN_PART`](crate::types::limits::TURN_PART)) and leaves the rest
    /// for the next turn. A large fan-out or many busy senders therefore take several turns.
    pub(super) fn turn(&mut self) -> io::Result<Option<ExitReason>> {
        flush();
        let mut ready = std::mem::take(&mut self.ready);
        ready.clear();
        self.watch_link()?;
        let ended = self.end_turn();
        self.context.poller.wait(self.wait_time(ended), &mut ready)?;
        let Context { clock, serving, .. } = &mut self.context;
        clock.begin_turn();
        serving.begin_turn(clock.now());
        let exit = self.handle(&ready)?;
        self.ready = ready;
        Ok(exit.or_else(|| self.finish_stage()))
    }

    fn handle(&mut self, ready: &[Ready]) -> io::Result<Option<ExitReason>> {
        let is_due =
            ready.len() >= EVENTS && self.context.supervisor.is_due(self.context.clock.now());
        if is_due || has(ready, Token::Control) {
            self.read_commands()?;
        }
        match event_of(ready, Token::Link) {
            Some(event) if event.ended => self.context.broker.mark_ended(),
            Some(_) => self.context.broker.mark_unread(),
            None => {}
        }
        self.deliver();
        let Self { context, connections, .. } = self;
        deferred_replies::release_due(context, connections);
        requests::answer_acknowledged(context, connections);
        presence::write_news(context, connections);
        serve::serve_light(context, connections, ready);
        api_pipe::on_ready(context, connections, ready);
        if has(ready, Token::Webhooks) {
            context.webhooks.collect_answers();
        }
        webhook::apply_answers(context, connections);
        paused::resume_paused(context, connections);
        throttled::resume_throttled(context, connections);
        if has(ready, Token::Offload) {
            context.offload.collect_replies();
        }
        offload::apply_replies(context, connections);
        if !context.memory.is_looking_for_holders() {
            serve::serve_heavy(context, connections);
        }
        offload::send_waiting(context, connections);
        if push_socket::is_reader(&self.ticks, context) {
            self.push_socket.resume(context);
        }
        self.listeners.resume_when_due(context);
        deadlines::wake_due(context, connections);
        deadlines::drop_broken(context, connections);
        scheduled_closes::run_due(context, connections);
        self.ticks.run_due(context);
        self.continue_walks();
        serve::serve_openings(&mut self.context, &mut self.connections);
        asks::expire_due(&mut self.context, &mut self.connections);
        throttled::report_charges(&mut self.context);
        self.context.broker.report_writes(self.context.clock.now().time());
        self.context.broker.write();
        overload::look_early(&mut self.context, &mut self.connections);
        self.accept_and_push(ready)?;
        Ok(None)
    }

    /// Accepts connections and continues TLS handshakes. This comes last and is limited, so that it
    /// does not delay other work.
    fn accept_and_push(&mut self, ready: &[Ready]) -> io::Result<()> {
        let is_listener = |it: &Ready| matches!(Token::of(it.token), Some(Token::Listener(_)));
        let listeners = ready.iter().any(is_listener);
        let [tls, push] = [Token::TlsHandshakes, Token::PushSocket].map(|it| has(ready, it));
        if !(listeners || tls || push) {
            return Ok(());
        }
        let Self { context, connections, .. } = self;
        if listeners {
            self.listeners.accept_pending(context, connections);
        }
        if tls {
            tls_handshakes::continue_handshakes(context, connections)?;
        }
        if push {
            match push_socket::is_reader(&self.ticks, context) {
                true => self.push_socket.read(context),
                false => self.push_socket.leave(context),
            }
        }
        context.broker.write();
        Ok(())
    }

    /// Watches the link to the broker for writing as long as something is left of a write.
    fn watch_link(&mut self) -> io::Result<()> {
        let Context { broker, poller, .. } = &self.context;
        let awaits_room = broker.awaits_room();
        if awaits_room != self.is_room_watched
            && let Some(link) = broker.link_ready()
        {
            let interest = if awaits_room { Interest::EdgeAndRoom } else { Interest::Edge };
            poller.rewatch(link, Token::Link.into(), interest)?;
            self.is_room_watched = awaits_room;
        }
        Ok(())
    }

    /// Records how long the last turn took. Returns the present time.
    fn end_turn(&mut self) -> Moment {
        let Context { clock, labelled, .. } = &mut self.context;
        let ended = clock.read();
        // Before the first turn there is none.
        if clock.now() > Moment::START {
            labelled.note_turn(ended.until_then(clock.now()));
        }
        ended
    }

    /// Returns the longest time that the loop may sleep. `None`: until the next event.
    fn wait_time(&self, now: Moment) -> Option<Duration> {
        let Self { context, backlog, .. } = self;
        let delivers = context.broker.is_busy() && !backlog.is_waiting();
        let has_replies = context.offload.has_replies() || !context.news.is_empty();
        if context.clock.has_more() || context.serving.has_waiting() || delivers || has_replies {
            return Some(Duration::ZERO);
        }
        let moments = [
            context.timers.next(),
            context.throttle.next_due(),
            self.listeners.resumes_at(),
            self.ticks.next().filter(|_| context.stage.is_serving()),
            context.stage.next(),
            backlog.looks_at(context.clock.now()),
            asks::next_due(context),
            context.scheduled_closes.next_at(),
            context.broker.next_write_report().map(|due| Moment::START.after(due)),
        ];
        let next = moments.into_iter().flatten().min();
        next.map(|at| at.until_then(now))
    }

    /// Watches the push socket while this worker is the leader.
    pub(super) fn watch_push_socket(&mut self) {
        match push_socket::is_reader(&self.ticks, &self.context) {
            true => self.push_socket.watch(&mut self.context),
            false => self.push_socket.leave(&mut self.context),
        }
    }

    /// Reads messages of the broker and writes deliveries to the sockets: a slice per turn, or less
    /// while a backlog is paced.
    fn deliver(&mut self) {
        let now = self.context.clock.now();
        if self.context.broker.is_unread() {
            self.backlog.on_input(now);
        }
        if !self.backlog.is_paced() {
            if self.context.takes_more() {
                self.read_link();
            }
            return self.delivery().flush(FANOUT_SLICE);
        }
        let bytes_max = self.context.settings.outbox_bytes_max;
        self.backlog.look_at_outboxes(&self.connections, bytes_max, now);
        if !self.backlog.is_waiting() && self.context.takes_more() {
            self.read_link();
        }
        // Steps are small, because a slice may contain many messages for each of a few clients.
        for _ in 0..FANOUT_SLICE / backlog::STEP {
            if self.backlog.is_waiting() {
                break;
            }
            self.delivery().flush(backlog::STEP);
        }
        self.backlog.end_when_due(&self.context.broker, now);
    }

    pub(super) fn delivery(&mut self) -> Delivery<'_> {
        let Self { context, connections, backlog, .. } = self;
        Delivery { context, connections, backlog }
    }

    /// Reads messages of the broker within the time budget of this part of the turn.
    fn read_link(&mut self) {
        self.read_link_within(self.context.clock.part());
    }

    pub(super) fn read_link_within(&mut self, mut part: TurnBudget) {
        let Context { broker, buffers, .. } = &mut self.context;
        broker.read(&mut buffers.scratch);
        loop {
            let Context { broker, clock, .. } = &mut self.context;
            let Some(event) = broker.next(&mut || part.is_spent_after(0, || clock.time())) else {
                return;
            };
            self.on_broker_event(event);
            if part.is_spent(self.context.clock.time()) {
                return;
            }
        }
    }

    /// Passes an event from the broker to its component.
    pub(super) fn on_broker_event(&mut self, event: BrokerEvent) {
        let Self { context, connections, .. } = self;
        match event {
            BrokerEvent::Joined { slot, own, smallest } => {
                self.listeners.set_load(own, smallest);
                handshake::on_joined(context, connections, slot);
            }
            BrokerEvent::Reserved(slot) => authorize::on_reserved(context, connections, slot),
            BrokerEvent::Refused { slot, full, client } => {
                handshake::on_limit_reached(context, connections, slot, full, &client);
            }
            BrokerEvent::Answer { slot, query, result } => {
                dispatch::on_presence(context, connections, slot, query, result);
            }
            BrokerEvent::Reached { asker, counted, .. } => {
                delivery_report::report_reached(context, connections, asker, &counted);
            }
            BrokerEvent::Close(order) => {
                let (serial, now) = (self.listeners.last_serial(), context.clock.now());
                context.scheduled_closes.add(*order, serial, now);
            }
            BrokerEvent::TagsChanged { slot, own } => {
                requests::on_tags_changed(context, connections, slot, own);
            }
            BrokerEvent::Outcome(number, outcome) => context.requests.on_outcome(number, &outcome),
            BrokerEvent::Tracked { number, outcome } => {
                asks::on_outcome(context, connections, number, &outcome);
            }
            // For the API process.
            BrokerEvent::Remembered { .. } => {}
            BrokerEvent::Throttle(it) => context.throttle.on_throttle(&it, context.clock.now()),
            BrokerEvent::Charged(charge) => {
                context.throttle.charge_of_others(&charge, context.clock.now());
            }
            BrokerEvent::Hosts(notice) => hosts::on_notice(context, connections, notice),
            BrokerEvent::Presence(event) => presence::on_event(context, connections, event),
            BrokerEvent::Resumable(event) => resumption::on_event(context, connections, &event),
            BrokerEvent::Describe(request) => describe::answer(context, connections, request),
            BrokerEvent::Lost(lost) => link_loss::report(context, self.identity.source, &lost),
        }
    }
}

/// Returns true if the descriptor with this token is ready.
fn has(ready: &[Ready], token: Token) -> bool {
    event_of(ready, token).is_some()
}

fn event_of(ready: &[Ready], token: Token) -> Option<&Ready> {
    let token = u64::from(token);
    ready.iter().find(|event| event.token == token)
}
