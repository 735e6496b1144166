//! One connection of the API, from its first byte to its last.

pub(super) mod activity;
pub(super) mod registry;
pub(super) mod stream;

use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use tracing::debug;

use self::registry::RegisteredConnection;
use self::stream::ApiStream;
use super::request;
use super::state::{ApiState, ServingStage};
use crate::types::limits::{API_LINGER, API_LINGER_BYTES_MAX, HEAD_BYTES_MAX, HEAD_LINES_MAX};

/// Maximum bytes that hyper reads at once.
const READ_BUFFER_BYTES: usize = 64 * 1024;
/// Bytes per read after the last answer.
const LINGER_READ_BYTES: usize = 4096;

/// Serves a connection until it ends.
pub(super) async fn serve(
    state: Rc<ApiState>,
    stream: ApiStream,
    connection: Rc<RegisteredConnection>,
) {
    // hyper does not wait until its answer to a malformed head is written, and tokio writes to a
    // new socket only after it has been reported as writable.
    if stream.writable().await.is_err() {
        return;
    }
    let service = service_fn(|request| {
        let answer = request::answer(Rc::clone(&state), Rc::clone(&connection), request);
        Box::pin(answer)
    });
    let mut http = http1::Builder::new();
    http.half_close(true)
        .max_headers(HEAD_LINES_MAX)
        .max_header_size(HEAD_BYTES_MAX)
        .max_buf_size(READ_BUFFER_BYTES);
    let mut served = http.serve_connection(TokioIo::new(stream), service);
    let is_over = async {
        tokio::select! {
            () = connection.overdue(&state) => {}
            () = connection.evicted() => {}
        }
    };
    let mut is_over = std::pin::pin!(is_over);
    // A connection that is accepted in a drain is that of a health check, whose request may come later.
    let last = match state.is_draining() {
        true => ServingStage::Leaving,
        false => ServingStage::Draining,
    };
    let mut drained = std::pin::pin!(state.reached(last));
    let mut is_drained = false;
    let end = poll_fn(|cx| {
        if is_over.as_mut().poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        // A request that has arrived is answered first. Otherwise hyper would close a new
        // connection without an answer.
        let polled = served.poll_without_shutdown(cx).map(Some);
        if polled.is_ready() || is_drained || drained.as_mut().poll(cx).is_pending() {
            return polled;
        }
        is_drained = true;
        Pin::new(&mut served).graceful_shutdown();
        served.poll_without_shutdown(cx).map(Some)
    })
    .await;
    match end {
        None => {}
        Some(end) => {
            if let Err(error) = end {
                debug!(peer = %connection.peer(), %error, "API connection ended");
            }
            let lingering = linger(served.into_parts().io.into_inner());
            // That of a health check must not delay the end.
            let is_cut = async {
                match last {
                    ServingStage::Leaving => state.reached(last).await,
                    _ => pending().await,
                }
            };
            tokio::select! {
                () = Box::pin(lingering) => {}
                () = is_cut => {}
            }
        }
    }
}

/// Closes the write side and reads the remaining input, because a reset could discard the last
/// answer.
async fn linger(mut stream: ApiStream) {
    let rest = async {
        stream.shutdown().await.ok()?;
        let mut left = API_LINGER_BYTES_MAX;
        let mut scratch = vec![0; LINGER_READ_BYTES];
        while left > 0 {
            match stream.read(&mut scratch).await {
                Ok(0) | Err(_) => break,
                Ok(read) => left = left.saturating_sub(read),
            }
        }
        Some(())
    };
    // The rest is dropped with the connection.
    let _in_time = timeout(API_LINGER, rest).await;
}
