//! A link within one process: two bounded byte queues, and an eventfd at each end.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use parking_lot::Mutex;

use super::Transport;
use crate::reactor::waker::Waker;

/// Bytes that one direction can hold before a write would block. The value is larger than that of a socket,
/// because the bytes are held in one queue and not in two buffers.
pub const MEMORY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// One end of a link in memory.
#[derive(Debug)]
pub struct MemoryTransport {
    side: PairSide,
    ends: Arc<Mutex<PairEnds>>,
    own: Arc<Waker>,
    other: Arc<Waker>,
}

#[derive(Clone, Copy, Debug)]
enum PairSide {
    Left,
    Right,
}

#[derive(Debug, Default)]
struct PairEnds {
    left: EndState,
    right: EndState,
}

/// The state of one end, guarded by the lock.
#[derive(Debug, Default)]
struct EndState {
    /// Bytes that the other end wrote and this end has not read.
    inbound: VecDeque<u8>,
    room: SpaceNotice,
    is_gone: bool,
}

/// Whether this end must be woken when the other end has freed space.
#[derive(Debug, Default, PartialEq, Eq)]
enum SpaceNotice {
    /// The last write was complete, so no wakeup is needed.
    #[default]
    Free,
    /// The last write reached the limit. This end waits for space.
    Wanted,
    /// This end was woken because space is free, and has not written since. Until then a read must not reset
    /// the waker.
    Returned,
}

/// Creates the two ends of a link within one process.
///
/// # Errors
///
/// If the process has no free descriptor.
pub fn memory_pair() -> io::Result<(MemoryTransport, MemoryTransport)> {
    let ends = Arc::new(Mutex::new(PairEnds::default()));
    let (left, right) = (Arc::new(Waker::new()?), Arc::new(Waker::new()?));
    let one = MemoryTransport {
        side: PairSide::Left,
        ends: Arc::clone(&ends),
        own: Arc::clone(&left),
        other: Arc::clone(&right),
    };
    Ok((one, MemoryTransport { side: PairSide::Right, ends, own: right, other: left }))
}

impl Transport for MemoryTransport {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut ends = self.ends.lock();
        let (own, other) = ends.seen_from(self.side);
        let taken = take(&mut own.inbound, into)?;
        if taken > 0 {
            if other.room == SpaceNotice::Wanted {
                other.room = SpaceNotice::Returned;
                self.other.wake();
            }
            return Ok(taken);
        }
        if other.is_gone {
            return Ok(0);
        }
        // The lock is held, so that no wakeup is lost between this check and the reset.
        if own.room != SpaceNotice::Returned {
            self.own.reset();
        }
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn write(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut ends = self.ends.lock();
        let (own, other) = ends.seen_from(self.side);
        if other.is_gone {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let was_empty = other.inbound.is_empty();
        let (given, complete) = put(&mut other.inbound, parts);
        own.room = if complete { SpaceNotice::Free } else { SpaceNotice::Wanted };
        if given > 0 && was_empty {
            self.other.wake();
        }
        if given == 0 && !complete {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(given)
    }

    fn ready(&self) -> BorrowedFd<'_> {
        self.own.as_fd()
    }
}

impl Drop for MemoryTransport {
    fn drop(&mut self) {
        self.ends.lock().seen_from(self.side).0.is_gone = true;
        self.other.wake();
    }
}

impl PairEnds {
    /// Returns the state of the given end, then the state of the opposite end.
    fn seen_from(&mut self, side: PairSide) -> (&mut EndState, &mut EndState) {
        match side {
            PairSide::Left => (&mut self.left, &mut self.right),
            PairSide::Right => (&mut self.right, &mut self.left),
        }
    }
}

/// Reads as many bytes as fit. A ring buffer may need two reads, because its content can be in two pieces.
fn take(bytes: &mut VecDeque<u8>, into: &mut [u8]) -> io::Result<usize> {
    let first = bytes.read(into)?;
    let second = match into.get_mut(first..) {
        Some(rest) if !rest.is_empty() => bytes.read(rest)?,
        _ => 0,
    };
    Ok(first + second)
}

/// Appends bytes up to the limit. Returns the number of bytes appended, and whether all of them fit.
fn put(bytes: &mut VecDeque<u8>, parts: &[IoSlice<'_>]) -> (usize, bool) {
    let mut given = 0;
    for part in parts {
        let room = MEMORY_BYTES_MAX.saturating_sub(bytes.len());
        let piece = part.get(..room).unwrap_or(part);
        bytes.extend(piece);
        given += piece.len();
        if piece.len() < part.len() {
            return (given, false);
        }
    }
    (given, true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    fn rings(end: &MemoryTransport) -> bool {
        let ready = end.ready();
        let mut watched = [PollFd::new(&ready, PollFlags::IN)];
        poll(&mut watched, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap() == 1
    }

    fn would_block<T: std::fmt::Debug>(result: io::Result<T>) -> bool {
        result.unwrap_err().kind() == io::ErrorKind::WouldBlock
    }

    fn give(end: &mut MemoryTransport, bytes: &[u8]) -> io::Result<usize> {
        end.write(&[IoSlice::new(bytes)])
    }

    #[test]
    fn the_waker_fires_on_bytes_and_reading_them_all_clears_it() {
        let (mut one, mut other) = memory_pair().unwrap();
        let mut into = [0; 4];
        assert!(!rings(&other) && would_block(other.read(&mut into)));
        assert_eq!(one.write(&[IoSlice::new(b"abc"), IoSlice::new(b"de")]).unwrap(), 5);
        assert!(rings(&other) && !rings(&one));
        assert_eq!((other.read(&mut into).unwrap(), &into), (4, b"abcd"));
        assert!(rings(&other), "a byte is left");
        assert_eq!((other.read(&mut into).unwrap(), into[0]), (1, b'e'));
        assert!(would_block(other.read(&mut into)) && !rings(&other));
    }

    #[test]
    fn a_full_lane_would_block_and_rings_its_writer_when_room_returns() {
        let (mut one, mut other) = memory_pair().unwrap();
        let block = vec![7; MEMORY_BYTES_MAX - 1];
        assert_eq!(give(&mut one, &block).unwrap(), MEMORY_BYTES_MAX - 1);
        assert_eq!(give(&mut one, b"ab").unwrap(), 1);
        assert!(would_block(give(&mut one, b"b")) && !rings(&one));
        other.read(&mut [0; 1]).unwrap();
        assert!(rings(&one));
        assert!(would_block(one.read(&mut [0; 1])) && rings(&one), "room not used yet");
        assert_eq!(give(&mut one, b"b").unwrap(), 1);
        assert!(would_block(one.read(&mut [0; 1])) && !rings(&one));
    }

    #[test]
    fn a_closed_end_is_read_to_its_last_byte_and_not_written() {
        let (mut one, mut other) = memory_pair().unwrap();
        give(&mut one, b"last words").unwrap();
        drop(one);
        let mut into = [0; 16];
        assert_eq!(give(&mut other, b"x").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(other.read(&mut into).unwrap(), 10);
        assert_eq!(other.read(&mut into).unwrap(), 0);
        assert!(rings(&other), "an end stays readable");
    }

    #[test]
    fn a_ring_buffer_that_wrapped_keeps_the_order() {
        let (mut one, mut other) = memory_pair().unwrap();
        let mut into = vec![0; 3000];
        let mut written = (0..=u8::MAX).cycle();
        let mut expected = (0..=u8::MAX).cycle();
        for _ in 0..200 {
            let block: Vec<u8> = written.by_ref().take(2000).collect();
            give(&mut one, &block).unwrap();
            let count = other.read(&mut into[..1500]).unwrap();
            assert!(into[..count].iter().copied().eq(expected.by_ref().take(count)));
        }
    }
}
