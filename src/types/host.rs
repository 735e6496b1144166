//! The host of a server, and the host on which the client of a UUID lives.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ClientUuid;

/// Hexadecimal digits of a host id.
const DIGITS: usize = 8;

/// Identifier of a host: 32 random bits that a server keeps in its state folder.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub struct HostId(pub u32);

impl HostId {
    /// Reads eight hexadecimal digits. `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_valid = text.len() == DIGITS && text.bytes().all(|digit| digit.is_ascii_hexdigit());
        is_valid.then(|| u32::from_str_radix(text, 16).ok().map(Self))?
    }
}

/// Eight hexadecimal digits in lower case.
impl fmt::Display for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl ClientUuid {
    /// Makes the UUID (version 4, RFC 9562 §5.4) of a client of a host from sixteen random bytes. Its last four
    /// bytes name the host, so that another host can find the client without a table of all UUIDs. It still
    /// looks random, and 90 of its bits are.
    #[must_use]
    pub fn at_home(random: [u8; 16], home: HostId) -> Self {
        let uuid = uuid::Builder::from_random_bytes(random).into_uuid().into_bytes();
        let (random, _) = Self::parts(uuid);
        let mut bytes = uuid;
        if let Some(tail) = bytes.last_chunk_mut() {
            *tail = (home.0 ^ mix(random)).to_be_bytes();
        }
        Self(bytes)
    }

    /// Returns the host on which the client lives, if its UUID was made by [`ClientUuid::at_home`]. For any other
    /// UUID the result is an arbitrary number, so it is a hint only.
    #[must_use]
    pub fn home(self) -> HostId {
        let (random, last) = Self::parts(self.0);
        HostId(last ^ mix(random))
    }

    /// Returns the first twelve bytes as the words that the hash reads, and the last four in the order of the text.
    fn parts([a, b, c, d, e, f, g, h, i, j, k, l, last @ ..]: [u8; 16]) -> ([u32; 3], u32) {
        let words = [[a, b, c, d], [e, f, g, h], [i, j, k, l]];
        (words.map(u32::from_le_bytes), u32::from_be_bytes(last))
    }
}

/// This host in a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterMember {
    /// The host.
    pub host: HostId,
    /// How long other hosts are waited for that are asked about their clients.
    pub query_timeout: Duration,
}

/// The other hosts that a question is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryReach {
    /// All other hosts that are not gone.
    All,
    /// One host. If it is gone or not known, no host is asked.
    One(HostId),
}

/// MurmurHash3 (x86, 32 bits, seed 0) of the first twelve bytes of a UUID. It never changes: UUIDs that were issued
/// keep their meaning. `docs/protocol.md` has test vectors.
fn mix(words: [u32; 3]) -> u32 {
    let hash = words.into_iter().fold(0_u32, |hash, word| {
        let word = word.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
        (hash ^ word).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64)
    });
    let hash = hash ^ 12;
    let hash = (hash ^ hash >> 16).wrapping_mul(0x85eb_ca6b);
    let hash = (hash ^ hash >> 13).wrapping_mul(0xc2b2_ae35);
    hash ^ hash >> 16
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Values of another implementation of MurmurHash3_x86_32.
    #[test]
    fn the_hash_is_murmur3() {
        let hash = |text| mix(ClientUuid::parts(text).0);
        assert_eq!(hash(*b"hello, world...."), 0x149b_bb7f);
        assert_eq!(hash([0; 16]), 0xd941_144b);
    }

    /// The vectors of `docs/protocol.md`.
    #[test]
    fn the_vectors_of_the_protocol_page_hold() {
        let page = include_str!("../../docs/protocol.md");
        let (_, rows) = page.split_once("| UUID | home |\n| --- | --- |\n").unwrap();
        let rows: Vec<_> = rows.lines().take_while(|row| row.starts_with('|')).collect();
        assert!(rows.len() >= 4, "{rows:?}");
        for row in rows {
            let cells: Vec<_> = row.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
            let [_, uuid, home, _] = cells[..] else { panic!("{row}") };
            let uuid = ClientUuid(uuid::Uuid::try_parse(uuid).unwrap().into_bytes());
            assert_eq!(uuid.home().to_string(), home, "{row}");
        }
    }

    #[test]
    fn a_host_id_is_read_as_it_is_written() {
        assert_eq!(HostId::parse("0000002a"), Some(HostId(42)));
        assert_eq!(HostId(0xdead_beef).to_string(), "deadbeef");
        assert_eq!(HostId::parse("DEADBEEF"), Some(HostId(0xdead_beef)));
        for wrong in ["", "2a", "0000002a0", "+000002a", "0x00002a", "äää"] {
            assert_eq!(HostId::parse(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn a_uuid_contains_its_home(random in any::<[u8; 16]>(), home in any::<u32>()) {
            let uuid = ClientUuid::at_home(random, HostId(home));
            prop_assert_eq!(uuid.home(), HostId(home));
            let parsed = uuid::Uuid::from_bytes(uuid.0);
            prop_assert_eq!(parsed.get_version_num(), 4);
            prop_assert_eq!(parsed.get_variant(), uuid::Variant::RFC4122);
        }
    }

    /// Random bits of the last four bytes: as many ones as zeros, and the UUIDs of one host differ in them.
    #[test]
    fn the_last_bytes_of_one_host_look_random() {
        let mut ones = [0_u32; 32];
        const UUIDS: u32 = 20_000;
        for number in 0..UUIDS {
            let mut random = [0; 16];
            random[..4].copy_from_slice(&number.to_le_bytes());
            let last = ClientUuid::parts(ClientUuid::at_home(random, HostId(7)).0).1;
            for (bit, ones) in ones.iter_mut().enumerate() {
                *ones += last >> bit & 1;
            }
        }
        for ones in ones {
            assert!((UUIDS * 48 / 100..UUIDS * 52 / 100).contains(&ones), "{ones}");
        }
    }
}
