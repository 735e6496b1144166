//! A new configuration for a worker that runs: what holds from now on, and who has to go for it.

use std::io;

use tracing::{error, info};

use super::connection::{Connection, Phase, REVOKED};
use super::hub::Hub;
use super::settings::Settings;
use crate::auth::Right;
use crate::config::Config;
use crate::http::{Refusal, Status};
use crate::link::control::Report;
use crate::resource::Resource;
use crate::types::{ConfigNumber, Slot, scrub_stack};

const REVOKED_REFUSAL: Refusal =
    Refusal::new(Status::Unauthorized, "the application was removed or changed");

impl Hub {
    /// Takes over a new configuration, whole or not at all.
    pub(super) fn reconfigure(&mut self, number: ConfigNumber, json: &str) {
        let config = Config::from_json(json)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error));
        let read = config.and_then(|config| Ok((Settings::of(&config)?, config)));
        scrub_stack();
        match read {
            Ok((settings, config)) => self.take_over(number, (settings, &config)),
            // The supervisor has checked it; whoever asked for the reload hears of the silence.
            Err(error) => error!(%error, number = number.0, "the new configuration cannot be used"),
        }
    }

    /// Gives paths and names to what serves them.
    pub(super) fn bind(&mut self, config: &Config) {
        self.services.bind(config, &mut self.settings.paths);
        self.find_backends();
        self.rounds.set(self.services.ticking(config), self.now);
    }

    fn take_over(&mut self, number: ConfigNumber, (settings, config): (Settings, &Config)) {
        let former = std::mem::replace(&mut self.settings, settings);
        self.bind(config);
        let mut revoked = 0;
        for slot in self.table.slots() {
            let Some(mut connection) = self.table.take(slot) else { continue };
            if self.review(slot, &mut connection, &former) == Outcome::Revoked {
                revoked += 1;
            }
            self.put_back(slot, connection);
        }
        info!(number = number.0, revoked, "configuration taken over");
        self.report(Report::Configured { number });
    }

    /// Renews what a connection was granted, or ends it.
    fn review(&mut self, slot: Slot, connection: &mut Connection, former: &Settings) -> Outcome {
        let session = match &mut connection.phase {
            Phase::Asking(asking) => &mut asking.joining.session,
            Phase::Joining(joining) => &mut joining.session,
            Phase::Open(session) => session,
            _ => return Outcome::Kept,
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
                Outcome::Kept
            }
            _ if connection.is_open() => {
                self.fail(slot, connection, &REVOKED);
                Outcome::Revoked
            }
            _ => {
                self.refuse(slot, connection, &REVOKED_REFUSAL);
                Outcome::Revoked
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Kept,
    Revoked,
}
