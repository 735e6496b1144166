//! Records of requests that must not take effect twice, as other hosts read them: nonces in 20 bytes, and ids of
//! publications that do not reach all hosts.

use bytes::{BufMut, Bytes};

use super::wire::{BodyReader, InvalidMessage};
use crate::types::{HostId, IdUse, ReplayDigest, ReplayRecords, SpentNonce, UsedId};

const NONCES: u8 = 1;
const IDS: u8 = 2;

/// Returns the encoding of nonces or ids. `None` for what other hosts do not need.
#[must_use]
pub fn encode_records(records: &ReplayRecords) -> Option<Bytes> {
    let mut out = Vec::new();
    match records {
        ReplayRecords::Nonces(spent) => {
            out.put_u8(NONCES);
            for SpentNonce { nonce, until } in spent {
                out.put_slice(&nonce.0);
                out.put_u32_le(seconds(*until));
            }
        }
        ReplayRecords::Ids(ids) => {
            out.put_u8(IDS);
            for UsedId { id, until, used } in ids {
                out.put_slice(&id.0);
                out.put_slice(&used.content.0);
                out.put_u32_le(seconds(*until));
            }
        }
        ReplayRecords::OtherNonces(_) | ReplayRecords::Basis(_) => return None,
    }
    Some(out.into())
}

/// Unix seconds fit 32 bits until 2106.
fn seconds(until: u64) -> u32 {
    u32::try_from(until).unwrap_or(u32::MAX)
}

/// Reads the records of another host.
///
/// # Errors
///
/// If the bytes are not records.
pub fn decode_records(bytes: Bytes, origin: HostId) -> Result<ReplayRecords, InvalidMessage> {
    let mut fields = BodyReader(bytes);
    match fields.u8()? {
        NONCES => {
            let mut spent = Vec::with_capacity(fields.0.len() / 20);
            while !fields.is_empty() {
                let nonce = ReplayDigest(fields.array()?);
                spent.push(SpentNonce { nonce, until: fields.u32()?.into() });
            }
            Ok(ReplayRecords::OtherNonces(spent))
        }
        IDS => {
            let mut ids = Vec::with_capacity(fields.0.len() / 36);
            while !fields.is_empty() {
                let (id, content) = (ReplayDigest(fields.array()?), ReplayDigest(fields.array()?));
                let until = fields.u32()?.into();
                let (written, hosts, origin) = (None, None, Some(origin));
                let used = IdUse { content, clients: 0, workers: 0, written, origin, hosts };
                ids.push(UsedId { id, until, used });
            }
            Ok(ReplayRecords::Ids(ids))
        }
        _ => Err(InvalidMessage::Field("kind of records")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: HostId = HostId(7);

    #[test]
    fn a_nonce_takes_twenty_bytes_and_an_id_36() {
        let spent: Vec<_> =
            (0..9).map(|it| SpentNonce { nonce: ReplayDigest([it; 16]), until: 40 }).collect();
        let bytes = encode_records(&ReplayRecords::Nonces(spent.clone())).unwrap();
        assert_eq!(bytes.len(), 1 + 9 * 20);
        assert_eq!(decode_records(bytes, ORIGIN), Ok(ReplayRecords::OtherNonces(spent)));
        let (content, origin) = (ReplayDigest([2; 16]), Some(ORIGIN));
        let (clients, workers, written, hosts) = (0, 0, None, None);
        let used = IdUse { content, clients, workers, written, origin, hosts };
        let ids = ReplayRecords::Ids(vec![UsedId { id: ReplayDigest([1; 16]), until: 5, used }; 2]);
        let bytes = encode_records(&ids).unwrap();
        assert_eq!(bytes.len(), 1 + 2 * 36);
        assert_eq!(decode_records(bytes.clone(), ORIGIN), Ok(ids));
        for length in (0..bytes.len()).filter(|length| length % 36 != 1) {
            assert!(decode_records(bytes.slice(..length), ORIGIN).is_err(), "{length}");
        }
    }

    #[test]
    fn other_hosts_get_neither_what_others_have_reported_nor_a_basis() {
        assert_eq!(encode_records(&ReplayRecords::OtherNonces(Vec::new())), None);
        assert_eq!(encode_records(&ReplayRecords::Basis(None)), None);
        let unknown = decode_records(Bytes::from_static(&[9]), ORIGIN);
        assert_eq!(unknown, Err(InvalidMessage::Field("kind of records")));
    }
}
