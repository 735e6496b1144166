//! One child process: how it is started, and the task that speaks with it until it is reaped.

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
use crate::config::{Diagnostics, Loaded};
use crate::link::control::{
    ChildCommand, ChildEvent, ControlMessage, ControlPeer, PROGRAM_VARIABLE, SocketSupervisorEnd,
    SupervisorEnd, control_pair,
};

/// Commands on their way to the task of one child; a child that leaves so many unsent hangs.
const COMMANDS_MAX: usize = 1024;
/// What a child keeps of our environment: there may be secrets in the rest.
const ENVIRONMENT: [&str; 7] =
    ["PATH", "HOME", "TZ", "LANG", "TMPDIR", "RUST_BACKTRACE", TRACEABLE];

/// Blocks of this size and above are given back to the system when they are freed (mallopt(3)). Left to
/// itself the allocator raises that size with the first large message, keeps what slow clients had held,
/// and memory stays scarce after they were closed.
const ALLOCATOR: [(&str, &str); 1] = [("MALLOC_MMAP_THRESHOLD_", "131072")];

/// What a child did.
#[derive(Debug)]
pub(super) enum ProcessEvent {
    /// It sent an event.
    Reported(ChildId, ChildEvent),
    /// It is reaped, and nothing of it is held here any more.
    Died(ChildId, Death),
    /// The configuration was read again.
    Reread(Box<Result<Loaded, Diagnostics>>),
}

/// How it ended.
#[derive(Debug)]
pub(super) enum Death {
    Ended(ExitStatus),
    /// It never began.
    NotStarted(io::Error),
}

/// The parent's handle of a child that lives.
#[derive(Debug)]
pub(super) struct ChildHandle {
    commands: mpsc::Sender<ControlMessage<ChildCommand, OwnedFd>>,
    kill: Arc<Notify>,
    pid: Option<u32>,
    started_at: Instant,
}

impl ChildHandle {
    /// Its process.
    pub(super) fn pid(&self) -> Option<u32> {
        self.pid
    }

    /// When it was started.
    pub(super) fn started_at(&self) -> Instant {
        self.started_at
    }

    /// Sends a command; a child that has hung so long that this is not possible is killed.
    pub(super) fn send(&self, message: ControlMessage<ChildCommand, OwnedFd>) {
        if self.commands.try_send(message).is_err() {
            self.kill();
        }
    }

    /// Ends it at once.
    pub(super) fn kill(&self) {
        self.kill.notify_one();
    }
}

/// Starts a child; its log comes out of the second value.
pub(super) fn start(
    member: ChildId,
    now: Instant,
    arguments: &[String],
    events: mpsc::Sender<ProcessEvent>,
) -> io::Result<(ChildHandle, OwnedFd)> {
    let (desk, control) = control_pair()?;
    let (log, log_end) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let child = spawn(arguments, control, log_end)?;
    let pid = child.id();
    tracing::info!(
        event = "child_started",
        role = %member,
        generation = member.generation().0,
        pid,
        "child started"
    );
    let (commands, inbox) = mpsc::channel(COMMANDS_MAX);
    let kill = Arc::new(Notify::new());
    let line = ControlChannel::new(desk)?;
    let attendant = Monitor { member, child, inbox, kill: Arc::clone(&kill), events };
    tokio::spawn(attendant.attend(line));
    Ok((ChildHandle { commands, kill, pid, started_at: now }, log))
}

/// Visible as `tagcast worker 0`; in a process group of its own, so that Ctrl-C reaches the
/// supervisor only, which ends the others in order.
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

/// How this program was started, so that it can be started in the same way from anywhere: a name that
/// the shell finds, or a whole path.
fn program() -> Option<PathBuf> {
    let name = PathBuf::from(std::env::args_os().next()?);
    let is_found_by_shell = name.components().count() == 1;
    if is_found_by_shell { Some(name) } else { std::path::absolute(name).ok() }
}

/// Serves one child.
#[derive(Debug)]
struct Monitor {
    member: ChildId,
    child: Child,
    inbox: mpsc::Receiver<ControlMessage<ChildCommand, OwnedFd>>,
    kill: Arc<Notify>,
    events: mpsc::Sender<ProcessEvent>,
}

impl Monitor {
    async fn attend(mut self, line: ControlChannel) {
        let ended = self.converse(line).await;
        // Before the death is reported: then no end of its links is left in this process.
        self.inbox.close();
        while self.inbox.try_recv().is_ok() {}
        let death = ended.map_or_else(Death::NotStarted, Death::Ended);
        // The supervisor is gone only when the whole server is.
        let _told = self.events.send(ProcessEvent::Died(self.member, death)).await;
    }

    /// Carries commands and events until the child is reaped.
    async fn converse(&mut self, mut line: ControlChannel) -> io::Result<ExitStatus> {
        let mut link = ControlPeer::Alive;
        let mut reports = Vec::new();
        loop {
            tokio::select! {
                status = self.child.wait() => {
                    let _last_words = line.desk.events(&mut reports);
                    self.pass_on(&mut reports).await;
                    return status;
                }
                Some(message) = self.inbox.recv() => {
                    if line.desk.send(message).is_err() {
                        self.child.start_kill()?;
                    }
                }
                ready = line.ready(), if link == ControlPeer::Alive => {
                    ready?;
                    link = line.exchange(&mut reports);
                    if link == ControlPeer::Gone {
                        // A child without a control link cannot be ended in order.
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
            let _told = self.events.send(ProcessEvent::Reported(self.member, report)).await;
        }
    }
}

/// A control link with what tokio needs to wait for it: its `AsyncFd` cannot be had without
/// `unsafe`, a socket of its own kind can.
#[derive(Debug)]
struct ControlChannel {
    desk: SocketSupervisorEnd,
    /// The same socket once more.
    waiter: UnixStream,
}

impl ControlChannel {
    fn new(desk: SocketSupervisorEnd) -> io::Result<Self> {
        let waiter = StdUnixStream::from(desk.as_fd().try_clone_to_owned()?);
        Ok(Self { desk, waiter: UnixStream::from_std(waiter)? })
    }

    async fn ready(&self) -> io::Result<()> {
        let interest = if self.desk.holds_commands() {
            Interest::READABLE | Interest::WRITABLE
        } else {
            Interest::READABLE
        };
        self.waiter.ready(interest).await.map(drop)
    }

    /// Reads and writes what can be, to the last byte: so the readiness may be forgotten, save
    /// what came meanwhile (tokio sees to that). One direction after the other, since `try_io`
    /// does nothing at all when it is asked for both.
    fn exchange(&mut self, reports: &mut Vec<ChildEvent>) -> ControlPeer {
        let (mut peer, mut flushed) = (ControlPeer::Alive, Ok(()));
        let _forgotten: io::Result<()> = self.waiter.try_io(Interest::READABLE, || {
            peer = self.desk.events(reports).unwrap_or(ControlPeer::Gone);
            Err(io::ErrorKind::WouldBlock.into())
        });
        let _forgotten: io::Result<()> = self.waiter.try_io(Interest::WRITABLE, || {
            flushed = self.desk.flush();
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
        let (desk, theirs) = control_pair().unwrap();
        let mut control = SocketControl::<WorkerCommand>::new(theirs).unwrap();
        let mut line = ControlChannel::new(desk).unwrap();
        let json = Arc::new("x".repeat(4_000_000).into());
        line.desk.send(ControlMessage::configure(ConfigNumber(1), json)).unwrap();
        let quiesce = WorkerCommand::Quiesce(PendingHandshakes::Refuse);
        line.desk.send(ControlMessage::plain(quiesce)).unwrap();
        assert!(line.desk.holds_commands());
        let (mut commands, mut reports) = (Vec::new(), Vec::new());
        while commands.len() < 2 {
            assert_eq!(control.commands(&mut commands).unwrap(), ControlPeer::Alive);
            if line.desk.holds_commands() {
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
