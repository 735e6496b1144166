//! Placeholder: a broker that holds its links.
#![allow(missing_docs, clippy::needless_pass_by_value, reason = "placeholder")]

use crate::link::control::{Control, Order, Peer, Report, RoleEnd};
use crate::link::transport::Transport;
use crate::types::{Generation, Source};
use rustix::event::{PollFd, PollFlags, poll};

#[must_use]
pub fn run(generation: Generation, mut control: Box<dyn Control>) -> RoleEnd {
    let mut links: Vec<(Source, Box<dyn Transport>)> = Vec::new();
    let mut orders = Vec::new();
    let _ = control.report(Report::Ready);
    loop {
        {
            let ends: Vec<_> = links.iter().map(|(_, link)| link.ready()).collect();
            let ready = control.ready();
            let mut watched = vec![PollFd::new(&ready, PollFlags::IN)];
            watched.extend(ends.iter().map(|end| PollFd::new(end, PollFlags::IN)));
            let _ = poll(&mut watched, None);
        }
        links.retain_mut(|(source, link)| match link.read(&mut [0; 4096]) {
            Ok(0) => {
                tracing::info!(worker = source.worker.0, "link lost");
                let _ = control.report(Report::LinkLost { peer: *source, broker: generation });
                false
            }
            _ => true,
        });
        match control.orders(&mut orders) {
            Ok(Peer::Alive) => {}
            _ => return RoleEnd::Alone,
        }
        for order in orders.drain(..) {
            tracing::info!(order = ?order, "order");
            match order {
                Order::WorkerLink { source, transport } => links.push((source, transport)),
                Order::Drain { .. } | Order::Stop => return RoleEnd::Told,
                _ => {}
            }
        }
    }
}
