//! One child process: starting it, and the task that communicates with it until it is reaped.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Instant;

use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::sync::{Notify, mpsc};

use super::bootstrap::TRACEABLE;
use super::lifecycle::ChildId;
use super::run::WrittenRevocations;
use crate::config::{Diagnostics, Loaded};
use crate::link::control::{
    ChildCommand, ChildEvent, ControlMessage, ControlPeer, PROGRAM_VARIABLE, SocketSupervisorEnd,
    SupervisorEnd, control_pair,
};

/// Maximum commands queued for one child. A child that does not accept this many is hung.
const COMMANDS_MAX: usize = 1024;
/// Environment variables that a child inherits. Others may contain secrets.
const ENVIRONMENT: [&str; 9] = [
    "PATH",
    "HOME",
    "TZ",
    "LANG",
    "TMPDIR",
    "RUST_BACKTRACE",
    // Certificate authorities in place of those of the system.
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    TRACEABLE,
];

/// Blocks of at least this size are returned to the system when they are freed (mallopt(3)). By
/// default the allocator raises this size with the first large message. It would then keep the
/// memory of slow clients, and memory would stay scarce after they are closed.
const ALLOCATOR: [(&str, &str); 1] = [("MALLOC_MMAP_THRESHOLD_", "131072")];

/// An event of a child process.
#[derive(Debug)]
pub(super) enum ProcessEvent {
    /// The child sent an event.
    Reported(ChildId, ChildEvent),
    /// The child was reaped, and its task has released all its resources.
    Died(ChildId, Death),
    /// The configuration was read again.
    Reread(Box<Result<Loaded, Diagnostics>>),
    /// Revoked tokens were written to the disk, or could not be.
    RevocationsWritten(WrittenRevocations),
}

/// The end of a child process.
#[derive(Debug)]
pub(super) enum Death {
    Ended(ExitStatus),
    /// The process could not be started.
    NotStarted(io::Error),
}

/// The handle of a running child.
#[derive(Debug)]
pub(super) struct ChildHandle {
    commands: mpsc::Sender<ControlMessage<ChildCommand, OwnedFd>>,
    kill: Arc<Notify>,
    pid: Option<u32>,
    started_at: Instant,
}

impl ChildHandle {
    /// Returns the process id. None after the child was reaped.
    pub(super) fn pid(&self) -> Option<u32> {
        self.pid
    }

    /// Returns the start time.
    pub(super) fn started_at(&self) -> Instant {
        self.started_at
    }

    /// Sends a command. If the queue is full, the child has been hung for long and is killed.
    pub(super) fn send(&self, message: ControlMessage<ChildCommand, OwnedFd>) {
        if self.commands.try_send(message).is_err() {
            self.kill();
        }
    }

    /// Kills the child.
    pub(super) fn kill(&self) {
        self.kill.notify_one();
    }
}

/// Starts a child. The second value is the pipe with its log.
pub(super) fn start(
    id: ChildId,
    now: Instant,
    arguments: &[String],
    events: mpsc::Sender<ProcessEvent>,
) -> io::Result<(ChildHandle, OwnedFd)> {
    let (end, control) = control_pair()?;
    let (log, log_end) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let child = spawn(arguments, control, log_end)?;
    let pid = child.id();
    tracing::info!(
        event = "child_started",
        role = %id,
        generation = id.generation().0,
        pid,
        "child started"
    );
    let (commands, inbox) = mpsc::channel(COMMANDS_MAX);
    let kill = Arc::new(Notify::new());
    let line = ControlChannel::new(end)?;
    let monitor = Monitor { id, child, inbox, kill: Arc::clone(&kill), events };
    tokio::spawn(monitor.run(line));
    Ok((ChildHandle { commands, kill, pid, started_at: now }, log))
}

/// Starts the process. It is visible as `tagcast worker 0` and has its own process group, so that
/// Ctrl-C reaches only the supervisor, which stops the children in order.
fn spawn(arguments: &[String], control: OwnedFd, log: OwnedFd) -> io::Result<Child> {
    let kept = ENVIRONMENT.iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
    Command::new("/proc/self/exe")
        .arg0("tagcast")
        .args(arguments)
        .env_clear()
        .envs(kept)
        .envs(ALLOCATOR)
        .envs(program().map(|program| (PROGRAM_VARIABLE, program)))
        .stdin(Stdio::from(control))
        .stdout(Stdio::from(log.try_clone()?))
        .stderr(Stdio::from(log))
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
}

/// Returns the program as it was started, so that it can be started again from any folder: a name
/// for the search path, or an absolute path.
fn program() -> Option<PathBuf> {
    let name = PathBuf::from(std::env::args_os().next()?);
    let is_found_by_shell = name.components().count() == 1;
    if is_found_by_shell { Some(name) } else { std::path::absolute(name).ok() }
}

/// The task of one child.
#[derive(Debug)]
struct Monitor {
    id: ChildId,
    child: Child,
    inbox: mpsc::Receiver<ControlMessage<ChildCommand, OwnedFd>>,
    kill: Arc<Notify>,
    events: mpsc::Sender<ProcessEvent>,
}

impl Monitor {
    async fn run(mut self, line: ControlChannel) {
        let ended = self.run_until_exit(line).await;
        // Close the queue before reporting the death, so that no end of a link to the child is left
        // in this process.
        self.inbox.close();
        while self.inbox.try_recv().is_ok() {}
        let death = ended.map_or_else(Death::NotStarted, Death::Ended);
        // Fails only if the supervisor is gone, which means that the whole server is.
        let _sent = self.events.send(ProcessEvent::Died(self.id, death)).await;
    }

    /// Transfers commands and events until the child is reaped.
    async fn run_until_exit(&mut self, mut line: ControlChannel) -> io::Result<ExitStatus> {
        let mut link = ControlPeer::Alive;
        let mut reports = Vec::new();
        loop {
            tokio::select! {
                status = self.child.wait() => {
                    let _last_events = line.end.events(&mut reports);
                    self.pass_on(&mut reports).await;
                    return status;
                }
                Some(message) = self.inbox.recv() => {
                    if line.end.send(message).is_err() {
                        self.child.start_kill()?;
                    }
                }
                ready = line.ready(), if link == ControlPeer::Alive => {
                    ready?;
                    link = line.exchange(&mut reports);
                    if link == ControlPeer::Gone {
                        // A child without a control link cannot be stopped in order.
                        self.child.start_kill()?;
                    }
                    self.pass_on(&mut reports).await;
                }
                () = self.kill.notified() => self.child.start_kill()?,
            }
        }
    }

    async fn pass_on(&self, reports: &mut Vec<ChildEvent>) {
        for report in reports.drain(..) {
            let _sent = self.events.send(ProcessEvent::Reported(self.id, report)).await;
        }
    }
}

/// A control link in a form that tokio can wait on. Tokio's `AsyncFd` is not usable without
/// `unsafe`, but a tokio socket is.
#[derive(Debug)]
struct ControlChannel {
    end: SocketSupervisorEnd,
    /// A second handle of the same socket.
    waiter: UnixStream,
}

impl ControlChannel {
    fn new(end: SocketSupervisorEnd) -> io::Result<Self> {
        let waiter = StdUnixStream::from(end.as_fd().try_clone_to_owned()?);
        Ok(Self { end, waiter: UnixStream::from_std(waiter)? })
    }

    async fn ready(&self) -> io::Result<()> {
        let interest = if self.end.holds_commands() {
            Interest::READABLE | Interest::WRITABLE
        } else {
            Interest::READABLE
        };
        self.waiter.ready(interest).await.map(drop)
    }

    /// Reads and writes until both directions would block, so tokio's readiness can be cleared.
    /// Readiness that arrives in the meantime is kept by tokio. The directions need separate calls,
    /// because `try_io` does nothing if it is called with both.
    fn exchange(&mut self, reports: &mut Vec<ChildEvent>) -> ControlPeer {
        let (mut peer, mut flushed) = (ControlPeer::Alive, Ok(()));
        let _forgotten: io::Result<()> = self.waiter.try_io(Interest::READABLE, || {
            peer = self.end.events(reports).unwrap_or(ControlPeer::Gone);
            Err(io::ErrorKind::WouldBlock.into())
        });
        let _forgotten: io::Result<()> = self.waiter.try_io(Interest::WRITABLE, || {
            flushed = self.end.flush();
            Err(io::ErrorKind::WouldBlock.into())
        });
        if flushed.is_ok() { peer } else { ControlPeer::Gone }
    }
}

impl std::fmt::Display for Death {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotStarted(error) => write!(f, "failed to start: {error}"),
            Self::Ended(status) => match (status.code(), status.signal()) {
                (Some(code), _) => write!(f, "exit code {code}"),
                (None, Some(signal)) => write!(f, "signal {signal}"),
                (None, None) => write!(f, "{status}"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::control::{Control, PendingHandshakes, SocketControl, WorkerCommand};
    use crate::types::ConfigNumber;

    #[tokio::test]
    async fn commands_that_a_slow_child_did_not_take_follow_when_it_reads() {
        let (end, theirs) = control_pair().unwrap();
        let mut control = SocketControl::<WorkerCommand>::new(theirs).unwrap();
        let mut line = ControlChannel::new(end).unwrap();
        let json = Arc::new("x".repeat(4_000_000).into());
        line.end.send(ControlMessage::configure(ConfigNumber(1), json)).unwrap();
        let quiesce = WorkerCommand::Quiesce(PendingHandshakes::Refuse);
        line.end.send(ControlMessage::plain(quiesce)).unwrap();
        assert!(line.end.holds_commands());
        let (mut commands, mut reports) = (Vec::new(), Vec::new());
        while commands.len() < 2 {
            assert_eq!(control.commands(&mut commands).unwrap(), ControlPeer::Alive);
            if line.end.holds_commands() {
                line.ready().await.unwrap();
                assert_eq!(line.exchange(&mut reports), ControlPeer::Alive);
            }
        }
        control.report(ChildEvent::Quiesced).unwrap();
        line.ready().await.unwrap();
        assert_eq!(
            (line.exchange(&mut reports), &reports[..]),
            (ControlPeer::Alive, &[ChildEvent::Quiesced][..])
        );
        drop(control);
        line.ready().await.unwrap();
        assert_eq!(line.exchange(&mut reports), ControlPeer::Gone);
    }
}
