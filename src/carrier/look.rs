//! Looks at a NATS server with the configuration alone: what the server is, on which subjects messages come back, and
//! which hosts send heartbeats.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_nats::{ConnectOptions, Event, Message, ServerError};
use futures_util::StreamExt;
use futures_util::stream::select_all;
use tokio::runtime::Builder;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::connect::{ConnectFault, connect};
use crate::cluster::{
    BridgeEpoch, BridgeIdentity, ClusterMessage, ClusterName, ClusterSeal, ClusterSubject, HostRun,
    InvalidMessage,
};
use crate::config::BridgeConfig;
use crate::types::limits::NATS_CONNECT_TIMEOUT;
use crate::types::{HostId, HostProfile, NatsFault};

/// Events of the connection that wait.
const EVENTS_MAX: usize = 64;
/// Messages that are looked at, at most.
const MESSAGES_MAX: usize = 100_000;

/// What was found.
#[derive(Debug)]
pub(crate) struct NatsLook {
    /// The server, as it calls itself.
    pub(crate) server: String,
    /// Its version.
    pub(crate) version: String,
    /// Bytes of the largest message that it takes.
    pub(crate) max_payload: usize,
    /// The subjects of a host.
    pub(crate) subjects: Vec<LookedSubject>,
    /// Errors that the server has reported.
    pub(crate) errors: Vec<String>,
    /// The hosts whose heartbeats arrived.
    pub(crate) hosts: BTreeMap<HostId, HeardHost>,
    /// Messages that cannot be opened: other hosts have another key.
    pub(crate) sealed_otherwise: usize,
}

/// A subject, and whether a message on it has come back.
#[derive(Debug)]
pub(crate) struct LookedSubject {
    /// The subscription.
    pub(crate) subject: String,
    /// Whether publishing and subscribing work.
    pub(crate) passes: bool,
}

/// A host whose heartbeats arrived.
#[derive(Debug, Default)]
pub(crate) struct HeardHost {
    /// What it says about itself.
    pub(crate) profile: HostProfile,
    /// Its runs. Two at once have one host id.
    pub(crate) runs: BTreeSet<u64>,
}

/// Why there is no connection.
#[derive(Debug)]
pub(crate) struct NatsRefusal {
    /// The reason.
    pub(crate) fault: NatsFault,
    /// Details.
    pub(crate) text: String,
}

/// Connects, publishes a message on each subject of a host with an arbitrary id, and listens for this time. Other
/// hosts ignore these messages.
///
/// # Errors
///
/// If there is no connection.
pub(crate) fn look(config: &BridgeConfig, listen: Duration) -> Result<NatsLook, NatsRefusal> {
    let invalid = |text: &str| NatsRefusal { fault: NatsFault::File, text: text.to_owned() };
    let name = ClusterName::parse(&config.cluster.name).ok_or_else(|| invalid("no name"))?;
    let key = config.uuid_key.bytes().ok_or_else(|| invalid("the uuidKey cannot be read"))?;
    let mut random = [0; 12];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| invalid("no random numbers"))?;
    let [a, b, c, d, run @ ..] = random;
    let own = BridgeIdentity {
        host: HostId(u32::from_le_bytes([a, b, c, d])),
        run: HostRun(u64::from_le_bytes(run)),
        epoch: BridgeEpoch(1),
    };
    let seal = ClusterSeal::new(&key, name.clone(), own);
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| invalid(&error.to_string()))?;
    let looking = Looking { config, name, own: own.host, seal };
    let found = runtime.block_on(Box::pin(looking.run(listen)));
    found.map_err(|ConnectFault { fault, text }| NatsRefusal { fault, text })
}

struct Looking<'a> {
    config: &'a BridgeConfig,
    name: ClusterName,
    own: HostId,
    seal: ClusterSeal,
}

impl Looking<'_> {
    async fn run(mut self, listen: Duration) -> Result<NatsLook, ConnectFault> {
        let (events, mut happened) = mpsc::channel(EVENTS_MAX);
        let client = connect(&self.config.cluster.nats, ConnectOptions::new(), events);
        let until = Instant::now() + 2 * NATS_CONNECT_TIMEOUT;
        let late = |_| ConnectFault::new(NatsFault::Timeout, "the server does not answer");
        let client = timeout_at(until, client).await.map_err(late)??;
        let info = client.server_info();
        let unreachable = |error: &dyn std::fmt::Display| {
            ConnectFault::new(NatsFault::Unreachable, error.to_string())
        };
        let subjects = self.subjects();
        let mut streams = Vec::new();
        for (subscription, _) in &subjects {
            let stream = client.subscribe(subscription.clone()).await;
            streams.push(stream.map_err(|error| unreachable(&error))?);
        }
        client.flush().await.map_err(|error| unreachable(&error))?;
        let echo = ClusterMessage::Echo { connection: 0, number: 0 }.encode();
        for (_, subject) in &subjects {
            let (text, bytes) = (subject.text(&self.name), self.seal.seal(*subject, &echo));
            client.publish(text, bytes.into()).await.map_err(|error| unreachable(&error))?;
        }
        client.flush().await.map_err(|error| unreachable(&error))?;
        let mut look = NatsLook {
            server: format!("{}:{}", info.host, info.port),
            version: info.version,
            max_payload: info.max_payload,
            subjects: Vec::new(),
            errors: Vec::new(),
            hosts: BTreeMap::new(),
            sealed_otherwise: 0,
        };
        let (until, mut returned) = (Instant::now() + listen, BTreeSet::new());
        let mut all = select_all(streams);
        for _ in 0..MESSAGES_MAX {
            let Ok(Some(message)) = timeout_at(until, all.next()).await else { break };
            self.take(&mut look, &mut returned, &message);
        }
        while let Ok(event) = happened.try_recv() {
            if let Event::ServerError(ServerError::Other(text)) = event {
                look.errors.push(text);
            }
        }
        look.subjects = subjects
            .into_iter()
            .map(|(subscription, subject)| LookedSubject {
                subject: subscription,
                passes: returned.contains(&subject.text(&self.name)),
            })
            .collect();
        Ok(look)
    }

    /// The subscriptions of a host, and a subject of each.
    fn subjects(&self) -> Vec<(String, ClusterSubject)> {
        let (name, own) = (self.name.as_str(), self.own);
        let subject = |rest: String, subject| (format!("tagcast.{name}.{rest}"), subject);
        vec![
            subject("m.*".to_owned(), ClusterSubject::Common(own)),
            subject(format!("d.{own}.*"), ClusterSubject::Private { to: own, from: own }),
            subject(format!("c.{own}"), ClusterSubject::Control(own)),
            subject("h".to_owned(), ClusterSubject::Heartbeats),
            subject(format!("e.{own}"), ClusterSubject::Echo(own)),
        ]
    }

    fn take(&mut self, look: &mut NatsLook, returned: &mut BTreeSet<String>, message: &Message) {
        let subject = message.subject.as_str();
        match self.seal.open(subject, &message.payload) {
            Ok((from, _)) if from.host == self.own => _ = returned.insert(subject.to_owned()),
            Ok((from, body)) => {
                if let Ok(ClusterMessage::Heartbeat(heartbeat)) =
                    ClusterMessage::decode(body.into())
                {
                    let host = look.hosts.entry(from.host).or_default();
                    host.profile = heartbeat.news.profile;
                    host.runs.insert(from.run.0);
                }
            }
            Err(InvalidMessage::Sealed) => look.sealed_otherwise += 1,
            Err(_) => {}
        }
    }
}
