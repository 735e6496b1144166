//! The floor: a baseline server that does only what every server must do.
//!
//! After the handshake it writes prebuilt frames to each socket. It has no client identities, no
//! checks, no tags and no limit on the cost of a slow reader. A message begins with its group, or
//! `*` for all clients. A client selects its group with the parameter `group` of its handshake.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{SendFlags, send};
use tungstenite::handshake::derive_accept_key;

use crate::reactor::poller::{Interest, Poller, Ready};
use crate::websocket::{FrameEvent, FrameReader, MessageLimits, write};

/// Write strategy of the floor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writes {
    /// One send per socket and message.
    Direct,
    /// One send per socket for all messages of a turn to the same group.
    Joined,
}

const DOOR: u64 = u64::MAX;
const EVENTS: usize = 1024;
const READ_BYTES: usize = 256 * 1024;
const END_OF_HEAD: &[u8] = b"\r\n\r\n";

/// Serves connections until the process is killed.
///
/// # Errors
///
/// If epoll cannot be set up.
pub fn serve(listener: TcpListener, writes: Writes) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let poller = Poller::new(EVENTS)?;
    poller.watch(&listener, DOOR, Interest::Read)?;
    let mut floor = Floor {
        listener,
        writes,
        poller,
        clients: Vec::new(),
        free: Vec::new(),
        groups: BTreeMap::new(),
        turn: Vec::new(),
        scratch: vec![0; READ_BYTES],
    };
    let mut ready: Vec<Ready> = Vec::with_capacity(EVENTS);
    loop {
        ready.clear();
        floor.poller.wait(None, &mut ready)?;
        for event in &ready {
            match usize::try_from(event.token) {
                Ok(at) if event.token != DOOR => floor.read(at),
                _ => floor.accept(),
            }
        }
        floor.flush();
    }
}

struct Floor {
    listener: TcpListener,
    writes: Writes,
    poller: Poller,
    clients: Vec<Option<FloorClient>>,
    free: Vec<usize>,
    /// Clients of each group. The group `*` contains all clients that receive.
    groups: BTreeMap<String, Vec<usize>>,
    /// Messages of this turn as frames, each with its group.
    turn: Vec<(String, Vec<u8>)>,
    scratch: Vec<u8>,
}

struct FloorClient {
    stream: TcpStream,
    reader: FrameReader,
    groups: Option<Vec<String>>,
}

impl Floor {
    fn accept(&mut self) {
        while let Ok((stream, _)) = self.listener.accept() {
            let at = self.free.pop().unwrap_or(self.clients.len());
            let set = stream.set_nonblocking(true).and_then(|()| stream.set_nodelay(true));
            if set.is_err() || self.poller.watch(&stream, at as u64, Interest::Read).is_err() {
                continue;
            }
            let client = Some(FloorClient { stream, reader: FrameReader::default(), groups: None });
            match self.clients.get_mut(at) {
                Some(place) => *place = client,
                None => self.clients.push(client),
            }
        }
    }

    fn read(&mut self, at: usize) {
        let Some(Some(client)) = self.clients.get_mut(at) else { return };
        let read = match client.stream.read(&mut self.scratch) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(_) => 0,
        };
        let mut input = self.scratch.get_mut(..read).unwrap_or_default();
        if input.is_empty() {
            return self.remove_client(at);
        }
        if client.groups.is_none() {
            return self.open(at, read);
        }
        while let Ok(Some(event)) = client.reader.next(&mut input, &MessageLimits::default()) {
            if let FrameEvent::Text(text) = event
                && let Some((group, message)) = text.split_once(' ')
            {
                let mut frame = Vec::with_capacity(message.len() + 10);
                write::text(&mut frame, message.as_bytes());
                self.turn.push((group.to_owned(), frame));
            }
        }
    }

    /// Reads the handshake request. The load generator always sends it in one piece.
    fn open(&mut self, at: usize, read: usize) {
        let head = self.scratch.get(..read).unwrap_or_default();
        let head = String::from_utf8_lossy(head);
        let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "));
        let (Some(key), true) = (key, head.as_bytes().ends_with(END_OF_HEAD)) else {
            return self.remove_client(at);
        };
        let accept = derive_accept_key(key.as_bytes());
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        let group = head.lines().next().and_then(group_in);
        let groups: Vec<String> =
            group.map(|group| vec!["*".to_owned(), group]).unwrap_or_default();
        for group in &groups {
            self.groups.entry(group.clone()).or_default().push(at);
        }
        let Some(Some(client)) = self.clients.get_mut(at) else { return };
        client.groups = Some(groups);
        send_all(&client.stream, answer.as_bytes());
    }

    fn remove_client(&mut self, at: usize) {
        let Some(client) = self.clients.get_mut(at).and_then(Option::take) else { return };
        for group in client.groups.iter().flatten() {
            if let Some(members) = self.groups.get_mut(group) {
                members.retain(|member| *member != at);
            }
        }
        self.free.push(at);
    }

    fn flush(&mut self) {
        let turn = match self.writes {
            Writes::Direct => std::mem::take(&mut self.turn),
            Writes::Joined => joined(std::mem::take(&mut self.turn)),
        };
        for (group, frames) in turn {
            for at in self.groups.get(&group).into_iter().flatten() {
                if let Some(Some(client)) = self.clients.get(*at) {
                    send_all(&client.stream, &frames);
                }
            }
        }
    }
}

/// Joins consecutive messages to the same group into one buffer.
fn joined(turn: Vec<(String, Vec<u8>)>) -> Vec<(String, Vec<u8>)> {
    let mut joined: Vec<(String, Vec<u8>)> = Vec::new();
    for (group, frame) in turn {
        match joined.last_mut() {
            Some((last, frames)) if *last == group => frames.extend(frame),
            _ => joined.push((group, frame)),
        }
    }
    joined
}

/// Returns the group in a request line. Publishers name none.
fn group_in(line: &str) -> Option<String> {
    let (_, group) = line.split(' ').nth(1)?.split_once("group=")?;
    Some(group.to_owned())
}

/// Sends all bytes and waits while the socket is full, because the floor has no outbox.
fn send_all(stream: &TcpStream, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match send(stream, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
            Ok(taken) => bytes = bytes.get(taken..).unwrap_or_default(),
            Err(Errno::AGAIN) => {
                let mut full = [PollFd::from_borrowed_fd(stream.as_fd(), PollFlags::OUT)];
                if poll(&mut full, None).is_err() {
                    return;
                }
            }
            Err(Errno::INTR) => {}
            // The reader has disconnected.
            Err(_) => return,
        }
    }
}
