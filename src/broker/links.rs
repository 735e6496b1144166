//! The broker's ends of the links: what is read from them, and what they take.

use std::collections::BTreeMap;
use std::io::{ErrorKind, IoSlice};

use super::member::Member;
use crate::link::codec::Inbox;
use crate::link::message::ToBroker;
use crate::link::transport::Transport;
use crate::types::{Source, WorkerId};

/// One read; a turn takes one from each link, so that no worker keeps the others waiting.
const READ_BYTES: usize = 256 * 1024;

/// The links to all workers.
#[derive(Debug)]
pub(super) struct Links {
    ends: BTreeMap<WorkerId, End>,
    scratch: Box<[u8]>,
}

#[derive(Debug)]
struct End {
    source: Source,
    transport: Box<dyn Transport>,
    inbox: Inbox,
    /// The kernel may hold more: edge-triggered events come once.
    is_unread: bool,
}

impl Default for Links {
    fn default() -> Self {
        Self { ends: BTreeMap::new(), scratch: vec![0; READ_BYTES].into_boxed_slice() }
    }
}

impl Links {
    pub(super) fn add(&mut self, source: Source, transport: Box<dyn Transport>) {
        let end = End { source, transport, inbox: Inbox::default(), is_unread: true };
        self.ends.insert(source.worker, end);
    }

    pub(super) fn has(&self, source: Source) -> bool {
        self.ends.get(&source.worker).is_some_and(|end| end.source == source)
    }

    pub(super) fn remove(&mut self, source: Source) {
        if self.has(source) {
            self.ends.remove(&source.worker);
        }
    }

    pub(super) fn mark_unread(&mut self, worker: WorkerId) {
        if let Some(end) = self.ends.get_mut(&worker) {
            end.is_unread = true;
        }
    }

    pub(super) fn is_unread(&self, worker: WorkerId) -> bool {
        self.ends.get(&worker).is_some_and(|end| end.is_unread)
    }

    pub(super) fn has_unread(&self) -> bool {
        self.ends.values().any(|end| end.is_unread)
    }

    pub(super) fn unread(&self) -> Vec<Source> {
        self.ends.values().filter(|end| end.is_unread).map(|end| end.source).collect()
    }

    /// Reads once and hands over every whole message.
    pub(super) fn read(
        &mut self,
        source: Source,
        take: &mut dyn FnMut(ToBroker) -> Result<(), String>,
    ) -> Result<(), String> {
        let Some(end) = self.ends.get_mut(&source.worker) else { return Ok(()) };
        let read = match end.transport.read(&mut self.scratch) {
            Ok(0) => return Err("the other side ended it".to_owned()),
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                end.is_unread = false;
                return Ok(());
            }
            Err(error) => return Err(error.to_string()),
        };
        // A short read has emptied the link: whatever comes next is a new event.
        end.is_unread = read == self.scratch.len();
        end.inbox.extend(self.scratch.get(..read).unwrap_or_default());
        while let Some(message) = end.inbox.take().map_err(|malformed| malformed.to_string())? {
            take(message)?;
        }
        Ok(())
    }

    /// Writes what the link takes of what a worker is to be told.
    pub(super) fn write(&mut self, member: &mut Member) -> Result<(), String> {
        let Some(end) = self.ends.get_mut(&member.source.worker) else { return Ok(()) };
        while !member.out.pending().is_empty() {
            match end.transport.write(&[IoSlice::new(member.out.pending())]) {
                Ok(taken) => member.out.took(taken),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                // Its last words are still to be read; reading them comes to the end of the link.
                // Until that is reported nothing is acknowledged that this worker misses.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                    end.is_unread = true;
                    return Ok(());
                }
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(())
    }
}
