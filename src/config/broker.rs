//! The part of the configuration that a broker needs. It contains no secrets.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Config;
use crate::types::{ClusterMember, HistoryTerms};

/// The configuration of a broker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokerConfig {
    /// Maximum connections of all workers together; 0 means no limit.
    pub max_clients: u32,
    /// Maximum web-type connections from one address; 0 means no limit.
    pub max_per_ip: u32,
    /// The same two over all hosts of a cluster.
    pub over_hosts: [u32; 2],
    /// Maximum connections of applications, by their keys.
    pub connections: Vec<(String, u32)>,
    /// Maximum values that the prefixes of one expression scan.
    pub expression_scan: u64,
    /// Maximum ids of publications that are kept.
    pub ids_max: usize,
    /// Work at which a tenant is throttled; 0 for no throttles.
    pub fair_share_work: u64,
    /// Memory for clients that are away, in bytes.
    pub away_bytes: usize,
    /// This host, if it shares publications with others.
    #[serde(default)]
    pub cluster: Option<ClusterMember>,
    /// Memory for the stored publications of all spaces, in bytes.
    pub history_bytes: usize,
    /// How many publications each space stores, by the name of its tenant. Others store none.
    pub histories: Vec<(String, HistoryTerms)>,
}

impl BrokerConfig {
    /// Returns the JSON that is sent to a broker.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Serializing numbers cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Parses the output of [`BrokerConfig::to_json`].
    ///
    /// # Errors
    ///
    /// If the text is not such an output.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}

impl Config {
    /// Returns the part for a broker.
    #[must_use]
    pub fn for_broker(&self) -> BrokerConfig {
        let admission = &self.admission;
        let applications = self.applications.iter().flat_map(|all| &all.list);
        let limited =
            applications.filter_map(|it| Some((it.key.clone(), it.limits.connections.limit()?)));
        BrokerConfig {
            max_clients: admission.max_clients,
            max_per_ip: admission.max_per_ip,
            over_hosts: self.cluster.as_ref().map_or([0; 2], |it| [it.max_clients, it.max_per_ip]),
            connections: limited.collect(),
            expression_scan: self.limits.expression_scan,
            ids_max: self.api.ids_max,
            fair_share_work: self.limits.fair_share_work,
            away_bytes: self.limits.away_bytes,
            cluster: self.cluster.as_ref().map(|cluster| ClusterMember {
                host: self.host,
                query_timeout: cluster.query_timeout,
            }),
            history_bytes: self.limits.history_bytes,
            histories: self.histories(),
        }
    }

    /// Returns how many publications each space stores. Applications that share a space share them.
    fn histories(&self) -> Vec<(String, HistoryTerms)> {
        let mut all: BTreeMap<String, HistoryTerms> = BTreeMap::new();
        for application in self.applications.iter().flat_map(|all| &all.list) {
            let terms = application.history.terms(self.limits.outbox_limit);
            if terms.is_on() {
                let tenant = application.tenant.clone().unwrap_or_default();
                let own = all.entry(tenant).or_insert(terms);
                *own = own.union(terms);
            }
        }
        all.into_iter().collect()
    }
}
