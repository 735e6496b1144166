//! What a role waits on: one epoll for all its links and sockets, woken by whichever is ready.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;

/// What a descriptor is watched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Bytes to read; said again at every wait while there are some.
    Read,
    /// Room to write.
    Write,
    /// Both of them.
    ReadWrite,
    /// Nothing but the end of the other side.
    Nothing,
    /// A listening socket that several processes wait on: one of them is woken.
    Accept,
    /// Both, said once for each change; the owner reads and writes until it would block.
    Edge,
}

/// Waits for many descriptors at once.
pub struct Poller {
    epoll: OwnedFd,
    events: Vec<Event>,
}

/// What became ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "two independent directions, and the end")]
pub struct Ready {
    /// What the descriptor was watched as.
    pub token: u64,
    /// It can be read, or has ended.
    pub readable: bool,
    /// It can be written.
    pub writable: bool,
    /// It has broken, or both directions have ended: said whatever it is watched for.
    pub broken: bool,
}

impl std::fmt::Debug for Poller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Poller").field("epoll", &self.epoll).finish_non_exhaustive()
    }
}

impl Poller {
    /// An epoll that hands out at most `batch` events at once.
    ///
    /// # Errors
    ///
    /// When the process has no descriptor left.
    pub fn new(batch: usize) -> io::Result<Self> {
        Ok(Self { epoll: epoll::create(CreateFlags::CLOEXEC)?, events: Vec::with_capacity(batch) })
    }

    /// Begins to watch a descriptor.
    ///
    /// # Errors
    ///
    /// When the kernel has no room for one more.
    pub fn watch(&self, source: impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, source, EventData::new_u64(token), flags(interest))?)
    }

    /// Changes what a descriptor is watched for.
    ///
    /// # Errors
    ///
    /// When it is not watched.
    pub fn rewatch(&self, source: impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        Ok(epoll::modify(&self.epoll, source, EventData::new_u64(token), flags(interest))?)
    }

    /// Stops to watch a descriptor.
    ///
    /// # Errors
    ///
    /// When it is not watched.
    pub fn forget(&self, source: impl AsFd) -> io::Result<()> {
        Ok(epoll::delete(&self.epoll, source)?)
    }

    /// Waits until something is ready or the time is over, and appends what is.
    ///
    /// # Errors
    ///
    /// Never while the poller lives, as far as the kernel's documentation says.
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
                broken,
            });
        }
        Ok(())
    }
}

/// An epoll can be watched by another one: it can be read when one of its own is ready.
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
        Interest::Edge => EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET,
    }
}
