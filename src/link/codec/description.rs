//! Encodes what is known about one client or about one tenant.

use bytes::BufMut;

use super::Malformed;
use super::decode::FieldReader;
use super::encode::{put_ip, put_source, put_tags, put_text};
use super::query::{put_result, read_result};
use super::tag_scan::{put_optional, put_position_in_scan, read_optional, read_position_in_scan};
use crate::link::query::{DescribeAnswer, DescribeRequest};
use crate::types::{
    ClientClass, ClientDescription, ClientUuid, DescribedToken, Ident, Secret, TagVersion,
    TenantStatistics, WorkerId,
};

/// Kind of a [`ToWorker::Describe`](crate::link::message::ToWorker::Describe).
pub(super) const DESCRIBE: u8 = 21;
/// Kind of a [`ToBroker::Described`](crate::link::message::ToBroker::Described).
pub(super) const DESCRIBED: u8 = 21;

/// Appends a request with its kind.
pub(super) fn put_describe_request(out: &mut Vec<u8>, request: &DescribeRequest) {
    let DescribeRequest { asker, number, slot, token } = request;
    out.put_u8(DESCRIBE);
    put_source(out, *asker);
    out.put_u32_le(*number);
    out.put_u32_le(slot.0);
    put_optional(out, token.as_ref().map(Secret::expose));
}

pub(super) fn read_describe_request(
    fields: &mut FieldReader<'_>,
) -> Result<DescribeRequest, Malformed> {
    Ok(DescribeRequest {
        asker: fields.source()?,
        number: fields.u32()?,
        slot: fields.slot()?,
        token: read_optional(fields)?.map(|token| Secret::new(token.into())),
    })
}

/// Appends an answer with its kind.
pub(super) fn put_describe_answer(out: &mut Vec<u8>, answer: &DescribeAnswer) {
    let DescribeAnswer { asker, number, result } = answer;
    out.put_u8(DESCRIBED);
    put_source(out, *asker);
    out.put_u32_le(*number);
    put_result(out, result);
}

pub(super) fn read_describe_answer(
    fields: &mut FieldReader<'_>,
) -> Result<DescribeAnswer, Malformed> {
    Ok(DescribeAnswer {
        asker: fields.source()?,
        number: fields.u32()?,
        result: read_result(fields)?,
    })
}

pub(super) fn put_described(out: &mut Vec<u8>, client: Option<&ClientDescription>) {
    out.put_u8(u8::from(client.is_some()));
    let Some(client) = client else { return };
    out.put_slice(&client.uuid.0);
    put_text(out, client.ident.as_ref().map_or("", Ident::as_str));
    out.put_u8(u8::from(client.class == ClientClass::Php));
    put_tags(out, &client.tags);
    out.put_u64_le(client.version.0);
    out.put_u16_le(client.worker.0);
    put_text(out, &client.dialect);
    put_optional(out, client.application.as_deref());
    put_ip(out, client.ip);
    out.put_u32_le(client.opened_at);
    put_optional(out, client.user.as_deref());
    out.put_u8(u8::from(client.token.is_some()));
    if let Some(token) = &client.token {
        put_token(out, token);
    }
    out.put_u64_le(client.outbox_bytes);
    out.put_u64_le(client.outbox_waiting);
}

pub(super) fn read_described(
    fields: &mut FieldReader<'_>,
) -> Result<Option<Box<ClientDescription>>, Malformed> {
    if !fields.flag()? {
        return Ok(None);
    }
    Ok(Some(Box::new(ClientDescription {
        uuid: ClientUuid(fields.array()?),
        ident: fields.ident()?,
        class: if fields.flag()? { ClientClass::Php } else { ClientClass::Web },
        tags: fields.tags()?,
        version: TagVersion(fields.u64()?),
        worker: WorkerId(fields.u16()?),
        dialect: fields.text()?.into(),
        application: read_optional(fields)?.map(Into::into),
        ip: fields.ip()?,
        opened_at: fields.u32()?,
        user: read_optional(fields)?.map(Into::into),
        token: if fields.flag()? { Some(read_token(fields)?) } else { None },
        outbox_bytes: fields.u64()?,
        outbox_waiting: fields.u64()?,
    })))
}

pub(super) fn put_token(out: &mut Vec<u8>, token: &DescribedToken) {
    let DescribedToken { subject, expires, key } = token;
    put_optional(out, subject.as_deref());
    out.put_u64_le(*expires);
    put_text(out, key);
}

pub(super) fn read_token(fields: &mut FieldReader<'_>) -> Result<DescribedToken, Malformed> {
    Ok(DescribedToken {
        subject: read_optional(fields)?.map(Into::into),
        expires: fields.u64()?,
        key: fields.text()?.into(),
    })
}

pub(super) fn put_statistics(out: &mut Vec<u8>, statistics: &TenantStatistics) {
    let TenantStatistics {
        web,
        php,
        send_only,
        publications,
        deliveries,
        tag_names,
        tag_values,
        rest,
    } = *statistics;
    for count in [web, php, send_only, publications, deliveries, tag_names, tag_values] {
        out.put_u64_le(count);
    }
    put_position_in_scan(out, rest);
}

pub(super) fn read_statistics(fields: &mut FieldReader<'_>) -> Result<TenantStatistics, Malformed> {
    Ok(TenantStatistics {
        web: fields.u64()?,
        php: fields.u64()?,
        send_only: fields.u64()?,
        publications: fields.u64()?,
        deliveries: fields.u64()?,
        tag_names: fields.u64()?,
        tag_values: fields.u64()?,
        rest: read_position_in_scan(fields)?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::link::query::{QueryResult, RefusedToken};
    use crate::types::{Generation, Slot, Tag, Tags, WorkerIncarnation};

    fn client() -> impl Strategy<Value = ClientDescription> {
        let text = || prop::option::of("[a-z]{0,5}".prop_map(Into::into));
        let numbers = any::<([u8; 16], bool, u16, u32, u64, u64, u64)>();
        (numbers, text(), text(), any::<std::net::IpAddr>(), "[a-z]{1,5}").prop_map(
            |(
                (uuid, php, worker, opened_at, version, outbox_bytes, outbox_waiting),
                user,
                key,
                ip,
                name,
            )| {
                ClientDescription {
                    uuid: ClientUuid(uuid),
                    ident: Ident::new(&name).ok().filter(|_| php),
                    class: if php { ClientClass::Php } else { ClientClass::Web },
                    tags: Tags::new([Tag::new(&name, "1").unwrap()]).unwrap(),
                    version: TagVersion(version),
                    worker: WorkerId(worker),
                    dialect: name.into(),
                    application: key,
                    ip,
                    opened_at,
                    token: user.clone().map(|subject| DescribedToken {
                        subject: Some(subject).filter(|_| php),
                        expires: version,
                        key: "main".into(),
                    }),
                    user,
                    outbox_bytes,
                    outbox_waiting,
                }
            },
        )
    }

    fn asker() -> impl Strategy<Value = WorkerIncarnation> {
        any::<(u16, u32)>().prop_map(|(worker, generation)| WorkerIncarnation {
            worker: WorkerId(worker),
            generation: Generation(generation),
        })
    }

    proptest! {
        #[test]
        fn a_description_is_read_as_it_was_written(
            client in prop::option::of(client().prop_map(Box::new)),
            (asker, number, slot) in (asker(), any::<u32>(), any::<u32>()),
            token in prop::option::of("[a-z.]{0,5}"),
        ) {
            let refreshed = client.as_ref().and_then(|client| client.token.clone());
            let result = match (refreshed, &token) {
                (_, None) => QueryResult::Described(client),
                (Some(token), _) => QueryResult::Refreshed(token),
                (None, Some(code)) => {
                    let (code, why) = (code.as_str().into(), "because".into());
                    QueryResult::TokenRefused(RefusedToken { code, why })
                }
            };
            let token = token.map(Secret::new);
            let request = DescribeRequest { asker, number, slot: Slot(slot), token };
            let answer = DescribeAnswer { asker, number, result };
            let (mut asked, mut answered) = (Vec::new(), Vec::new());
            put_describe_request(&mut asked, &request);
            put_describe_answer(&mut answered, &answer);
            let mut fields = FieldReader::new(&asked[1..]);
            prop_assert_eq!(read_describe_request(&mut fields), Ok(request));
            prop_assert_eq!(fields.end(), Ok(()));
            let mut fields = FieldReader::new(&answered[1..]);
            prop_assert_eq!(read_describe_answer(&mut fields), Ok(answer));
            prop_assert_eq!(fields.end(), Ok(()));
            for short in 1..answered.len() {
                let mut fields = FieldReader::new(&answered[1..short]);
                prop_assert!(read_describe_answer(&mut fields).is_err());
            }
        }

        #[test]
        fn statistics_are_read_as_they_were_written(
            numbers in any::<[u64; 7]>(),
            rest in any::<Option<u32>>(),
        ) {
            let [web, php, send_only, publications, deliveries, tag_names, tag_values] = numbers;
            let statistics = TenantStatistics {
                web, php, send_only, publications, deliveries, tag_names, tag_values, rest,
            };
            let mut bytes = Vec::new();
            put_statistics(&mut bytes, &statistics);
            let mut fields = FieldReader::new(&bytes);
            prop_assert_eq!(read_statistics(&mut fields), Ok(statistics));
            prop_assert_eq!(fields.end(), Ok(()));
        }
    }
}
