//! The subjects of a cluster, and its name.

use std::fmt;

use crate::types::HostId;
use crate::types::limits::CLUSTER_NAME_BYTES_MAX;

/// The name of a cluster. Two clusters on one NATS server have different names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterName(Box<str>);

impl ClusterName {
    /// Reads a name. `None` unless it has 1 to 32 of the characters `a-z`, `0-9` and `-`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
        let is_valid = (1..=CLUSTER_NAME_BYTES_MAX).contains(&text.len());
        (is_valid && text.bytes().all(is_allowed)).then(|| Self(text.into()))
    }

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Where a message is published. A host has the same few subscriptions for its whole life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ClusterSubject {
    /// The common lane of a host. All hosts subscribe.
    Common(HostId),
    /// The private lane between two hosts, and what is sent again on request.
    Private {
        /// The subscriber.
        to: HostId,
        /// The publisher.
        from: HostId,
    },
    /// Requests to a host.
    Control(HostId),
    /// Heartbeats of all hosts.
    Heartbeats,
    /// What a host sends to itself, to see that the NATS server takes it.
    Echo(HostId),
}

impl ClusterSubject {
    /// Returns the subject as NATS spells it.
    #[must_use]
    pub fn text(self, name: &ClusterName) -> String {
        format!("tagcast.{}.{self}", name.0)
    }
}

/// The subject without the name of the cluster.
impl fmt::Display for ClusterSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Common(host) => write!(f, "m.{host}"),
            Self::Private { to, from } => write!(f, "d.{to}.{from}"),
            Self::Control(to) => write!(f, "c.{to}"),
            Self::Heartbeats => write!(f, "h"),
            Self::Echo(host) => write!(f, "e.{host}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_a_few_kinds_of_characters() {
        assert!(ClusterName::parse("shop-1").is_some());
        for wrong in ["", "Shop", "a.b", "a*", "ä", "a b", &"a".repeat(33)] {
            assert_eq!(ClusterName::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_subject_begins_with_the_name_of_the_cluster() {
        let name = ClusterName::parse("shop").unwrap();
        let (to, from) = (HostId(1), HostId(0xff));
        assert_eq!(ClusterSubject::Common(to).text(&name), "tagcast.shop.m.00000001");
        assert_eq!(
            ClusterSubject::Private { to, from }.text(&name),
            "tagcast.shop.d.00000001.000000ff"
        );
        assert_eq!(ClusterSubject::Control(to).text(&name), "tagcast.shop.c.00000001");
        assert_eq!(ClusterSubject::Heartbeats.text(&name), "tagcast.shop.h");
        assert_eq!(ClusterSubject::Echo(from).text(&name), "tagcast.shop.e.000000ff");
    }
}
