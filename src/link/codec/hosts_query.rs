//! Encodes questions to other hosts and their answers, on the link and between hosts.

use bytes::BufMut;

use super::Malformed;
use super::decode::FieldReader;
use super::encode::{put_length, put_source, put_text};
use super::query::{put_kind, put_result, read_kind, read_one_result};
use crate::link::bridge::{AnsweredByHosts, QueryOfProcess};
use crate::link::query::{HostsAnswer, HostsQuery, QueryKind, QueryResult};
use crate::types::limits::CLUSTER_HOSTS_MAX;
use crate::types::{HostId, QueryReach, Tenant};

/// Format of questions and answers between hosts. It is raised when the meaning of their bytes changes. A host answers
/// no question of another format.
const FORMAT: u8 = 1;

pub(super) fn put_hosts_query(out: &mut Vec<u8>, query: &HostsQuery) {
    let HostsQuery { reach, timeout_ms, kind } = query;
    let one = match reach {
        QueryReach::All => None,
        QueryReach::One(host) => Some(*host),
    };
    out.put_u8(u8::from(one.is_some()));
    out.put_u32_le(one.map_or(0, |host| host.0));
    out.put_u32_le(*timeout_ms);
    put_kind(out, kind);
}

pub(super) fn read_hosts_query(fields: &mut FieldReader<'_>) -> Result<HostsQuery, Malformed> {
    let (is_one, host) = (fields.flag()?, HostId(fields.u32()?));
    let reach = if is_one { QueryReach::One(host) } else { QueryReach::All };
    let (timeout_ms, kind) = (fields.u32()?, fields.u8()?);
    let query = read_kind(kind, fields)?;
    let is_allowed = query.is_for_hosts() || matches!(query, QueryKind::Directed(_));
    match is_allowed {
        true => Ok(HostsQuery { reach, timeout_ms, kind: query }),
        false => Err(Malformed::Unknown("query", kind)),
    }
}

/// Reads a question that may be put to other hosts.
fn read_for_hosts(fields: &mut FieldReader<'_>) -> Result<QueryKind, Malformed> {
    let kind = fields.u8()?;
    let query = read_kind(kind, fields)?;
    if query.is_for_hosts() { Ok(query) } else { Err(Malformed::Unknown("query", kind)) }
}

pub(super) fn put_hosts_answer(out: &mut Vec<u8>, answer: &HostsAnswer) {
    out.put_u32_le(answer.own.0);
    put_length(out, answer.hosts.len());
    for (host, result) in &answer.hosts {
        out.put_u32_le(host.0);
        out.put_u8(u8::from(result.is_some()));
        result.iter().for_each(|result| put_result(out, result));
    }
}

pub(super) fn read_hosts_answer(fields: &mut FieldReader<'_>) -> Result<HostsAnswer, Malformed> {
    let (own, count) = (HostId(fields.u32()?), fields.u32()?);
    if count as usize > CLUSTER_HOSTS_MAX {
        return Err(Malformed::Invalid("count of hosts"));
    }
    let mut hosts = Vec::new();
    for _ in 0..count {
        let host = HostId(fields.u32()?);
        let has_result = fields.flag()?;
        let result = if has_result { Some(read_of_host(fields)?) } else { None };
        hosts.push((host, result));
    }
    Ok(HostsAnswer { own, hosts })
}

fn read_of_host(fields: &mut FieldReader<'_>) -> Result<QueryResult, Malformed> {
    let kind = fields.u8()?;
    read_one_result(kind, fields)
}

pub(super) fn put_query_of_process(out: &mut Vec<u8>, query: &QueryOfProcess) {
    let QueryOfProcess { asker, number, tenant, query } = query;
    put_source(out, *asker);
    out.put_u32_le(*number);
    put_text(out, &tenant.0);
    put_hosts_query(out, query);
}

pub(super) fn read_query_of_process(
    fields: &mut FieldReader<'_>,
) -> Result<QueryOfProcess, Malformed> {
    Ok(QueryOfProcess {
        asker: fields.source()?,
        number: fields.u32()?,
        tenant: fields.tenant()?,
        query: read_hosts_query(fields)?,
    })
}

pub(super) fn put_answered(out: &mut Vec<u8>, answered: &AnsweredByHosts) {
    let AnsweredByHosts { asker, number, answer } = answered;
    put_source(out, *asker);
    out.put_u32_le(*number);
    put_hosts_answer(out, answer);
}

pub(super) fn read_answered(fields: &mut FieldReader<'_>) -> Result<AnsweredByHosts, Malformed> {
    Ok(AnsweredByHosts {
        asker: fields.source()?,
        number: fields.u32()?,
        answer: read_hosts_answer(fields)?,
    })
}

/// Returns a question as other hosts read it.
#[must_use]
pub fn encode_question(tenant: &Tenant, kind: &QueryKind) -> Vec<u8> {
    let mut out = vec![FORMAT];
    put_text(&mut out, &tenant.0);
    put_kind(&mut out, kind);
    out
}

/// Reads a question of another host.
///
/// # Errors
///
/// If it is not one, if it is of another version, or if no other host may ask it.
pub fn decode_question(bytes: &[u8]) -> Result<(Tenant, QueryKind), Malformed> {
    let mut fields = of_format(bytes)?;
    let question = (fields.tenant()?, read_for_hosts(&mut fields)?);
    fields.end()?;
    Ok(question)
}

/// Returns an answer as the host that has asked reads it.
#[must_use]
pub fn encode_answer(result: &QueryResult) -> Vec<u8> {
    let mut out = vec![FORMAT];
    put_result(&mut out, result);
    out
}

/// Reads an answer of another host.
///
/// # Errors
///
/// If it is not one, or if it is of another version.
pub fn decode_answer(bytes: &[u8]) -> Result<QueryResult, Malformed> {
    let mut fields = of_format(bytes)?;
    let result = read_of_host(&mut fields)?;
    fields.end()?;
    Ok(result)
}

fn of_format(bytes: &[u8]) -> Result<FieldReader<'_>, Malformed> {
    let mut fields = FieldReader::new(bytes);
    match fields.u8()? {
        FORMAT => Ok(fields),
        format => Err(Malformed::Unknown("format", format)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::codec::WireMessage;
    use crate::link::message::{ToBroker, ToWorker};
    use crate::link::query::{BrokerQuery, PresenceQuery, PresenceResult};
    use crate::types::{
        Address, ClientUuid, CountedHosts, Expression, Generation, IdUse, Number, ReplayDigest,
        Secret, Slot, TagScan, TrackedOutcome, WorkerId, WorkerIncarnation,
    };

    const ASKER: WorkerIncarnation =
        WorkerIncarnation { worker: WorkerId::API, generation: Generation(3) };

    fn presence() -> QueryKind {
        let filter = Expression::parse("a=1 & !b?").unwrap().into();
        QueryKind::Presence(PresenceQuery { filter, tag: "nick".into() })
    }

    fn result() -> QueryResult {
        QueryResult::Presence(PresenceResult { clients: 7, values: vec!["é".into(); 2] })
    }

    #[test]
    fn a_question_is_read_as_it_was_written_and_never_a_part_of_one() {
        let tenant = Tenant("shop".into());
        let scan = TagScan { name: None, prefix: "p".into(), after: None, limit: 9, before: None };
        let uuid = ClientUuid([4; 16]);
        for kind in [
            presence(),
            QueryKind::Tags(scan),
            QueryKind::ClientTags(uuid),
            QueryKind::Describe(uuid),
            QueryKind::Statistics { before: Some(4) },
            QueryKind::RefreshToken { uuid, token: Secret::new("t".to_owned()) },
            QueryKind::Count(Box::new(Address::everyone())),
            QueryKind::UsedId(ReplayDigest([6; 16])),
        ] {
            let bytes = encode_question(&tenant, &kind);
            assert_eq!(decode_question(&bytes), Ok((tenant.clone(), kind)));
            for length in 0..bytes.len() {
                assert!(decode_question(&bytes[..length]).is_err(), "{length}");
            }
        }
        let asked = [TrackedOutcome::Answer(b"{}".to_vec().into()), TrackedOutcome::Closed];
        for asked in asked.map(QueryResult::Asked) {
            assert_eq!(decode_answer(&encode_answer(&asked)), Ok(asked));
        }
        let hosts = Some(CountedHosts { asked: 3, answered: 2 });
        let (content, origin) = (ReplayDigest([7; 16]), Some(HostId(8)));
        let used = IdUse { content, clients: 1, workers: 2, written: None, origin, hosts };
        for used in [None, Some(Box::new(used))].map(QueryResult::UsedId) {
            assert_eq!(decode_answer(&encode_answer(&used)), Ok(used));
        }
        let bytes = encode_answer(&result());
        assert_eq!(decode_answer(&bytes), Ok(result()));
        for length in 0..bytes.len() {
            assert!(decode_answer(&bytes[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn a_question_of_another_format_or_that_no_host_may_ask_is_refused() {
        let tenant = Tenant::shared();
        let mut newer = encode_question(&tenant, &presence());
        newer[0] += 1;
        assert_eq!(decode_question(&newer), Err(Malformed::Unknown("format", FORMAT + 1)));
        let directed = QueryKind::Directed(Number(7));
        assert!(decode_question(&encode_question(&tenant, &directed)).is_err());
        let query = HostsQuery { reach: QueryReach::All, timeout_ms: 9, kind: presence() };
        let nested = QueryKind::Hosts(Box::new(query));
        assert!(decode_question(&encode_question(&tenant, &nested)).is_err());
    }

    #[test]
    fn questions_to_hosts_and_their_answers_pass_the_link() {
        let number = 8;
        for reach in [QueryReach::All, QueryReach::One(HostId(6))] {
            let query = HostsQuery { reach, timeout_ms: 300, kind: presence() };
            let kind = QueryKind::Hosts(Box::new(query.clone()));
            let ask = BrokerQuery { number, tenant: Tenant::shared(), kind };
            let ask = ToBroker::Ask { slot: Slot::NONE, query: ask };
            let tenant = Tenant("shop".into());
            let of_process = QueryOfProcess { asker: ASKER, number, tenant, query };
            let mut out = Vec::new();
            ask.encode(&mut out);
            assert_eq!(ToBroker::decode(&out[4..]), Ok(ask));
            let to_bridge = crate::link::bridge::ToBridge::Query(Box::new(of_process));
            let message = ToWorker::Bridge(to_bridge);
            let mut out = Vec::new();
            message.encode(&mut out);
            assert_eq!(ToWorker::decode(&out[4..]), Ok(message));
        }
        let hosts = vec![(HostId(1), Some(result())), (HostId(2), None)];
        let answer = HostsAnswer { own: HostId(9), hosts };
        let result = QueryResult::Hosts(answer.clone());
        let to_asker = ToWorker::Answer { slot: Slot::NONE, number, result };
        let mut out = Vec::new();
        to_asker.encode(&mut out);
        assert_eq!(ToWorker::decode(&out[4..]), Ok(to_asker));
        let answered = AnsweredByHosts { asker: ASKER, number, answer };
        let answered = crate::link::bridge::FromBridge::Answered(Box::new(answered));
        let message = ToBroker::Bridge(answered);
        let mut out = Vec::new();
        message.encode(&mut out);
        assert_eq!(ToBroker::decode(&out[4..]), Ok(message));
    }
}
