//! A server that a run starts for itself, with applications and limits enabled.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::clock::{RunClock, nanos};
use super::connect::{Opener, WantedClient};
use super::cores::Shares;
use super::error::{At, BenchError};
use super::floor::Writes;
use super::load_sources::Sources;
use super::process::Tree;
use super::target::{BenchProtocol, BenchTarget};
use super::template::{OUTPUT, ServerTemplate, StartedTemplate};
use crate::client::{ApplicationKey, ClientCredentials, ClientError, ServerUrl};
use crate::types::Encryption;

/// Maximum time until the server accepts the first client.
const PATIENCE: Duration = Duration::from_secs(10);
/// Pause between two attempts to connect.
const ATTEMPT: Duration = Duration::from_micros(200);
/// Key of the application of a run.
const KEY: &str = "bench";

/// The kind of server to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerKind {
    /// Tagcast itself.
    Tagcast {
        /// Worker processes.
        workers: usize,
        /// Whether the server uses TLS.
        encryption: Encryption,
    },
    /// The floor, with its write strategy.
    Floor(Writes),
}

/// Applications of a server that is started.
#[derive(Clone, Copy, Debug, Default)]
struct OwnApplications {
    /// Tenants with an application each, besides the first one.
    tenants: usize,
    /// More lines of the first one, each of which ends.
    more: &'static str,
}

/// The line of an application that stores publications for clients that resume.
pub(super) const STORES: &str = "    history: 1000\n";

/// A running server; dropping the value kills it.
#[derive(Debug)]
pub(super) struct OwnServer {
    child: Child,
    folder: Option<PathBuf>,
    /// The application of a server with applications, and its secret.
    application: Option<ApplicationKey>,
    pub(super) target: BenchTarget,
    /// Time from the start of its process to the first accepted client.
    pub(super) started_in: Duration,
}

impl OwnServer {
    /// Starts a server on its share of the cores and waits until it accepts clients.
    pub(super) fn start(
        kind: ServerKind,
        wire: BenchProtocol,
        shares: &Shares,
    ) -> Result<Self, BenchError> {
        Self::start_kind(kind, wire, shares, OwnApplications::default())
    }

    /// Starts a server whose clients can recover everything like [`OwnServer::start`].
    pub(super) fn start_storing(kind: ServerKind, shares: &Shares) -> Result<Self, BenchError> {
        Self::start_with(kind, shares, STORES)
    }

    /// Starts a server whose application has these lines in addition, like [`OwnServer::start`].
    pub(super) fn start_with(
        kind: ServerKind,
        shares: &Shares,
        more: &'static str,
    ) -> Result<Self, BenchError> {
        let applications = OwnApplications { more, ..OwnApplications::default() };
        Self::start_kind(kind, BenchProtocol::Phpws, shares, applications)
    }

    /// Starts a server with this number of tenants like [`OwnServer::start`].
    pub(super) fn start_with_tenants(
        kind: ServerKind,
        shares: &Shares,
        tenants: usize,
    ) -> Result<Self, BenchError> {
        let applications = OwnApplications { tenants, ..OwnApplications::default() };
        Self::start_kind(kind, BenchProtocol::Phpws, shares, applications)
    }

    /// Returns the target whose clients are in the tenant with this number.
    pub(super) fn tenant(&self, number: usize) -> BenchTarget {
        self.target.clone().of_application(ApplicationKey::new(tenant_key(number), None))
    }

    /// Starts a server with more lines of configuration, such as those of a cluster.
    pub(super) fn start_configured(
        workers: usize,
        more: &str,
        shares: &Shares,
    ) -> Result<Self, BenchError> {
        let (encryption, applications) = (Encryption::Plain, OwnApplications::default());
        let settings = TagcastSettings { workers, encryption, applications, more };
        Self::start_by(shares, || start_tagcast(&settings, BenchProtocol::Phpws))
    }

    fn start_kind(
        kind: ServerKind,
        wire: BenchProtocol,
        shares: &Shares,
        applications: OwnApplications,
    ) -> Result<Self, BenchError> {
        Self::start_by(shares, || match kind {
            ServerKind::Tagcast { workers, encryption } => start_tagcast(
                &TagcastSettings { workers, encryption, applications, more: "" },
                wire,
            ),
            ServerKind::Floor(writes) => start_floor(writes),
        })
    }

    fn start_by(
        shares: &Shares,
        start: impl FnOnce() -> Result<Self, BenchError>,
    ) -> Result<Self, BenchError> {
        shares.server.take()?;
        let clock = RunClock::start();
        let started = start();
        shares.generator.take()?;
        let mut own = started?;
        own.await_first_client(&clock)?;
        Ok(own)
    }

    /// Starts the server of a template on its share of the cores and waits until it accepts clients.
    pub(super) fn start_template(
        template: &ServerTemplate,
        shares: &Shares,
    ) -> Result<Self, BenchError> {
        shares.server.take()?;
        let clock = RunClock::start();
        let started = template.start();
        shares.generator.take()?;
        let StartedTemplate { child, folder, target } = started?;
        let (folder, application, started_in) = (Some(folder), None, Duration::ZERO);
        let mut own = Self { child, folder, application, target, started_in };
        own.await_first_client(&clock).map_err(|error| template.wrong(&error.to_string()))?;
        Ok(own)
    }

    /// Returns the application of a server with applications, and its secret.
    pub(super) fn application(&self) -> Option<&ApplicationKey> {
        self.application.as_ref()
    }

    /// Returns the process id of its first process.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Starts a killed server again, at the same address and with the same configuration. Does not
    /// wait for it.
    pub(super) fn start_again(&mut self, shares: &Shares) -> Result<(), BenchError> {
        self.child.wait().at("waiting for the end of the server")?;
        shares.server.take()?;
        let started = self.command(&["serve"]).and_then(|mut command| {
            command.stderr(Stdio::piped()).spawn().at("starting the server again")
        });
        shares.generator.take()?;
        self.child = started?;
        Ok(())
    }

    /// Returns a command of this program for this server.
    pub(super) fn command(&self, words: &[&str]) -> Result<Command, BenchError> {
        match &self.folder {
            Some(folder) => command_for(folder, words),
            None => Err(BenchError::Plan("this server has no configuration".to_owned())),
        }
    }

    #[expect(clippy::disallowed_methods, reason = "a short-lived command waits for a process")]
    fn await_first_client(&mut self, clock: &RunClock) -> Result<(), BenchError> {
        let sources = Sources::towards(self.target.address).at("choosing source addresses")?;
        loop {
            let mut opener = Opener::new(&self.target, &sources)?.with_patience(PATIENCE);
            // A path of a template may have a topic.
            let group = self.target.dialect().map(|_| 0);
            let wanted = WantedClient { group, ..WantedClient::plain(self.target.wire) };
            let Err(last) = opener.open(std::iter::once(wanted), 1) else {
                self.started_in = Duration::from_nanos(clock.nanos());
                return Ok(());
            };
            if let Some(status) = self.child.try_wait().at("asking for the server")? {
                return Err(BenchError::NotStarted(format!("{status} {}", self.log_tail())));
            }
            // A server that answers something else is there.
            let is_there = matches!(last, BenchError::Unexpected { .. });
            if is_there || clock.nanos() > nanos(PATIENCE) {
                return Err(last);
            }
            std::thread::sleep(ATTEMPT);
        }
    }

    fn log_tail(&mut self) -> String {
        let mut text = String::new();
        if let Some(out) = &mut self.child.stderr {
            let _unread = out.read_to_string(&mut text);
        }
        if let Some(folder) = &self.folder {
            text += &fs::read_to_string(folder.join(OUTPUT)).unwrap_or_default();
        }
        text
    }
}

impl Drop for OwnServer {
    /// Kills all its processes and waits until their thousands of sockets are closed, so that the
    /// next run does not share a core with that work.
    #[expect(clippy::disallowed_methods, reason = "a short-lived command waits for processes")]
    fn drop(&mut self) {
        let tree = Tree::of(self.pid());
        tree.kill();
        let _reaped = self.child.wait();
        let clock = RunClock::start();
        while !tree.is_gone() && clock.nanos() < nanos(PATIENCE) {
            std::thread::sleep(ATTEMPT);
        }
        if let Some(folder) = &self.folder {
            let _removed = fs::remove_dir_all(folder);
        }
    }
}

fn command() -> Result<Command, BenchError> {
    Ok(Command::new(std::env::current_exe().at("finding this program")?))
}

/// Returns a command of this program for the server with this folder.
fn command_for(folder: &Path, words: &[&str]) -> Result<Command, BenchError> {
    let mut command = command()?;
    command.args(words).arg("-i").arg(folder.join("websock.ini"));
    // Environment variables of the generator must not change the measured server.
    let ours = std::env::vars_os().map(|(name, _)| name);
    for name in ours.filter(|name| name.to_string_lossy().starts_with("TAGCAST_")) {
        command.env_remove(name);
    }
    Ok(command)
}

/// How a server of this program is started.
struct TagcastSettings<'a> {
    workers: usize,
    encryption: Encryption,
    applications: OwnApplications,
    /// Lines that follow the others.
    more: &'a str,
}

fn start_tagcast(
    settings: &TagcastSettings<'_>,
    wire: BenchProtocol,
) -> Result<OwnServer, BenchError> {
    let TagcastSettings { workers, encryption, applications, more } = *settings;
    let address = free_address().at("finding a free port")?;
    let folder = folder().at("making a folder for the server")?;
    let secret = uuid::Uuid::new_v4().to_string();
    let ini = ini(address, workers, encryption) + more;
    let applications = applications.to_yaml(&secret);
    configure(&folder, &ini, &applications).at("writing its configuration")?;
    if encryption == Encryption::Tls {
        certify(&folder).at("writing its certificate")?;
    }
    let mut command = command_for(&folder, &["serve"])?;
    let child = command.stderr(Stdio::piped()).spawn().at("starting the server")?;
    let ca = (encryption == Encryption::Tls).then(|| folder.join("certificate.pem"));
    // Clients present no credentials, like a page. The server counts them as clients of the
    // application.
    let target = BenchTarget::new(
        wire,
        url(encryption.scheme(), address)?,
        ClientCredentials { credentials: None, ca },
    )?;
    let application = Some(ApplicationKey::new(KEY.to_owned(), Some(secret)));
    let (folder, started_in) = (Some(folder), Duration::ZERO);
    Ok(OwnServer { child, folder, application, target, started_in })
}

fn start_floor(writes: Writes) -> Result<OwnServer, BenchError> {
    let mut command = command()?;
    command.args(["bench", "floor-server"]).stdout(Stdio::piped());
    if writes == Writes::Joined {
        command.arg("--joined");
    }
    let mut child = command.spawn().at("starting the floor")?;
    let mut line = String::new();
    if let Some(out) = child.stdout.take() {
        BufReader::new(out).read_line(&mut line).at("asking the floor for its port")?;
    }
    let address = line.trim().parse();
    let address = address.map_err(|_| BenchError::NotStarted("no port".to_owned()))?;
    let target =
        BenchTarget::new(BenchProtocol::Floor, url("ws", address)?, ClientCredentials::default())?;
    let started_in = Duration::ZERO;
    Ok(OwnServer { child, folder: None, application: None, target, started_in })
}

fn url(scheme: &str, address: SocketAddr) -> Result<ServerUrl, ClientError> {
    format!("{scheme}://localhost:{}/", address.port()).parse()
}

fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// Makes a folder for a server that is removed with it.
pub(super) fn folder() -> std::io::Result<PathBuf> {
    let folder = std::env::temp_dir().join(format!("tagcast-bench-{}", uuid::Uuid::new_v4()));
    fs::DirBuilder::new().mode(0o700).create(&folder)?;
    Ok(folder)
}

fn configure(folder: &Path, ini: &str, auth: &str) -> std::io::Result<()> {
    fs::write(folder.join("websock.ini"), ini)?;
    private(&folder.join("auth.yml"), auth)
}

fn ini(address: SocketAddr, workers: usize, encryption: Encryption) -> String {
    let listens = match encryption {
        Encryption::Tls => {
            format!("address = wss://{address}\ncertFile = certificate.pem\npkFile = key.pem\n")
        }
        Encryption::Plain => format!("address = ws://{address}\n"),
    };
    format!(
        "[websocketserver]\nworkers = {workers}\nconsole = on\nlogLevel = warn\n\
         authFile = auth.yml\nmaxClients = 1000000\nmaxPerIP = 20000\n{listens}"
    )
}

impl OwnApplications {
    /// Returns applications for pages: clients without credentials are accepted and may publish as clients of the
    /// first application. Each tenant has one more.
    fn to_yaml(self, secret: &str) -> String {
        let rights = "    authorizeOpen: true\n    clientPublish: true\n";
        let mut all = format!(
            "anonymous: {KEY}\napplications:\n  - key: {KEY}\n    secret: {secret}\n{rights}{}",
            self.more
        );
        for key in (0..self.tenants).map(tenant_key) {
            all += &format!("  - key: {key}\n    tenant: {key}\n    secret: {secret}\n{rights}");
        }
        all
    }
}

/// The key of the application of a tenant.
fn tenant_key(number: usize) -> String {
    format!("tenant{number}")
}

fn certify(folder: &Path) -> std::io::Result<()> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]);
    let rcgen::CertifiedKey { cert, signing_key } = made.map_err(std::io::Error::other)?;
    fs::write(folder.join("certificate.pem"), cert.pem())?;
    private(&folder.join("key.pem"), &signing_key.serialize_pem())
}

/// Writes a file that only this user may read.
pub(super) fn private(path: &Path, text: &str) -> std::io::Result<()> {
    fs::write(path, text)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
}
