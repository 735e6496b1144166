//! The task that owns the socket of a client.

use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use futures_util::Sink;
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{self, Message};

use crate::clock::Clock;
use crate::error::ConnectError;
use crate::machine::{Answering, Machine, NewRequest, Offline};
use crate::options::{TokenError, TokenReason, TokenSource};
use crate::questions::Reply;
use crate::socket::{self, Address, Socket};
use crate::status::{ABNORMAL, Disconnect};

/// How long the last frames of a connection may take.
const FAREWELL: Duration = Duration::from_secs(2);
/// Code of a Close frame without one (RFC 6455 §7.1.5).
const NO_STATUS: u16 = 1005;

/// What the task that owns the socket has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Nothing, until it is woken.
    Rest,
    /// The next attempt is due at a later time.
    Wait,
    /// A connection of this number.
    Connect(u64, TokenReason),
    /// The last handle was dropped.
    End,
}

/// A client, as its task and its handles share it.
#[derive(Debug)]
pub(crate) struct Shared {
    machine: Mutex<Machine>,
    clock: Clock,
    address: Address,
    /// Wakes the task after a change by a handle.
    changed: Notify,
    /// Whether the task has a socket, or makes one.
    is_connected: watch::Sender<bool>,
}

impl Shared {
    pub(crate) fn new(machine: Machine, clock: Clock, address: Address) -> Self {
        Self {
            machine: Mutex::new(machine),
            clock,
            address,
            changed: Notify::new(),
            is_connected: watch::channel(false).0,
        }
    }

    /// No method of the machine panics; if one did, what it has done so far would still be a state.
    pub(crate) fn machine(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Lets the task look at the machine.
    pub(crate) fn wake(&self) {
        self.changed.notify_one();
    }

    /// Waits until the task has closed its socket.
    pub(crate) async fn finished(&self) {
        let mut is_connected = self.is_connected.subscribe();
        // The sender is in this value, so it is never closed.
        let _closed = is_connected.wait_for(|is_connected| !is_connected).await;
    }

    /// Waits for a change by a handle, or until something is due.
    async fn turn(&self) {
        let deadline = self.machine().deadline();
        tokio::select! {
            () = self.changed.notified() => {}
            () = self.clock.sleep_until(deadline) => {}
        }
        self.tick();
    }

    /// Takes the next question of a connection.
    fn next_question(&self, connection: u64) -> Option<impl FnOnce() -> Answering + use<>> {
        let mut machine = self.machine();
        if machine.is_current(connection) { machine.next_question() } else { None }
    }

    fn tick(&self) {
        self.machine().tick(self.clock.random(), self.clock.now());
    }

    fn lost(&self, connection: u64, lost: Disconnect) {
        let mut machine = self.machine();
        if machine.is_current(connection) {
            machine.lost(lost, None, self.clock.random(), self.clock.now());
        }
    }
}

/// Lives until the last handle of the client is dropped.
pub(crate) async fn run(shared: Arc<Shared>) {
    loop {
        let task = shared.machine().task();
        match task {
            Task::End => return,
            Task::Rest | Task::Wait => shared.turn().await,
            Task::Connect(connection, reason) => {
                shared.is_connected.send_replace(true);
                connect(&shared, connection, reason).await;
                shared.is_connected.send_replace(false);
            }
        }
    }
}

/// One connection: from its token to its last frame.
async fn connect(shared: &Shared, connection: u64, reason: TokenReason) {
    let mut opening = Box::pin(open(shared, connection, reason));
    let opened = loop {
        tokio::select! {
            opened = &mut opening => break opened,
            () = shared.turn() => {
                if !shared.machine().is_current(connection) {
                    return;
                }
            }
        }
    };
    match opened {
        Ok(socket) => serve(shared, connection, Line { socket, has_unflushed: false }).await,
        Err(error) => shared.lost(connection, Disconnect::failed(error)),
    }
}

/// Gets a token, opens a WebSocket and says `hello`.
async fn open(
    shared: &Shared,
    connection: u64,
    reason: TokenReason,
) -> Result<Socket, ConnectError> {
    let (token, tls) = {
        let machine = shared.machine();
        let options = machine.options();
        (token(&options.token, reason), options.tls.clone())
    };
    let token = token.await.map_err(|error| ConnectError::Token(error.to_string()))?;
    let socket = socket::dial(&shared.address, tls).await?;
    let mut machine = shared.machine();
    if machine.is_current(connection) {
        machine.opened(token.as_deref());
    }
    Ok(socket)
}

/// The token of a connection, if it has one, or why there is none.
type TokenCall = Pin<Box<dyn Future<Output = Result<Option<String>, TokenError>> + Send>>;

/// Returns the token of the next connection, if it has one.
fn token(source: &TokenSource, reason: TokenReason) -> TokenCall {
    match source {
        TokenSource::Absent => Box::pin(std::future::ready(Ok(None))),
        TokenSource::Fixed(token) => Box::pin(std::future::ready(Ok(Some(token.clone())))),
        TokenSource::Function(function) => {
            let function = Arc::clone(function);
            // The function is called by the task, without the lock.
            Box::pin(async move { function(reason).await.map(Some) })
        }
    }
}

/// Passes frames in both directions until the connection is lost or given up.
async fn serve(shared: &Shared, connection: u64, mut line: Line) {
    let mut renewing = None;
    // Dropped with the connection, and its questions with it.
    let mut answering = JoinSet::<Option<(String, Reply)>>::new();
    loop {
        tokio::select! {
            received = poll_fn(|context| line.poll(shared, context)) => {
                received_from(shared, connection, received);
            }
            () = shared.turn() => {}
            Some(Ok(Some((number, reply)))) = answering.join_next() => {
                shared.machine().reply(&number, &reply);
            }
            token = renewal(&mut renewing) => {
                renewing = None;
                if let Some(token) = token {
                    send_token(shared, &token);
                }
            }
        }
        while let Some(call) = shared.next_question(connection) {
            answering.spawn(call().finish());
        }
        let mut machine = shared.machine();
        if !machine.is_current(connection) {
            break;
        }
        if machine.take_token_wish() {
            renewing = Some(token(&machine.options().token, TokenReason::Expires));
        }
    }
    let is_closed = shared.machine().is_closed();
    if is_closed {
        let _late = timeout(FAREWELL, line.finish(shared)).await;
    } else {
        // The next connection does not wait for this one.
        tokio::spawn(timeout(FAREWELL, line.give_up()));
    }
}

fn received_from(shared: &Shared, connection: u64, received: Result<Message, tungstenite::Error>) {
    match received {
        Ok(Message::Text(text)) => {
            let mut machine = shared.machine();
            machine.receive(text.as_str(), shared.clock.random(), shared.clock.now());
        }
        Ok(Message::Close(frame)) => {
            let (code, reason) = frame.map_or((NO_STATUS, String::new()), |frame| {
                (frame.code.into(), frame.reason.as_str().to_owned())
            });
            shared.lost(connection, Disconnect::closed(code, reason));
        }
        // Pings are answered by the library; binary messages have no meaning.
        Ok(_) => {}
        Err(error) => shared.lost(connection, Disconnect::closed(ABNORMAL, error.to_string())),
    }
}

/// The result of the token function. None if it has failed: the server closes the connection when the present token
/// has expired, and the next one gets another token.
async fn renewal(renewing: &mut Option<TokenCall>) -> Option<String> {
    match renewing {
        Some(call) => call.await.ok().flatten(),
        None => pending().await,
    }
}

fn send_token(shared: &Shared, token: &str) {
    let mut machine = shared.machine();
    let new = NewRequest {
        op: "token".to_owned(),
        members: serde_json::json!({ "token": token }).to_string(),
        offline: Offline::Fail,
        is_repeated: false,
        timeout: machine.options().timeout,
        change: None,
    };
    let (reply, _) = oneshot::channel();
    machine.request(new, reply, shared.clock.now());
}

/// A socket, and whether what was written to it may still be in memory.
struct Line {
    socket: Socket,
    has_unflushed: bool,
}

impl Line {
    /// Writes what the machine has to write, and reads the next message.
    fn poll(
        &mut self,
        shared: &Shared,
        context: &mut Context<'_>,
    ) -> Poll<Result<Message, tungstenite::Error>> {
        if let Poll::Ready(Err(error)) = self.poll_write(shared, context) {
            return Poll::Ready(Err(error));
        }
        if !shared.machine().may_read(context.waker(), shared.clock.now()) {
            return Poll::Pending;
        }
        let next = Pin::new(&mut self.socket).poll_next(context);
        next.map(|next| next.unwrap_or(Err(tungstenite::Error::ConnectionClosed)))
    }

    /// Ready when everything is written.
    fn poll_write(
        &mut self,
        shared: &Shared,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), tungstenite::Error>> {
        loop {
            std::task::ready!(Pin::new(&mut self.socket).poll_ready(context))?;
            let Some(text) = shared.machine().next_text() else { break };
            Pin::new(&mut self.socket).start_send(Message::Text(text))?;
            self.has_unflushed = true;
        }
        if self.has_unflushed {
            std::task::ready!(Pin::new(&mut self.socket).poll_flush(context))?;
            self.has_unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Writes the last frames and ends the client at the server.
    async fn finish(mut self, shared: &Shared) {
        let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
        let written = poll_fn(|context| self.poll_write(shared, context)).await;
        if written.is_err() || self.socket.close(Some(frame)).await.is_err() {
            return;
        }
        let mut next = poll_fn(|context| Pin::new(&mut self.socket).poll_next(context)).await;
        while let Some(Ok(_)) = next {
            next = poll_fn(|context| Pin::new(&mut self.socket).poll_next(context)).await;
        }
    }

    /// Closes the socket. For the server the client is away.
    async fn give_up(mut self) {
        let _broken = self.socket.close(None).await;
    }
}
