//! Placeholder: a worker that accepts, says hello, and holds its link.
#![allow(missing_docs, clippy::needless_pass_by_value, reason = "placeholder")]

use crate::link::control::{Control, Order, Peer, Report, RoleEnd, Seat};
use crate::link::transport::Transport;
use crate::types::Generation;
use rustix::event::{PollFd, PollFlags, poll};
use std::io::{IoSlice, Write};
use std::net::TcpListener;

#[must_use]
pub fn run(seat: Seat, mut control: Box<dyn Control>) -> RoleEnd {
    let mut listeners: Vec<TcpListener> = Vec::new();
    let mut link: Option<(Generation, Box<dyn Transport>)> = None;
    let mut orders = Vec::new();
    loop {
        {
            let ready = control.ready();
            let mut watched = vec![PollFd::new(&ready, PollFlags::IN)];
            watched.extend(listeners.iter().map(|l| PollFd::new(l, PollFlags::IN)));
            let end = link.as_ref().map(|(_, link)| link.ready());
            if let Some(end) = &end {
                watched.push(PollFd::new(end, PollFlags::IN));
            }
            let _ = poll(&mut watched, None);
        }
        for listener in &listeners {
            if let Ok((mut client, _)) = listener.accept() {
                let _ = client.write_all(format!("worker {}\n", seat.source.worker).as_bytes());
            }
        }
        if let Some((broker, end)) = &mut link {
            if let Ok(0) = end.read(&mut [0; 4096]) {
                tracing::info!(broker = broker.0, "link lost");
                let _ = control.report(Report::LinkLost { peer: seat.source, broker: *broker });
                link = None;
            }
        }
        match control.orders(&mut orders) {
            Ok(Peer::Alive) => {}
            _ => return RoleEnd::Alone,
        }
        for order in orders.drain(..) {
            tracing::info!(order = ?order, "order");
            match order {
                Order::Listen(sockets) => {
                    listeners = sockets.into_iter().map(TcpListener::from).collect();
                    let _ = control.report(Report::Ready);
                }
                Order::Link { broker, mut transport } => {
                    let _ = transport.write(&[IoSlice::new(b"hello")]);
                    link = Some((broker, transport));
                }
                Order::Quiesce => {
                    listeners.clear();
                    let _ = control.report(Report::Quiet);
                }
                Order::Drain { .. } | Order::Stop => return RoleEnd::Told,
                _ => {}
            }
        }
    }
}
