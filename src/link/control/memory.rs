//! The control link within one process: two bounded queues and two wakers.

use std::collections::VecDeque;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use parking_lot::Mutex;

use super::wire::malformed;
use super::{
    ChildCommand, ChildEvent, Control, ControlMessage, ControlPeer, RoleCommand, SupervisorEnd,
};
use crate::link::transport::Transport;
use crate::reactor::waker::Waker;

/// Maximum number of unread messages per direction. A receiver with more than this is considered hung.
const MESSAGES_MAX: usize = 1024;

/// Creates the two ends of a control link within one process.
///
/// # Errors
///
/// If the process has no free descriptor.
pub fn memory_control<C: RoleCommand>() -> io::Result<(MemorySupervisorEnd, MemoryControl<C>)> {
    let shared = Arc::new(Shared {
        queues: Mutex::new(Queues::default()),
        commanded: Waker::new()?,
        reported: Waker::new()?,
    });
    let end = MemorySupervisorEnd(Arc::clone(&shared));
    Ok((end, MemoryControl { shared, commands: PhantomData }))
}

/// The supervisor's end.
#[derive(Debug)]
pub struct MemorySupervisorEnd(Arc<Shared>);

/// The role's end.
#[derive(Debug)]
pub struct MemoryControl<C> {
    shared: Arc<Shared>,
    commands: PhantomData<C>,
}

#[derive(Debug)]
struct Shared {
    queues: Mutex<Queues>,
    commanded: Waker,
    reported: Waker,
}

#[derive(Debug, Default)]
struct Queues {
    commands: VecDeque<ControlMessage<ChildCommand>>,
    events: VecDeque<ChildEvent>,
    /// One of the two ends is gone.
    is_half_closed: bool,
}

impl MemorySupervisorEnd {
    /// Returns a descriptor that is readable when [`SupervisorEnd::events`] has events.
    #[must_use]
    pub fn ready(&self) -> BorrowedFd<'_> {
        self.0.reported.as_fd()
    }
}

impl SupervisorEnd for MemorySupervisorEnd {
    type LinkEnd = Box<dyn Transport>;

    fn send(&mut self, message: ControlMessage<ChildCommand>) -> io::Result<()> {
        let mut queues = self.0.queues.lock();
        queues.peer().and_then(|()| offer(&mut queues.commands, message))?;
        self.0.commanded.wake();
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.queues.lock().peer()
    }

    fn events(&mut self, into: &mut Vec<ChildEvent>) -> io::Result<ControlPeer> {
        let mut queues = self.0.queues.lock();
        into.extend(queues.events.drain(..));
        Ok(queues.silence(&self.0.reported))
    }
}

impl<C: RoleCommand> Control<C> for MemoryControl<C> {
    fn commands(&mut self, into: &mut Vec<ControlMessage<C>>) -> io::Result<ControlPeer> {
        let mut queues = self.shared.queues.lock();
        for ControlMessage { command, attachment } in queues.commands.drain(..) {
            let command = C::try_from(command)
                .map_err(|_| malformed("this command is for a child of another role"))?;
            into.push(ControlMessage { command, attachment });
        }
        Ok(queues.silence(&self.shared.commanded))
    }

    fn report(&mut self, event: ChildEvent) -> io::Result<()> {
        let mut queues = self.shared.queues.lock();
        queues.peer().and_then(|()| offer(&mut queues.events, event))?;
        self.shared.reported.wake();
        Ok(())
    }

    fn ready(&self) -> BorrowedFd<'_> {
        self.shared.commanded.as_fd()
    }
}

impl Drop for MemorySupervisorEnd {
    fn drop(&mut self) {
        self.0.queues.lock().is_half_closed = true;
        self.0.commanded.wake();
    }
}

impl<C> Drop for MemoryControl<C> {
    fn drop(&mut self) {
        let mut queues = self.shared.queues.lock();
        queues.is_half_closed = true;
        // No role will receive these commands. Link ends among them are dropped so that their peers see the
        // link close.
        let unread = std::mem::take(&mut queues.commands);
        drop(queues);
        drop(unread);
        self.shared.reported.wake();
    }
}

impl Queues {
    fn peer(&self) -> io::Result<()> {
        if self.is_half_closed { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(()) }
    }

    /// Resets the waker. The caller holds the lock, so that a message queued meanwhile cannot be missed.
    fn silence(&self, waker: &Waker) -> ControlPeer {
        waker.reset();
        if self.is_half_closed { ControlPeer::Gone } else { ControlPeer::Alive }
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
    use crate::link::control::{BrokerCommand, CommonCommand, PendingHandshakes, WorkerCommand};
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    fn rings(waker: BorrowedFd<'_>) -> bool {
        let mut watched = [PollFd::new(&waker, PollFlags::IN)];
        poll(&mut watched, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap() == 1
    }

    fn linked() -> (MemorySupervisorEnd, MemoryControl<WorkerCommand>) {
        memory_control().unwrap()
    }

    fn quiesce() -> ControlMessage<ChildCommand> {
        ControlMessage::plain(WorkerCommand::Quiesce(PendingHandshakes::Refuse))
    }

    fn heartbeat() -> ControlMessage<ChildCommand> {
        ControlMessage::plain(CommonCommand::Heartbeat)
    }

    #[test]
    fn commands_and_events_pass_and_wake() {
        let (mut end, mut control) = linked();
        let (mut commands, mut events) = (Vec::new(), Vec::new());
        assert!(!rings(control.ready()) && !rings(end.ready()));
        end.send(quiesce()).unwrap();
        assert!(rings(control.ready()));
        assert_eq!(control.commands(&mut commands).unwrap(), ControlPeer::Alive);
        let command = commands.pop().unwrap().command;
        assert_eq!(command, WorkerCommand::Quiesce(PendingHandshakes::Refuse));
        assert!(commands.is_empty() && !rings(control.ready()));
        control.report(ChildEvent::Quiesced).unwrap();
        assert!(rings(end.ready()));
        assert_eq!(end.events(&mut events).unwrap(), ControlPeer::Alive);
        assert!(events == [ChildEvent::Quiesced] && !rings(end.ready()));
    }

    #[test]
    fn the_other_end_is_seen_to_go_after_its_last_message() {
        let (mut end, mut control) = linked();
        end.send(heartbeat()).unwrap();
        drop(end);
        let mut commands = Vec::new();
        assert!(rings(control.ready()));
        assert_eq!(control.commands(&mut commands).unwrap(), ControlPeer::Gone);
        let command = commands.pop().unwrap().command;
        assert_eq!(command, WorkerCommand::Common(CommonCommand::Heartbeat));
        assert!(commands.is_empty() && control.report(ChildEvent::Ready).is_err());
        let (mut end, control) = linked();
        drop(control);
        assert!(rings(end.ready()));
        assert_eq!(end.events(&mut Vec::new()).unwrap(), ControlPeer::Gone);
        assert!(end.send(heartbeat()).is_err());
    }

    #[test]
    fn a_command_for_another_role_is_an_error() {
        let (mut end, mut control) = linked();
        end.send(ControlMessage::plain(BrokerCommand::Stop)).unwrap();
        assert!(control.commands(&mut Vec::new()).is_err());
    }

    #[test]
    fn a_queue_has_a_bound() {
        let (mut end, _control) = linked();
        let refused = (0..=MESSAGES_MAX).find_map(|_| end.send(quiesce()).err()).unwrap();
        assert_eq!(refused.kind(), io::ErrorKind::TimedOut);
    }
}
