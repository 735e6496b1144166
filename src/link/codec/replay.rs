//! Encodes and decodes records of requests that must not take effect twice.

use bytes::BufMut;

use super::Malformed;
use super::decode::FieldReader;
use super::encode::put_length;
use crate::types::{
    CountedHosts, HostId, IdUse, PublicationId, RecipientBounds, ReplayBasis, ReplayDigest,
    ReplayRecords, SpentNonce, UsedId, WriteCounts,
};

/// Kind of a message with records, in both directions.
pub(super) const REMEMBER: u8 = 40;

/// Kind of a message with the id of the next publication.
pub(super) const IDENTIFY: u8 = 41;

pub(super) fn put_id(out: &mut Vec<u8>, id: &PublicationId) {
    let PublicationId { id, content, at, until, recipients, origin } = id;
    out.put_u8(IDENTIFY);
    out.put_slice(&id.0);
    out.put_slice(&content.0);
    [*at, *until, recipients.min, recipients.max].into_iter().for_each(|it| out.put_u64_le(it));
    put_host(out, *origin);
}

pub(super) fn read_id(fields: &mut FieldReader<'_>) -> Result<PublicationId, Malformed> {
    Ok(PublicationId {
        id: ReplayDigest(fields.array()?),
        content: ReplayDigest(fields.array()?),
        at: fields.u64()?,
        until: fields.u64()?,
        recipients: RecipientBounds { min: fields.u64()?, max: fields.u64()? },
        origin: read_host(fields)?,
    })
}

pub(super) fn put_records(out: &mut Vec<u8>, records: &ReplayRecords) {
    out.put_u8(REMEMBER);
    match records {
        ReplayRecords::Nonces(spent) => {
            out.put_u8(1);
            put_nonces(out, spent);
        }
        ReplayRecords::OtherNonces(spent) => {
            out.put_u8(50);
            put_nonces(out, spent);
        }
        ReplayRecords::Ids(ids) => {
            out.put_u8(3);
            put_length(out, ids.len());
            ids.iter().for_each(|id| put_used(out, id));
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

fn put_nonces(out: &mut Vec<u8>, spent: &[SpentNonce]) {
    put_length(out, spent.len());
    for SpentNonce { nonce, until } in spent {
        out.put_slice(&nonce.0);
        out.put_u64_le(*until);
    }
}

fn put_host(out: &mut Vec<u8>, host: Option<HostId>) {
    out.put_u8(u8::from(host.is_some()));
    out.put_u32_le(host.map_or(0, |host| host.0));
}

fn read_host(fields: &mut FieldReader<'_>) -> Result<Option<HostId>, Malformed> {
    match (fields.flag()?, HostId(fields.u32()?)) {
        (true, host) => Ok(Some(host)),
        (false, HostId(0)) => Ok(None),
        (false, _) => Err(Malformed::Invalid("host")),
    }
}

fn put_used(out: &mut Vec<u8>, UsedId { id, until, used }: &UsedId) {
    out.put_slice(&id.0);
    out.put_u64_le(*until);
    put_use(out, used);
}

/// Writes what became of a publication with an id.
pub(super) fn put_use(out: &mut Vec<u8>, used: &IdUse) {
    let IdUse { content, clients, workers, written: counts, origin, hosts } = used;
    out.put_slice(&content.0);
    out.put_u64_le(*clients);
    out.put_u32_le(*workers);
    out.put_u8(u8::from(counts.is_some()));
    let WriteCounts { written, slow, closed, waiting } = counts.unwrap_or_default();
    [written, slow, closed, waiting].into_iter().for_each(|count| out.put_u64_le(count));
    put_host(out, *origin);
    let CountedHosts { asked, answered } = hosts.unwrap_or(CountedHosts { asked: 0, answered: 0 });
    out.put_u32_le(asked);
    out.put_u32_le(answered);
}

fn read_used(fields: &mut FieldReader<'_>) -> Result<UsedId, Malformed> {
    Ok(UsedId { id: ReplayDigest(fields.array()?), until: fields.u64()?, used: read_use(fields)? })
}

/// Reads what became of a publication with an id.
pub(super) fn read_use(fields: &mut FieldReader<'_>) -> Result<IdUse, Malformed> {
    let content = ReplayDigest(fields.array()?);
    let (clients, workers) = (fields.u64()?, fields.u32()?);
    let has_counts = fields.flag()?;
    let counts = WriteCounts {
        written: fields.u64()?,
        slow: fields.u64()?,
        closed: fields.u64()?,
        waiting: fields.u64()?,
    };
    if !has_counts && counts != WriteCounts::default() {
        return Err(Malformed::Invalid("count"));
    }
    let written = has_counts.then_some(counts);
    let (origin, asked, answered) = (read_host(fields)?, fields.u32()?, fields.u32()?);
    if answered > asked {
        return Err(Malformed::Invalid("count of hosts"));
    }
    let hosts = (asked > 0).then_some(CountedHosts { asked, answered });
    Ok(IdUse { content, clients, workers, written, origin, hosts })
}

pub(super) fn read_records(fields: &mut FieldReader<'_>) -> Result<ReplayRecords, Malformed> {
    match fields.u8()? {
        1 => Ok(ReplayRecords::Nonces(read_nonces(fields)?)),
        50 => Ok(ReplayRecords::OtherNonces(read_nonces(fields)?)),
        2 if fields.flag()? => {
            let basis = ReplayBasis { since: fields.u64()?, window: fields.u64()? };
            Ok(ReplayRecords::Basis(Some(basis)))
        }
        2 => Ok(ReplayRecords::Basis(None)),
        3 => {
            let count = fields.count_of(USED_ID_BYTES)?;
            let ids = (0..count).map(|_| read_used(fields));
            Ok(ReplayRecords::Ids(ids.collect::<Result<_, _>>()?))
        }
        records => Err(Malformed::Unknown("records", records)),
    }
}

fn read_nonces(fields: &mut FieldReader<'_>) -> Result<Vec<SpentNonce>, Malformed> {
    let count = fields.count_of(SPENT_NONCE_BYTES)?;
    (0..count).map(|_| read_nonce(fields)).collect()
}

fn read_nonce(fields: &mut FieldReader<'_>) -> Result<SpentNonce, Malformed> {
    Ok(SpentNonce { nonce: ReplayDigest(fields.array()?), until: fields.u64()? })
}

const SPENT_NONCE_BYTES: usize = 24;
const USED_ID_BYTES: usize = 98;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::codec::WireMessage;
    use crate::link::message::{ToBroker, ToWorker};

    fn all() -> Vec<ReplayRecords> {
        let nonce = |byte, until| SpentNonce { nonce: ReplayDigest([byte; 16]), until };
        let used = |written| UsedId {
            id: ReplayDigest([4; 16]),
            until: 5,
            used: IdUse {
                content: ReplayDigest([6; 16]),
                clients: 7,
                workers: 8,
                written,
                origin: written.map(|_| HostId(0)),
                hosts: written.map(|_| CountedHosts { asked: 3, answered: 2 }),
            },
        };
        let counts = WriteCounts { written: 9, slow: 10, closed: 11, waiting: 12 };
        vec![
            ReplayRecords::Ids(Vec::new()),
            ReplayRecords::Ids(vec![used(None), used(Some(counts))]),
            ReplayRecords::Nonces(Vec::new()),
            ReplayRecords::Nonces(vec![nonce(1, 2), nonce(3, u64::MAX)]),
            ReplayRecords::OtherNonces(vec![nonce(1, 2)]),
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
    fn an_id_is_read_as_it_was_written() {
        let recipients = RecipientBounds { min: 1, max: u64::MAX };
        let (id, content) = (ReplayDigest([1; 16]), ReplayDigest([2; 16]));
        for origin in [None, Some(HostId(7))] {
            let id = PublicationId { id, content, at: 3, until: 4, recipients, origin };
            let mut out = Vec::new();
            ToBroker::Identify(id).encode(&mut out);
            assert_eq!(ToBroker::decode(&out[4..]), Ok(ToBroker::Identify(id)));
            assert!(ToBroker::decode(&out[4..out.len() - 1]).is_err());
        }
    }

    #[test]
    fn a_count_beyond_the_message_is_refused_before_it_is_used() {
        let mut body = vec![REMEMBER, 1];
        body.extend_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(ToBroker::decode(&body), Err(Malformed::Invalid("count of records")));
    }
}
