//! Signatures that were made lately.

use std::cell::RefCell;

use super::{SIGNATURE_CHARACTERS, Signature};
use crate::types::ClientUuid;

/// Places; each holds what was made last of those UUIDs that fall on it.
const PLACES: usize = 512;

/// Signatures that were made lately, some forty kilobytes once there is one.
///
/// What is kept here was made by ourselves, never taken over from a client: whoever compares with
/// it compares with the truth.
#[derive(Clone, Default)]
pub(super) struct Recent(RefCell<Vec<(ClientUuid, Signature)>>);

impl Recent {
    pub(super) fn get_or_insert_with(
        &self,
        uuid: ClientUuid,
        make: impl FnOnce() -> Signature,
    ) -> Signature {
        let mut places = self.0.borrow_mut();
        if places.is_empty() {
            // No UUID of a client is all zeros: version and variant are bits of it.
            places.resize(PLACES, (ClientUuid([0; 16]), [0; SIGNATURE_CHARACTERS]));
        }
        let Some(place) = places.get_mut(place_of(uuid)) else { return make() };
        if place.0 != uuid {
            *place = (uuid, make());
        }
        place.1
    }
}

/// A client's UUID is random, but for the bits of version and variant in other bytes than these.
fn place_of(ClientUuid([first, second, ..]): ClientUuid) -> usize {
    usize::from(u16::from_le_bytes([first, second])) % PLACES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_falls_on_one_place_is_never_confused() {
        let recent = Recent::default();
        let uuid = |last| ClientUuid([7, 7, 0, 0, 0, 0, 0x40, 0, 0x80, 0, 0, 0, 0, 0, 0, last]);
        for (last, made) in [(1, 1), (2, 2), (1, 3)] {
            let signature = recent.get_or_insert_with(uuid(last), || [made; SIGNATURE_CHARACTERS]);
            assert_eq!(signature, [made; SIGNATURE_CHARACTERS]);
        }
        let again = recent.get_or_insert_with(uuid(1), || unreachable!("it is kept"));
        assert_eq!(again, [3; SIGNATURE_CHARACTERS]);
    }
}
