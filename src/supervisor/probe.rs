//! What `serve` would refuse on this machine, found out without making or changing anything.

use std::fs;
use std::io;
use std::path::Path;

use rustix::fs::{Access, access};

use super::StartError;
use super::bootstrap::log_file;
use super::listeners::ListeningSockets;
use super::push_socket::PushSocket;
use super::state_dir::{probe_folder, probe_key};
use crate::admin;
use crate::config::{Config, UuidKey};

/// What a look at the machine came to.
#[derive(Debug)]
pub struct Probed {
    /// What `serve` would end with; all of it, in the order in which it would meet it.
    pub errors: Vec<StartError>,
    /// A server runs with this state folder: its addresses and its push socket were not tried.
    pub is_running: bool,
}

/// Looks at whatever a server needs of this machine: files, folders, addresses.
#[must_use]
pub fn probe(config: &Config) -> Probed {
    let mut errors = Vec::new();
    if let Some(file) = log_file(&config.log) {
        errors.extend(file.probe().map_err(StartError::Log).err());
    }
    errors.extend(probe_folder(&config.state_folder).err());
    if let UuidKey::File(path) = &config.uuid_key {
        errors.extend(probe_key(path, &config.state_folder).err());
    }
    let control = admin::probe(&config.state_folder);
    errors.extend(control.map_err(StartError::control_socket).err());
    let is_running = admin::is_running(&config.state_folder);
    if !is_running {
        errors.extend(ListeningSockets::probe(&config.listen).err());
        errors.extend(
            config.bloatless.push_socket.iter().filter_map(|it| PushSocket::probe(it).err()),
        );
    }
    Probed { errors, is_running }
}

/// Checks that a file can be created in a folder.
pub(super) fn takes_files(folder: &Path) -> io::Result<()> {
    let found = fs::metadata(or_here(folder))?;
    if !found.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    Ok(access(or_here(folder), Access::WRITE_OK | Access::EXEC_OK)?)
}

/// The folder of a bare name is the current one.
fn or_here(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
}
