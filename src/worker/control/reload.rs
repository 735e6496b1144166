//! A new configuration for a worker that runs: what holds from now on, and who has to go for it.

use std::io;

use tracing::{error, info};

use crate::auth::Right;
use crate::config::Config;
use crate::http::{Refusal, RefusalStatus};
use crate::link::control::ChildEvent;
use crate::resource::Resource;
use crate::types::{ConfigNumber, Slot, scrub_stack};
use crate::worker::connection::{Connection, Phase, REVOKED};
use crate::worker::event_loop::EventLoop;
use crate::worker::settings::WorkerSettings;

const REVOKED_REFUSAL: Refusal =
    Refusal::new(RefusalStatus::Unauthorized, "the application was removed or changed");

impl EventLoop {
    /// Takes over a new configuration, whole or not at all.
    pub(in crate::worker) fn reconfigure(&mut self, number: ConfigNumber, json: &str) {
        let config = Config::from_json(json)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error));
        let read = config.and_then(|config| Ok((WorkerSettings::of(&config)?, config)));
        scrub_stack();
        match read {
            Ok((settings, config)) => self.take_over(number, (settings, &config)),
            // The supervisor has checked it; whoever asked for the reload hears of the silence.
            Err(error) => error!(%error, number = number.0, "the new configuration cannot be used"),
        }
    }

    /// Gives paths and names to what serves them.
    pub(in crate::worker) fn bind(&mut self, config: &Config) {
        self.services.bind(config, &mut self.settings.paths);
        self.find_backends();
        self.rounds.set(self.services.ticking(config), self.now);
    }

    fn take_over(&mut self, number: ConfigNumber, (settings, config): (WorkerSettings, &Config)) {
        let former = std::mem::replace(&mut self.settings, settings);
        self.bind(config);
        let mut revoked = 0;
        for slot in self.table.slots() {
            let Some(mut connection) = self.table.take(slot) else { continue };
            if self.review(slot, &mut connection, &former) == ReloadOutcome::Revoked {
                revoked += 1;
            }
            self.put_back(slot, connection);
        }
        info!(number = number.0, revoked, "configuration taken over");
        self.report(ChildEvent::Configured { number });
    }

    /// Renews what a connection was granted, or ends it.
    fn review(
        &mut self,
        slot: Slot,
        connection: &mut Connection,
        former: &WorkerSettings,
    ) -> ReloadOutcome {
        let session = match &mut connection.phase {
            Phase::Authorizing(asking) => &mut asking.joining.session,
            Phase::Joining(joining) => &mut joining.session,
            Phase::Open(session) => session,
            _ => return ReloadOutcome::Kept,
        };
        let needed = self.services.get(connection.resource).map_or(Right::Listen, Resource::needs);
        let access = &self.settings.rules.access;
        match access.renew(&former.rules.access, &session.tenant, session.ground) {
            Ok(grant) if grant.right.covers(needed) => {
                (session.right, session.ground) = (grant.right, grant.ground);
                if !access.tells_counts(session.ground) {
                    session.words.iter_mut().for_each(|words| words.report = None);
                }
                if former.beats() != self.settings.beats() && connection.is_open() {
                    connection.next_beat = self.first_beat(connection.sign);
                }
                ReloadOutcome::Kept
            }
            _ if connection.is_open() => {
                self.fail(slot, connection, &REVOKED);
                ReloadOutcome::Revoked
            }
            _ => {
                self.refuse(slot, connection, &REVOKED_REFUSAL);
                ReloadOutcome::Revoked
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReloadOutcome {
    Kept,
    Revoked,
}
