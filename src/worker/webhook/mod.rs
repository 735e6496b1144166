//! HTTP resources: events for their backends, and what the answers cause.

pub(crate) mod queue;

use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tracing::{error, warn};

use self::queue::{Posted, Subject, Warning, WebhookResult};
use super::clock::unix_time;
use super::connection::{Connection, PendingInput, Phase};
use super::dispatch::Rest;
use super::dispatch::resource_registry::BackendRoute;
use super::event_loop::{COURIER, EventLoop};
use crate::reactor::poller::Interest;
use crate::resource::{ResourceContext, ResourceId};
use crate::types::{ClientUuid, Slot};
use crate::webhook::client::{InvalidTarget, WebhookClient, WebhookOutcome, WebhookTarget};
use crate::webhook::{InvalidAnswer, WebhookCommand, WebhookRequest};

impl EventLoop {
    /// Finds the ways to the backends that the file names; the first one starts the courier.
    pub(super) fn find_backends(&mut self) {
        for route in self.services.take_routes() {
            let resource = route.resource;
            if let Some(target) = self.errands.target(resource) {
                target.sign_with(route.signing);
            } else if let Err(error) = self.find_backend(route) {
                error!(resource = resource.place(), %error, "there is no way to the backend");
            }
        }
    }

    fn find_backend(&mut self, route: BackendRoute) -> Result<(), InvalidTarget> {
        let target = WebhookTarget::new(route.settings, route.signing)?;
        if self.errands.courier.is_none() {
            let courier = WebhookClient::start().and_then(|courier| {
                self.poller.watch(&courier, COURIER, Interest::Read)?;
                Ok(courier)
            });
            self.errands.courier = Some(courier.map_err(|error| InvalidTarget::new(&error))?);
        }
        self.errands.add_route(route.resource, target);
        Ok(())
    }

    /// Takes over an event of a client.
    pub(super) fn post(
        &mut self,
        (slot, client): (Slot, ClientUuid),
        resource: ResourceId,
        post: WebhookRequest,
    ) -> Posted {
        let event = post.event;
        let id = self.dice.uuid();
        self.memory.grow(post.body.len());
        let posted = self.errands.post((Subject::Client(client), slot), resource, (id, post));
        if posted == Posted::Not {
            self.complain((resource, event), Warning::Failed, "too many events wait");
        }
        posted
    }

    /// Takes over the question about a client that opens a connection.
    pub(super) fn post_open(
        &mut self,
        (slot, client): (Slot, ClientUuid),
        (resource, ip): (ResourceId, IpAddr),
        post: WebhookRequest,
    ) -> Posted {
        let event = post.event;
        let id = self.dice.uuid();
        let whose = (Subject::Client(client), slot);
        let posted = self.errands.post_open(whose, (resource, ip), (id, post));
        match posted {
            Posted::Taken => {}
            Posted::TooMany => {
                let why = "too many openings of one address wait";
                self.complain((resource, event), Warning::Failed, why);
            }
            Posted::Not => {
                self.complain((resource, event), Warning::Failed, "too many events wait");
            }
        }
        posted
    }

    /// Takes over an event of a resource itself. A tick does not wait for the one before it.
    pub(super) fn post_own(&mut self, resource: ResourceId, post: WebhookRequest) {
        if post.event == "tick" && self.errands.is_ticking(resource) {
            return;
        }
        let (id, event) = (self.dice.uuid(), post.event);
        let whose = (Subject::Resource(resource), Slot::NOBODY);
        if self.errands.post(whose, resource, (id, post)) == Posted::Not {
            self.complain((resource, event), Warning::Failed, "too many events wait");
        }
    }

    /// Takes what backends have answered, as far as there is room for what they publish (rule L4).
    pub(super) fn take_answers(&mut self) {
        if self.errands.answers.is_empty() {
            return;
        }
        let part = self.part();
        while self.relay.uplink.has_room(0) {
            let Some(answered) = self.errands.next_answer() else { return };
            let (whose, slot) = (answered.whose, answered.slot);
            match whose {
                Subject::Client(client) => self.answer_client(client, answered),
                Subject::Resource(_) => self.answer_resource(answered),
            }
            let Self { errands, dice, .. } = self;
            let is_busy = errands.go_on(whose, || dice.uuid());
            // Whoever has been read no further is read on.
            if let Some(connection) = self.table.get(slot)
                && let Some(PendingInput { message: Some(_), .. }) = connection.stash.as_deref()
                && !is_busy
            {
                let usage = connection.schedule.usage;
                let start = usage.start(self.work_clock);
                let weight = connection.weight(self.work_clock);
                self.paused.push(slot, (start, weight), self.work_clock);
            }
            if self.is_over(part) {
                return;
            }
        }
    }

    fn answer_client(&mut self, client: ClientUuid, answered: WebhookResult) {
        let WebhookResult { event, resource, slot, outcome, .. } = answered;
        let is_it = |connection: &Connection| connection.uuid() == Some(client);
        if !self.table.get(slot).is_some_and(is_it) {
            return self.answer_gone(client, (resource, event), outcome);
        }
        let Some(mut connection) = self.table.take(slot) else { return };
        match &connection.phase {
            Phase::Authorizing(_) => self.judge(slot, &mut connection, outcome),
            _ => match self.commands((resource, event), outcome) {
                Some(commands) => self.obey_backend(slot, &mut connection, (event, commands)),
                None if event == "message" => self.tell_down(slot, &mut connection),
                None => {}
            },
        }
        self.put_back(slot, connection);
    }

    /// Who asked has gone: what it would have got is left out, what others get is not.
    fn answer_gone(
        &mut self,
        client: ClientUuid,
        (resource, event): (ResourceId, &'static str),
        outcome: WebhookOutcome,
    ) {
        if event == "open" {
            return;
        }
        let Some(commands) = self.commands((resource, event), outcome) else { return };
        self.obey_alone((resource, event), (Some(client), commands));
    }

    fn answer_resource(&mut self, answered: WebhookResult) {
        let WebhookResult { event, resource, outcome, .. } = answered;
        let Some(commands) = self.commands((resource, event), outcome) else { return };
        self.obey_alone((resource, event), (None, commands));
    }

    /// What a backend wants done; nothing when it did not say so, which is told to the log.
    pub(super) fn commands(
        &mut self,
        about: (ResourceId, &'static str),
        outcome: WebhookOutcome,
    ) -> Option<Vec<WebhookCommand>> {
        match outcome {
            WebhookOutcome::Done(commands) => return Some(commands),
            WebhookOutcome::Refused(_) => {
                let why = "it refused the event (401 or 403): does it know the secret?";
                self.complain(about, Warning::Failed, why);
            }
            WebhookOutcome::Wrong(InvalidAnswer(why)) => self.complain(about, Warning::Wrong, &why),
            WebhookOutcome::Failed(why) => self.complain(about, Warning::Failed, &why),
            // That was said when it began.
            WebhookOutcome::LeftAlone => {}
        }
        None
    }

    /// Carries out commands for a client: all of them, or none.
    pub(super) fn obey_backend(
        &mut self,
        slot: Slot,
        connection: &mut Connection,
        (event, commands): (&'static str, Vec<WebhookCommand>),
    ) {
        let (rest, outcome) = self.told_by_backend(slot, connection, (event, commands));
        self.say(slot, connection, rest);
        if outcome.is_err() && event == "message" {
            self.tell_down(slot, connection);
        }
    }

    /// The same; what is left to do on the connection itself, and whether all was well.
    pub(super) fn told_by_backend(
        &mut self,
        slot: Slot,
        connection: &Connection,
        (event, commands): (&'static str, Vec<WebhookCommand>),
    ) -> (Rest, Result<(), ()>) {
        if commands.is_empty() {
            return (Rest::new(), Ok(()));
        }
        let resource = connection.resource;
        let mut outcome = Ok(());
        let rest = self.told(slot, connection, |service, handle| {
            if let Some(backed) = service.backed() {
                outcome = backed.carry_out(handle, commands);
                if outcome.is_err() {
                    handle.abandon();
                }
            }
        });
        let outcome = outcome.map_err(|InvalidAnswer(why)| {
            self.complain((resource, event), Warning::Wrong, &why);
        });
        (rest, outcome)
    }

    fn obey_alone(
        &mut self,
        (resource, event): (ResourceId, &'static str),
        what: (Option<ClientUuid>, Vec<WebhookCommand>),
    ) {
        let Some(backed) = self.services.get_mut(resource).and_then(|it| it.backed()) else {
            return;
        };
        let mut desk = ResourceContext::new(&self.settings.rules, unix_time());
        let done = catch_unwind(AssertUnwindSafe(|| {
            backed.carry_out_alone(&mut desk, what).map(|()| desk.into_effects())
        }));
        match done {
            Ok(Ok(effects)) => self.carry_out_for(resource, effects),
            Ok(Err(InvalidAnswer(why))) => self.complain((resource, event), Warning::Wrong, &why),
            Err(_) => error!("a resource panicked when its backend had answered"),
        }
    }

    /// Tells a client that its message has not been handed over.
    fn tell_down(&mut self, slot: Slot, connection: &mut Connection) {
        self.tell(slot, connection, |service, handle| {
            if let Some(backed) = service.backed() {
                backed.tell_down(handle);
            }
        });
    }

    /// One line a minute for each resource.
    pub(super) fn complain(
        &mut self,
        (resource, event): (ResourceId, &'static str),
        complaint: Warning,
        why: &str,
    ) {
        self.books.events_failed += 1;
        let Some(count) = self.errands.complain(resource, complaint, self.now) else { return };
        let name = self.services.get_mut(resource).and_then(|it| it.backed()).map(|it| it.name());
        let name = name.unwrap_or_default();
        match complaint {
            Warning::Failed => {
                warn!(resource = name, event, why, count, "an event was not handed over");
            }
            Warning::Wrong => {
                warn!(
                    resource = name,
                    event, why, count, "an answer of the backend was not obeyed"
                );
            }
        }
    }
}
