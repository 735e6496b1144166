//! One pair of connections to NATS, from the first attempt until one of the two is lost.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use async_nats::client::PublishError;
use async_nats::{Client, ConnectOptions, Event, ServerError, Subscriber};
use futures_util::StreamExt;
use futures_util::stream::select_all;
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::Outgoing;
use super::connect::{ConnectFault, connect};
use super::inbox::{CarrierEvent, CarrierInbox, MessageQueue, NatsMessage};
use crate::cluster::{CLUSTER_MESSAGE_BYTES_MAX, ClusterName};
use crate::config::NatsSettings;
use crate::types::limits::NATS_CONNECT_TIMEOUT;
use crate::types::{HostId, NatsFault};

/// Events of both connections that wait.
const EVENTS_MAX: usize = 64;

/// How a pair of connections ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SessionEnd {
    /// The bridge ends, and everything was sent.
    Finished,
    /// There are other settings.
    Reconfigured,
    /// One of the two was lost.
    Lost,
    /// They were not made.
    NotMade,
}

/// One pair of connections.
#[derive(Debug)]
pub(super) struct NatsSession {
    pub(super) number: u64,
    pub(super) name: ClusterName,
    pub(super) own: HostId,
    pub(super) settings: watch::Receiver<NatsSettings>,
    pub(super) waiting: Arc<Mutex<mpsc::Receiver<Outgoing>>>,
    pub(super) inbox: Arc<CarrierInbox>,
    pub(super) wants_room: Arc<AtomicBool>,
}

/// Both connections, with their subscriptions.
struct NatsPair {
    lanes: Client,
    control: Client,
    lanes_in: Vec<Subscriber>,
    control_in: Vec<Subscriber>,
}

impl NatsSession {
    /// Connects, carries messages, and returns when that is over.
    pub(super) async fn run(mut self) -> SessionEnd {
        let settings = self.settings.borrow_and_update().clone();
        let (events, mut happened) = mpsc::channel(EVENTS_MAX);
        let pair = Box::pin(self.connect(&settings, &events));
        let pair = match timeout(2 * NATS_CONNECT_TIMEOUT, pair).await {
            Ok(Ok(pair)) => pair,
            Ok(Err(fault)) => return self.end(fault, SessionEnd::NotMade),
            Err(_) => {
                let fault = ConnectFault::new(NatsFault::Timeout, "the server does not answer");
                return self.end(fault, SessionEnd::NotMade);
            }
        };
        let NatsPair { lanes, control, lanes_in, control_in } = pair;
        let info = lanes.server_info();
        self.inbox.push_event(CarrierEvent::Connected {
            session: self.number,
            server: format!("{}:{}", info.host, info.port),
            version: info.version,
        });
        let mut reading = JoinSet::new();
        reading.spawn(read(lanes_in, Arc::clone(&self.inbox), |inbox| &inbox.lanes));
        reading.spawn(read(control_in, Arc::clone(&self.inbox), |inbox| &inbox.control));
        let sender = OutgoingSender {
            session: self.number,
            lanes,
            control,
            waiting: Arc::clone(&self.waiting),
            inbox: Arc::clone(&self.inbox),
            wants_room: Arc::clone(&self.wants_room),
        };
        // Both sets end with this function, and so does the use of the queue.
        let mut writing = JoinSet::new();
        writing.spawn(sender.run());
        loop {
            tokio::select! {
                Some(event) = happened.recv() => {
                    if let Some(fault) = self.on_event(event) {
                        return self.end(fault, SessionEnd::Lost);
                    }
                }
                changed = self.settings.changed() => {
                    let text = "the configuration names other servers or credentials";
                    let fault = ConnectFault::new(NatsFault::Unreachable, text);
                    if changed.is_ok() {
                        return self.end(fault, SessionEnd::Reconfigured);
                    }
                    // The bridge ends. What waits is sent.
                    let _sent = writing.join_next().await;
                    return SessionEnd::Finished;
                }
                Some(written) = writing.join_next() => {
                    return match written {
                        Ok(Ok(())) => SessionEnd::Finished,
                        Ok(Err(_)) | Err(_) => {
                            let text = "the connection was closed";
                            self.end(ConnectFault::new(NatsFault::Unreachable, text), SessionEnd::Lost)
                        }
                    };
                }
                Some(_ended) = reading.join_next() => {
                    let text = "a subscription has ended";
                    return self.end(ConnectFault::new(NatsFault::Unreachable, text), SessionEnd::Lost);
                }
            }
        }
    }

    fn end(&self, ConnectFault { fault, text }: ConnectFault, end: SessionEnd) -> SessionEnd {
        self.inbox.push_event(CarrierEvent::Lost { fault, text });
        end
    }

    async fn connect(
        &self,
        settings: &NatsSettings,
        events: &mpsc::Sender<Event>,
    ) -> Result<NatsPair, ConnectFault> {
        let lanes = connect(settings, ConnectOptions::new().no_echo(), events.clone());
        let control = connect(settings, ConnectOptions::new(), events.clone());
        let (lanes, control) = tokio::try_join!(lanes, control)?;
        let payload_max = lanes.server_info().max_payload;
        if payload_max < CLUSTER_MESSAGE_BYTES_MAX {
            let text = format!(
                "max_payload of the server is {payload_max} bytes, and {CLUSTER_MESSAGE_BYTES_MAX} are needed"
            );
            return Err(ConnectFault::new(NatsFault::MaxPayload, text));
        }
        let (name, own) = (self.name.as_str(), self.own);
        let subjects = [format!("tagcast.{name}.m.*"), format!("tagcast.{name}.d.{own}.*")];
        let lanes_in = subscribe(&lanes, &subjects).await?;
        let subjects = [
            format!("tagcast.{name}.c.{own}"),
            format!("tagcast.{name}.h"),
            format!("tagcast.{name}.e.{own}"),
        ];
        let control_in = subscribe(&control, &subjects).await?;
        for client in [&lanes, &control] {
            let flushed = client.flush().await;
            flushed
                .map_err(|error| ConnectFault::new(NatsFault::Unreachable, error.to_string()))?;
        }
        Ok(NatsPair { lanes, control, lanes_in, control_in })
    }

    /// Returns the reason if the connections are over.
    fn on_event(&self, event: Event) -> Option<ConnectFault> {
        let over = |fault, text: String| Some(ConnectFault::new(fault, text));
        match event {
            Event::Connected | Event::Draining => None,
            Event::Disconnected | Event::Closed => {
                over(NatsFault::Unreachable, "the connection was lost".to_owned())
            }
            Event::LameDuckMode => {
                over(NatsFault::LameDuck, "the server is about to be stopped".to_owned())
            }
            Event::SlowConsumer(_) | Event::ServerError(ServerError::SlowConsumer(_)) => {
                self.inbox.push_event(CarrierEvent::SlowConsumer);
                None
            }
            Event::ServerError(ServerError::AuthorizationViolation) => {
                over(NatsFault::Credentials, "authorization violation".to_owned())
            }
            Event::ServerError(ServerError::Other(text)) => {
                self.inbox.push_event(CarrierEvent::Fault(text));
                None
            }
            Event::ClientError(error) => {
                self.inbox.push_event(CarrierEvent::Fault(error.to_string()));
                None
            }
        }
    }
}

async fn subscribe(client: &Client, subjects: &[String]) -> Result<Vec<Subscriber>, ConnectFault> {
    let mut all = Vec::new();
    for subject in subjects {
        let subscriber = client.subscribe(subject.clone()).await;
        let failed = |error: async_nats::SubscribeError| {
            ConnectFault::new(NatsFault::Unreachable, error.to_string())
        };
        all.push(subscriber.map_err(failed)?);
    }
    Ok(all)
}

/// Passes messages on to the bridge. It always reads: a client that does not stalls all others of a NATS server.
async fn read(
    all: Vec<Subscriber>,
    inbox: Arc<CarrierInbox>,
    queue: fn(&CarrierInbox) -> &MessageQueue,
) {
    let mut all = select_all(all);
    while let Some(message) = all.next().await {
        let subject = message.subject.as_str().into();
        inbox.push(queue(&inbox), NatsMessage { subject, bytes: message.payload });
    }
}

/// Publishes what the bridge has sent.
struct OutgoingSender {
    session: u64,
    lanes: Client,
    control: Client,
    waiting: Arc<Mutex<mpsc::Receiver<Outgoing>>>,
    inbox: Arc<CarrierInbox>,
    wants_room: Arc<AtomicBool>,
}

impl OutgoingSender {
    /// Returns when the bridge ends and everything was sent.
    ///
    /// # Errors
    ///
    /// If a connection is closed.
    async fn run(self) -> Result<(), PublishError> {
        let mut waiting = self.waiting.lock().await;
        while let Some(message) = waiting.recv().await {
            self.inbox.tell_room(&self.wants_room);
            if message.session != self.session {
                continue;
            }
            let client = if message.is_of_lanes { &self.lanes } else { &self.control };
            client.publish(message.subject, message.bytes).await?;
        }
        for client in [&self.lanes, &self.control] {
            let _flushed = timeout(NATS_CONNECT_TIMEOUT, client.flush()).await;
        }
        Ok(())
    }
}
