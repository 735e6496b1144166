//! Connection counts of applications, against which joins are checked.

use std::collections::HashMap;

use crate::types::{Client, ConnectionRef, Slot, WorkerId};

/// Counts the clients of applications whose number of connections is limited.
#[derive(Debug, Default)]
pub(super) struct ApplicationCounts {
    /// Maximum clients by the key of the application.
    limits: HashMap<Box<str>, u32>,
    /// A number for each key that has a limit, or that had one and still has counted clients.
    numbers: HashMap<Box<str>, u32>,
    /// The number that was given last.
    last_number: u32,
    /// Clients of all workers, by number.
    clients: HashMap<u32, u32>,
    workers: HashMap<WorkerId, WorkerClients>,
}

/// The counted clients of one worker.
#[derive(Debug, Default)]
struct WorkerClients {
    /// The number of their application.
    slots: HashMap<Slot, u32>,
    /// How many there are, by that number.
    clients: HashMap<u32, u32>,
}

impl ApplicationCounts {
    /// Replaces the limits. Clients that joined while their application had no limit are not counted.
    pub(super) fn limit(&mut self, limits: &[(String, u32)]) {
        self.limits = limits.iter().map(|(key, limit)| (key.as_str().into(), *limit)).collect();
        if self.limits.is_empty() {
            *self = Self::default();
        }
        let Self { limits, numbers, clients, .. } = self;
        numbers.retain(|key, number| limits.contains_key(key) || clients.contains_key(number));
    }

    /// Returns true if one more client of its application may not join.
    pub(super) fn is_full(&self, place: ConnectionRef, client: &Client) -> bool {
        let Some(application) = &client.application else { return false };
        let Some(limit) = self.limits.get(&application.0) else { return false };
        let number = self.numbers.get(&application.0);
        let count = number.and_then(|number| self.clients.get(number)).copied().unwrap_or(0);
        count >= *limit && !self.has(place)
    }

    fn has(&self, place: ConnectionRef) -> bool {
        self.workers.get(&place.worker).is_some_and(|worker| worker.slots.contains_key(&place.slot))
    }

    /// Counts a client that has joined, including a client that an earlier broker admitted.
    pub(super) fn join(&mut self, place: ConnectionRef, client: &Client) {
        let Some(application) = &client.application else { return };
        if !self.limits.contains_key(&application.0) {
            return;
        }
        let number = match self.numbers.get(&application.0) {
            Some(number) => *number,
            None => {
                // Four billion keys would have to come and go before a number returns.
                self.last_number = self.last_number.wrapping_add(1);
                *self.numbers.entry(application.0.clone()).or_insert(self.last_number)
            }
        };
        let worker = self.workers.entry(place.worker).or_default();
        if worker.slots.insert(place.slot, number).is_none() {
            *worker.clients.entry(number).or_default() += 1;
            *self.clients.entry(number).or_default() += 1;
        }
    }

    pub(super) fn leave(&mut self, place: ConnectionRef) {
        let Some(worker) = self.workers.get_mut(&place.worker) else { return };
        if let Some(number) = worker.slots.remove(&place.slot) {
            count_down(&mut worker.clients, number, 1);
            count_down(&mut self.clients, number, 1);
        }
    }

    /// Removes a worker that is gone. Its clients no longer count.
    pub(super) fn unlink(&mut self, worker: WorkerId) {
        let gone = self.workers.remove(&worker).unwrap_or_default();
        for (number, count) in gone.clients {
            count_down(&mut self.clients, number, count);
        }
    }
}

fn count_down(clients: &mut HashMap<u32, u32>, number: u32, by: u32) {
    if let Some(count) = clients.get_mut(&number) {
        *count = count.saturating_sub(by);
        if *count == 0 {
            clients.remove(&number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{AddressLimit, ClientClass, ClientUuid, LimitedApplication, Tags, Tenant};
    use std::sync::Arc;

    fn client(application: &str) -> Client {
        Client {
            tenant: Tenant::shared(),
            uuid: ClientUuid([0; 16]),
            ident: None,
            tags: Tags::default(),
            class: ClientClass::Web,
            takes_publications: true,
            counted: AddressLimit::InAll,
            application: Some(Arc::new(LimitedApplication(application.into()))),
            ip: std::net::Ipv4Addr::LOCALHOST.into(),
        }
    }

    fn place(worker: u16, slot: u32) -> ConnectionRef {
        ConnectionRef { worker: WorkerId(worker), slot: Slot(slot) }
    }

    #[test]
    fn an_application_is_full_until_one_of_its_clients_leaves() {
        let mut counts = ApplicationCounts::default();
        counts.limit(&[("a".to_owned(), 2)]);
        let (a, b) = (client("a"), client("b"));
        counts.join(place(0, 1), &a);
        counts.join(place(1, 1), &a);
        counts.join(place(1, 2), &b);
        assert!(counts.is_full(place(0, 2), &a) && !counts.is_full(place(0, 2), &b));
        assert!(!counts.is_full(place(0, 1), &a), "it is counted already");
        counts.leave(place(0, 1));
        counts.leave(place(0, 1));
        assert!(!counts.is_full(place(0, 2), &a));
        counts.join(place(0, 2), &a);
        counts.limit(&[("a".to_owned(), 1)]);
        assert!(counts.is_full(place(0, 3), &a), "a smaller limit closes no connection");
        counts.unlink(WorkerId(0));
        counts.unlink(WorkerId(1));
        assert!(!counts.is_full(place(0, 3), &a) && counts.clients.is_empty());
        for key in ["c", "d", "e"] {
            counts.limit(&[(key.to_owned(), 1)]);
            counts.join(place(0, 1), &client(key));
            assert!(counts.is_full(place(0, 3), &client(key)));
            counts.leave(place(0, 1));
        }
        assert_eq!(
            counts.numbers.len(),
            1,
            "keys without a limit and without clients are forgotten"
        );
        counts.limit(&[]);
        assert!(counts.numbers.is_empty() && !counts.is_full(place(0, 3), &a));
    }
}
