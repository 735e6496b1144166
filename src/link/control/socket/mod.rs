//! The control link over a Unix socket, which is the standard input of the child.

use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::epoll;

use self::fd_passing::{FdReceiver, FdSender};
use super::wire::{decode, decode_command, encode, encode_command};
use super::{
    Attachment, ChildCommand, ChildEvent, Control, ControlMessage, ControlPeer, RoleCommand,
    SupervisorEnd,
};
use crate::link::transport::{UnixTransport, unix_pair};
use crate::reactor::waker::Waker;

/// Creates the supervisor's end, and the descriptor that becomes the standard input of a child.
///
/// # Errors
///
/// If the process has no free descriptor.
pub fn control_pair() -> io::Result<(SocketSupervisorEnd, OwnedFd)> {
    let (ours, theirs) = unix_pair()?;
    Ok((
        SocketSupervisorEnd {
            socket: ours,
            outgoing: FdSender::default(),
            inbox: FdReceiver::default(),
        },
        theirs,
    ))
}

/// The supervisor's end of a control link to another process.
#[derive(Debug)]
pub struct SocketSupervisorEnd {
    socket: OwnedFd,
    outgoing: FdSender,
    inbox: FdReceiver,
}

impl SocketSupervisorEnd {
    /// Returns whether commands wait for the socket to become writable. If so, call [`SupervisorEnd::flush`]
    /// at that time.
    #[must_use]
    pub fn holds_commands(&self) -> bool {
        !self.outgoing.is_empty()
    }
}

impl SupervisorEnd for SocketSupervisorEnd {
    type LinkEnd = OwnedFd;

    fn send(&mut self, message: ControlMessage<ChildCommand, OwnedFd>) -> io::Result<()> {
        let (bytes, descriptors) = encode_command(message)?;
        self.outgoing.add(bytes, descriptors)?;
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.outgoing.flush(self.socket.as_fd())
    }

    fn events(&mut self, into: &mut Vec<ChildEvent>) -> io::Result<ControlPeer> {
        while self.inbox.receive(self.socket.as_fd())? {
            while let Some(event) = decode(&mut self.inbox.bytes)? {
                into.push(event);
            }
            // Children never send descriptors.
            self.inbox.descriptors.clear();
        }
        Ok(self.inbox.peer())
    }
}

/// The descriptor to poll. When it is ready, call [`SupervisorEnd::events`] and [`SupervisorEnd::flush`].
impl AsFd for SocketSupervisorEnd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A child's end of the control link to its supervisor.
#[derive(Debug)]
pub struct SocketControl<C> {
    socket: OwnedFd,
    /// An epoll instance that watches the socket and the waker, so that callers poll a single descriptor.
    either: OwnedFd,
    termination: Arc<Termination>,
    outgoing: FdSender,
    inbox: FdReceiver,
    /// The supervisor is gone. Its socket is no longer polled, because it would be readable forever.
    is_alone: bool,
    commands: PhantomData<C>,
}

#[derive(Debug)]
struct Termination {
    asked: AtomicBool,
    waker: Waker,
}

/// Lets another thread, the one that waits for signals, terminate a role as a command would.
#[derive(Clone, Debug)]
pub struct Terminator(Arc<Termination>);

impl Terminator {
    /// Adds [`RoleCommand::terminate`] to the next commands of the role.
    pub fn terminate(&self) {
        self.0.asked.store(true, Ordering::Release);
        self.0.waker.wake();
    }
}

impl<C: RoleCommand> SocketControl<C> {
    /// Wraps an end that was created by [`control_pair`].
    ///
    /// # Errors
    ///
    /// If the process has no free descriptor, or if `socket` is not a socket.
    pub fn new(socket: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&socket, true)?;
        let waker = Waker::new()?;
        let either = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        for watched in [socket.as_fd(), waker.as_fd()] {
            epoll::add(&either, watched, epoll::EventData::new_u64(0), epoll::EventFlags::IN)?;
        }
        Ok(Self {
            socket,
            either,
            termination: Arc::new(Termination { asked: AtomicBool::new(false), waker }),
            outgoing: FdSender::default(),
            inbox: FdReceiver::default(),
            is_alone: false,
            commands: PhantomData,
        })
    }

    /// Wraps the standard input of this process, which is the control link to its supervisor.
    ///
    /// # Errors
    ///
    /// The same as [`SocketControl::new`].
    pub fn from_standard_input() -> io::Result<Self> {
        Self::new(io::stdin().as_fd().try_clone_to_owned()?)
    }

    /// Returns a handle with which other threads can terminate this role.
    #[must_use]
    pub fn terminator(&self) -> Terminator {
        Terminator(Arc::clone(&self.termination))
    }

    fn receive(&mut self, into: &mut Vec<ControlMessage<C>>) -> io::Result<()> {
        while self.inbox.receive(self.socket.as_fd())? {
            let FdReceiver { bytes, descriptors, .. } = &mut self.inbox;
            while let Some(message) = decode_command(bytes, descriptors)? {
                into.push(usable(message));
            }
        }
        Ok(())
    }

    fn part(&mut self) -> io::Result<()> {
        if !self.is_alone {
            self.is_alone = true;
            epoll::delete(&self.either, &self.socket)?;
        }
        Ok(())
    }
}

impl<C: RoleCommand> Control<C> for SocketControl<C> {
    fn commands(&mut self, into: &mut Vec<ControlMessage<C>>) -> io::Result<ControlPeer> {
        self.termination.waker.reset();
        if self.termination.asked.swap(false, Ordering::AcqRel) {
            into.push(ControlMessage { command: C::terminate(), attachment: Attachment::None });
        }
        if self.is_alone {
            return Ok(ControlPeer::Gone);
        }
        let received = self.receive(into);
        if received.is_err() || self.inbox.peer() == ControlPeer::Gone {
            self.part()?;
            return received.map(|()| ControlPeer::Gone);
        }
        // If the supervisor is gone, the next read detects that.
        let _gone = self.outgoing.flush(self.socket.as_fd());
        Ok(ControlPeer::Alive)
    }

    fn report(&mut self, event: ChildEvent) -> io::Result<()> {
        self.outgoing.add(encode(&event)?, Vec::new())?;
        self.outgoing.flush(self.socket.as_fd())
    }

    fn ready(&self) -> BorrowedFd<'_> {
        self.either.as_fd()
    }
}

/// Turns the descriptor of a link end into a transport.
fn usable<C>(message: ControlMessage<C, OwnedFd>) -> ControlMessage<C> {
    let ControlMessage { command, attachment } = message;
    let attachment = match attachment {
        Attachment::Link(end) => Attachment::Link(Box::new(UnixTransport::new(end)) as Box<_>),
        Attachment::None => Attachment::None,
        Attachment::Config(text) => Attachment::Config(text),
        Attachment::Sockets(sockets) => Attachment::Sockets(sockets),
    };
    ControlMessage { command, attachment }
}

mod fd_passing;
#[cfg(test)]
mod tests;
