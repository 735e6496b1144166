//! Limits of the HTTP API: of requests, connections, signatures and reports.

use std::time::Duration;

use super::{EARLY_BYTES_MAX, HEAD_BYTES_MAX};

/// Bytes that a body of the API may have in addition to the largest message: for its address and
/// the surrounding JSON.
pub const API_BODY_SLACK_BYTES: usize = 64 * 1024;
/// Default of the maximum time that a request of the API waits for the broker.
pub const API_TIMEOUT: Duration = Duration::from_secs(5);
/// Default idle time of an API connection between two requests. It is longer than the pools of
/// usual HTTP clients keep a connection.
pub const API_IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Default of the maximum number of open API connections.
pub const API_CONNECTIONS_MAX: usize = 1024;
/// Maximum bytes that a worker hands over with a connection: the longest head and one read.
pub const HANDOVER_BYTES_MAX: usize = 256 * 1024;
/// Size of the queue of handed-over connections by the kernel's count. It holds some hundred
/// requests.
pub const HANDOVER_QUEUE_BYTES: usize = 1024 * 1024;
/// Bytes in transit in one direction between a TLS connection and the API process.
pub const API_PIPE_BYTES: usize = 64 * 1024;
/// Maximum time for a whole body.
pub const API_BODY_TIME: Duration = Duration::from_secs(30);
/// Interval at which a body is checked. It must have grown since the last check.
pub const API_BODY_PAUSE: Duration = Duration::from_secs(5);
/// Minimum growth of a body in that interval.
pub const API_BODY_BYTES_MIN: usize = 1024;
/// Maximum time in which a client accepts no byte of an answer.
pub const API_WRITE_STALL: Duration = Duration::from_secs(10);
/// Maximum bytes of the bodies of all requests together.
pub const API_BODIES_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes up to which a body, or the answer of a client to a question, takes no part of that memory: the number of
/// connections bounds these. Otherwise a small request would wait for the large ones of another tenant.
pub const API_SMALL_BODY_BYTES: usize = 16 * 1024;
/// Maximum concurrent requests.
pub const API_REQUESTS_MAX: usize = 256;
/// Pages of lists of up to [`LIST_BYTES_MAX`](super::LIST_BYTES_MAX) that are read or sent at the same time.
pub const API_ANSWERS_MAX: usize = 32;
/// Age of a signed request, by default: backends whose clocks differ by some minutes still work.
pub const SIGNATURE_WINDOW: Duration = Duration::from_secs(300);
/// Default of the maximum time of a signed request in the future.
pub const SIGNATURE_CLOCK_SKEW: Duration = Duration::from_secs(60);
/// Maximum of that setting. A nonce is kept for this time in addition to the window.
pub const SIGNATURE_CLOCK_SKEW_MAX: Duration = Duration::from_secs(600);
/// Maximum nonces that are kept: 2,700 signed requests per second for six minutes.
pub const API_NONCES_MAX: usize = 1_000_000;
/// Publications of one batch.
pub const API_BATCH_MAX: usize = 100;
/// Default of `timeout_ms` for `ack: written`: a client that reads takes a message in far less.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(2);
/// The longest `timeout_ms` for `ack: written`: a socket that takes nothing for a third of it is closed.
pub const WRITE_TIMEOUT_MAX: Duration = Duration::from_secs(30);
/// Maximum bytes of the reason for which a client refuses to answer. The rest is cut off.
pub const ASK_REFUSAL_BYTES_MAX: usize = 500;
/// Default of `timeout_ms` for questions.
pub const ASK_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest `timeout_ms` for questions: a person can be asked.
pub const ASK_TIMEOUT_MAX: Duration = Duration::from_secs(60);
/// The shortest `timeout_ms`.
pub const TRACKING_TIMEOUT_MIN: Duration = Duration::from_millis(100);
/// How long the API waits for reports of workers that are late. A worker that hangs is killed later than
/// that, and what it has not reported counts as waiting.
pub const WRITE_REPORT_GRACE: Duration = Duration::from_secs(1);
/// Reports for `ack: written` that are open at the same time. Each turn of a worker looks at all of them.
pub const WRITE_REPORTS_MAX: usize = 1000;
/// Publications at the same time on which workers report for a trace.
pub const TRACED_PUBLICATIONS_MAX: usize = 256;
/// How long workers report on a traced publication.
pub const TRACE_TIME: Duration = Duration::from_secs(2);
/// Spans that wait for the receiver. Each has some 300 bytes.
pub const TRACE_SPANS_MAX: usize = 4096;
/// Spans of one request to the receiver.
pub const TRACE_BATCH_MAX: usize = 512;
/// How long spans are collected for one request to the receiver.
pub const TRACE_EXPORT_EVERY: Duration = Duration::from_secs(1);
/// Longest time for a request to the receiver.
pub const TRACE_EXPORT_TIMEOUT: Duration = Duration::from_secs(5);
/// Time that an exiting API process waits until its last spans are sent. A receiver that does not answer must not
/// delay the end of a server.
pub const TRACE_FLUSH_TIMEOUT: Duration = Duration::from_secs(1);
/// Interval of the log lines about a receiver that fails.
pub const TRACE_WARNING_EVERY: Duration = Duration::from_secs(60);
/// Open questions to one client.
pub const ASKS_PER_CLIENT_MAX: usize = 64;
/// Open questions to all clients.
pub const ASKS_MAX: usize = 10_000;
/// Bytes that wait in the broker for the API process, above which an answer of a client is dropped.
pub const ANSWERS_PENDING_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The longest `spread_ms`: the time over which clients are closed.
pub const CLOSE_SPREAD_MAX: Duration = Duration::from_secs(60);
/// Orders of backends to close clients that a worker spreads at once. Each turn looks at all of them.
pub const CLOSE_ORDERS_MAX: usize = 64;
/// What a client may still send after the last answer on its connection: it is read and dropped, so that
/// the answer is not lost by a reset.
pub const API_LINGER_BYTES_MAX: usize = 256 * 1024;
/// Maximum time for that.
pub const API_LINGER: Duration = Duration::from_secs(2);

const _: () =
    assert!(HANDOVER_QUEUE_BYTES >= 4 * HANDOVER_BYTES_MAX, "the queue holds the largest");
const _: () = assert!(HANDOVER_BYTES_MAX >= EARLY_BYTES_MAX + HEAD_BYTES_MAX, "one read fits");
const _: () = assert!(
    TRACED_PUBLICATIONS_MAX < WRITE_REPORTS_MAX,
    "traces leave room for the reports that clients ask for"
);
