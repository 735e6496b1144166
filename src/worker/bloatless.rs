//! Applications of bloatless/php-websocket in a worker, and their options that affect handshakes.

use std::cell::RefCell;
use std::rc::Rc;

use bytes::{Bytes, BytesMut};

use super::connection::{Connection, Phase};
use super::settings::WorkerSettings;
use crate::config::Config;
use crate::http::{HostAllowlist, Refusal, RefusalStatus};
use crate::protocol::{Protocol, bloatless};
use crate::resource::bloatless::{
    BloatlessAnswers, BloatlessApplication, BloatlessOptions, BloatlessResource, ChatApp,
    CloseText, DemoApp, EchoApp, StatusPage, TimeApp,
};
use crate::resource::{ResourceHooks, ResourceId};
use crate::websocket::write;
use crate::worker::connection::close;
use crate::worker::context::Context;
use crate::worker::handshake::refusals;

/// Applications that were ever bound, and their shared options.
#[derive(Debug, Default)]
pub(super) struct Bloatless {
    options: Rc<RefCell<BloatlessOptions>>,
    made: Vec<(BloatlessApplication, ResourceId)>,
}

impl Bloatless {
    /// Replaces the options, also for open connections.
    pub(super) fn set_options(&self, config: &Config) {
        let settings = &config.bloatless;
        self.options.replace(BloatlessOptions {
            has_status: settings.applications.contains(&BloatlessApplication::Status),
            clients: settings.status,
            max_clients: config.admission.max_clients,
            max_per_ip: config.admission.max_per_ip,
            requests_per_minute: settings.max_requests_per_minute,
            origins: settings.origins.as_ref().map(|hosts| HostAllowlist::new(hosts)),
            answers: settings.answers,
        });
    }

    /// Returns the resource of an application that exists.
    pub(super) fn get(&self, application: BloatlessApplication) -> Option<ResourceId> {
        self.made.iter().find(|(known, _)| *known == application).map(|(_, id)| *id)
    }

    /// Records the resource of an application.
    pub(super) fn add(&mut self, application: BloatlessApplication, id: ResourceId) {
        self.made.push((application, id));
    }

    /// Creates the resource of an application.
    pub(super) fn make(&self, application: BloatlessApplication) -> Option<Box<dyn ResourceHooks>> {
        let options = &self.options;
        let made = match application {
            BloatlessApplication::Chat => BloatlessResource::new(ChatApp, options),
            BloatlessApplication::Status => BloatlessResource::new(StatusPage, options),
            BloatlessApplication::Demo => BloatlessResource::new(DemoApp, options),
            BloatlessApplication::Echo => BloatlessResource::new(EchoApp, options),
            BloatlessApplication::Time => BloatlessResource::new(TimeApp, options),
        };
        Some(Box::new(made.ok()?))
    }
}

impl WorkerSettings {
    /// Returns true if handshakes of this path are answered with the original's bytes.
    pub(super) fn answers_in_legacy_bytes(&self, wanted: &str) -> bool {
        let is_one = || self.bloatless.applications.iter().any(|one| one.path() == wanted);
        self.bloatless.answers == BloatlessAnswers::Legacy && is_one()
    }

    /// Returns the application as the subprotocol of the response. The original sends it even if
    /// the client offered none.
    pub(super) fn protocol_by_path<'a>(&self, wanted: &'a str) -> Option<&'a str> {
        wanted.strip_prefix('/').filter(|_| self.answers_in_legacy_bytes(wanted))
    }

    /// Returns the original's form of a refusal, a bare status line. `None` if the option is off.
    pub(super) fn bare_refusal(&self, wanted: &str, refusal: &Refusal) -> Option<Bytes> {
        let is_legacy = self.bloatless.answers == BloatlessAnswers::Legacy;
        let is_unknown = refusal.status == RefusalStatus::NotFound && is_legacy;
        if !is_unknown && !self.answers_in_legacy_bytes(wanted) {
            return None;
        }
        let line = match refusal.status {
            RefusalStatus::UpgradeRequired => "501 Not Implemented",
            status => status.line(),
        };
        Some(format!("HTTP/1.1 {line}\r\n").into())
    }
}

/// Returns true if each Close of this client is answered with the same code and text.
pub(in crate::worker) fn has_own_close_text(context: &Context, connection: &Connection) -> bool {
    let Phase::Open(session) = &connection.phase else { return false };
    session.protocol == Protocol::Bloatless
        && context.settings.bloatless.close_text == CloseText::Normal
}

/// Refuses a client with the original's bytes, if the option is on: a Close frame instead of an
/// HTTP response. Returns true if it did.
pub(in crate::worker) fn reject_in_legacy_bytes(
    context: &mut Context,
    connection: &mut Connection,
) -> bool {
    let Phase::Joining(joining) = &connection.phase else { return false };
    let is_legacy = context.settings.bloatless.answers == BloatlessAnswers::Legacy;
    if joining.session.protocol != Protocol::Bloatless || !is_legacy {
        return false;
    }
    refusals::log_refused(
        context,
        connection,
        b"",
        RefusalStatus::Unavailable.line(),
        "too many connections",
    );
    let mut frame = BytesMut::new();
    write::close(&mut frame, Some(bloatless::CLOSED.code), &bloatless::CLOSED.text);
    close::answer_and_end(context, connection, frame.freeze());
    true
}
