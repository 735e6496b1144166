//! Placeholder: only what the supervisor uses of the configuration.
#![allow(missing_docs, reason = "placeholder")]

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Config {
    pub listen: Vec<ListenAddress>,
    pub workers: u16,
    pub log: LogSettings,
    pub limits: Limits,
    pub state_folder: PathBuf,
    pub uuid_key: UuidKey,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListenAddress(pub String);

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LogSettings {
    pub file: Option<PathBuf>,
    pub console: bool,
    pub level: LogLevel,
    pub format: LogFormat,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Limits {
    pub drain_time: Duration,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum UuidKey {
    File(PathBuf),
    Value(Secret),
}

#[derive(Clone, Serialize, Deserialize)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Secret {
    pub fn new(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl ListenAddress {
    pub fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        Ok(self.0.trim_start_matches("ws://").to_socket_addrs()?.collect())
    }
}

impl Config {
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}
