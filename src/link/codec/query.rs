//! Encodes questions about connected clients and publications, and their answers.

use bytes::BufMut;

use super::Malformed;
use super::command::{put_outcome_of_command, read_command_outcome};
use super::decode::FieldReader;
use super::description::{
    put_described, put_statistics, put_token, read_described, read_statistics, read_token,
};
use super::encode::{put_address, put_length, put_tags, put_text};
use super::expression::put_expression;
use super::hosts_query::{put_hosts_answer, put_hosts_query, read_hosts_answer, read_hosts_query};
use super::listing::{
    put_list_filter, put_listed, put_position, read_list_filter, read_listed, read_position,
};
use super::replay::{put_use, read_use};
use super::tag_scan::{
    put_position_in_scan, put_scan, read_length, read_position_in_scan, read_scan,
};
use super::tail::{put_tail_page, put_tail_query, read_tail_page, read_tail_query};
use super::tracking::{put_outcome, put_write_counts};
use crate::link::query::{
    BrokerQuery, ClientQuery, CountedClients, PresenceQuery, PresenceResult, QueryKind,
    QueryResult, RefusedToken, WrittenByHost,
};
use crate::types::{
    ClientFilter, ClientPage, ClientTags, ClientUuid, IdUse, Number, PageSize, ReplayDigest,
    ScannedTags, Secret, TagCount, TooExpensive, TrackedOutcome,
};

/// Kind of a presence query, and of its result.
const PRESENCE: u8 = 1;
/// Kind of a query for a page of clients, and of its result.
const CLIENTS: u8 = 2;
/// Kind of a part of a search for tags, and of its result.
const TAGS: u8 = 3;
/// Kind of a query for the tags of a client, and of its result.
const CLIENT_TAGS: u8 = 4;
/// Kind of a query for all that is known about a client, and of its result.
const DESCRIBE: u8 = 5;
/// Kind of a query for the numbers of clients and tags, and of its result.
const STATISTICS: u8 = 6;
/// Kind of a token for a connection, and of its result.
const REFRESH: u8 = 7;
/// Kind of the result of a token that the connection may not have.
const TOKEN_REFUSED: u8 = 8;
/// Kind of a query for copies of publications, and of its result.
const TAIL: u8 = 9;
/// Kind of a question for the number of clients of an address, and of its result.
const COUNT: u8 = 11;
/// Kind of a question for the outcomes of a command, and of its result.
const DIRECTED: u8 = 12;
/// Kind of the result of a question to a client.
const ASKED: u8 = 13;
/// Kind of the result of a publication with a report.
const WRITTEN: u8 = 71;
/// Kind of a question for what became of an id, and of its result.
const USED_ID: u8 = 50;
/// Kind of a question to other hosts, and of its result.
const HOSTS: u8 = 10;
/// Kind of the result of a query that was not answered.
const REFUSED: u8 = 0;

pub(super) fn put_query(out: &mut Vec<u8>, query: &BrokerQuery) {
    out.put_u32_le(query.number);
    put_text(out, &query.tenant.0);
    put_kind(out, &query.kind);
}

pub(super) fn put_kind(out: &mut Vec<u8>, kind: &QueryKind) {
    match kind {
        QueryKind::Presence(PresenceQuery { filter, tag }) => {
            out.put_u8(PRESENCE);
            put_filter(out, filter);
            put_text(out, tag);
        }
        QueryKind::Clients(ClientQuery { filter, after, size }) => {
            out.put_u8(CLIENTS);
            put_list_filter(out, filter);
            out.put_u8(u8::from(after.is_some()));
            if let Some(position) = after {
                put_position(out, *position);
            }
            put_length(out, size.clients);
            put_length(out, size.bytes);
        }
        QueryKind::Tags(scan) => {
            out.put_u8(TAGS);
            put_scan(out, scan);
        }
        QueryKind::ClientTags(uuid) => {
            out.put_u8(CLIENT_TAGS);
            out.put_slice(&uuid.0);
        }
        QueryKind::Describe(uuid) => {
            out.put_u8(DESCRIBE);
            out.put_slice(&uuid.0);
        }
        QueryKind::RefreshToken { uuid, token } => {
            out.put_u8(REFRESH);
            out.put_slice(&uuid.0);
            put_text(out, token.expose());
        }
        QueryKind::Statistics { before } => {
            out.put_u8(STATISTICS);
            put_position_in_scan(out, *before);
        }
        QueryKind::Tail(query) => {
            out.put_u8(TAIL);
            put_tail_query(out, query);
        }
        QueryKind::Count(address) => {
            out.put_u8(COUNT);
            put_address(out, address);
        }
        QueryKind::UsedId(id) => {
            out.put_u8(USED_ID);
            out.put_slice(&id.0);
        }
        QueryKind::Directed(number) => {
            out.put_u8(DIRECTED);
            out.put_u64_le(number.0);
        }
        QueryKind::Hosts(query) => {
            out.put_u8(HOSTS);
            put_hosts_query(out, query);
        }
    }
}

pub(super) fn put_filter(out: &mut Vec<u8>, filter: &ClientFilter) {
    match filter {
        ClientFilter::Tags(query) => {
            out.put_u8(1);
            put_tags(out, query);
        }
        ClientFilter::Expression(expression) => {
            out.put_u8(2);
            put_expression(out, expression);
        }
    }
}

pub(super) fn put_result(out: &mut Vec<u8>, result: &QueryResult) {
    match result {
        QueryResult::Presence(found) => put_presence(out, found),
        QueryResult::Clients(ClientPage { matched, clients, has_more }) => {
            out.put_u8(CLIENTS);
            out.put_u64_le(*matched);
            out.put_u8(u8::from(*has_more));
            put_length(out, clients.len());
            clients.iter().for_each(|client| put_listed(out, client));
        }
        QueryResult::Tags(ScannedTags { found, rest }) => {
            out.put_u8(TAGS);
            put_position_in_scan(out, *rest);
            put_length(out, found.len());
            for TagCount { text, count } in found {
                put_text(out, text);
                out.put_u64_le(*count);
            }
        }
        QueryResult::ClientTags(tags) => {
            out.put_u8(CLIENT_TAGS);
            match tags {
                ClientTags::Unknown => out.put_u8(1),
                ClientTags::NotReached => out.put_u8(2),
                ClientTags::Reached(tags) => {
                    out.put_u8(3);
                    put_tags(out, tags);
                }
            }
        }
        QueryResult::Described(client) => {
            out.put_u8(DESCRIBE);
            put_described(out, client.as_deref());
        }
        QueryResult::Refreshed(token) => {
            out.put_u8(REFRESH);
            put_token(out, token);
        }
        QueryResult::TokenRefused(RefusedToken { code, why }) => {
            out.put_u8(TOKEN_REFUSED);
            put_text(out, code);
            put_text(out, why);
        }
        QueryResult::Statistics(statistics) => {
            out.put_u8(STATISTICS);
            put_statistics(out, statistics);
        }
        QueryResult::Tail(page) => {
            out.put_u8(TAIL);
            put_tail_page(out, page);
        }
        QueryResult::Asked(outcome) => put_asked(out, outcome),
        QueryResult::Written(written) => put_written(out, *written),
        QueryResult::Commanded(outcome) => {
            out.put_u8(DIRECTED);
            put_outcome_of_command(out, outcome);
        }
        QueryResult::UsedId(used) => put_used_id(out, used.as_deref()),
        QueryResult::Counted(counted) => put_counted(out, counted),
        QueryResult::Hosts(answer) => {
            out.put_u8(HOSTS);
            put_hosts_answer(out, answer);
        }
        QueryResult::Refused(TooExpensive { values, limit }) => {
            out.put_u8(REFUSED);
            out.put_u64_le(*values);
            out.put_u64_le(*limit);
        }
    }
}

fn put_used_id(out: &mut Vec<u8>, used: Option<&IdUse>) {
    out.put_u8(USED_ID);
    out.put_u8(u8::from(used.is_some()));
    used.iter().for_each(|used| put_use(out, used));
}

fn put_presence(out: &mut Vec<u8>, PresenceResult { clients, values }: &PresenceResult) {
    out.put_u8(PRESENCE);
    out.put_u64_le(*clients);
    put_length(out, values.len());
    values.iter().for_each(|value| put_text(out, value));
}

fn put_asked(out: &mut Vec<u8>, outcome: &TrackedOutcome) {
    let mut bytes = Vec::new();
    put_outcome(&mut bytes, outcome);
    out.put_u8(ASKED);
    put_length(out, bytes.len());
    out.put_slice(&bytes);
}

fn put_written(out: &mut Vec<u8>, written: WrittenByHost) {
    let WrittenByHost { clients, workers, counts } = written;
    out.put_u8(WRITTEN);
    out.put_u64_le(clients);
    out.put_u32_le(workers);
    put_write_counts(out, counts);
}

fn put_counted(out: &mut Vec<u8>, counted: &CountedClients) {
    let CountedClients { clients, workers, scan_values, is_away } = *counted;
    out.put_u8(COUNT);
    out.put_u64_le(clients);
    out.put_u32_le(workers);
    out.put_u64_le(scan_values);
    out.put_u8(u8::from(is_away));
}

pub(super) fn read_query(fields: &mut FieldReader<'_>) -> Result<BrokerQuery, Malformed> {
    Ok(BrokerQuery {
        number: fields.u32()?,
        tenant: fields.tenant()?,
        kind: match fields.u8()? {
            HOSTS => QueryKind::Hosts(Box::new(read_hosts_query(fields)?)),
            kind => read_kind(kind, fields)?,
        },
    })
}

/// Reads a question that other hosts may be asked, or one that only this host answers.
pub(super) fn read_kind(kind: u8, fields: &mut FieldReader<'_>) -> Result<QueryKind, Malformed> {
    Ok(match kind {
        PRESENCE => QueryKind::Presence(PresenceQuery {
            filter: read_filter(fields)?,
            tag: fields.text()?.into(),
        }),
        CLIENTS => QueryKind::Clients(ClientQuery {
            filter: read_list_filter(fields)?,
            after: if fields.flag()? { Some(read_position(fields)?) } else { None },
            size: PageSize { clients: read_length(fields)?, bytes: read_length(fields)? },
        }),
        TAGS => QueryKind::Tags(read_scan(fields)?),
        CLIENT_TAGS => QueryKind::ClientTags(ClientUuid(fields.array()?)),
        DESCRIBE => QueryKind::Describe(ClientUuid(fields.array()?)),
        REFRESH => QueryKind::RefreshToken {
            uuid: ClientUuid(fields.array()?),
            token: Secret::new(fields.text()?.to_owned()),
        },
        STATISTICS => QueryKind::Statistics { before: read_position_in_scan(fields)? },
        TAIL => QueryKind::Tail(Box::new(read_tail_query(fields)?)),
        DIRECTED => QueryKind::Directed(Number(fields.u64()?)),
        USED_ID => QueryKind::UsedId(ReplayDigest(fields.array()?)),
        COUNT => QueryKind::Count(Box::new(fields.address()?)),
        kind => return Err(Malformed::Unknown("query", kind)),
    })
}

pub(super) fn read_filter(fields: &mut FieldReader<'_>) -> Result<ClientFilter, Malformed> {
    match fields.u8()? {
        1 => Ok(ClientFilter::Tags(fields.tags()?)),
        2 => Ok(ClientFilter::Expression(fields.expression()?)),
        filter => Err(Malformed::Unknown("filter", filter)),
    }
}

pub(super) fn read_result(fields: &mut FieldReader<'_>) -> Result<QueryResult, Malformed> {
    match fields.u8()? {
        HOSTS => Ok(QueryResult::Hosts(read_hosts_answer(fields)?)),
        kind => read_one_result(kind, fields),
    }
}

/// Reads the result of one host.
pub(super) fn read_one_result(
    kind: u8,
    fields: &mut FieldReader<'_>,
) -> Result<QueryResult, Malformed> {
    match kind {
        PRESENCE => {
            let (clients, count) = (fields.u64()?, fields.u32()?);
            let values = (0..count).map(|_| Ok(fields.text()?.into()));
            let values = values.collect::<Result<_, Malformed>>()?;
            Ok(QueryResult::Presence(PresenceResult { clients, values }))
        }
        CLIENTS => {
            let (matched, has_more, count) = (fields.u64()?, fields.flag()?, fields.u32()?);
            let clients = (0..count).map(|_| read_listed(fields)).collect::<Result<_, _>>()?;
            Ok(QueryResult::Clients(ClientPage { matched, clients, has_more }))
        }
        TAGS => {
            let (rest, count) = (read_position_in_scan(fields)?, fields.u32()?);
            let found = (0..count)
                .map(|_| Ok(TagCount { text: fields.text()?.into(), count: fields.u64()? }));
            let found = found.collect::<Result<_, Malformed>>()?;
            Ok(QueryResult::Tags(ScannedTags { found, rest }))
        }
        CLIENT_TAGS => Ok(QueryResult::ClientTags(match fields.u8()? {
            1 => ClientTags::Unknown,
            2 => ClientTags::NotReached,
            3 => ClientTags::Reached(fields.tags()?),
            kind => return Err(Malformed::Unknown("client", kind)),
        })),
        DESCRIBE => Ok(QueryResult::Described(read_described(fields)?)),
        REFRESH => Ok(QueryResult::Refreshed(read_token(fields)?)),
        TOKEN_REFUSED => Ok(QueryResult::TokenRefused(RefusedToken {
            code: fields.text()?.into(),
            why: fields.text()?.into(),
        })),
        STATISTICS => Ok(QueryResult::Statistics(read_statistics(fields)?)),
        TAIL => Ok(QueryResult::Tail(read_tail_page(fields)?)),
        REFUSED => {
            Ok(QueryResult::Refused(TooExpensive { values: fields.u64()?, limit: fields.u64()? }))
        }
        ASKED => {
            let mut outcome = FieldReader::new(fields.prefixed()?);
            let result = QueryResult::Asked(outcome.outcome()?);
            outcome.end()?;
            Ok(result)
        }
        DIRECTED => Ok(QueryResult::Commanded(Box::new(read_command_outcome(fields)?))),
        USED_ID => {
            let used = if fields.flag()? { Some(Box::new(read_use(fields)?)) } else { None };
            Ok(QueryResult::UsedId(used))
        }
        COUNT => Ok(QueryResult::Counted(read_counted(fields)?)),
        WRITTEN => Ok(QueryResult::Written(WrittenByHost {
            clients: fields.u64()?,
            workers: fields.u32()?,
            counts: fields.write_counts()?,
        })),
        kind => Err(Malformed::Unknown("result", kind)),
    }
}

fn read_counted(fields: &mut FieldReader<'_>) -> Result<CountedClients, Malformed> {
    Ok(CountedClients {
        clients: fields.u64()?,
        workers: fields.u32()?,
        scan_values: fields.u64()?,
        is_away: fields.flag()?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::link::codec::tail::tests::{page, query};
    use crate::types::{
        ClientClass, ConnectionRef, Expression, Ident, JoinNumber, ListFilter, ListPosition,
        ListedClient, Tag, TagScan, TagVersion, Tags, Tenant, WorkerId,
    };

    fn position() -> impl Strategy<Value = ListPosition> {
        any::<(u64, u16, u32)>().prop_map(|(number, worker, slot)| ListPosition {
            number: JoinNumber(number),
            place: ConnectionRef { worker: WorkerId(worker), slot: crate::types::Slot(slot) },
        })
    }

    fn ident() -> impl Strategy<Value = Ident> {
        "[a-zé]{1,9}".prop_map(|text| Ident::new(&text).unwrap())
    }

    fn list_filter() -> impl Strategy<Value = ListFilter> {
        prop_oneof![
            Just(ListFilter::Everyone),
            Just(ListFilter::Expression(Expression::parse("a=1 & !(b? | c=x*)").unwrap())),
            ident().prop_map(ListFilter::Ident),
        ]
    }

    fn kind() -> impl Strategy<Value = QueryKind> {
        let size = any::<(u16, u32)>().prop_map(|(clients, bytes)| PageSize {
            clients: clients.into(),
            bytes: usize::try_from(bytes).unwrap(),
        });
        let clients = (list_filter(), prop::option::of(position()), size).prop_map(
            |(filter, after, size)| QueryKind::Clients(ClientQuery { filter, after, size }),
        );
        let text = || prop::option::of("[a-z]{0,5}".prop_map(Into::into));
        let tags = (text(), ".{0,5}", text(), any::<(u32, Option<u32>)>()).prop_map(
            |(name, prefix, after, (limit, before))| {
                let limit = usize::try_from(limit).unwrap();
                QueryKind::Tags(TagScan { name, prefix: prefix.into(), after, limit, before })
            },
        );
        let client = any::<[u8; 16]>().prop_map(|uuid| QueryKind::ClientTags(ClientUuid(uuid)));
        let tail = query().prop_map(|query| QueryKind::Tail(Box::new(query)));
        prop_oneof![clients, tags, client, tail]
    }

    fn tags() -> impl Strategy<Value = Tags> {
        prop::collection::vec(("[a-z]{1,9}", ".{0,9}"), 0..4)
            .prop_map(|all| Tags::new(all.iter().map(|(n, v)| Tag::new(n, v).unwrap())).unwrap())
    }

    fn listed() -> impl Strategy<Value = ListedClient> {
        (position(), any::<([u8; 16], bool, u64)>(), prop::option::of(ident()), tags()).prop_map(
            |(position, (uuid, php, version), ident, tags)| ListedClient {
                version: TagVersion(version),
                position,
                uuid: ClientUuid(uuid),
                ident,
                class: if php { ClientClass::Php } else { ClientClass::Web },
                tags,
            },
        )
    }

    fn result() -> impl Strategy<Value = QueryResult> {
        let count = (".{0,5}", any::<u64>())
            .prop_map(|(text, count)| TagCount { text: text.into(), count });
        prop_oneof![
            (any::<Option<u32>>(), prop::collection::vec(count, 0..4))
                .prop_map(|(rest, found)| QueryResult::Tags(ScannedTags { found, rest })),
            page().prop_map(QueryResult::Tail),
            Just(QueryResult::ClientTags(ClientTags::Unknown)),
            Just(QueryResult::ClientTags(ClientTags::NotReached)),
            tags().prop_map(|tags| QueryResult::ClientTags(ClientTags::Reached(tags))),
            (any::<(u64, bool)>(), prop::collection::vec(listed(), 0..4)).prop_map(
                |((matched, has_more), clients)| {
                    QueryResult::Clients(ClientPage { matched, clients, has_more })
                }
            ),
            any::<(u64, u64)>()
                .prop_map(|(values, limit)| QueryResult::Refused(TooExpensive { values, limit })),
        ]
    }

    proptest! {
        #[test]
        fn questions_and_results_are_read_as_they_were_written(
            (number, tenant, kind) in (any::<u32>(), "[a-z]{0,5}", kind()),
            result in result(),
        ) {
            let query = BrokerQuery { number, tenant: Tenant(tenant.as_str().into()), kind };
            let (mut question, mut answer) = (Vec::new(), Vec::new());
            put_query(&mut question, &query);
            put_result(&mut answer, &result);
            let mut fields = FieldReader::new(&question);
            prop_assert_eq!(read_query(&mut fields), Ok(query));
            prop_assert_eq!(fields.end(), Ok(()));
            let mut fields = FieldReader::new(&answer);
            prop_assert_eq!(read_result(&mut fields), Ok(result));
            prop_assert_eq!(fields.end(), Ok(()));
            for short in 0..question.len() {
                prop_assert!(read_query(&mut FieldReader::new(&question[..short])).is_err());
            }
        }
    }
}
