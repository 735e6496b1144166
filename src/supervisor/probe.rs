//! Finds problems that `serve` would have on this machine, without creating or changing anything.

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

/// The result of a probe.
#[derive(Debug)]
pub struct Probed {
    /// Errors that `serve` would report, in the order in which it would detect them.
    pub errors: Vec<StartError>,
    /// True if a server is running with this state folder. Its addresses and its push socket were
    /// not checked.
    pub is_running: bool,
}

/// Checks everything that a server needs on this machine: files, folders and addresses.
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
        errors.extend(ListeningSockets::probe(&config.listen, &config.unix).err());
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

/// Returns the current folder for an empty path, which is the parent of a plain file name.
fn or_here(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
}
