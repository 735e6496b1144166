//! The copy of the directory that a bridge keeps for the next broker.

use std::collections::BTreeMap;

use super::host_names::HostNames;
use super::name::{DirectoryItem, NameChange, NameRange};
use crate::cluster::effect::{Arrival, ClusterEffect};
use crate::types::HostId;
use crate::types::limits::{CLUSTER_DIRECTORY_ITEM_BYTES, CLUSTER_DIRECTORY_NAMES};

/// The names of all live hosts, this one included, as the bridge has passed them on.
#[derive(Debug, Default)]
pub struct DirectoryCopy {
    hosts: BTreeMap<HostId, HostNames>,
    names: usize,
}

/// A part of what a bridge has kept, for a new broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnnouncedNames {
    /// The host of the names.
    pub host: HostId,
    /// The names. The parts of a host follow each other.
    pub range: NameRange,
}

impl DirectoryCopy {
    pub(in crate::cluster) fn add_host(&mut self, host: HostId) {
        self.hosts.entry(host).or_default();
    }

    fn drop_host(&mut self, host: HostId) {
        if let Some(gone) = self.hosts.remove(&host) {
            self.names -= gone.len();
        }
    }

    fn note_gap(&mut self, host: HostId) {
        if let Some(names) = self.hosts.get_mut(&host) {
            names.note_gap();
        }
    }

    /// Notes what the broker gets to know.
    pub(in crate::cluster) fn on_effect(&mut self, effect: &ClusterEffect) {
        match effect {
            ClusterEffect::HostLive { host, .. } => self.add_host(*host),
            ClusterEffect::HostGone(host) | ClusterEffect::HostForgotten(host) => {
                self.drop_host(*host);
            }
            ClusterEffect::Gap { gap, .. } => self.note_gap(gap.host),
            ClusterEffect::Arrive(Arrival { taken, publication, .. })
                if publication.is_of_directory() =>
            {
                if let Ok(item) = DirectoryItem::decode(publication.payload.clone()) {
                    self.note(taken.host, &item);
                }
            }
            ClusterEffect::Arrive(_)
            | ClusterEffect::Carried { .. }
            | ClusterEffect::LaneClosed(_)
            | ClusterEffect::Degraded(_)
            | ClusterEffect::DuplicateHost => {}
        }
    }

    /// Notes an item of a live host.
    pub(in crate::cluster) fn note(&mut self, host: HostId, item: &DirectoryItem) {
        let Some(known) = self.hosts.get_mut(&host) else { return };
        let before = known.len();
        let room = CLUSTER_DIRECTORY_NAMES.saturating_sub(self.names - before);
        match item {
            DirectoryItem::Changes(changes) => {
                for NameChange { name, stamp } in changes {
                    if stamp.is_none() || known.len() < room {
                        known.set(name, *stamp);
                    }
                }
            }
            DirectoryItem::Range(range) => {
                for name in known.superseded(range) {
                    known.set(&name, None);
                }
                for (name, stamp) in &range.names {
                    if known.len() < room {
                        known.set(name, Some(*stamp));
                    }
                }
                known.note_part(range);
            }
            DirectoryItem::Request { .. } => {}
        }
        self.names = self.names + known.len() - before;
    }

    /// Returns all names of hosts of which all are known.
    #[must_use]
    pub fn announcements(&self) -> Vec<AnnouncedNames> {
        let mut all = Vec::new();
        for (host, known) in self.hosts.iter().filter(|(_, known)| known.is_complete) {
            let mut after = None;
            loop {
                let range = known.part(0, after, CLUSTER_DIRECTORY_ITEM_BYTES);
                after = range.up_to.clone();
                all.push(AnnouncedNames { host: *host, range });
                if after.is_none() {
                    break;
                }
            }
        }
        all
    }
}
