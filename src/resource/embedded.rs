//! Adapter from an embedding program's resource to the hooks of a worker.

use std::time::Duration;

use super::{ClientHandle, ConnectRequest, Presence, Resource, ResourceContext, ResourceHooks};
use crate::http::Refusal;
use crate::session::Message;
use crate::types::CloseReason;

/// Adapter from a [`Resource`] to [`ResourceHooks`].
#[derive(Debug)]
pub struct Embedded<R>(pub R);

impl<R: Resource> ResourceHooks for Embedded<R> {
    fn authorize(&self, request: &ConnectRequest<'_>) -> Result<(), Refusal> {
        self.0.authorize(request)
    }

    fn on_open(&mut self, client: &mut ClientHandle<'_>, request: &ConnectRequest<'_>) {
        self.0.on_open(client, request);
    }

    fn on_message(&mut self, client: &mut ClientHandle<'_>, message: Message<'_>) {
        self.0.on_message(client, message);
    }

    fn on_presence(&mut self, client: &mut ClientHandle<'_>, presence: &Presence) {
        self.0.on_presence(client, presence);
    }

    fn on_close(&mut self, client: &mut ClientHandle<'_>, _: &CloseReason) {
        self.0.on_close(client);
    }

    fn tick_interval(&self) -> Option<Duration> {
        self.0.tick_interval()
    }

    fn on_tick(&mut self, context: &mut ResourceContext<'_>) {
        self.0.on_tick(context);
    }
}
