//! What a host of a cluster says about itself, and what is shown of all hosts.

use serde::{Deserialize, Serialize};

use super::{ClusterState, NatsFault};

/// Defines the settings: variant, code between hosts, name.
macro_rules! shared_settings {
    ($($name:ident = $code:literal, $text:literal, $help:literal;)+) => {
        /// A setting that should be the same on all hosts of a cluster.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
        )]
        pub enum SharedSetting { $(#[doc = $help] #[serde(rename = $text)] $name),+ }

        impl SharedSetting {
            /// All settings.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// Returns the number of the setting in messages between hosts.
            #[must_use]
            pub const fn code(self) -> u8 {
                match self { $(Self::$name => $code),+ }
            }

            /// Returns the name of the file, the key or the section.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }
        }
    };
}

shared_settings! {
    Applications = 1, "auth.yml", "The applications, and the rule for opening a connection.";
    MaxMessage = 2, "maxMessage", "The bytes of the largest message.";
    Phpws = 3, "[phpws]", "The options of phpWebSocketServer's dialect.";
    Gomoob = 4, "[gomoob]", "The options of the Gomoob dialect.";
}

impl SharedSetting {
    /// Returns the setting with a number. `None` if this version does not know it.
    #[must_use]
    pub fn of_code(code: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|setting| setting.code() == code)
    }
}

/// The value of a shared setting on one host, as a keyed digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingDigest {
    /// The setting.
    pub setting: SharedSetting,
    /// The first half of an HMAC under the key that all hosts share.
    pub digest: u64,
}

/// What a host says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostProfile {
    /// Its name, for people.
    pub name: String,
    /// Version of its program.
    pub version: String,
    /// Its shared settings.
    pub settings: Vec<SettingDigest>,
}

/// Whether a host lives, as another one sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShownHostState {
    /// Its heartbeats arrive.
    Live,
    /// No heartbeat has arrived for one second.
    Silent,
    /// No heartbeat has arrived for three seconds, or it has stopped.
    Gone,
}

impl ShownHostState {
    /// Returns the word for people.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Silent => "silent",
            Self::Gone => "gone",
        }
    }
}

/// A shared setting that another host has with another value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingDifference {
    /// The setting.
    pub setting: SharedSetting,
    /// For how many seconds the host has had another value.
    pub seconds: u64,
}

/// Another host, as this one sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherHost {
    /// Its name.
    pub name: String,
    /// Its id, eight hexadecimal digits.
    pub id: String,
    /// Whether it lives.
    pub state: ShownHostState,
    /// Milliseconds since its last heartbeat.
    pub silent_ms: u64,
    /// Version of its program.
    pub version: String,
    /// Seconds since the start of its server.
    pub uptime_s: u64,
    /// Its connected clients.
    pub clients: u64,
    /// Half of the shortest of the last round trips to it, in microseconds. None before the first.
    pub lag_us: Option<u64>,
    /// How far its clock is ahead of this host's, in microseconds; negative if it is behind.
    pub clock_us: Option<i64>,
    /// Items that it has sent and that this host has not passed on.
    pub behind: u64,
    /// Items of it that are lost, as far as their number is known.
    pub lost: u64,
    /// How often an unknown number of its items was lost.
    pub unknown_gaps: u64,
    /// Shared settings that it has with another value.
    pub differs: Vec<SettingDifference>,
}

/// A cluster, as one of its hosts sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterReport {
    /// The name of the cluster.
    pub cluster: String,
    /// The format of messages between hosts.
    pub format: u8,
    /// Whether publications pass between hosts.
    pub state: ClusterState,
    /// Seconds since the state has changed.
    pub state_s: u64,
    /// Why there is no connection.
    pub fault: Option<NatsFault>,
    /// The address of the NATS server of the last connection.
    pub nats: Option<String>,
    /// The version of that server.
    pub nats_version: Option<String>,
    /// How long the last echo took to come back, in microseconds.
    pub echo_us: Option<u64>,
    /// The name of this host.
    pub name: String,
    /// Its id, eight hexadecimal digits.
    pub id: String,
    /// Version of its program.
    pub version: String,
    /// Seconds since the start of its server.
    pub uptime_s: u64,
    /// Its connected clients.
    pub clients: u64,
    /// Items that the NATS server has not confirmed.
    pub unconfirmed_items: u64,
    /// Bytes that are kept to be sent again.
    pub replay_buffer_bytes: u64,
    /// Items of other hosts that wait for earlier ones.
    pub buffered_items: u64,
    /// The other hosts.
    pub others: Vec<OtherHost>,
}

/// How another host has answered a ping.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PingedHost {
    /// Its name.
    pub name: String,
    /// Its id, eight hexadecimal digits.
    pub id: String,
    /// The time until its answer, in microseconds. None if there was no answer in time.
    pub trip_us: Option<u64>,
}
