//! A link that behaves like a kernel socket: bytes that it accepted are still delivered after their
//! writer has died.
//!
//! A write is cut short if the pipe is full, if the writer is about to die, or if the link is about
//! to be cut. So messages may break off at any byte.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use tagcast::link::transport::Transport;

/// A number that several ends share.
pub type Shared = Arc<AtomicUsize>;
/// Bytes that a process may still write before it dies.
pub type BytesUntilDeath = Shared;

pub fn unlimited() -> BytesUntilDeath {
    Arc::new(AtomicUsize::new(usize::MAX))
}

#[derive(Debug)]
struct Ends {
    /// Unread bytes for each side.
    lanes: [VecDeque<u8>; 2],
    is_open: [bool; 2],
    /// Pending edge-triggered epoll event for each side.
    is_rung: [bool; 2],
    bytes_max: Shared,
    kernel: Kernel,
    /// Bytes until the link is cut although both sides live. None if it is not cut.
    cut_after: Option<usize>,
}

/// The fate of the unread bytes of a dead writer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kernel {
    /// They are delivered, as on Linux.
    Keeps,
    /// They are lost, so that bytes accepted by the kernel prove nothing. Rule L5 must not rely on
    /// this proof.
    Forgets,
}

/// One end of a link, for reading and writing.
#[derive(Debug)]
pub struct End {
    watch: Watch,
    bytes_until_death: BytesUntilDeath,
}

/// One end of a link, for checking whether data has arrived.
#[derive(Clone, Debug)]
pub struct Watch {
    side: usize,
    ends: Arc<Mutex<Ends>>,
}

/// Creates a link with this capacity. `bytes_until_death` are the remaining bytes of the processes at its
/// ends.
pub fn pipe(
    (bytes_max, kernel): (Shared, Kernel),
    bytes_until_death: [BytesUntilDeath; 2],
) -> [End; 2] {
    let ends = Ends {
        lanes: [VecDeque::new(), VecDeque::new()],
        is_open: [true; 2],
        is_rung: [true; 2],
        bytes_max,
        kernel,
        cut_after: None,
    };
    let ends = Arc::new(Mutex::new(ends));
    let mut side = 0;
    bytes_until_death.map(|bytes_until_death| {
        let watch = Watch { side, ends: Arc::clone(&ends) };
        side += 1;
        End { watch, bytes_until_death }
    })
}

impl End {
    pub fn watch(&self) -> Watch {
        self.watch.clone()
    }
}

impl Watch {
    fn ends(&self) -> MutexGuard<'_, Ends> {
        self.ends.lock().unwrap()
    }

    /// Returns true if data has arrived since the last call.
    pub fn take_rung(&self) -> bool {
        std::mem::take(&mut self.ends().is_rung[self.side])
    }

    /// Returns true if the other side has closed the link.
    pub fn has_ended(&self) -> bool {
        !self.ends().is_open[1 - self.side]
    }

    /// Cuts the link after this many more written bytes, or never.
    pub fn cut_after(&self, bytes: Option<usize>) {
        let mut ends = self.ends();
        ends.cut_after = bytes;
        if bytes == Some(0) {
            ends.cut();
        }
    }
}

impl Ends {
    fn cut(&mut self) {
        (self.is_open, self.is_rung) = ([false; 2], [true; 2]);
    }
}

impl Transport for End {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let side = self.watch.side;
        let mut ends = self.watch.ends();
        let count = into.len().min(ends.lanes[side].len());
        if count == 0 {
            return if ends.is_open[1 - side] { Err(ErrorKind::WouldBlock.into()) } else { Ok(0) };
        }
        for (place, byte) in into.iter_mut().zip(ends.lanes[side].drain(..count)) {
            *place = byte;
        }
        Ok(count)
    }

    fn write(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let side = self.watch.side;
        let mut ends = self.watch.ends();
        if !ends.is_open[1 - side] {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let room =
            ends.bytes_max.load(Ordering::Relaxed).saturating_sub(ends.lanes[1 - side].len());
        let bytes_until_death = self.bytes_until_death.load(Ordering::Relaxed);
        let most = room.min(bytes_until_death).min(ends.cut_after.unwrap_or(usize::MAX));
        let bytes: Vec<u8> =
            parts.iter().flat_map(|part| part.iter().copied()).take(most).collect();
        ends.lanes[1 - side].extend(&bytes);
        ends.is_rung[1 - side] |= !bytes.is_empty();
        if bytes_until_death != usize::MAX {
            self.bytes_until_death.store(bytes_until_death - bytes.len(), Ordering::Relaxed);
        }
        if let Some(left) = &mut ends.cut_after {
            *left -= bytes.len();
            if *left == 0 {
                ends.cut();
            }
        }
        if bytes.is_empty() { Err(ErrorKind::WouldBlock.into()) } else { Ok(bytes.len()) }
    }

    /// The simulation never waits on this descriptor.
    fn ready(&self) -> BorrowedFd<'_> {
        static NOTHING: OnceLock<File> = OnceLock::new();
        NOTHING.get_or_init(|| File::open("/dev/null").unwrap()).as_fd()
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let side = self.watch.side;
        let mut ends = self.watch.ends();
        ends.is_open[side] = false;
        if ends.kernel == Kernel::Forgets {
            ends.lanes[1 - side].clear();
        }
        ends.is_rung[1 - side] = true;
    }
}
