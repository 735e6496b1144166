//! Preparation before any role starts, for processes and threads.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::sync::Arc;

use rustix::process::{
    DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit,
};

use super::api_sockets::ApiSockets;
use super::lifecycle::{ChildId, ProcessTable};
use super::push_socket::PushSocket;
use super::state_dir::{host_id, random_key, random_run, uuid_key};
use super::{ListeningSockets, PassedSockets, StartError, StateDir};
use crate::config::{Config, LogSettings, UuidKey};
use crate::link::control::{Attachment, ChildCommand, ConfigText, ControlMessage, WorkerCommand};
use crate::telemetry::{LogFile, unix_seconds};
use crate::types::{ConfigNumber, Secret};

/// The sockets, the lock and the keys that a server needs before its roles start.
pub struct Bootstrap {
    /// Configuration for children, including the key of the UUIDs and the secret of the session
    /// tickets.
    pub config: Config,
    /// Number of the configuration.
    pub number: ConfigNumber,
    /// Configuration for workers as JSON. It contains only those application secrets that workers
    /// sign with.
    pub json: ConfigText,
    /// The configuration for the API process, as JSON.
    api_json: ConfigText,
    /// The configuration for the bridge, as JSON.
    bridge_json: ConfigText,
    /// Configuration for a broker as JSON, without secrets.
    pub broker_json: ConfigText,
    /// Applications whose secrets have signed events since the start. A removed resource may still
    /// have clients whose events must be signed.
    signing: BTreeSet<String>,
    /// Unix seconds at which a secret of an application expires that is accepted now.
    next_expiry: Option<u64>,
    /// The listening sockets.
    pub listeners: ListeningSockets,
    /// Socket into which scripts push messages. None once the shutdown has started.
    pub push_socket: Option<PushSocket>,
    /// The sockets of the API process. `None` if the API is off.
    pub api: Option<ApiSockets>,
    /// State folder, kept open for its lock.
    pub state: StateDir,
}

/// Omits the JSON, because it contains secrets.
impl fmt::Debug for Bootstrap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared").field("listeners", &self.listeners).finish_non_exhaustive()
    }
}

impl Bootstrap {
    /// Returns the configuration for one child.
    #[must_use]
    pub fn json_for(&self, child: ChildId) -> ConfigText {
        match child {
            ChildId::Broker(_) => Arc::clone(&self.broker_json),
            ChildId::Api(_) => Arc::clone(&self.api_json),
            ChildId::Bridge(_) => Arc::clone(&self.bridge_json),
            ChildId::Worker(_) => Arc::clone(&self.json),
        }
    }

    /// Locks the state folder, reads or creates the keys, and binds the addresses for which no
    /// socket was passed.
    ///
    /// # Errors
    ///
    /// The first of these steps that fails.
    pub fn from_config(mut config: Config, mut passed: PassedSockets) -> Result<Self, StartError> {
        let state = StateDir::open(&config.state_folder)?;
        if let UuidKey::File(path) = &config.uuid_key {
            let key = uuid_key(path, &config.state_folder)?;
            config.uuid_key = UuidKey::Value(Secret::new(key));
        }
        config.host = host_id(&config.state_folder)?;
        if let Some(cluster) = &mut config.cluster {
            let what = "failed to create the number of this run";
            cluster.run = random_run().map_err(|error| StartError::System { what, error })?;
            cluster.begun_s = unix_seconds();
        }
        if let Some(tls) = &mut config.tls {
            let what = "failed to create the secret for session tickets";
            let secret = random_key().map_err(|error| StartError::System { what, error })?;
            tls.ticket_secret = Some(Secret::new(secret));
        }
        let listeners = ListeningSockets::bind(&config.listen, Some(&config.unix), &mut passed)?;
        let push_socket =
            config.bloatless.push_socket.as_ref().map(PushSocket::bind).transpose()?;
        let api =
            config.api.is_on.then(|| ApiSockets::bind(&config.api, &mut passed)).transpose()?;
        passed.finish()?;
        let mut prepared = Self {
            config,
            number: ConfigNumber(1),
            json: ConfigText::default(),
            api_json: ConfigText::default(),
            bridge_json: ConfigText::default(),
            broker_json: ConfigText::default(),
            signing: BTreeSet::new(),
            next_expiry: None,
            listeners,
            push_socket,
            api,
            state,
        };
        prepared.write(unix_seconds());
        Ok(prepared)
    }

    /// Serializes the configuration for workers and broker.
    fn write(&mut self, now: u64) {
        self.signing.extend(self.config.signing().map(str::to_owned));
        self.json = Arc::new(self.config.for_worker(&self.signing, now).to_json());
        if self.api.is_some() {
            self.api_json = Arc::new(self.config.for_api().to_json());
        }
        if let Some(bridge) = self.config.for_bridge() {
            self.bridge_json = Arc::new(bridge.to_json());
        }
        self.broker_json = Arc::new(self.config.for_broker().to_json().into());
        let applications = self.config.applications.as_ref();
        self.next_expiry = applications.and_then(|all| all.next_expiry(now));
    }

    /// Makes another configuration for the children when a secret has expired, and returns its number.
    /// `now` is in Unix seconds.
    pub fn expire(&mut self, now: u64) -> Option<ConfigNumber> {
        let _expired = self.next_expiry.filter(|end| *end <= now)?;
        tracing::info!(event = "secret_expired", "a secret of an application has expired");
        Some(self.renumber(now))
    }

    fn renumber(&mut self, now: u64) -> ConfigNumber {
        self.write(now);
        self.number = ConfigNumber(self.number.0 + 1);
        self.number
    }

    /// No process runs yet.
    #[must_use]
    pub fn process_table(&self) -> ProcessTable {
        let table = ProcessTable::new(self.config.workers, self.config.limits.drain_time);
        let table = if self.api.is_some() { table.with_api() } else { table };
        if self.config.cluster.is_some() { table.with_bridge() } else { table }
    }

    /// The commands that bring a child its sockets.
    ///
    /// # Errors
    ///
    /// When the process has no descriptor left.
    pub fn sockets_for<L>(
        &self,
        child: ChildId,
    ) -> io::Result<Vec<ControlMessage<ChildCommand, L>>> {
        match child {
            ChildId::Broker(_) | ChildId::Bridge(_) => Ok(Vec::new()),
            ChildId::Api(_) => self.api.as_ref().map_or(Ok(Vec::new()), ApiSockets::commands),
            ChildId::Worker(_) => self.sockets(),
        }
    }

    fn sockets<L>(&self) -> io::Result<Vec<ControlMessage<ChildCommand, L>>> {
        let (listening, sockets) = self.listeners.hand_out()?.into_iter().unzip();
        let listen = WorkerCommand::Listen { sockets };
        let mut messages = vec![ControlMessage::with(listen, Attachment::Sockets(listening))];
        if let Some(socket) = &self.push_socket {
            let socket = Attachment::Sockets(vec![socket.hand_out()?]);
            messages.push(ControlMessage::with(WorkerCommand::PushSocket, socket));
        }
        if let Some(api) = &self.api {
            let sender = Attachment::Sockets(vec![api.sender()?]);
            messages.push(ControlMessage::with(WorkerCommand::Handover, sender));
        }
        Ok(messages)
    }

    /// Closes the listening sockets. After the workers have closed theirs too, no client can
    /// connect.
    pub fn close_listeners(&mut self) {
        self.listeners.close();
        self.api.iter_mut().for_each(ApiSockets::close);
        self.push_socket = None;
    }

    /// Sets a new configuration and keeps the existing keys. Returns its number.
    pub fn reconfigure(&mut self, mut config: Config) -> ConfigNumber {
        config.uuid_key = self.config.uuid_key.clone();
        config.host = self.config.host;
        if let (Some(cluster), Some(before)) = (&mut config.cluster, &self.config.cluster) {
            (cluster.run, cluster.begun_s) = (before.run, before.begun_s);
        }
        if let (Some(tls), Some(before)) = (&mut config.tls, &self.config.tls) {
            tls.ticket_secret.clone_from(&before.ticket_secret);
        }
        self.config = config;
        self.renumber(unix_seconds())
    }
}

/// Raises the descriptor limit of this process and its children to the maximum that the system
/// allows, because each connection needs a descriptor.
pub fn raise_descriptor_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(
            event = "descriptor_limit_unchanged",
            %error,
            "failed to raise RLIMIT_NOFILE"
        );
    }
}

/// Environment variable that leaves the memory of all processes accessible as usual, for debuggers
/// and for tests of a user that is not root.
pub(super) const TRACEABLE: &str = "TAGCAST_TRACEABLE";

/// Protects the memory of this process, which contains secrets, from core files and from other
/// processes of the same user: no core is written, and only root may trace the process or read its
/// memory (prctl(2)). Each child must call this itself, because executing a program resets the
/// protection.
pub fn keep_memory_private() {
    if std::env::var_os(TRACEABLE).is_some_and(|value| !value.is_empty()) {
        return;
    }
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let limited = setrlimit(Resource::Core, none);
    let hidden = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    if let Err(error) = limited.and(hidden) {
        tracing::warn!(
            event = "memory_unprotected",
            %error,
            "failed to protect the memory of this process from others of its user"
        );
    }
}

/// Converts the settings of the log file to those of the telemetry module.
pub(super) fn log_file(log: &LogSettings) -> Option<LogFile> {
    log.file.as_ref().map(|path| LogFile {
        path: path.clone(),
        bytes_max: u64::try_from(log.bytes_max).unwrap_or(u64::MAX),
        old_files: log.old_files,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::dumpable_behavior;

    #[test]
    fn the_memory_of_a_process_is_its_own() {
        keep_memory_private();
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
        let limit = getrlimit(Resource::Core);
        assert_eq!((limit.current, limit.maximum), (Some(0), Some(0)));
    }
}
