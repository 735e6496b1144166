//! Asking a backend whether a client may open a connection, before anybody knows of the client.

use tracing::info;

use crate::config::Refuse;
use crate::http;
use crate::http::{Refusal, RefusalStatus};
use crate::resource::{ClientHandle, ConnectRequest};
use crate::types::{AddressLimit, Client, CloseCode, CloseReason, Slot, Tags};
use crate::webhook::client::WebhookOutcome;
use crate::webhook::{WebhookCommand, WebhookRequest};
use crate::worker::connection::{Connection, PendingAuthorization, PendingJoin, Phase};
use crate::worker::event_loop::EventLoop;
use crate::worker::webhook::queue::{Posted, Warning};

const DOWN: Refusal = Refusal::new(RefusalStatus::Unavailable, "try again later");
const NOT_WANTED: &str = "the backend refuses this connection";

impl EventLoop {
    /// Joins a client, or first asks the backend of its resource.
    pub(in crate::worker) fn ask_or_join(
        &mut self,
        slot: Slot,
        connection: &mut Connection,
        (joining, client): (Box<PendingJoin>, Client),
    ) {
        let Some((open, never)) = self.question(connection, (&joining, &client)) else {
            return self.join(slot, connection, (joining, client));
        };
        // Who counts by address counts from here on, so no address fills the queue.
        let counted = (client.counted == AddressLimit::ByAddress)
            .then(|| Client { tags: Tags::default(), ..client.clone() });
        let asking = PendingAuthorization { joining, client, open: Some(open), never };
        self.advance(connection, Phase::Authorizing(Box::new(asking)));
        match counted {
            Some(client) => self.relay.uplink.reserve(slot, client),
            None => self.ask(slot, connection),
        }
    }

    /// The broker has a place for a client: its backend is asked.
    pub(in crate::worker) fn ask_now(&mut self, slot: Slot) {
        let Some(mut connection) = self.table.take(slot) else { return };
        self.ask(slot, &mut connection);
        self.put_back(slot, connection);
    }

    fn ask(&mut self, slot: Slot, connection: &mut Connection) {
        let Phase::Authorizing(asking) = &mut connection.phase else { return };
        let Some(open) = asking.open.take() else { return };
        let (uuid, ip) = (asking.client.uuid, asking.client.ip);
        match self.post_open((slot, uuid), (connection.resource, ip), open) {
            Posted::Taken => {}
            // Others of its address wait already: that is no fault of the backend.
            Posted::TooMany => self.give_up_asking(slot, connection),
            Posted::Not => self.let_in_or_not(slot, connection),
        }
    }

    fn join(
        &mut self,
        slot: Slot,
        connection: &mut Connection,
        (joining, client): (Box<PendingJoin>, Client),
    ) {
        self.memory.grow(client.tags.held());
        self.relay.uplink.join(slot, client);
        self.advance(connection, Phase::Joining(joining));
    }

    /// What to ask, if its resource has a backend that wants to be asked.
    fn question(
        &mut self,
        connection: &Connection,
        (joining, client): (&PendingJoin, &Client),
    ) -> Option<(WebhookRequest, Option<WebhookRequest>)> {
        let asked = joining.asked.as_ref()?;
        let backed = self.services.get_mut(connection.resource)?.backed()?;
        let head = http::parse(&asked.head).ok()?;
        let opening = ConnectRequest::new(&head, asked.peer, asked.protocol.as_deref());
        let handle = ClientHandle::new(&joining.session, client, &self.settings.rules);
        let question = backed.ask(&handle, &opening)?;
        Some((question.open, question.never))
    }

    /// The backend has answered, or it has not.
    pub(in crate::worker) fn judge(
        &mut self,
        slot: Slot,
        connection: &mut Connection,
        outcome: WebhookOutcome,
    ) {
        let commands = match outcome {
            WebhookOutcome::Refused(commands) => {
                let why = refusal(&commands).unwrap_or(NOT_WANTED).to_owned();
                return self.turn_down(slot, connection, why);
            }
            outcome => self.commands((connection.resource, "open"), outcome),
        };
        let Some(commands) = commands else { return self.let_in_or_not(slot, connection) };
        if let Some(why) = refusal(&commands) {
            let why = why.to_owned();
            return self.turn_down(slot, connection, why);
        }
        self.accept_client(slot, connection, commands);
    }

    /// Lets a client in with what the backend gives it.
    fn accept_client(
        &mut self,
        slot: Slot,
        connection: &mut Connection,
        commands: Vec<WebhookCommand>,
    ) {
        let Phase::Authorizing(asking) = &mut connection.phase else { return };
        let mut rest = Vec::new();
        for command in commands {
            let WebhookCommand::Accept { user, tags } = command else {
                rest.push(command);
                continue;
            };
            let all = asking.client.tags.iter().chain(&tags).cloned();
            match Tags::new(all) {
                Ok(all) => asking.client.tags = all,
                Err(error) => {
                    let about = (connection.resource, "open");
                    self.complain(about, Warning::Wrong, &error.to_string());
                    return self.give_up_asking(slot, connection);
                }
            }
            if let Some(asked) = &mut asking.joining.asked {
                asked.user = user;
            }
        }
        let Phase::Authorizing(asking) = self.advance(connection, Phase::Gone) else { return };
        let PendingAuthorization { mut joining, client, never, .. } = *asking;
        if let Some(asked) = &mut joining.asked {
            (asked.commands, asked.never) = (rest, never);
        }
        self.join(slot, connection, (joining, client));
    }

    /// The backend does not want the client.
    fn turn_down(&mut self, slot: Slot, connection: &mut Connection, why: String) {
        let refusal = Refusal { status: RefusalStatus::Forbidden, why: why.into() };
        match (self.settings.refuse, &connection.phase) {
            (Refuse::AfterUpgrade, Phase::Authorizing(asking)) => {
                let answer = asking.joining.answer.clone();
                let reason = CloseReason { code: CloseCode::POLICY, text: refusal.why };
                self.log_closed(connection, b"", &reason);
                self.turn_away(slot, connection, answer, (None, &reason));
            }
            _ => self.refuse(slot, connection, &refusal),
        }
    }

    /// The backend could not be asked.
    fn let_in_or_not(&mut self, slot: Slot, connection: &mut Connection) {
        let backed = self.services.get_mut(connection.resource).and_then(|it| it.backed());
        if backed.is_some_and(|backed| backed.accepts_when_down()) {
            info!(connection = connection.serial, "let in without the backend");
            return self.accept_client(slot, connection, Vec::new());
        }
        self.give_up_asking(slot, connection);
    }

    /// Nobody has said yes in time.
    pub(in crate::worker) fn give_up_asking(&mut self, slot: Slot, connection: &mut Connection) {
        self.refuse(slot, connection, &DOWN);
    }

    /// A client that its backend has let in ends before it is open: the backend hears of that.
    pub(in crate::worker) fn tell_never_opened(&mut self, slot: Slot, connection: &mut Connection) {
        let Phase::Joining(joining) = &mut connection.phase else { return };
        let uuid = joining.session.uuid;
        let Some(never) = joining.asked.as_mut().and_then(|asked| asked.never.take()) else {
            return;
        };
        let _posted = self.post((slot, uuid), connection.resource, never);
    }
}

/// Why a backend refuses, if it does.
fn refusal(commands: &[WebhookCommand]) -> Option<&str> {
    commands.iter().find_map(|command| match command {
        WebhookCommand::Refuse(reason) if reason.is_empty() => Some(NOT_WANTED),
        WebhookCommand::Refuse(reason) => Some(&**reason),
        _ => None,
    })
}
