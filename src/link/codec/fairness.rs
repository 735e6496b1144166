//! Encodes and decodes messages about tenants, their work and their throttles, and about limits of applications.

use bytes::BufMut;

use super::Malformed;
use super::decode::FieldReader;
use super::encode::put_text;
use crate::link::fairness::{ApplicationCharge, TenantThrottle, WorkReport};
use crate::types::{ChargedAmount, Tenant};

/// Kind of a [`ToBroker::Work`](crate::link::message::ToBroker::Work).
pub(super) const WORK: u8 = 36;
/// Kind of a [`ToWorker::Tenant`](crate::link::message::ToWorker::Tenant).
pub(super) const TENANT: u8 = 36;
/// Kind of a [`ToWorker::CountWork`](crate::link::message::ToWorker::CountWork).
pub(super) const COUNT_WORK: u8 = 37;
/// Kind of a [`ToWorker::Throttle`](crate::link::message::ToWorker::Throttle).
pub(super) const THROTTLE: u8 = 38;

/// Kind of [`ToBroker::Charged`](crate::link::message::ToBroker::Charged) and of
/// [`ToWorker::Charged`](crate::link::message::ToWorker::Charged).
pub(super) const CHARGED: u8 = 39;

pub(super) fn put_charge(
    out: &mut Vec<u8>,
    ApplicationCharge { application, amount }: &ApplicationCharge,
) {
    out.put_u8(CHARGED);
    put_text(out, application);
    out.put_u64_le(amount.publications);
    out.put_u64_le(amount.bytes);
}

pub(super) fn read_charge(body: &mut FieldReader<'_>) -> Result<ApplicationCharge, Malformed> {
    let application = body.text()?.into();
    let amount = ChargedAmount { publications: body.u64()?, bytes: body.u64()? };
    Ok(ApplicationCharge { application, amount })
}

pub(super) fn put_work(out: &mut Vec<u8>, WorkReport { tenant, done }: &WorkReport) {
    out.put_u8(WORK);
    put_text(out, &tenant.0);
    out.put_u64_le(*done);
}

pub(super) fn read_work(body: &mut FieldReader<'_>) -> Result<WorkReport, Malformed> {
    Ok(WorkReport { tenant: body.tenant()?, done: body.u64()? })
}

pub(super) fn put_tenant(out: &mut Vec<u8>, tenant: &Tenant) {
    out.put_u8(TENANT);
    put_text(out, &tenant.0);
}

pub(super) fn put_count_work(out: &mut Vec<u8>, reported_from: u64) {
    out.put_u8(COUNT_WORK);
    out.put_u64_le(reported_from);
}

pub(super) fn put_throttle(
    out: &mut Vec<u8>,
    TenantThrottle { tenant, is_throttled }: &TenantThrottle,
) {
    out.put_u8(THROTTLE);
    put_text(out, &tenant.0);
    out.put_u8(u8::from(*is_throttled));
}

pub(super) fn read_throttle(body: &mut FieldReader<'_>) -> Result<TenantThrottle, Malformed> {
    Ok(TenantThrottle { tenant: body.tenant()?, is_throttled: body.flag()? })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::link::codec::WireMessage;
    use crate::link::message::{ToBroker, ToWorker};

    /// Encodes a message, decodes it, and expects that it is the same; without its last byte it is not one.
    fn passes<M: WireMessage + PartialEq + std::fmt::Debug>(message: &M) {
        let mut out = Vec::new();
        message.encode(&mut out);
        let body = &out[4..];
        assert_eq!(M::decode(body).as_ref(), Ok(message));
        assert_ne!(M::decode(&body[..body.len() - 1]).as_ref(), Ok(message));
    }

    proptest! {
        #[test]
        fn messages_about_tenants_pass(name in ".{0,9}", number: u64, is_throttled: bool) {
            let tenant = Tenant(name.as_str().into());
            passes(&ToBroker::Work(WorkReport { tenant: tenant.clone(), done: number }));
            passes(&ToWorker::CountWork { reported_from: number });
            passes(&ToWorker::Throttle(TenantThrottle { tenant: tenant.clone(), is_throttled }));
            passes(&ToWorker::Tenant(tenant));
            let amount = ChargedAmount { publications: number, bytes: !number };
            let charge = ApplicationCharge { application: name.into(), amount };
            passes(&ToBroker::Charged(charge.clone()));
            passes(&ToWorker::Charged(charge));
        }
    }
}
