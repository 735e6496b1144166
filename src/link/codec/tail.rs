//! Encodes copies of publications for operators.

use bytes::BufMut;

use super::Malformed;
use super::decode::FieldReader;
use super::encode::{form_byte, put_length, put_route, put_source};
use super::expression::put_expression;
use crate::link::tail::{TailPage, TailQuery, TailedPublication};

pub(super) fn put_tail_query(out: &mut Vec<u8>, query: &TailQuery) {
    let TailQuery { place, reader, is_one_tenant, expression, credit, payload_max } = query;
    out.put_u8(*place);
    out.put_u64_le(*reader);
    out.put_u8(u8::from(*is_one_tenant));
    out.put_u8(u8::from(expression.is_some()));
    if let Some(expression) = expression {
        put_expression(out, expression);
    }
    out.put_u32_le(*credit);
    out.put_u32_le(*payload_max);
}

pub(super) fn read_tail_query(fields: &mut FieldReader<'_>) -> Result<TailQuery, Malformed> {
    Ok(TailQuery {
        place: fields.u8()?,
        reader: fields.u64()?,
        is_one_tenant: fields.flag()?,
        expression: if fields.flag()? { Some(fields.expression()?) } else { None },
        credit: fields.u32()?,
        payload_max: fields.u32()?,
    })
}

pub(super) fn put_tail_page(out: &mut Vec<u8>, page: &TailPage) {
    let TailPage { is_continued, publications, dropped } = page;
    out.put_u8(u8::from(*is_continued));
    out.put_u64_le(*dropped);
    put_length(out, publications.len());
    for publication in publications {
        let TailedPublication { source, tenant, address, clients, workers, form, bytes, payload } =
            publication;
        put_source(out, *source);
        put_route(out, tenant, address);
        out.put_u64_le(*clients);
        out.put_u32_le(*workers);
        out.put_u8(form_byte(*form));
        out.put_u64_le(*bytes);
        put_length(out, payload.len());
        out.put_slice(payload);
    }
}

pub(super) fn read_tail_page(fields: &mut FieldReader<'_>) -> Result<TailPage, Malformed> {
    let (is_continued, dropped, count) = (fields.flag()?, fields.u64()?, fields.u32()?);
    let publications = (0..count).map(|_| read_tailed(fields)).collect::<Result<_, _>>()?;
    Ok(TailPage { is_continued, publications, dropped })
}

fn read_tailed(fields: &mut FieldReader<'_>) -> Result<TailedPublication, Malformed> {
    let source = fields.source()?;
    let (tenant, address) = fields.prefixed_route()?;
    Ok(TailedPublication {
        source,
        tenant,
        address,
        clients: fields.u64()?,
        workers: fields.u32()?,
        form: fields.form()?,
        bytes: fields.u64()?,
        payload: fields.prefixed()?.into(),
    })
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::types::{
        Address, ClientUuid, Expression, Generation, Ident, PayloadForm, Tenant, WorkerId,
        WorkerIncarnation,
    };

    /// Returns arbitrary questions.
    pub(in crate::link::codec) fn query() -> impl Strategy<Value = TailQuery> {
        let parts = any::<(u8, u64, bool, bool, u32, u32)>();
        parts.prop_map(|(place, reader, is_one_tenant, has_expression, credit, payload_max)| {
            TailQuery {
                place,
                reader,
                is_one_tenant,
                expression: has_expression.then(|| Expression::parse("a=1 & !b=2").unwrap()),
                credit,
                payload_max,
            }
        })
    }

    /// Returns arbitrary answers.
    pub(in crate::link::codec) fn page() -> impl Strategy<Value = TailPage> {
        let tailed = any::<(u16, [u8; 16], u64, u32, u64, Vec<u8>)>().prop_map(
            |(worker, uuid, clients, workers, bytes, payload)| TailedPublication {
                source: WorkerIncarnation { worker: WorkerId(worker), generation: Generation(7) },
                tenant: Tenant("t".into()),
                address: Address::first(Some(ClientUuid(uuid)), Ident::new("anna").ok()),
                clients,
                workers,
                form: PayloadForm::Message,
                bytes,
                payload: payload.into(),
            },
        );
        let parts = (any::<bool>(), proptest::collection::vec(tailed, 0..4), any::<u64>());
        parts.prop_map(|(is_continued, publications, dropped)| TailPage {
            is_continued,
            publications,
            dropped,
        })
    }
}
