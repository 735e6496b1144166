//! Memory of clients that are away, and what else is known about them in more than one place.

use super::{AwayClient, HeldRecord, Record, RecordKey, Records};

impl Records {
    /// Counts the memory of a record again.
    pub(super) fn count(&mut self, key: &RecordKey) {
        let rest = self.all.get_mut(key).and_then(|record| record.rest.as_mut());
        let Some(HeldRecord { counted, away, mailbox, .. }) = rest.map(|rest| &mut **rest) else {
            return;
        };
        let of_mailbox = mailbox.held();
        let now = (away.as_ref().map_or(0, AwayClient::held) + of_mailbox, of_mailbox);
        let before = std::mem::replace(counted, now);
        self.bytes = self.bytes - before.0 + now.0;
        self.mailbox_bytes = self.mailbox_bytes - before.1 + now.1;
    }

    /// Gives up the memory of a record whose client is here.
    pub(super) fn uncount(&mut self, key: &RecordKey) {
        let Some(rest) = self.all.get_mut(key).and_then(|record| record.rest.take()) else {
            return;
        };
        self.bytes -= rest.counted.0;
        self.mailbox_bytes -= rest.counted.1;
        self.held.remove(&rest.serial);
    }

    pub(super) fn uncount_away(&mut self, key: &RecordKey) {
        let rest = self.all.get_mut(key).and_then(|record| record.rest.as_mut());
        if let Some((serial, away)) = rest.and_then(|rest| Some((rest.serial, rest.away.take()?))) {
            self.forget_away(key, serial, &away);
        }
        self.uncount(key);
    }

    pub(super) fn forget_away(&mut self, key: &RecordKey, serial: u64, away: &AwayClient) {
        self.ends.remove(&(away.ends_at, key.clone()));
        if let Some(ident) = &away.ident {
            self.idents.remove(&(key.tenant.clone(), ident.clone(), serial, key.uuid));
        }
    }

    /// Ends the clients that have been away longest while there is not enough memory. A client that is here loses the
    /// mailbox that it has not confirmed, which was sent to it.
    pub(super) fn evict(&mut self) {
        while self.bytes > self.bytes_max
            && let Some((_, key)) = self.held.pop_first()
        {
            match self.get(&key).and_then(Record::away).is_some() {
                true => self.end(&key),
                false => self.uncount(&key),
            }
        }
    }

    /// Checks that facts that are stored twice agree; for tests.
    ///
    /// # Errors
    ///
    /// A description of the first disagreement.
    pub(in crate::broker) fn check(&self) -> Result<(), String> {
        let away = self.all.values().filter(|record| record.place.is_none()).count();
        if away != self.ends.len() {
            return Err(format!("{away} clients are away, {} have an end", self.ends.len()));
        }
        let rests = self.all.values().filter_map(|record| record.rest.as_ref());
        let (held, bytes) =
            rests.fold((0, 0), |(held, bytes), rest| (held + 1, bytes + rest.counted.0));
        if (held, bytes) != (self.held.len(), self.bytes) || bytes > self.bytes_max {
            return Err(format!(
                "{held} with {bytes} bytes, not {} with {}",
                self.held.len(),
                self.bytes
            ));
        }
        for (key, record) in &self.all {
            if record.place.is_some() == record.away().is_some() {
                return Err(format!("{:?} is both here and away, or neither", key.uuid));
            }
        }
        Ok(())
    }
}
