//! Hands connections whose first request is for the HTTP API to the API process, with all bytes
//! that were read.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use tracing::{debug, warn};

use super::refusals;
use crate::http::{ResponseBody, unavailable_response};
use crate::link::handover::Handover;
use crate::worker::connection::api_pipe::{ApiPipe, ApiPipeEnds};
use crate::worker::connection::{Connection, Phase, api_pipe, close};
use crate::worker::context::Context;

/// Start of the API's paths, without leading slashes: proxies that join two paths double them.
const API_PATHS: &[u8] = b"v1/";
/// Path of the metrics, which operators may read here.
const METRICS_PATH: &str = "/metrics";
/// This path, and that of the metrics of applications.
const METRICS_PATHS: [&str; 2] = [METRICS_PATH, "/metrics/applications"];
/// Maximum bytes of the method before the path.
const METHOD_BYTES_MAX: usize = 16;
/// The answer when the API process accepts no more connections, in the form of its own errors.
const BUSY: &str = "{\"error\":{\"code\":\"busy\",\"message\":\"the API takes no more connections: try \
                    again later\",\"retry_after_ms\":1000}}";

/// Hands a connection over once its path is known to belong to the API. Returns true if the worker
/// is done with the connection.
pub(in crate::worker) fn hand_over(context: &mut Context, connection: &mut Connection) -> bool {
    let Some(sender) = &context.handover else { return false };
    let Phase::Head(partial) = &connection.phase else { return false };
    let Some(path) = api_path(&partial.bytes) else { return false };
    if path.starts_with(METRICS_PATH) && !context.settings.has_operators {
        return false;
    }
    if context.settings.paths.is_bound(path) {
        return false;
    }
    let Some(socket) = context.sockets.get(connection.slot) else { return false };
    let peer = partial.peer;
    let head_within = partial.until.until_then(context.clock.now());
    let bytes = &*partial.bytes;
    let send =
        |socket: BorrowedFd<'_>| Handover { socket, peer, head_within, bytes }.send(sender.as_fd());
    let sent = match connection.tls {
        None => send(socket.as_fd()).map(|()| None),
        Some(_) => ApiPipe::pair()
            .and_then(|ApiPipeEnds { worker, api }| send(api.as_fd()).map(|()| Some(worker))),
    };
    match sent {
        Ok(None) => forget(context, connection),
        Ok(Some(pipe)) => {
            if api_pipe::begin(context, connection, pipe).is_err() {
                close::discard(context, connection, "it cannot be watched");
            }
        }
        Err(error) => answer_busy(context, connection, &error),
    }
    true
}

/// The socket stays open in another process, so the kernel would report it here for ever.
fn forget(context: &mut Context, connection: &mut Connection) {
    if let Some(socket) = context.sockets.get(connection.slot) {
        drop(context.watcher(connection.watched.by).forget(socket));
    }
    debug!(connection = connection.serial, "handed over to the API");
    context.handshakes.advance(connection, Phase::HandedOver);
}

fn answer_busy(context: &mut Context, connection: &mut Connection, error: &io::Error) {
    warn!(event = "api_unreachable", %error, "failed to hand a connection over to the API");
    context.labelled.note_handover_rejected();
    let answer = unavailable_response("application/json", ResponseBody::Whole(BUSY.as_bytes()));
    refusals::log_refused(context, connection, b"", "503", "the API takes no more connections");
    close::answer_and_end(context, connection, answer.into());
}

/// Returns the path of a request line, if enough of it has arrived and the path belongs to the API.
fn api_path(bytes: &[u8]) -> Option<&str> {
    let method = bytes.iter().take(METHOD_BYTES_MAX).position(|byte| *byte == b' ')?;
    let target = bytes.get(method + 1..)?;
    let path = target.strip_prefix(b"/")?;
    let slashes = path.iter().take_while(|byte| **byte == b'/').count();
    let is_api = path.get(slashes..)?.starts_with(API_PATHS);
    if !is_api && !target.starts_with(METRICS_PATH.as_bytes()) {
        return None;
    }
    let end = target.iter().position(|byte| matches!(byte, b' ' | b'?' | b'\r' | b'\n'))?;
    if !is_api && !METRICS_PATHS.iter().any(|path| target.get(..end) == Some(path.as_bytes())) {
        return None;
    }
    // A path that is not text is bound to no resource. The API refuses it.
    target.get(..end).map(|path| str::from_utf8(path).unwrap_or("/v1/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_the_api_is_known_as_soon_as_it_ends() {
        for (bytes, path) in [
            ("GET /v1/info HTTP/1.1\r\n", Some("/v1/info")),
            ("POST /v1/apps/-/publish?", Some("/v1/apps/-/publish")),
            ("OPTIONS //v1/x ", Some("//v1/x")),
            ("GET /metrics HTTP/1.1", Some("/metrics")),
            ("GET /metrics?x", Some("/metrics")),
            ("GET /metrics/applications HTTP/1.1", Some("/metrics/applications")),
            ("GET /metrics/x HTTP/1.1", None),
            ("GET /metrics2 HTTP/1.1", None),
            ("GET //metrics HTTP/1.1", None),
            ("GET /v1/info", None),
            ("GET /v1", None),
            ("GET /v1 HTTP/1.1", None),
            ("GET /v10/ HTTP/1.1", None),
            ("GET /web?a=/v1/ HTTP/1.1", None),
            ("GET", None),
            ("GET ", None),
            ("", None),
            ("A-METHOD-THAT-IS-TOO-LONG /v1/info HTTP/1.1", None),
        ] {
            assert_eq!(api_path(bytes.as_bytes()), path, "{bytes}");
        }
        assert_eq!(api_path(b"GET /v1/\xff HTTP/1.1"), Some("/v1/"));
    }
}
