//! Maps a UUID to the place of its client.

use hashbrown::HashTable;

use super::directory::Directory;
use super::interner::{NameId, spread};
use crate::types::{ClientUuid, ConnectionRef};

/// The place of each client by its UUID.
///
/// The UUID itself is stored only in the client's entry; this table stores 32 bits of it. The server
/// generates UUIDs at random, so these bits can serve as the hash, and clients cannot choose UUIDs that
/// collide.
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
    /// Returns the place of the client with this UUID in a tenant.
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

    /// Adds a client. Its UUID must be new in its tenant; check with [`Self::find`].
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

    /// Returns the number of UUIDs.
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }
}

/// Folds all sixteen bytes to 32 bits, because the version and variant bits of a UUID are fixed.
fn fold(uuid: ClientUuid) -> u32 {
    let (words, _) = uuid.0.as_chunks::<4>();
    words.iter().fold(0, |fold, word| fold.rotate_left(8) ^ u32::from_le_bytes(*word))
}
