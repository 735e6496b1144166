//! Protocol between a worker and the backend of an HTTP resource: events as JSON, commands in the
//! answer, the signature, and the circuit breaker.

mod circuit_breaker;
pub mod client;
mod command;
mod event;
mod options;
mod signature;

pub use self::circuit_breaker::{BreakerDecision, BreakerTransition, CircuitBreaker};
pub use self::command::{
    COMMANDS_MAX, InvalidAnswer, PublishTo, USER_BYTES_MAX, WebhookCommand, WebhookContent, parse,
};
pub use self::event::{ClientRecord, WebhookEvent, WebhookRequest, headers_json, without_secret};
pub use self::options::{OpenWhenDown, WebhookEventName};
pub use self::signature::Signing;
