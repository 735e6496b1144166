//! Messages between hosts: any bytes are a message or an error, what is read is written back unchanged, and no body of
//! another host does harm.

use std::time::{Duration, Instant};

use bytes::Bytes;
use tagcast::cluster::{
    BridgeCore, BridgeEpoch, BridgeIdentity, BridgeOptions, ClusterMessage, ClusterName,
    ClusterSeal, ClusterSubject, HeldBounds, HostRun, ItemBody, KeptForBridge, ReplayBounds,
};
use tagcast::link::codec::{decode_hosts_presence, encode_hosts_presence};
use tagcast::types::{HostId, HostProfile};

use super::choices::Choices;

const KEY: [u8; 32] = [3; 32];

/// The first byte selects what the rest is.
pub fn run(data: &[u8]) {
    let mut choices = Choices(data);
    match choices.below(4) {
        0 => envelope(choices.0),
        1 => body(choices.0),
        2 => item(choices.0),
        _ => conversation(choices),
    }
}

fn name() -> ClusterName {
    ClusterName::parse("shop").unwrap()
}

fn identity(host: u32, epoch: u32) -> BridgeIdentity {
    BridgeIdentity {
        host: HostId(host),
        run: HostRun(u64::from(host) << 40 | 5),
        epoch: BridgeEpoch(epoch),
    }
}

/// No bytes are a message without the key.
fn envelope(bytes: &[u8]) {
    let mut seal = ClusterSeal::new(&KEY, name(), identity(1, 1));
    let fault = seal.open("tagcast.shop.h", bytes).unwrap_err();
    assert!(!fault.to_string().is_empty() && !fault.reason().is_empty());
    let part = &bytes[..bytes.len().min(1000)];
    let mut sealed = seal.seal(ClusterSubject::Heartbeats, part);
    assert_eq!(seal.open("tagcast.shop.h", &sealed), Ok((identity(1, 1), part.to_vec())));
    let at = 3 + part.len() % (sealed.len() - 3);
    sealed[at] ^= 1;
    assert!(seal.open("tagcast.shop.h", &sealed).is_err());
}

fn body(bytes: &[u8]) {
    match ClusterMessage::decode(Bytes::copy_from_slice(bytes)) {
        Ok(message) => {
            let written = message.encode();
            assert_eq!(ClusterMessage::decode(written.clone().into()), Ok(message.clone()));
            // A heartbeat may have settings and fields of a newer version.
            let is_longer = matches!(message, ClusterMessage::Heartbeat(_));
            let is_shorter = is_longer && written.len() < bytes.len();
            assert!(written == bytes || is_shorter, "{message:?}");
        }
        Err(fault) => assert!(!fault.to_string().is_empty()),
    }
}

fn item(bytes: &[u8]) {
    if let Ok(presence) = decode_hosts_presence(bytes) {
        assert_eq!(decode_hosts_presence(&encode_hosts_presence(&presence)), Ok(presence));
    }
    let Ok(body) = ItemBody::decode(Bytes::copy_from_slice(bytes)) else { return };
    let written = match &body {
        ItemBody::Hello(ends) => ItemBody::hello(ends),
        ItemBody::Publication(publication) => ItemBody::publication(publication, 0),
        ItemBody::Missing(items) => ItemBody::missing(*items),
        ItemBody::Lost(tombstone) => tombstone.encode(),
        ItemBody::Ping(number) => ItemBody::ping(*number),
        ItemBody::Pong(number) => ItemBody::pong(*number),
        ItemBody::Skipped => return,
    };
    assert_eq!(ItemBody::decode(written), Ok(body));
}

/// A host that has the key sends any bodies, as two lives of its bridge, on any subject.
fn conversation(mut choices: Choices<'_>) {
    let start = Instant::now();
    let bounds = HeldBounds { host: 500, total: 700, item: 600 };
    let options = BridgeOptions {
        profile: HostProfile::default(),
        begun_s: 0,
        name: name(),
        uuid_key: KEY,
        identity: identity(1, 1),
        random: [5; 32],
        replay: ReplayBounds { bytes: 2000, time: Duration::from_secs(5) },
        held: bounds,
        kept: KeptForBridge::first(),
    };
    let mut core = BridgeCore::new(options, start);
    core.connected(start);
    let mut others = [1, 2].map(|epoch| ClusterSeal::new(&KEY, name(), identity(2, epoch)));
    let mut now = start;
    let mut proof = None;
    for _ in 0..64 {
        if choices.is_over() {
            break;
        }
        now += Duration::from_millis(choices.byte().into());
        let other = &mut others[choices.below(2)];
        let subject = match choices.below(4) {
            0 => ClusterSubject::Common(HostId(2)),
            1 => ClusterSubject::Private { to: HostId(1), from: HostId(2) },
            2 => ClusterSubject::Control(HostId(1)),
            _ => ClusterSubject::Heartbeats,
        };
        let length = choices.below(200);
        let body = match (choices.below(4), proof) {
            (0, Some(bytes)) => ClusterMessage::Proof(bytes).encode(),
            _ => choices.bytes(length).to_vec(),
        };
        let message = other.seal(subject, &body);
        core.receive(&subject.text(&name()), &message, now).ok();
        core.tick(now);
        for _ in 0..100 {
            let Some(sent) = core.next_message(now) else { break };
            let opened = others[0].open(&sent.subject.text(&name()), &sent.bytes).unwrap();
            if let Ok(ClusterMessage::Challenge(bytes)) = ClusterMessage::decode(opened.1.into()) {
                proof = Some(bytes);
            }
        }
        drop(core.take_effects());
        let counts = core.counts();
        assert!(counts.replay_buffer_bytes <= 2000, "{counts:?}");
        assert!(counts.held_items <= 6, "{counts:?}");
        assert!(core.wake_at(now) <= now + Duration::from_secs(1));
    }
}
