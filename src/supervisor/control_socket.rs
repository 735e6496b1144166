//! The admin socket. Each connection has one task.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{sleep, timeout};

use crate::admin::{AdminRequest, AdminResponse, REQUEST_BYTES_MAX, bind};
use crate::types::limits::ACCEPT_PAUSE;

/// Maximum concurrent connections. Further ones wait in the backlog.
const ADMIN_CONNECTIONS_MAX: usize = 16;
/// Maximum time for a request to arrive and for an answer to be read.
const PATIENCE: Duration = Duration::from_secs(5);
/// Maximum answers queued for one connection.
const ANSWERS_MAX: usize = 64;
/// Time that the shutdown waits for the last answers to be sent.
const LAST_ANSWERS_WAIT: Duration = Duration::from_millis(200);

#[derive(Debug)]
pub(super) struct PendingRequest {
    pub(super) request: AdminRequest,
    pub(super) requester: AdminConnection,
}

/// The connection of a request. If it does not read, it misses answers and delays no other work.
#[derive(Clone, Debug)]
pub(super) struct AdminConnection(mpsc::Sender<AdminResponse>);

impl AdminConnection {
    pub(super) fn answer(&self, answer: AdminResponse) {
        let _gone_or_slow = self.0.try_send(answer);
    }
}

/// The admin socket.
#[derive(Debug)]
pub(super) struct ControlSocket {
    requests: mpsc::Receiver<PendingRequest>,
    permits: Arc<Semaphore>,
}

impl ControlSocket {
    /// Binds the socket in a locked state folder.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        let listener = bind(folder)?;
        listener.set_nonblocking(true)?;
        let listener = UnixListener::from_std(listener)?;
        let (sender, requests) = mpsc::channel(ADMIN_CONNECTIONS_MAX);
        let permits = Arc::new(Semaphore::new(ADMIN_CONNECTIONS_MAX));
        tokio::spawn(listen(listener, sender, Arc::clone(&permits)));
        Ok(Self { requests, permits })
    }

    /// Returns the next request.
    pub(super) async fn next(&mut self) -> Option<PendingRequest> {
        self.requests.recv().await
    }

    /// Waits until the last answers are sent.
    pub(super) async fn finish(self) {
        let all = u32::try_from(ADMIN_CONNECTIONS_MAX).unwrap_or(u32::MAX);
        let _in_time = timeout(LAST_ANSWERS_WAIT, self.permits.acquire_many(all)).await;
    }
}

async fn listen(
    listener: UnixListener,
    sender: mpsc::Sender<PendingRequest>,
    permits: Arc<Semaphore>,
) {
    loop {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(serve(stream, sender.clone(), permit));
            }
            Err(error) => {
                tracing::warn!(
                    event = "admin_accept_paused",
                    %error,
                    "accept on the admin socket paused"
                );
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(
    stream: UnixStream,
    sender: mpsc::Sender<PendingRequest>,
    _permit: OwnedSemaphorePermit,
) {
    let mut stream = BufReader::new(stream);
    let request = match timeout(PATIENCE, read_request(&mut stream)).await {
        Ok(Ok(request)) => request,
        Ok(Err(error)) => {
            let failed = AdminResponse::Failed(vec![format!("malformed request: {error}")]);
            let _gone = write_answer(&mut stream, &failed).await;
            return;
        }
        Err(_) => return,
    };
    let (requester, mut answers) = mpsc::channel(ANSWERS_MAX);
    if sender.send(PendingRequest { request, requester: AdminConnection(requester) }).await.is_err()
    {
        return;
    }
    drop(sender);
    while let Some(answer) = answers.recv().await {
        if write_answer(&mut stream, &answer).await.is_err() || answer.is_last() {
            return;
        }
    }
}

async fn read_request(stream: &mut BufReader<UnixStream>) -> io::Result<AdminRequest> {
    let mut line = Vec::new();
    stream.take(REQUEST_BYTES_MAX as u64).read_until(b'\n', &mut line).await?;
    serde_json::from_slice(&line).map_err(io::Error::from)
}

async fn write_answer(
    stream: &mut BufReader<UnixStream>,
    answer: &AdminResponse,
) -> io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    timeout(PATIENCE, stream.write_all(&line)).await.map_err(|_| io::ErrorKind::TimedOut)?
}
