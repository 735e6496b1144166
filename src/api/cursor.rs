//! Cursors: where the next page of a list begins.
//!
//! A cursor names its list by a digest, so one of another list is detected. It is no secret and grants nothing:
//! it only says after which element the next page begins. Nothing is stored for it, so it does not expire.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::error::{ApiError, ErrorCode};
use crate::types::{ConnectionRef, HostId, JoinNumber, ListPosition, Slot, WorkerId};

/// Bytes of the digest: a cursor of another list is accepted by chance once in 2^96.
const DIGEST_BYTES: usize = 12;

/// A place in a list over several hosts, which are in the order of their ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ListPlace {
    /// The host.
    pub(super) host: HostId,
    /// A client there; `None` before its first.
    pub(super) after: Option<ListPosition>,
}

/// A list, as its cursors name it.
#[derive(Clone, Debug)]
pub(super) struct ListScope(Sha256);

impl ListScope {
    /// The list that these texts name: its kind, the tenant, and the filter in its canonical form.
    pub(super) fn new(parts: &[&str]) -> Self {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        Self(hasher)
    }

    fn digest(&self, position: &[u8]) -> [u8; DIGEST_BYTES] {
        let digest: [u8; 32] = self.0.clone().chain_update(position).finalize().into();
        digest.first_chunk().copied().unwrap_or_default()
    }

    /// The cursor of the page that follows this position.
    pub(super) fn cursor(&self, position: &[u8]) -> String {
        URL_SAFE_NO_PAD.encode([&self.digest(position), position].concat())
    }

    /// Returns the position of a cursor.
    ///
    /// # Errors
    ///
    /// If it is not a cursor of this list.
    pub(super) fn position(&self, cursor: &str) -> Result<Vec<u8>, ApiError> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok();
        let position = bytes.as_deref().and_then(|bytes| {
            let (digest, position) = bytes.split_first_chunk::<DIGEST_BYTES>()?;
            (*digest == self.digest(position)).then(|| position.to_vec())
        });
        position.ok_or_else(invalid)
    }

    /// Returns the text after which the page of a cursor begins.
    ///
    /// # Errors
    ///
    /// If it is not a cursor of this list.
    pub(super) fn text(&self, cursor: &str) -> Result<String, ApiError> {
        String::from_utf8(self.position(cursor)?).map_err(|_| invalid())
    }

    /// The cursor of the page that follows this client.
    pub(super) fn cursor_after(&self, position: ListPosition) -> String {
        self.cursor(&position_bytes(position))
    }

    /// The cursor of the page that follows this place.
    pub(super) fn cursor_after_place(&self, place: ListPlace) -> String {
        let position = place.after.map_or_else(Vec::new, position_bytes);
        self.cursor(&[&place.host.0.to_le_bytes()[..], &position].concat())
    }

    /// Returns the place after which the page of a cursor begins.
    ///
    /// # Errors
    ///
    /// If it is not a cursor of this list.
    pub(super) fn place(&self, cursor: &str) -> Result<ListPlace, ApiError> {
        let bytes = self.position(cursor)?;
        let (host, rest) = bytes.split_first_chunk().ok_or_else(invalid)?;
        let after = match rest {
            [] => None,
            rest => Some(position_of(rest).ok_or_else(invalid)?),
        };
        Ok(ListPlace { host: HostId(u32::from_le_bytes(*host)), after })
    }

    /// Returns the client after which the page of a cursor begins.
    ///
    /// # Errors
    ///
    /// If it is not a cursor of this list.
    pub(super) fn client(&self, cursor: &str) -> Result<ListPosition, ApiError> {
        position_of(&self.position(cursor)?).ok_or_else(invalid)
    }
}

fn position_bytes(ListPosition { number, place }: ListPosition) -> Vec<u8> {
    let (worker, slot) = (place.worker.0.to_le_bytes(), place.slot.0.to_le_bytes());
    [&number.0.to_le_bytes()[..], &worker, &slot].concat()
}

fn position_of(bytes: &[u8]) -> Option<ListPosition> {
    let (number, rest) = bytes.split_first_chunk()?;
    let (worker, slot) = rest.split_first_chunk()?;
    Some(ListPosition {
        number: JoinNumber(u64::from_le_bytes(*number)),
        place: ConnectionRef {
            worker: WorkerId(u16::from_le_bytes(*worker)),
            slot: Slot(u32::from_le_bytes(slot.try_into().ok()?)),
        },
    })
}

fn invalid() -> ApiError {
    let message = "this is not a cursor of this list with this filter";
    ApiError::new(ErrorCode::InvalidCursor, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_one_of_its_list() {
        let position = ListPosition {
            number: JoinNumber(7),
            place: ConnectionRef { worker: WorkerId(1), slot: Slot(70_000) },
        };
        let list = ListScope::new(&["connections", "shop", "a=1"]);
        let cursor = list.cursor_after(position);
        assert_eq!(list.client(&cursor).unwrap(), position);
        for other in [["connections", "other", "a=1"], ["connections", "shop", "a=2"]] {
            assert!(ListScope::new(&other).client(&cursor).is_err());
        }
        assert!(ListScope::new(&["connections", "shopa", "=1"]).client(&cursor).is_err());
        for end in 0..cursor.len() {
            assert!(list.client(&cursor[..end]).is_err(), "{end}");
        }
        for after in [None, Some(position)] {
            let place = ListPlace { host: HostId(0xff00_0001), after };
            let cursor = list.cursor_after_place(place);
            assert_eq!(list.place(&cursor).unwrap(), place);
            assert!(list.client(&cursor).is_err(), "it is of several hosts");
        }
        assert!(list.place(&cursor).is_err(), "it is of one host");
        for wrong in [format!("{cursor}A"), format!("{cursor}="), cursor.replace('A', "B")] {
            assert!(list.client(&wrong).is_err(), "{wrong}");
        }
    }
}
