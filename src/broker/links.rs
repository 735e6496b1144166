//! The broker's ends of the links to workers: reading and writing.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, IoSlice};
use std::ops::ControlFlow::{self, Break, Continue};
use std::os::fd::BorrowedFd;

use super::worker_state::WorkerState;
use crate::link::codec::{Malformed, MessageDecoder};
use crate::link::message::FromWorker;
use crate::link::transport::Transport;
use crate::reactor::poller::Interest;
use crate::types::{WorkerId, WorkerIncarnation};

/// Maximum number of bytes of one read. A turn reads each link once, so no worker delays the others.
const READ_BYTES: usize = 256 * 1024;

/// The links to all workers.
#[derive(Debug)]
pub(super) struct Links {
    ends: BTreeMap<WorkerId, WorkerLink>,
    scratch: Box<[u8]>,
}

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "two independent facts")]
struct WorkerLink {
    source: WorkerIncarnation,
    transport: Box<dyn Transport>,
    inbox: MessageDecoder,
    /// The kernel may have more bytes. Edge-triggered events are not repeated, so this must be remembered.
    is_unread: bool,
    /// The peer has closed it. No event follows, so it is read until that end, whatever comes before it.
    has_ended: bool,
    /// The events that the link should be watched for. Writing is included while the link is full.
    wanted: Interest,
    /// The events that the link is watched for at present.
    watched: Interest,
}

impl WorkerLink {
    /// Returns whether data is left to process, in the kernel or in the decoder.
    fn is_busy(&self) -> bool {
        self.is_unread || self.inbox.has_rest()
    }

    /// Reads once. Returns false if no data was available.
    fn fill(&mut self, scratch: &mut [u8]) -> Result<bool, String> {
        let read = match self.transport.read(scratch) {
            Ok(0) => return Err("the peer closed it".to_owned()),
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.is_unread = false;
                return Ok(false);
            }
            Err(error) => return Err(error.to_string()),
        };
        // A short read has drained the socket, so more data causes a new event.
        self.is_unread = self.has_ended || read == scratch.len();
        self.inbox.extend(scratch.get(..read).unwrap_or_default());
        Ok(true)
    }
}

impl Default for Links {
    fn default() -> Self {
        Self { ends: BTreeMap::new(), scratch: vec![0; READ_BYTES].into_boxed_slice() }
    }
}

impl Links {
    pub(super) fn add(&mut self, source: WorkerIncarnation, transport: Box<dyn Transport>) {
        let end = WorkerLink {
            source,
            transport,
            inbox: MessageDecoder::default(),
            is_unread: true,
            has_ended: false,
            wanted: Interest::Edge,
            watched: Interest::Edge,
        };
        self.ends.insert(source.worker, end);
    }

    pub(super) fn has(&self, source: WorkerIncarnation) -> bool {
        self.ends.get(&source.worker).is_some_and(|end| end.source == source)
    }

    pub(super) fn remove(&mut self, source: WorkerIncarnation) {
        if self.has(source) {
            self.ends.remove(&source.worker);
        }
    }

    pub(super) fn mark_unread(&mut self, worker: WorkerId) {
        if let Some(end) = self.ends.get_mut(&worker) {
            end.is_unread = true;
        }
    }

    pub(super) fn mark_ended(&mut self, worker: WorkerId) {
        if let Some(end) = self.ends.get_mut(&worker) {
            (end.is_unread, end.has_ended) = (true, true);
        }
    }

    pub(super) fn is_unread(&self, worker: WorkerId) -> bool {
        self.ends.get(&worker).is_some_and(WorkerLink::is_busy)
    }

    pub(super) fn has_unread(&self) -> bool {
        self.ends.values().any(WorkerLink::is_busy)
    }

    pub(super) fn unread(&self) -> Vec<WorkerIncarnation> {
        self.ends.values().filter(|end| end.is_busy()).map(|end| end.source).collect()
    }

    /// Reads once and passes each whole message to `take`, until `take` breaks. The remaining messages are
    /// passed before the next read.
    pub(super) fn read(
        &mut self,
        source: WorkerIncarnation,
        take: &mut dyn FnMut(FromWorker<'_>) -> Result<ControlFlow<()>, String>,
    ) -> Result<ControlFlow<()>, String> {
        let Some(end) = self.ends.get_mut(&source.worker) else { return Ok(Continue(())) };
        if !end.inbox.has_rest() && !end.fill(&mut self.scratch)? {
            return Ok(Continue(()));
        }
        let text = |malformed: Malformed| malformed.to_string();
        while let Some(body) = end.inbox.take_body().map_err(text)? {
            if take(FromWorker::decode(body).map_err(text)?)?.is_break() {
                return Ok(Break(()));
            }
        }
        Ok(Continue(()))
    }

    /// Writes pending bytes of a worker until none are left or the link is full.
    pub(super) fn write(&mut self, member: &mut WorkerState) -> Result<(), String> {
        let Some(end) = self.ends.get_mut(&member.source.worker) else { return Ok(()) };
        end.wanted = Interest::Edge;
        while !member.out.pending().is_empty() {
            match end.transport.write(&[IoSlice::new(member.out.pending())]) {
                Ok(taken) => member.out.advance(taken),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    end.wanted = Interest::EdgeAndRoom;
                    return Ok(());
                }
                // The peer is gone, but its last messages must still be read. The read then finds the end of
                // the link. Until the end is reported, nothing that this worker missed is acknowledged.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                    end.is_unread = true;
                    return Ok(());
                }
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(())
    }

    /// Updates the watched events of each link whose wanted events have changed.
    pub(super) fn rewatch(
        &mut self,
        watch: &mut dyn FnMut(WorkerId, BorrowedFd<'_>, Interest) -> io::Result<()>,
    ) -> io::Result<()> {
        for (worker, end) in &mut self.ends {
            if end.wanted != end.watched {
                watch(*worker, end.transport.ready(), end.wanted)?;
                end.watched = end.wanted;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::codec::WireMessage;
    use crate::link::message::{ToBroker, VERSION};
    use crate::link::transport::memory_pair;
    use crate::types::Generation;

    /// The end may arrive with the last bytes, in one event. No other event follows.
    #[test]
    fn a_link_that_was_closed_is_read_to_its_end() {
        let source = WorkerIncarnation { worker: WorkerId(0), generation: Generation(1) };
        let (mut worker, broker) = memory_pair().unwrap();
        let mut bytes = Vec::new();
        ToBroker::Hello { version: VERSION, source }.encode(&mut bytes);
        assert_eq!(worker.write(&[IoSlice::new(&bytes)]).unwrap(), bytes.len());
        drop(worker);
        let mut links = Links::default();
        links.add(source, Box::new(broker));
        links.mark_ended(source.worker);
        let mut taken = 0;
        let mut read = || {
            links.read(source, &mut |_| {
                taken += 1;
                Ok(Continue(()))
            })
        };
        assert!(read().is_ok());
        assert!(read().is_err(), "the end");
        assert_eq!(taken, 1);
        assert!(links.is_unread(source.worker));
    }
}
