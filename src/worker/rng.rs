//! Random numbers of a worker.

use std::fmt;

use crate::types::{ClientUuid, HostId};

/// UUIDs per refill. A system call for each UUID would take 2 % of the time of a handshake.
const UUIDS: usize = 64;
const UUID_BYTES: usize = 16;

/// Random bytes from the kernel, read in advance.
#[derive(Default)]
pub(super) struct Rng(Vec<[u8; UUID_BYTES]>);

impl Rng {
    /// Returns a random version 4 UUID, the id of an event.
    pub(super) fn uuid(&mut self) -> ClientUuid {
        ClientUuid(uuid::Builder::from_random_bytes(self.bytes()).into_uuid().into_bytes())
    }

    /// Returns the UUID of a new client of this host.
    pub(super) fn client_uuid(&mut self, host: HostId) -> ClientUuid {
        ClientUuid::at_home(self.bytes(), host)
    }

    /// Returns a random number.
    pub(super) fn number(&mut self) -> u32 {
        let [first, second, third, fourth, ..] = self.bytes();
        u32::from_ne_bytes([first, second, third, fourth])
    }

    fn bytes(&mut self) -> [u8; UUID_BYTES] {
        self.0.pop().unwrap_or_else(|| self.refill())
    }

    fn refill(&mut self) -> [u8; UUID_BYTES] {
        let mut bytes = [0; UUIDS * UUID_BYTES];
        let Ok(()) = fill(&mut bytes) else {
            // If the kernel call fails, the `uuid` crate generates each UUID from its own source.
            return uuid::Uuid::new_v4().into_bytes();
        };
        self.0.extend(bytes.as_chunks().0);
        self.0.pop().unwrap_or_default()
    }
}

fn fill(mut bytes: &mut [u8]) -> rustix::io::Result<()> {
    while !bytes.is_empty() {
        let filled = rustix::rand::getrandom(&mut *bytes, rustix::rand::GetRandomFlags::empty())?;
        bytes = bytes.get_mut(filled..).unwrap_or_default();
    }
    Ok(())
}

/// The output omits the random bytes.
impl fmt::Debug for Rng {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rng").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_uuid_is_another_one_of_version_4() {
        let mut rng = Rng::default();
        let of_clients = (0..3 * UUIDS).map(|_| rng.client_uuid(HostId(7))).collect::<HashSet<_>>();
        assert_eq!(of_clients.len(), 3 * UUIDS);
        assert!(of_clients.iter().all(|uuid| uuid.home() == HostId(7)));
        let thrown: HashSet<ClientUuid> = (0..3 * UUIDS).map(|_| rng.uuid()).collect();
        assert_eq!(thrown.len(), 3 * UUIDS);
        let versions = thrown.iter().map(|uuid| uuid::Uuid::from_bytes(uuid.0).get_version_num());
        assert!(versions.into_iter().all(|version| version == 4));
    }
}
