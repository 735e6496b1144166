//! Resource calls without a client: ticks, messages of the push socket, and answers to the
//! resource's own queries.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tracing::error;

use crate::broker_client::uplink::NewPublication;
use crate::link::query::{PresenceQuery, QueryKind};
use crate::protocol::v1::with_topic;
use crate::resource::{Effect, Effects, Presence, ResourceContext, ResourceHooks, ResourceId};
use crate::types::{PayloadForm, Pressure, Tenant};
use crate::worker::clock::unix_time;
use crate::worker::context::Context;
use crate::worker::webhook;

/// Open presence queries of resources.
#[derive(Debug, Default)]
pub(in crate::worker) struct ResourceQueries(Vec<ResourceQuery>);

#[derive(Debug)]
struct ResourceQuery {
    number: u32,
    resource: ResourceId,
    /// Value that the answer repeats to the resource.
    about: u64,
}

impl ResourceQueries {
    fn take(&mut self, number: u32) -> Option<ResourceQuery> {
        let at = self.0.iter().position(|query| query.number == number)?;
        Some(self.0.swap_remove(at))
    }
}

/// Sends a presence query on behalf of a resource.
pub(in crate::worker) fn query_presence(
    context: &mut Context,
    resource: ResourceId,
    about: u64,
    tenant: Tenant,
    query: PresenceQuery,
) {
    let kind = QueryKind::Presence(query);
    if let Some(number) = context.broker.uplink.query_for_process(tenant, kind) {
        context.resource_queries.0.push(ResourceQuery { number, resource, about });
    }
}

/// Passes the broker's answer to the resource that sent the query.
pub(in crate::worker) fn on_findings(context: &mut Context, number: u32, presence: &Presence) {
    let Some(ResourceQuery { resource, about, .. }) = context.resource_queries.take(number) else {
        return;
    };
    call_without_client(context, resource, |resource, call| {
        resource.on_resource_presence(call, about, presence);
    });
}

/// Calls a resource without a client. A panic is only logged.
pub(in crate::worker) fn call_without_client(
    context: &mut Context,
    id: ResourceId,
    call: impl FnOnce(&mut dyn ResourceHooks, &mut ResourceContext<'_>),
) {
    let Context { resources, settings, .. } = context;
    let Some(resource) = resources.get_mut(id) else { return };
    let mut of_call = ResourceContext::new(&settings.rules, unix_time());
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        call(resource.as_mut(), &mut of_call);
        of_call.into_effects()
    }));
    match outcome {
        Ok(effects) => apply_without_client(context, id, effects),
        Err(_) => {
            error!(event = "resource_panicked", "resource panicked in a call without a client");
        }
    }
}

/// Applies the effects of a call without a client.
pub(in crate::worker) fn apply_without_client(
    context: &mut Context,
    id: ResourceId,
    effects: Effects,
) {
    for effect in effects {
        match effect {
            // The publication is dropped, because memory is scarce. A publishing client would get
            // an error.
            Effect::Publish { .. } if context.memory.pressure() == Pressure::Busy => {
                context.labelled.note_denied("memory");
            }
            Effect::Publish { tenant, address, form, payload, .. } => {
                let (tenant, address, payload) = (&tenant, &address, payload.bytes(b""));
                let headed = with_topic(address, form, payload);
                let (form, payload) = match &headed {
                    Some(headed) => (PayloadForm::WithHeaders, headed.as_bytes()),
                    None => (form, payload),
                };
                context.broker.uplink.publish(NewPublication { tenant, address, form, payload });
                context.labelled.note_resource_publication();
            }
            Effect::QueryResourcePresence { about, tenant, query, tag } => {
                query_presence(context, id, about, tenant, PresenceQuery { filter: query, tag });
            }
            Effect::Post(post) => webhook::post_for_resource(context, id, post),
            // These effects need a client.
            Effect::ReplyText(_)
            | Effect::ReplyBinary(_)
            | Effect::Reply(_)
            | Effect::Retag(_)
            | Effect::RetagByToken(_)
            | Effect::Refresh(_)
            | Effect::RefusedToken(_)
            | Effect::Fyi(_)
            | Effect::Register { .. }
            | Effect::IgnoredTags
            | Effect::QueryPresence { .. }
            | Effect::Request(_)
            | Effect::Close(_) => {}
        }
    }
}
