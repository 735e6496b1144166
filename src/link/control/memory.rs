//! The control link within one process: two bounded queues and a bell.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Control, Desk, Order, Peer, Report};
use crate::link::bell::Bell;
use crate::link::transport::Transport;

/// Messages of one direction: who leaves so many unread hangs.
const MESSAGES_MAX: usize = 1024;

/// The two ends of a control link within one process.
///
/// # Errors
///
/// When the process has no descriptor left.
pub fn memory_control() -> io::Result<(MemoryDesk, MemoryControl)> {
    let shared = Arc::new(Shared {
        queues: Mutex::new(Queues::default()),
        ordered: Bell::new()?,
        reported: Bell::new()?,
    });
    Ok((MemoryDesk(Arc::clone(&shared)), MemoryControl(shared)))
}

/// The supervising thread's end.
#[derive(Debug)]
pub struct MemoryDesk(Arc<Shared>);

/// The role's end.
#[derive(Debug)]
pub struct MemoryControl(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    queues: Mutex<Queues>,
    ordered: Bell,
    reported: Bell,
}

#[derive(Debug, Default)]
struct Queues {
    orders: VecDeque<Order>,
    reports: VecDeque<Report>,
    ends: Ends,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Ends {
    #[default]
    Both,
    One,
}

impl MemoryDesk {
    /// Readable when [`Desk::reports`] has something to say.
    #[must_use]
    pub fn ready(&self) -> BorrowedFd<'_> {
        self.0.reported.as_fd()
    }
}

impl Desk for MemoryDesk {
    type LinkEnd = Box<dyn Transport>;

    fn order(&mut self, order: Order) -> io::Result<()> {
        let mut queues = self.0.queues.lock();
        queues.peer().and_then(|()| offer(&mut queues.orders, order))?;
        self.0.ordered.ring();
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.queues.lock().peer()
    }

    fn reports(&mut self, into: &mut Vec<Report>) -> io::Result<Peer> {
        let mut queues = self.0.queues.lock();
        into.extend(queues.reports.drain(..));
        Ok(queues.ends.silence(&self.0.reported))
    }
}

impl Control for MemoryControl {
    fn orders(&mut self, into: &mut Vec<Order>) -> io::Result<Peer> {
        let mut queues = self.0.queues.lock();
        into.extend(queues.orders.drain(..));
        Ok(queues.ends.silence(&self.0.ordered))
    }

    fn report(&mut self, report: Report) -> io::Result<()> {
        let mut queues = self.0.queues.lock();
        queues.peer().and_then(|()| offer(&mut queues.reports, report))?;
        self.0.reported.ring();
        Ok(())
    }

    fn ready(&self) -> BorrowedFd<'_> {
        self.0.ordered.as_fd()
    }
}

impl Drop for MemoryDesk {
    fn drop(&mut self) {
        self.0.queues.lock().ends = Ends::One;
        self.0.ordered.ring();
    }
}

impl Drop for MemoryControl {
    fn drop(&mut self) {
        let mut queues = self.0.queues.lock();
        queues.ends = Ends::One;
        // Nobody will take them; a link end among them must be seen to end.
        let unread = std::mem::take(&mut queues.orders);
        drop(queues);
        drop(unread);
        self.0.reported.ring();
    }
}

impl Queues {
    fn peer(&self) -> io::Result<()> {
        match self.ends {
            Ends::Both => Ok(()),
            Ends::One => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }
}

impl Ends {
    /// Under the lock, so that nothing that is queued goes unheard.
    fn silence(self, bell: &Bell) -> Peer {
        bell.silence();
        if self == Self::Both { Peer::Alive } else { Peer::Gone }
    }
}

fn offer<T>(queue: &mut VecDeque<T>, message: T) -> io::Result<()> {
    if queue.len() >= MESSAGES_MAX {
        let text = format!("{MESSAGES_MAX} messages on the control link were not read");
        return Err(io::Error::new(io::ErrorKind::TimedOut, text));
    }
    queue.push_back(message);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::control::Newcomers;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    fn rings(bell: BorrowedFd<'_>) -> bool {
        let mut watched = [PollFd::new(&bell, PollFlags::IN)];
        poll(&mut watched, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap() == 1
    }

    #[test]
    fn orders_and_reports_pass_and_wake() {
        let (mut desk, mut control) = memory_control().unwrap();
        let (mut orders, mut reports) = (Vec::new(), Vec::new());
        assert!(!rings(control.ready()) && !rings(desk.ready()));
        desk.order(Order::Quiesce(Newcomers::Refuse)).unwrap();
        assert!(rings(control.ready()));
        assert_eq!(control.orders(&mut orders).unwrap(), Peer::Alive);
        assert!(
            matches!(orders[..], [Order::Quiesce(Newcomers::Refuse)]) && !rings(control.ready())
        );
        control.report(Report::Quiet).unwrap();
        assert!(rings(desk.ready()));
        assert_eq!(desk.reports(&mut reports).unwrap(), Peer::Alive);
        assert!(reports == [Report::Quiet] && !rings(desk.ready()));
    }

    #[test]
    fn who_remains_hears_that_the_other_is_gone_after_its_last_words() {
        let (mut desk, mut control) = memory_control().unwrap();
        desk.order(Order::Stop).unwrap();
        drop(desk);
        let mut orders = Vec::new();
        assert!(rings(control.ready()));
        assert_eq!(control.orders(&mut orders).unwrap(), Peer::Gone);
        assert!(matches!(orders[..], [Order::Stop]));
        assert!(control.report(Report::Ready).is_err());
        let (mut desk, control) = memory_control().unwrap();
        drop(control);
        assert!(rings(desk.ready()));
        assert_eq!(desk.reports(&mut Vec::new()).unwrap(), Peer::Gone);
        assert!(desk.order(Order::Stop).is_err());
    }

    #[test]
    fn a_queue_has_a_bound() {
        let (mut desk, _control) = memory_control().unwrap();
        let refused = (0..=MESSAGES_MAX)
            .find_map(|_| desk.order(Order::Quiesce(Newcomers::Refuse)).err())
            .unwrap();
        assert_eq!(refused.kind(), io::ErrorKind::TimedOut);
    }
}
