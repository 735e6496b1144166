//! From a UUID to the place of its client.

use hashbrown::HashTable;

use super::directory::Directory;
use super::interner::{NameId, spread};
use crate::types::{ClientUuid, ConnectionRef};

/// Where the client with a UUID stands.
///
/// The UUID itself stands in its entry only; here are 32 bits of it. The server makes UUIDs at
/// random, so these bits are their own hash, and no client can choose them to collide.
#[derive(Debug, Default)]
pub(super) struct Uuids {
    known: HashTable<KnownUuid>,
}

#[derive(Debug)]
struct KnownUuid {
    fold: u32,
    place: ConnectionRef,
}

impl Uuids {
    /// The place of the client with this UUID in a tenant.
    pub(super) fn find(
        &self,
        tenant: NameId,
        uuid: ClientUuid,
        places: &Directory,
    ) -> Option<ConnectionRef> {
        let fold = fold(uuid);
        let same = |known: &KnownUuid| {
            known.fold == fold
                && places
                    .get(known.place)
                    .is_some_and(|entry| entry.tenant == tenant && entry.uuid == uuid)
        };
        self.known.find(spread(fold), same).map(|known| known.place)
    }

    /// Adds a client, whose UUID must be new in its tenant: see [`Self::find`].
    pub(super) fn add(&mut self, uuid: ClientUuid, place: ConnectionRef) {
        let fold = fold(uuid);
        self.known.insert_unique(spread(fold), KnownUuid { fold, place }, |it| spread(it.fold));
    }

    /// Removes a client.
    pub(super) fn remove(&mut self, uuid: ClientUuid, place: ConnectionRef) {
        let hash = spread(fold(uuid));
        if let Ok(entry) = self.known.find_entry(hash, |known| known.place == place) {
            entry.remove();
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }
}

/// All sixteen bytes count: version and variant of a UUID stand at fixed places.
fn fold(uuid: ClientUuid) -> u32 {
    let (words, _) = uuid.0.as_chunks::<4>();
    words.iter().fold(0, |fold, word| fold.rotate_left(8) ^ u32::from_le_bytes(*word))
}
