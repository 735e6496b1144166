//! The real binary, started in its own folder.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::admin::imbalances;
use super::folder::Folder;
use super::log::Log;
use super::opening::Open;
use super::processes::{children_of, command_line, is_alive, memory_together, send_signal};
use super::raw::Raw;
use super::wait::{DEADLINE, eventually};

/// Returns the binary under test: `TAGCAST_BIN`, or the one of this build.
pub fn binary() -> PathBuf {
    std::env::var_os("TAGCAST_BIN")
        .map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_tagcast")), PathBuf::from)
}

/// Starts `tagcast` with these arguments in `folder` and collects its output.
fn spawn(folder: &Folder, arguments: &[&str], variables: &[(&str, &str)]) -> (Child, Log) {
    spawn_program(&binary(), folder, (arguments, variables))
}

/// Returns the variable that lets tests read the memory data of the processes, which is otherwise
/// reserved to root.
fn traceable() -> Option<(&'static str, &'static str)> {
    let is_root = rustix::process::geteuid().is_root();
    (!is_root).then_some(("TAGCAST_TRACEABLE", "1"))
}

fn spawn_program(
    program: &Path,
    folder: &Folder,
    (arguments, variables): (&[&str], &[(&str, &str)]),
) -> (Child, Log) {
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(folder.root())
        .env_remove("TAGCAST_BIN")
        .env_remove("TAGCAST_AUTOBAHN")
        .env_remove("TAGCAST_REQUIRE_TOOLS")
        .envs(traceable())
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let log = Log::default();
    log.collect(child.stdout.take().unwrap());
    log.collect(child.stderr.take().unwrap());
    (child, log)
}

/// The result of a command that exited on its own.
#[derive(Debug)]
pub struct Finished {
    /// Exit code. None if a signal killed it.
    pub code: Option<i32>,
    /// Standard output and standard error.
    pub text: String,
}

/// Runs `tagcast` to its end. If it does not exit, it is killed and the test fails.
#[track_caller]
pub fn run_to_end(folder: &Folder, arguments: &[&str]) -> Finished {
    run_to_end_with(folder, arguments, &[])
}

/// Like [`run_to_end`], with environment variables.
#[track_caller]
pub fn run_to_end_with(
    folder: &Folder,
    arguments: &[&str],
    variables: &[(&str, &str)],
) -> Finished {
    let (mut child, log) = spawn(folder, arguments, variables);
    let Some(status) = exit_within(&mut child, DEADLINE) else {
        end_tree(&mut child);
        panic!("tagcast {arguments:?} does not end:\n{}", log.text());
    };
    log.wait_for_end();
    Finished { code: status.code(), text: log.text() }
}

/// Options for starting a server.
#[derive(Debug)]
pub struct Setup {
    ini: String,
    workers: u16,
    variables: Vec<(String, String)>,
    program: PathBuf,
    auth: Option<String>,
}

impl Setup {
    /// Creates a setup with two workers and defaults for everything else.
    pub fn new() -> Self {
        Self {
            ini: String::new(),
            workers: 2,
            variables: Vec::new(),
            program: binary(),
            auth: None,
        }
    }

    /// Adds lines to `websock.ini` after those of the harness, so `[sections]` are last.
    #[must_use]
    pub fn ini(mut self, lines: &str) -> Self {
        self.ini.push_str(lines);
        self.ini.push('\n');
        self
    }

    /// Sets the number of workers.
    #[must_use]
    pub fn workers(mut self, workers: u16) -> Self {
        self.workers = workers;
        self
    }

    /// Writes an `auth.yml` next to `websock.ini`.
    #[must_use]
    pub fn auth(mut self, yaml: &str) -> Self {
        self.auth = Some(yaml.to_owned());
        self
    }

    /// Uses a program that embeds the server instead of `tagcast`.
    #[must_use]
    pub fn program(mut self, program: PathBuf) -> Self {
        self.program = program;
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts the server and waits until it listens.
    #[track_caller]
    pub fn start(&self) -> Server {
        let folder = Folder::new();
        // On a busy machine a test may take longer than the default ping interval, and a ping would
        // be an unexpected frame.
        let pings = if self.ini.contains("pingInterval") { "" } else { "pingInterval = 0\n" };
        let ini = format!(
            "[websocketserver]\nadress = ws://127.0.0.1:0\nworkers = {}\n{pings}{}",
            self.workers, self.ini
        );
        folder.write("websock.ini", &ini);
        if let Some(yaml) = &self.auth {
            folder.write("auth.yml", yaml);
        }
        let variables: Vec<_> =
            self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let arguments = ["serve", "-i", "websock.ini"];
        Server::run_program(&self.program, folder, (&arguments, &variables))
    }
}

/// A running server. Dropping it kills all its processes.
#[derive(Debug)]
pub struct Server {
    child: Mutex<Child>,
    log: Log,
    /// All children seen so far. They are checked after the supervisor is gone.
    seen: Mutex<BTreeSet<u32>>,
    /// The folder that the server runs in.
    pub folder: Folder,
    /// The port that the server listens on.
    pub port: u16,
}

impl Server {
    /// Starts a server with two workers and defaults for everything else.
    #[track_caller]
    pub fn start() -> Self {
        Setup::new().start()
    }

    /// Runs `tagcast` with these arguments in a prepared folder and waits until it listens.
    #[track_caller]
    pub fn run(folder: Folder, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        Self::run_program(&binary(), folder, (arguments, variables))
    }

    /// Like [`Server::run`], with a program that embeds the server.
    #[track_caller]
    pub fn run_program(
        program: &Path,
        folder: Folder,
        (arguments, variables): (&[&str], &[(&str, &str)]),
    ) -> Self {
        let (child, log) = spawn_program(program, &folder, (arguments, variables));
        let (child, seen) = (Mutex::new(child), Mutex::default());
        let mut server = Self { child, log, seen, folder, port: 0 };
        server.port = server.log.wait_for("the port it listens on", port_in);
        server
    }

    /// Returns the process id of the supervisor.
    pub fn pid(&self) -> u32 {
        self.child.lock().unwrap().id()
    }

    /// Returns the live children with their command lines.
    pub fn children(&self) -> Vec<(u32, String)> {
        let children = children_of(self.pid());
        self.seen.lock().unwrap().extend(children.iter().map(|(pid, _)| pid));
        children
    }

    /// Returns the memory of all processes in bytes, as
    /// [`memory_together`](super::processes::memory_together) counts it.
    pub fn memory(&self, figure: &str) -> u64 {
        let children = self.children().into_iter().map(|(pid, _)| pid);
        memory_together(children.chain([self.pid()]), figure)
    }

    /// Returns the process ids of all workers. Waits while one is being restarted.
    #[track_caller]
    pub fn workers(&self, count: usize) -> Vec<u32> {
        eventually("the wanted number of workers", || {
            let workers = self.with_role("worker");
            (workers.len() == count).then_some(workers)
        })
    }

    /// Returns the process id of the broker. Waits while it is being restarted.
    #[track_caller]
    pub fn broker(&self) -> u32 {
        eventually("a broker", || self.with_role("broker").first().copied())
    }

    pub fn with_role(&self, role: &str) -> Vec<u32> {
        let children = self.children().into_iter();
        children.filter(|(_, line)| has_role(line, role)).map(|(pid, _)| pid).collect()
    }

    /// Kills the broker with SIGKILL and returns its process id.
    #[track_caller]
    pub fn kill_broker(&self) -> u32 {
        let broker = self.broker();
        send_signal(broker, Signal::KILL);
        broker
    }

    /// Sends a signal to the supervisor.
    pub fn signal(&self, signal: Signal) {
        send_signal(self.pid(), signal);
    }

    /// Sends SIGTERM to the supervisor.
    pub fn term(&self) {
        self.signal(Signal::TERM);
    }

    /// Sends SIGTERM repeatedly until the supervisor exits. A second SIGTERM counts only if it is
    /// sent at least one second later.
    #[track_caller]
    pub fn term_until_end(&self, within: Duration) -> ExitStatus {
        let deadline = Instant::now() + within;
        loop {
            self.term();
            let status = exit_within(&mut self.child.lock().unwrap(), Duration::from_millis(200));
            if let Some(status) = status {
                return status;
            }
            assert!(Instant::now() < deadline, "runs after {within:?}:\n{}", self.output());
        }
    }

    /// Waits for the supervisor to exit.
    #[track_caller]
    pub fn wait_exit(&self, within: Duration) -> ExitStatus {
        let status = exit_within(&mut self.child.lock().unwrap(), within);
        status.unwrap_or_else(|| panic!("runs after {within:?}; it wrote:\n{}", self.output()))
    }

    /// Returns all output so far.
    pub fn output(&self) -> String {
        self.log.text()
    }

    /// Waits for a line of output that contains this text and returns it.
    #[track_caller]
    pub fn wait_for_output(&self, text: &str) -> String {
        let holds = |line: &str| line.contains(text).then(|| line.to_owned());
        self.log.wait_for(&format!("{text:?}"), holds)
    }

    /// Waits until the only worker has read everything sent so far: it serves new connections last.
    #[track_caller]
    pub fn has_read_what_came(&self) {
        self.open(&Open::web());
    }

    /// Opens a connection and reads up to `ready`.
    #[track_caller]
    pub fn open(&self, open: &Open) -> Raw {
        open.ready(self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The counters of every test must balance. Only a stopped or dead server does not report
        // any.
        let status = (!std::thread::panicking()).then(|| self.try_status()).flatten();
        end_tree(self.child.get_mut().unwrap());
        let orphans = self.seen.get_mut().unwrap().iter();
        orphans.filter(|pid| is_ours(**pid)).for_each(|pid| send_signal(*pid, Signal::KILL));
        if std::thread::panicking() {
            #[expect(clippy::print_stderr, reason = "a failed test shows what the server wrote")]
            {
                eprintln!("--- the server wrote:\n{}\n---", self.log.text());
            }
        }
        let wrong = status.as_ref().map(imbalances).unwrap_or_default();
        assert!(wrong.is_empty(), "the books do not balance: {wrong:?}");
    }
}

/// Parses the port of `… listening on ws://127.0.0.1:40123`.
fn port_in(line: &str) -> Option<u16> {
    let (_, rest) = line.split_once("listening on ws")?;
    let address = rest.split(|end: char| end.is_whitespace() || end == '"').next()?;
    let (_, port) = address.rsplit_once(':')?;
    port.trim_end_matches(|end: char| !end.is_ascii_digit()).parse().ok()
}

/// Returns true if a command line has this role, such as `tagcast worker 1`, with any path before
/// it and any arguments after it.
fn has_role(command_line: &str, role: &str) -> bool {
    command_line.split(' ').nth(1) == Some(role)
}

/// Returns true if the process is still the child that was seen, not another one with the same id.
fn is_ours(pid: u32) -> bool {
    let line = command_line(pid);
    is_alive(pid) && ["worker", "broker", "api", "bridge"].iter().any(|role| has_role(&line, role))
}

pub(super) fn exit_within(child: &mut Child, within: Duration) -> Option<ExitStatus> {
    let deadline = Instant::now() + within;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        if Instant::now() >= deadline {
            return None;
        }
        super::pause(Duration::from_millis(5));
    }
}

/// Kills the supervisor first, so that it cannot restart the children, and then the children.
fn end_tree(child: &mut Child) {
    if let Ok(Some(_)) = child.try_wait() {
        return;
    }
    send_signal(child.id(), Signal::STOP);
    let children = children_of(child.id());
    child.kill().ok();
    child.wait().ok();
    for (pid, _) in children.iter().filter(|(pid, _)| is_alive(*pid)) {
        send_signal(*pid, Signal::KILL);
    }
}
