//! Event poller: one epoll per event loop, which watches all of its links and sockets.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;

/// Readiness that a descriptor is watched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Data to read. Level-triggered: reported at each wait while data is available.
    Read,
    /// Room to write. Level-triggered.
    Write,
    /// Data to read or room to write. Level-triggered.
    ReadWrite,
    /// Errors and hangups only.
    Nothing,
    /// Listening socket that several processes watch. Each connection wakes only one of them.
    Accept,
    /// Data to read, reported once per change (edge-triggered). The owner must read until the call would
    /// block.
    Edge,
    /// Data to read or room to write, edge-triggered, for an owner whose write would have blocked. For any
    /// other owner, each read of the other side would be an event.
    EdgeAndRoom,
}

/// Epoll descriptor and its event buffer.
pub struct Poller {
    epoll: OwnedFd,
    events: Vec<Event>,
}

/// Readiness of one descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "two independent directions, and the end")]
pub struct Ready {
    /// Token that the descriptor was registered with.
    pub token: u64,
    /// The descriptor has data to read, or the peer has closed it.
    pub readable: bool,
    /// The descriptor can be written.
    pub writable: bool,
    /// The peer has closed its direction. Data before the end may be left.
    pub ended: bool,
    /// The descriptor failed, or both directions are closed. Reported for every [`Interest`].
    pub broken: bool,
}

impl std::fmt::Debug for Poller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Poller").field("epoll", &self.epoll).finish_non_exhaustive()
    }
}

impl Poller {
    /// Creates an epoll that returns at most `batch` events per wait.
    ///
    /// # Errors
    ///
    /// Fails when the process cannot open another descriptor.
    pub fn new(batch: usize) -> io::Result<Self> {
        Ok(Self { epoll: epoll::create(CreateFlags::CLOEXEC)?, events: Vec::with_capacity(batch) })
    }

    /// Starts watching a descriptor.
    ///
    /// # Errors
    ///
    /// Fails when the kernel cannot watch another descriptor.
    pub fn watch(&self, source: impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, source, EventData::new_u64(token), flags(interest))?)
    }

    /// Changes the readiness that a descriptor is watched for.
    ///
    /// # Errors
    ///
    /// Fails when the descriptor is not watched.
    pub fn rewatch(&self, source: impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        Ok(epoll::modify(&self.epoll, source, EventData::new_u64(token), flags(interest))?)
    }

    /// Stops watching a descriptor.
    ///
    /// # Errors
    ///
    /// Fails when the descriptor is not watched.
    pub fn forget(&self, source: impl AsFd) -> io::Result<()> {
        Ok(epoll::delete(&self.epoll, source)?)
    }

    /// Waits until a descriptor is ready or the timeout ends. Appends the ready descriptors to
    /// `ready`.
    ///
    /// # Errors
    ///
    /// According to the kernel's documentation, a valid epoll descriptor causes no error here.
    pub fn wait(&mut self, within: Option<Duration>, ready: &mut Vec<Ready>) -> io::Result<()> {
        let within = within.map(|within| Timespec {
            tv_sec: i64::try_from(within.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: within.subsec_nanos().into(),
        });
        self.events.clear();
        let spare = rustix::buffer::spare_capacity(&mut self.events);
        match epoll::wait(&self.epoll, spare, within.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in &self.events {
            let flags = event.flags;
            let broken = flags.intersects(EventFlags::HUP | EventFlags::ERR);
            let ended = broken || flags.contains(EventFlags::RDHUP);
            ready.push(Ready {
                token: event.data.u64(),
                readable: ended || flags.contains(EventFlags::IN),
                writable: flags.contains(EventFlags::OUT),
                ended,
                broken,
            });
        }
        Ok(())
    }
}

/// One epoll can watch another. It is readable while one of its descriptors is ready.
impl AsFd for Poller {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

fn flags(interest: Interest) -> EventFlags {
    match interest {
        Interest::Read => EventFlags::IN | EventFlags::RDHUP,
        Interest::Write => EventFlags::OUT,
        Interest::ReadWrite => EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP,
        Interest::Nothing => EventFlags::empty(),
        Interest::Accept => EventFlags::IN | EventFlags::EXCLUSIVE,
        Interest::Edge => EventFlags::IN | EventFlags::RDHUP | EventFlags::ET,
        Interest::EdgeAndRoom => flags(Interest::Edge) | EventFlags::OUT,
    }
}
