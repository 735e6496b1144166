//! What happens before any role starts, alike for processes and threads.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::sync::Arc;

use rustix::process::{
    DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit,
};

use super::lifecycle::ChildId;
use super::push_socket::PushSocket;
use super::state_dir::{random_key, uuid_key};
use super::{ListeningSockets, StartError, StateDir};
use crate::config::{Config, LogSettings, UuidKey};
use crate::link::control::{Attachment, ChildCommand, ConfigText, ControlMessage, WorkerCommand};
use crate::telemetry::LogFile;
use crate::types::{ConfigNumber, Secret};

/// The sockets, the lock and the key that a server needs before it has any role.
pub struct Bootstrap {
    /// The configuration as children get it: with the key of the UUIDs and the secret of the
    /// session tickets in it.
    pub config: Config,
    /// Counts the configurations.
    pub number: ConfigNumber,
    /// What a worker needs of it, as JSON: no secret of an application that it need not sign with.
    pub json: ConfigText,
    /// What a broker needs of it, as JSON; without secrets.
    pub broker_json: ConfigText,
    /// The applications that events were ever signed for: a resource that is bound no more may have
    /// clients whose events still are.
    signing: BTreeSet<String>,
    /// The listening sockets.
    pub listeners: ListeningSockets,
    /// Where scripts push messages, until the server begins to end.
    pub push_socket: Option<PushSocket>,
    /// Held for its lock.
    pub state: StateDir,
}

/// Without the JSON, since secrets are in it.
impl fmt::Debug for Bootstrap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared").field("listeners", &self.listeners).finish_non_exhaustive()
    }
}

impl Bootstrap {
    /// The configuration for one child.
    #[must_use]
    pub fn json_for(&self, member: ChildId) -> ConfigText {
        match member {
            ChildId::Broker(_) => Arc::clone(&self.broker_json),
            ChildId::Worker(_) => Arc::clone(&self.json),
        }
    }

    /// Locks the state folder, finds or makes the keys, binds the addresses.
    ///
    /// # Errors
    ///
    /// Whatever of that failed first.
    pub fn from_config(mut config: Config) -> Result<Self, StartError> {
        let state = StateDir::open(&config.state_folder)?;
        if let UuidKey::File(path) = &config.uuid_key {
            let key = uuid_key(path, &config.state_folder)?;
            config.uuid_key = UuidKey::Value(Secret::new(key));
        }
        if let Some(tls) = &mut config.tls {
            let what = "failed to create the secret for session tickets";
            let secret = random_key().map_err(|error| StartError::System { what, error })?;
            tls.ticket_secret = Some(Secret::new(secret));
        }
        let listeners = ListeningSockets::bind(&config.listen)?;
        let push_socket =
            config.bloatless.push_socket.as_ref().map(PushSocket::bind).transpose()?;
        let (json, broker_json) = (ConfigText::default(), ConfigText::default());
        let (number, signing) = (ConfigNumber(1), BTreeSet::new());
        let mut prepared =
            Self { config, number, json, broker_json, signing, listeners, push_socket, state };
        prepared.write();
        Ok(prepared)
    }

    /// Writes the configuration for those who get it.
    fn write(&mut self) {
        self.signing.extend(self.config.signing().map(str::to_owned));
        self.json = Arc::new(self.config.for_worker(&self.signing).to_json());
        self.broker_json = Arc::new(self.config.for_broker().to_json().into());
    }

    /// The commands that bring a worker its sockets.
    ///
    /// # Errors
    ///
    /// When the process has no descriptor left.
    pub fn sockets<L>(&self) -> io::Result<Vec<ControlMessage<ChildCommand, L>>> {
        let (listening, sockets) = self.listeners.hand_out()?.into_iter().unzip();
        let listen = WorkerCommand::Listen { sockets };
        let mut messages = vec![ControlMessage::with(listen, Attachment::Sockets(listening))];
        if let Some(socket) = &self.push_socket {
            let socket = Attachment::Sockets(vec![socket.hand_out()?]);
            messages.push(ControlMessage::with(WorkerCommand::PushSocket, socket));
        }
        Ok(messages)
    }

    /// Closes the sockets. Once the workers have closed theirs, no client can connect.
    pub fn close_doors(&mut self) {
        self.listeners.close();
        self.push_socket = None;
    }

    /// Sets another configuration and keeps the keys of the previous one. Returns its number.
    pub fn reconfigure(&mut self, mut config: Config) -> ConfigNumber {
        config.uuid_key = self.config.uuid_key.clone();
        if let (Some(tls), Some(before)) = (&mut config.tls, &self.config.tls) {
            tls.ticket_secret.clone_from(&before.ticket_secret);
        }
        self.config = config;
        self.write();
        self.number = ConfigNumber(self.number.0 + 1);
        self.number
    }
}

/// Raises the number of descriptors that this process and its children may have to what the
/// system allows: each connection is one.
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

/// The variable that leaves the memory of all processes as the system has it, for debuggers and tests
/// of a user that is not root.
pub(super) const TRACEABLE: &str = "TAGCAST_TRACEABLE";

/// Keeps the memory of this process, where secrets are, from files and from other processes of the same
/// user: no core is written, and nothing but root may trace it or read its memory (prctl(2)). A child
/// does so for itself, since the latter ends with the execution of a program.
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

/// The log file as it is configured, as telemetry has it.
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
