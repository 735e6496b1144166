//! A worker: one thread, one loop, its own connections; it shares nothing.

mod accept;
mod admission;
mod aliases;
mod asking;
mod backends;
mod backlog;
mod bloatless;
mod books;
mod broker_link;
mod clock;
mod close;
mod connection;
pub mod counted;
mod deliver;
mod dice;
mod errands;
mod fair_queue;
pub mod fanout;
mod farewell;
mod handshake;
mod holds;
mod hub;
mod inside_tls;
mod legacy;
mod log_throttle;
pub mod marks;
mod orders;
pub mod outbox;
mod pace;
mod pages;
mod pressure;
mod pushes;
mod questions;
mod read;
mod refusals;
pub mod relay;
mod reload;
mod report;
mod roster;
mod seen;
mod serve;
mod server_name;
mod service;
mod services;
mod session_cookie;
mod settings;
mod shaking;
mod slots;
mod steward;
mod table;
mod tickets;
mod timers;
mod tls;
mod tls_failure;
mod unfinished;
pub mod uplink;
mod wake;
mod ways;
mod window;

use std::io;

pub use self::clock::Moment;
use self::hub::{Hub, Next};
use self::services::Services;
use self::settings::Settings;
use crate::config::Config;
use crate::link::control::{Control, Order, Peer, RoleEnd, Seat};
use crate::link::poller::{Interest, Poller};
use crate::resource::Resources;
use crate::types::scrub_stack;

/// Runs a worker on this thread, with the resources of the embedding program, until it is told to stop or its supervisor is gone.
#[must_use]
pub fn run(seat: Seat, control: Box<dyn Control>, own: &Resources) -> RoleEnd {
    match begin(seat, control, own).and_then(|begun| begun.map(serve).transpose()) {
        Ok(Some(end)) => end,
        Ok(None) => RoleEnd::Told,
        Err(error) => RoleEnd::Failed(error),
    }
}

/// Waits for the configuration, which comes before any other order.
fn begin(
    seat: Seat,
    mut control: Box<dyn Control>,
    own: &Resources,
) -> io::Result<Option<(Hub, Vec<Order>)>> {
    let mut poller = Poller::new(hub::EVENTS)?;
    poller.watch(control.ready(), hub::CONTROL, Interest::Read)?;
    let mut orders = Vec::new();
    while orders.is_empty() {
        poller.wait(None, &mut Vec::new())?;
        if control.orders(&mut orders)? == Peer::Gone {
            return Ok(None);
        }
    }
    let rest = orders.split_off(1);
    let Some(Order::Configure { json, .. }) = orders.pop() else { return Ok(None) };
    let config = Config::from_json(&json)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    let settings = Settings::of(&config)?;
    scrub_stack();
    let mut hub = Hub::new(seat, (control, poller), (settings, Services::new(own)))?;
    hub.bind(&config);
    Ok(Some((hub, rest)))
}

fn serve((mut hub, orders): (Hub, Vec<Order>)) -> io::Result<RoleEnd> {
    let mut next = hub.obey(orders)?;
    loop {
        match next {
            Next::Turn => next = hub.turn()?,
            Next::End(end) => return Ok(end),
        }
    }
}
