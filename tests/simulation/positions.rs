//! Positions of programs in the journal of their tenant: a program that learns that it has recovered has got
//! everything (V119).

use std::time::Duration;

use tagcast::broker::core::BrokerCore;
use tagcast::link::resume::Recovery;
use tagcast::types::{Generation, HistoryTerms, ReplayPosition, Slot};

use super::model::{ClientNo, Model, Moment, PublicationNo};
use super::programs::{self, ProgramNo};
use super::promises::Sure;
use super::worker::{Phase, Worker};

/// Publications that the journals of the brokers hold. Some are so few that programs miss publications.
const ENTRIES: [usize; 3] = [500, 12, 60];

/// Lets a broker store publications.
pub fn store(board: &mut BrokerCore, generation: Generation) {
    let entries = ENTRIES[generation.0 as usize % ENTRIES.len()];
    board.seed_epochs(generation.0.into());
    let terms = HistoryTerms { entries, bytes: 1 << 20, age: Duration::from_secs(60) };
    board.limit_history(1 << 20, vec![(programs::tenant().0.to_string(), terms)]);
}

/// How recoveries have ended.
#[derive(Clone, Copy, Debug, Default)]
pub struct RecoveryCounts {
    pub recovered: u64,
    pub not_known: u64,
    /// Publications to several clients that were replayed.
    pub replayed: u64,
}

impl Worker {
    /// Programs to which everything was written get their position, as pings carry it.
    pub fn pings_programs(&mut self, model: &mut Model) {
        for slot in self.slots(Phase::Open) {
            let Some(connection) = self.connections.get(&slot) else { continue };
            if connection.is_recovering || connection.has_unread() {
                continue;
            }
            if let Some(position) = self.broker_client.position(slot) {
                model.is_at(connection.client, position);
            }
        }
    }

    /// A program has joined. If nothing is replayed, it learns its position.
    pub fn program_is_welcomed(&mut self, slot: Slot, no: ClientNo, model: &mut Model) {
        let Some(connection) = self.connections.get_mut(&slot) else { return };
        let is_recovering = self.broker_client.uplink.is_recovering(slot);
        if std::mem::replace(&mut connection.is_recovering, is_recovering) && !is_recovering {
            // Its token is refused, or the broker that had accepted it is dead.
            model.recovers_nothing(no);
        }
        if connection.is_recovering {
            return;
        }
        if let Some(position) = self.broker_client.position(slot) {
            model.is_at(no, position);
        }
    }
}

impl Model {
    fn program(&self, no: ClientNo) -> Option<ProgramNo> {
        self.programs.of.get(&no).copied().filter(|_| self.programs.hears(no))
    }

    /// A program has received everything up to a position.
    pub fn is_at(&mut self, no: ClientNo, position: ReplayPosition) {
        let now = self.now;
        if let Some(program) = self.program(no) {
            let program = &mut self.programs.list[program];
            // From its first position on it must get everything, unless it learns that it may not have.
            if program.since.is_none() {
                program.noted_at = now;
            }
            program.since = Some(position);
        }
    }

    /// A program has read a publication that was not replayed.
    pub fn program_reads(
        &mut self,
        no: ClientNo,
        publication: PublicationNo,
        at: Option<ReplayPosition>,
    ) -> Result<(), String> {
        let Some(program) = self.program(no) else { return Ok(()) };
        if !self.programs.list[program].received.insert(publication) {
            return Err(format!("{no} of program {program} gets {publication} twice (P2)"));
        }
        at.into_iter().for_each(|at| self.is_at(no, at));
        Ok(())
    }

    /// A program learns what it has missed.
    pub fn recovers(&mut self, no: ClientNo, recovery: Recovery) -> Result<(), String> {
        let Some(program) = self.program(no) else { return Ok(()) };
        if recovery.reason.is_none() {
            self.programs.recoveries.recovered += 1;
            if let Some(missed) = self.missed(no, program) {
                return Err(format!("{no} of program {program} has not recovered {missed} (V119)"));
            }
        } else {
            self.programs.recoveries.not_known += 1;
            self.programs.list[program].noted_at = self.now;
        }
        if let Some(position) = recovery.position {
            self.is_at(no, position);
        }
        Ok(())
    }

    /// A program learns that it may have missed anything.
    fn recovers_nothing(&mut self, no: ClientNo) {
        let now = self.now;
        if let Some(program) = self.program(no) {
            self.programs.list[program].noted_at = now;
        }
    }

    /// Returns a publication that was made after a program had its first position, that the broker acknowledged before
    /// the program came back, and that it has not got.
    fn missed(&self, no: ClientNo, program: ProgramNo) -> Option<PublicationNo> {
        let (life, program) = (&self.lives[no], &self.programs.list[program]);
        let during: (Moment, Moment) = (0, self.now);
        (0..self.published.len()).find(|publication| {
            let it = &self.published[*publication];
            it.tenant == life.client.tenant
                && it.at > program.noted_at
                && it.settled_at.is_some_and(|settled_at| settled_at < life.asked_at)
                && self.is_for(it, no, during, Sure::Yes)
                && !program.received.contains(publication)
        })
    }
}
