//! A NATS server of a run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::bench::clock::{RunClock, nanos};
use crate::bench::cores::Shares;
use crate::bench::error::{At, BenchError};
use crate::bench::process::Tree;
use crate::bench::server::folder;

/// Maximum time until the server listens.
const PATIENCE: Duration = Duration::from_secs(10);
/// Pause between two looks.
const ATTEMPT: Duration = Duration::from_millis(1);
/// What `docs/cluster.md` recommends.
const SETTINGS: &str = "max_payload: 1MB\nwrite_deadline: \"1s\"\n";

/// A `nats-server`. Dropping the value kills it.
#[derive(Debug)]
pub(super) struct BenchNats {
    program: PathBuf,
    folder: PathBuf,
    child: Child,
    pub(super) port: u16,
    /// What the program says of itself.
    pub(super) version: String,
}

impl BenchNats {
    /// Starts the program on the cores of the servers.
    pub(super) fn start(program: &Path, shares: &Shares) -> Result<Self, BenchError> {
        let output = Command::new(program).arg("--version").output();
        let version = output.at("starting the NATS server; --nats names the program")?.stdout;
        let version = String::from_utf8_lossy(&version).trim().to_owned();
        let folder = folder().at("making a folder for the NATS server")?;
        fs::write(folder.join("nats.conf"), SETTINGS).at("writing its configuration")?;
        let child = spawn(program, &folder, "-1", shares)?;
        let (program, port) = (program.to_owned(), 0);
        let mut nats = Self { program, folder, child, port, version };
        nats.port = nats.listens()?;
        Ok(nats)
    }

    pub(super) fn tree(&self) -> Tree {
        Tree::of(self.child.id())
    }

    pub(super) fn kill(&mut self) {
        // Fails only if it has ended.
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }

    /// Starts it again on the same port.
    pub(super) fn restart(&mut self, shares: &Shares) -> Result<(), BenchError> {
        self.kill();
        self.child = spawn(&self.program, &self.folder, &self.port.to_string(), shares)?;
        self.listens().map(|_| ())
    }

    /// Waits for the file with the port.
    fn listens(&mut self) -> Result<u16, BenchError> {
        let file = self.folder.join(format!("nats-server_{}.ports", self.child.id()));
        let clock = RunClock::start();
        while clock.nanos() < nanos(PATIENCE) {
            if let Some(port) = port_of(&file) {
                return Ok(port);
            }
            if let Some(status) = self.child.try_wait().at("asking for the NATS server")? {
                return Err(BenchError::NotStarted(format!("nats-server: {status}")));
            }
            super::pause(ATTEMPT);
        }
        Err(BenchError::Silent(PATIENCE.as_secs(), "the port of the NATS server"))
    }
}

impl Drop for BenchNats {
    fn drop(&mut self) {
        self.kill();
        let _removed = fs::remove_dir_all(&self.folder);
    }
}

fn port_of(file: &Path) -> Option<u16> {
    let ports: Value = serde_json::from_str(&fs::read_to_string(file).ok()?).ok()?;
    ports.pointer("/nats/0")?.as_str()?.rsplit(':').next()?.parse().ok()
}

fn spawn(program: &Path, folder: &Path, port: &str, shares: &Shares) -> Result<Child, BenchError> {
    shares.server.take()?;
    let child = Command::new(program)
        .args(["-a", "127.0.0.1", "-p", port, "-c", "nats.conf", "--ports_file_dir"])
        .arg(folder)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    shares.generator.take()?;
    child.at("starting the NATS server")
}
