//! Encodes and decodes records of requests that must not take effect twice.

use bytes::BufMut;

use super::Malformed;
use super::decode::FieldReader;
use super::encode::put_length;
use crate::types::{ReplayBasis, ReplayDigest, ReplayRecords, SpentNonce};

/// Kind of a message with records, in both directions.
pub(super) const REMEMBER: u8 = 40;

pub(super) fn put_records(out: &mut Vec<u8>, records: &ReplayRecords) {
    out.put_u8(REMEMBER);
    match records {
        ReplayRecords::Nonces(spent) => {
            out.put_u8(1);
            put_length(out, spent.len());
            for SpentNonce { nonce, until } in spent {
                out.put_slice(&nonce.0);
                out.put_u64_le(*until);
            }
        }
        ReplayRecords::Basis(basis) => {
            out.put_u8(2);
            out.put_u8(u8::from(basis.is_some()));
            if let Some(ReplayBasis { since, window }) = basis {
                out.put_u64_le(*since);
                out.put_u64_le(*window);
            }
        }
    }
}

pub(super) fn read_records(fields: &mut FieldReader<'_>) -> Result<ReplayRecords, Malformed> {
    match fields.u8()? {
        1 => {
            let count = fields.count_of(SPENT_NONCE_BYTES)?;
            let nonces = (0..count).map(|_| read_nonce(fields));
            Ok(ReplayRecords::Nonces(nonces.collect::<Result<_, _>>()?))
        }
        2 if fields.flag()? => {
            let basis = ReplayBasis { since: fields.u64()?, window: fields.u64()? };
            Ok(ReplayRecords::Basis(Some(basis)))
        }
        2 => Ok(ReplayRecords::Basis(None)),
        records => Err(Malformed::Unknown("records", records)),
    }
}

fn read_nonce(fields: &mut FieldReader<'_>) -> Result<SpentNonce, Malformed> {
    Ok(SpentNonce { nonce: ReplayDigest(fields.array()?), until: fields.u64()? })
}

const SPENT_NONCE_BYTES: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::codec::WireMessage;
    use crate::link::message::{ToBroker, ToWorker};

    fn all() -> Vec<ReplayRecords> {
        let nonce = |byte, until| SpentNonce { nonce: ReplayDigest([byte; 16]), until };
        vec![
            ReplayRecords::Nonces(Vec::new()),
            ReplayRecords::Nonces(vec![nonce(1, 2), nonce(3, u64::MAX)]),
            ReplayRecords::Basis(None),
            ReplayRecords::Basis(Some(ReplayBasis { since: 1, window: 300 })),
        ]
    }

    #[test]
    fn records_are_read_as_they_were_written_and_no_prefix_is_accepted() {
        for records in all() {
            let mut out = Vec::new();
            ToBroker::Remember(records.clone()).encode(&mut out);
            let body = &out[4..];
            assert_eq!(ToBroker::decode(body), Ok(ToBroker::Remember(records.clone())));
            assert_eq!(ToWorker::decode(body), Ok(ToWorker::Remember(records)));
            for end in 0..body.len() {
                assert!(ToBroker::decode(&body[..end]).is_err(), "{end} of {}", body.len());
            }
        }
    }

    #[test]
    fn a_count_beyond_the_message_is_refused_before_it_is_used() {
        let mut body = vec![REMEMBER, 1];
        body.extend_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(ToBroker::decode(&body), Err(Malformed::Invalid("count of records")));
    }
}
