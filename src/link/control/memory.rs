//! The control link within one process: two bounded queues and a bell.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use parking_lot::Mutex;

use super::{ChildEvent, Control, ControlPeer, SupervisorCommand, SupervisorEnd};
use crate::link::transport::Transport;
use crate::reactor::waker::Waker;

/// Messages of one direction: who leaves so many unread hangs.
const MESSAGES_MAX: usize = 1024;

/// The two ends of a control link within one process.
///
/// # Errors
///
/// When the process has no descriptor left.
pub fn memory_control() -> io::Result<(MemorySupervisorEnd, MemoryControl)> {
    let shared = Arc::new(Shared {
        queues: Mutex::new(Queues::default()),
        ordered: Waker::new()?,
        reported: Waker::new()?,
    });
    Ok((MemorySupervisorEnd(Arc::clone(&shared)), MemoryControl(shared)))
}

/// The supervising thread's end.
#[derive(Debug)]
pub struct MemorySupervisorEnd(Arc<Shared>);

/// The role's end.
#[derive(Debug)]
pub struct MemoryControl(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    queues: Mutex<Queues>,
    ordered: Waker,
    reported: Waker,
}

#[derive(Debug, Default)]
struct Queues {
    orders: VecDeque<SupervisorCommand>,
    reports: VecDeque<ChildEvent>,
    ends: OpenEnds,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum OpenEnds {
    #[default]
    Both,
    One,
}

impl MemorySupervisorEnd {
    /// Readable when [`Desk::reports`] has something to say.
    #[must_use]
    pub fn ready(&self) -> BorrowedFd<'_> {
        self.0.reported.as_fd()
    }
}

impl SupervisorEnd for MemorySupervisorEnd {
    type LinkEnd = Box<dyn Transport>;

    fn order(&mut self, order: SupervisorCommand) -> io::Result<()> {
        let mut queues = self.0.queues.lock();
        queues.peer().and_then(|()| offer(&mut queues.orders, order))?;
        self.0.ordered.wake();
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.queues.lock().peer()
    }

    fn reports(&mut self, into: &mut Vec<ChildEvent>) -> io::Result<ControlPeer> {
        let mut queues = self.0.queues.lock();
        into.extend(queues.reports.drain(..));
        Ok(queues.ends.silence(&self.0.reported))
    }
}

impl Control for MemoryControl {
    fn orders(&mut self, into: &mut Vec<SupervisorCommand>) -> io::Result<ControlPeer> {
        let mut queues = self.0.queues.lock();
        into.extend(queues.orders.drain(..));
        Ok(queues.ends.silence(&self.0.ordered))
    }

    fn report(&mut self, report: ChildEvent) -> io::Result<()> {
        let mut queues = self.0.queues.lock();
        queues.peer().and_then(|()| offer(&mut queues.reports, report))?;
        self.0.reported.wake();
        Ok(())
    }

    fn ready(&self) -> BorrowedFd<'_> {
        self.0.ordered.as_fd()
    }
}

impl Drop for MemorySupervisorEnd {
    fn drop(&mut self) {
        self.0.queues.lock().ends = OpenEnds::One;
        self.0.ordered.wake();
    }
}

impl Drop for MemoryControl {
    fn drop(&mut self) {
        let mut queues = self.0.queues.lock();
        queues.ends = OpenEnds::One;
        // Nobody will take them; a link end among them must be seen to end.
        let unread = std::mem::take(&mut queues.orders);
        drop(queues);
        drop(unread);
        self.0.reported.wake();
    }
}

impl Queues {
    fn peer(&self) -> io::Result<()> {
        match self.ends {
            OpenEnds::Both => Ok(()),
            OpenEnds::One => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }
}

impl OpenEnds {
    /// Under the lock, so that nothing that is queued goes unheard.
    fn silence(self, bell: &Waker) -> ControlPeer {
        bell.reset();
        if self == Self::Both { ControlPeer::Alive } else { ControlPeer::Gone }
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
    use crate::link::control::PendingHandshakes;
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
        desk.order(SupervisorCommand::Quiesce(PendingHandshakes::Refuse)).unwrap();
        assert!(rings(control.ready()));
        assert_eq!(control.orders(&mut orders).unwrap(), ControlPeer::Alive);
        assert!(
            matches!(orders[..], [SupervisorCommand::Quiesce(PendingHandshakes::Refuse)])
                && !rings(control.ready())
        );
        control.report(ChildEvent::Quiesced).unwrap();
        assert!(rings(desk.ready()));
        assert_eq!(desk.reports(&mut reports).unwrap(), ControlPeer::Alive);
        assert!(reports == [ChildEvent::Quiesced] && !rings(desk.ready()));
    }

    #[test]
    fn who_remains_hears_that_the_other_is_gone_after_its_last_words() {
        let (mut desk, mut control) = memory_control().unwrap();
        desk.order(SupervisorCommand::Stop).unwrap();
        drop(desk);
        let mut orders = Vec::new();
        assert!(rings(control.ready()));
        assert_eq!(control.orders(&mut orders).unwrap(), ControlPeer::Gone);
        assert!(matches!(orders[..], [SupervisorCommand::Stop]));
        assert!(control.report(ChildEvent::Ready).is_err());
        let (mut desk, control) = memory_control().unwrap();
        drop(control);
        assert!(rings(desk.ready()));
        assert_eq!(desk.reports(&mut Vec::new()).unwrap(), ControlPeer::Gone);
        assert!(desk.order(SupervisorCommand::Stop).is_err());
    }

    #[test]
    fn a_queue_has_a_bound() {
        let (mut desk, _control) = memory_control().unwrap();
        let refused = (0..=MESSAGES_MAX)
            .find_map(|_| desk.order(SupervisorCommand::Quiesce(PendingHandshakes::Refuse)).err())
            .unwrap();
        assert_eq!(refused.kind(), io::ErrorKind::TimedOut);
    }
}
