//! All limits of the server, each with its unit, its reason and its relation to other limits.

mod api;
mod cluster;
mod operators;
mod rates;
mod replay;
mod token;
mod v1;

use std::time::Duration;

pub use api::*;
pub use cluster::*;
pub use operators::*;
pub use rates::*;
pub use replay::*;
pub use token::*;
pub use v1::*;

/// Tags per client and per query.
pub const TAGS_MAX: usize = 128;
/// Bytes of a tag name.
pub const TAG_NAME_BYTES_MAX: usize = 255;
/// Bytes of a tag value.
pub const TAG_VALUE_BYTES_MAX: usize = 255;
/// Clients that one publication excludes: each is a lookup in the index.
pub const EXCEPT_MAX: usize = 100;
/// Bytes of a tag expression as text or JSON. The maximum number of terms and values fits, with
/// names of ordinary length.
pub const EXPRESSION_BYTES_MAX: usize = 16 * 1024;
/// Nesting depth of an expression: open parentheses and NOTs in its text, or operators in JSON.
/// Parsers and evaluators recurse to the same depth.
pub const EXPRESSION_NESTING_MAX: usize = 16;
/// Terms of an expression. Evaluation joins one bitmap per term, each of up to all clients.
pub const EXPRESSION_TERMS_MAX: usize = 64;
/// Values of one `in` of an expression.
pub const EXPRESSION_LIST_MAX: usize = 256;
/// Values of all `in` of an expression together. Each value is one lookup in the index.
pub const EXPRESSION_VALUES_MAX: usize = 1024;
/// Values that the prefixes of one expression may scan by default (`exprScanMax`): the broker looks
/// at them in about 2 ms.
pub const EXPRESSION_SCAN_MAX: u64 = 50_000;

const _: () = assert!(EXPRESSION_LIST_MAX <= EXPRESSION_VALUES_MAX, "one list fits");

/// Steps, of about ten nanoseconds each, that the check of one message against a schema may take.
pub const SCHEMA_STEPS_MAX: u64 = 2_000_000;
/// Bytes of a string or number that one step of such a check covers.
pub const SCHEMA_STEP_BYTES: usize = 16;
/// Worst-case steps of a schema per byte of a message. It guarantees that a message of a thousand
/// bytes can always be checked.
pub const SCHEMA_WEIGHT_MAX: u64 = 2_000;
/// Nesting depth of a message that is checked against a schema. The comparison of values recurses
/// to the same depth.
pub const SCHEMA_DEPTH_MAX: usize = 127;
/// Nesting depth of a schema with its references resolved. A check recurses to the same depth.
pub const SCHEMA_NESTING_MAX: usize = 512;
/// Bytes of a compiled regular expression.
pub const SCHEMA_PATTERN_BYTES_MAX: usize = 64 * 1024;

/// Bytes of an ident. Like a tag value, an ident is a header value and a key of the index.
pub const IDENT_BYTES_MAX: usize = 255;

/// Default limit of a request head in bytes. Cookies of single sign-on can take ten kilobytes, and
/// the limits of Node and of Apache's proxies are similar.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Header lines of a request, without the request line. Apache and hyper have the same limit.
pub const HEAD_LINES_MAX: usize = 100;
/// Bytes of all incomplete request heads in a worker, regardless of the limit of one head. When the
/// share of each handshake falls below the length of a head, the server asks the client to try
/// again later.
pub const HEADS_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes of the first message of clients that are older than the header `Client-Type`. These
/// messages were never longer.
pub const OLD_HEAD_BYTES_MAX: usize = 8 * 1024;
/// Bytes of a header of the PROXY protocol. Addresses take 52; the rest is for details that proxies
/// add, such as the name of a certificate.
pub const PROXY_HEADER_BYTES_MAX: usize = 4 * 1024;

/// Bytes of a value of `websock.ini` after expansion of its `${NAME}`: enough for the longest
/// sensible list.
pub const EXPANDED_BYTES_MAX: usize = 64 * 1024;
/// Bytes that all `${NAME}` of a configuration may add, equal to the limit of the file itself.
pub const EXPANSION_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of the shortest secret that cannot be guessed: at least 64 bits, if it is random.
pub const SECRET_BYTES_MIN: usize = 16;
/// Distinct characters that a secret needs so that it is not a mere pattern.
pub const SECRET_CHARACTERS_MIN: usize = 6;
/// Secrets of an application, the one of the member `secret` included. All of them are compared with
/// what a client shows.
pub const SECRETS_MAX: usize = 8;
/// Entries of a directory that are checked for pages and scripts.
pub const FOLDER_ENTRIES_MAX: usize = 1000;
/// Nesting depth of lists and mappings in `auth.yml`. A valid file needs three.
pub const AUTH_FILE_DEPTH_MAX: usize = 32;
/// Values in `auth.yml`: enough for twenty thousand applications with all their members. A file of
/// 1 MiB could contain half a million values, which take about a hundred bytes each.
pub const AUTH_FILE_NODES_MAX: usize = 300_000;

/// Default limit of a message in bytes: the 5 MiB of phpWebSocketServer.
pub const MESSAGE_BYTES_MAX: usize = 5 * 1024 * 1024;
/// Fragments that a message may always have. One more is allowed per [`BYTES_PER_PIECE`].
pub const PIECES_MIN: usize = 1024;
/// Bytes of a message that allow one more fragment. Tiny fragments cost more than their bytes.
pub const BYTES_PER_PIECE: usize = 64;

/// Bytes that an outbox may hold in addition to the largest message.
pub const OUTBOX_SLACK_BYTES: usize = 1024 * 1024;
/// Time without progress after which a client is slow: its outbox has bytes, but its socket accepts
/// none.
pub const OUTBOX_STALL: Duration = Duration::from_secs(10);
/// Kernel send buffer of a client in bytes. Without this limit the kernel would accept megabytes
/// for a reader that never reads, and the limit of the outbox would not limit memory.
pub const SEND_BUFFER_BYTES: usize = 64 * 1024;
/// Time that sent data may stay unacknowledged by the peer's kernel. It detects a broken network
/// path also for clients that get no pings (php-type clients).
pub const USER_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of the replies to one read that are sent in one call. Longer replies take several calls.
pub const SEND_BYTES_MAX: usize = 256 * 1024;
/// Publications to the same clients are joined up to this many bytes. One send then fits into the
/// kernel send buffer, so that a client that keeps up never has a backlog.
pub const SEND_BYTES: usize = 48 * 1024;
/// Clients per turn that a worker writes a fan-out to. That takes 0.5 to 2 ms, after which
/// publications to single clients, handshakes and publishers are served. [`TURN_PART`] is a limit
/// as well.
pub const FANOUT_SLICE: usize = 256;
/// A send counts as one unit of work, and one more for each of this many bytes of payload. A kernel copies
/// that much in about the time of a system call.
pub const WORK_BYTES: usize = 4096;
/// Work that a tenant gets in each of its turns while other tenants wait: as much as a slice, or a
/// mebibyte.
pub const FANOUT_QUANTUM: i64 = 256;
/// Queues of tenants without publications that a worker keeps.
pub const FANOUT_QUEUES_IDLE: usize = 256;
/// Work that was given to workers and is not done at which a tenant is throttled while others publish. It
/// takes a worker some 50 ms. `fairShareWork` changes it.
pub const FAIR_SHARE_WORK: u64 = 20_000;
/// Bytes that a tenant may have in a window after a throttle, at first. They are taken from the link at once, so
/// that publications of other tenants are not kept on it.
pub const SLOW_START_BYTES: usize = 256 * 1024;
/// Time after its last publication in which a tenant has a right to its share.
pub const FAIR_SHARE_RECENT: Duration = Duration::from_secs(1);
/// Time after which the broker checks its throttles while nothing happens.
pub const FAIR_SHARE_CHECK: Duration = Duration::from_millis(250);
/// Silence of a link after which its backlog may be caused by the server itself. Half of this time
/// is common on a busy machine, and a window takes less time to fill at full speed.
pub const LINK_SILENCE: Duration = Duration::from_millis(250);
/// Longest silence of a link that counts. A process that stalls for longer is detected as hung.
pub const LINK_SILENCE_MAX: Duration = Duration::from_secs(3);
/// Time that a worker waits for one client to empty half an outbox while such a backlog is paced.
/// With default limits a client that reads three megabytes per second is fast enough.
pub const DRAIN_WAIT: Duration = Duration::from_secs(1);
/// Time without progress after which a client is no longer waited for during pacing.
pub const OUTBOX_MOVES: Duration = Duration::from_millis(250);
/// Maximum time that a backlog is paced. A worker normally catches up much earlier.
pub const BACKLOG_MAX: Duration = Duration::from_secs(30);
/// Bytes of publications queued in a worker. Further publications stay on the link.
pub const FANOUT_BYTES_MAX: usize = 1024 * 1024;
/// Queued batches up to which a publication to one client may overtake them. With more batches the
/// search for earlier publications to the same client would take too long, so the publication is
/// queued.
pub const OVERTAKE_BATCHES_MAX: usize = 64;
/// Bytes per read from a socket, into a buffer that all connections of a worker share. A window of a few
/// hundred small messages fits: what is read together passes broker and sockets together.
pub const READ_BYTES: usize = 128 * 1024;
/// Bytes per read from a client whose handshake is not answered, and bytes of it that wait for the answer.
/// No more is read from it then.
pub const EARLY_BYTES_MAX: usize = 64 * 1024;

/// Bytes of a message from which on another thread of the worker reads it. Reading a shorter one takes the
/// event loop at most about 3 ms.
pub const LARGE_MESSAGE_BYTES: usize = 256 * 1024;
/// Large messages that a worker's thread has at the same time: one that it reads, and the next one. All
/// others wait with their connections.
pub const OFFLOADED_MAX: usize = 2;

/// Time that one kind of work may take in a worker's turn: the link, the fan-out, sockets, webhook
/// responses, paced publishers, timers, new connections and so on. At least one unit is always
/// processed. A worker has about ten kinds of work, so a turn takes about 10 ms.
pub const TURN_PART: Duration = Duration::from_millis(1);
/// Time per turn that a broker spends on the messages of its workers.
pub const BROKER_TURN: Duration = Duration::from_millis(5);
/// Time for the removal of clients of dead workers in a broker's turn. It is enough for some thousand
/// clients, so the hundred thousand of one worker are removed within half a second even under load.
pub const BROKER_REMOVALS: Duration = Duration::from_millis(2);
/// Time that a heavy connection is served before it waits behind the others: about two hundred
/// small messages. A webhook batch of 64 publications fits, so that it reaches the broker in one
/// piece.
pub const HEAVY_SHARE: Duration = Duration::from_micros(250);
/// Time that a light connection is served before it waits behind the others: a few dozen small
/// messages. A round of six hundred connections that start to send at the same moment takes about
/// 30 ms.
pub const LIGHT_SHARE: Duration = Duration::from_micros(50);
/// Lead, in bytes of work, from which on a connection is heavy and is served after the light ones.
/// This is about two dozen small messages, each of which counts [`UNIT_WORK`] in addition to its
/// bytes. One byte of work takes about 4 ns.
pub const LIGHT_BURST: u64 = 16 * 1024;
/// Maximum lead of a connection in bytes of work, regardless of how much it has sent. This is the
/// work of two [`HEAVY_SHARE`], so the connection waits for one or two rounds of the others. It
/// must be a multiple of 64.
pub const WORK_AHEAD_MAX: u64 = 128 * 1024;
/// Bytes of lead that are forgotten per millisecond while no connection waits. The maximum lead is
/// forgotten after 0.1 s.
pub const WORK_FORGOTTEN: u64 = 1310;
/// Waiting connections from which on only [`READ_BYTES_MANY_WAITING`] are read from each. Bytes that are
/// read but not processed yet take memory of the worker.
pub const MANY_WAITING: usize = 64;
/// Bytes per read from a socket while that many connections wait.
pub const READ_BYTES_MANY_WAITING: usize = 8 * 1024;
/// Bytes of work between two readings of the clock. One reading costs as much as about 50 bytes of
/// work.
pub const CLOCK_WORK: usize = 4096;
/// Bytes of work that one unit counts in addition to its own bytes. With small messages the clock
/// is read every eight messages.
pub const UNIT_WORK: usize = 512;

/// Written bytes that count as one byte of work: copying them to a socket takes about 1 ns each.
pub const WRITTEN_BYTES_OF_WORK: usize = 4;

/// Control frames (ping, pong, close) that a peer may send per second.
pub const CONTROL_FRAMES_PER_SECOND: u32 = 100;
/// Maximum wait for the Close of the peer.
pub const CLOSE_WAIT: Duration = Duration::from_secs(2);
/// Default interval at which an incomplete message or frame must have grown (`messageTimeout`). It
/// defends against slow-POST attacks.
pub const MESSAGE_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes per second by which it must have grown: a tenth of the slowest mobile network still in
/// use.
pub const MESSAGE_RATE_MIN: u32 = 1024;

/// Pause that ends a message of a raw client if nothing else marks its end. One write over loopback
/// takes less time, and the clients of phpWebSocketServer do not notice the pause.
pub const RAW_PAUSE: Duration = Duration::from_millis(20);

/// Bytes of the token that a publisher chooses for its reports. A UUID has 36.
pub const REPORT_TOKEN_BYTES_MAX: usize = 64;

/// Unacknowledged publications that a worker may have at the broker (rule L4).
pub const WINDOW_PUBLICATIONS: u64 = 4096;
/// Bytes of the unacknowledged publications. One publication is always allowed.
pub const WINDOW_BYTES: usize = 8 * 1024 * 1024;
/// Work, in bytes, that a tenant gets in each of its turns while publishers of other tenants wait for the window
/// too. Each message counts [`UNIT_WORK`] in addition to its bytes.
pub const WINDOW_QUANTUM: i64 = 128 * 1024;
/// Values in an answer about connected clients. A page that needs longer lists must use another
/// way.
pub const ANSWER_VALUES_MAX: usize = 1000;
/// Clients that the broker examines for the values of one answer, which limits its time to a few
/// milliseconds. If few clients have the requested tag, the answer has fewer values.
pub const ANSWER_LOOKS_MAX: usize = 4000;
/// Clients of one page of a list, by default.
pub const LIST_CLIENTS: usize = 100;
/// Clients of one page of a list.
pub const LIST_CLIENTS_MAX: usize = 1000;
/// Bytes of the names and values of one page of a list: a thousand clients with twenty usual tags.
pub const LIST_BYTES_MAX: usize = 1024 * 1024;
/// Tag names or values that the broker searches in one step of a list, before it serves others.
pub const TAG_SCAN_STEP: u32 = 10_000;
/// Bytes of a message on a link: a publication of the largest size with its address, or a set of
/// slots. A larger message closes the link (rule L1).
pub const LINK_MESSAGE_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Default size at which the log file is rotated, in bytes: small enough for an editor, enough for
/// days of a log at level info.
pub const LOG_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes that the client of a stream of events may send after its request. They are ignored: some programs end a
/// request with one more line break.
pub const UNEXPECTED_BYTES_MAX: u32 = 512;
/// Rotated log files that are kept by default.
pub const LOG_FILES_KEPT: usize = 5;

/// Percent of the memory limit at which no more connections are accepted. Envoy starts at 92.
pub const PRESSURE_FULL: u64 = 85;
/// Percent of the memory limit at which the clients that use the most memory are closed.
pub const PRESSURE_SHEDDING: u64 = 92;
/// Percent of the memory limit at which publications are denied.
pub const PRESSURE_BUSY: u64 = 97;
/// Bytes that the connections of a worker receive before it checks its memory and asks the
/// supervisor to check too. Up to this much growth goes unnoticed between two checks.
pub const GROWTH_BYTES: usize = 1024 * 1024;
/// Approximate bytes of a connection in addition to its buffers (`docs/benchmarks.md`).
pub const CONNECTION_BYTES: u64 = 512;
/// Bytes above which a client may be closed because of memory. Smaller clients may be in the middle
/// of a message.
pub const HOLDER_BYTES_MIN: u64 = 1024;
/// Total bytes from which on clients with no more than one send each are closed too. Below that,
/// closing them would not free a relevant amount.
pub const SHED_BYTES_MIN: u64 = 4 * 1024 * 1024;
/// Time without accepting connections after which clients are closed, even if the stage for that is
/// not reached. Otherwise a few clients that use much memory could keep out all new ones.
pub const PRESSURE_FULL_WAIT: Duration = Duration::from_secs(2);
/// Bytes of a memory page, the unit of `/proc`.
pub const PAGE_BYTES: u64 = 4096;
/// Percent of the limit by which memory must fall below the start of a stage before the stage ends.
pub const PRESSURE_EASE: u64 = 3;

/// Log lines per second and worker about rejected handshakes, and as many about failed TLS
/// handshakes. More lines would not be read, and a flood of unknown clients must not fill the disk.
pub const REJECTION_LINES_PER_SECOND: u32 = 100;
/// Concurrent handshakes in one worker. At this number the worker stops accepting.
pub const HANDSHAKES_MAX: usize = 1024;
/// Time per turn for TLS handshakes, so that they delay a delivery by no more than that. At least
/// one handshake is always continued.
pub const TLS_HANDSHAKE_TIME: Duration = Duration::from_micros(500);
/// Descriptors that a worker reserves for links, logs and files.
pub const DESCRIPTORS_RESERVED: u64 = 256;
/// Descriptors that a worker needs in addition to those open when it starts to accept: a link to a
/// new broker while the old link is read to its end, and a file that is read.
pub const DESCRIPTORS_SPARE: u64 = 8;
/// Pause after an accept that failed for lack of resources. Without a pause, accept fails half a
/// million times per second at 99 % CPU.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Interval at which the supervisor counts a tick and sends a liveness probe to each child that
/// answered the last one.
pub const LIVENESS_INTERVAL: Duration = Duration::from_millis(250);
/// Ticks that a probe may stay unanswered before the child counts as hung. This is far longer than
/// a turn of an event loop. A hung child is detected within three seconds, including the tick that
/// sends the probe.
pub const LIVENESS_UNANSWERED_MAX: u32 = 10;
/// The same limit before the first answer of a child. A new process must be loaded and must read a
/// configuration that may have thousands of applications, possibly on a busy machine.
pub const FIRST_LIVENESS_UNANSWERED_MAX: u32 = 60;
/// A longer pause between two ticks means that the supervisor itself was stopped or asleep.
/// Unanswered probes from before the pause do not count.
pub const LIVENESS_GAP: Duration = Duration::from_secs(1);
/// Maximum time between two reads of supervisor commands while sockets keep a worker busy.
pub const ORDERS_WAIT: Duration = Duration::from_millis(100);
/// Time after which the worker of a lost link is killed, unless one of the two processes has exited by
/// then (rule L1).
pub const LINK_LOST_WAIT: Duration = Duration::from_secs(1);
/// Age up to which a scrape of the metrics gets the figures of an earlier one.
pub const METRICS_AGE_MAX: Duration = Duration::from_secs(1);
/// Applications with rows of their own in a table of figures of a process.
pub const APPLICATION_ROWS_MAX: usize = 16_384;
/// Applications with rows of their own in the metrics. Each has nine lines.
pub const APPLICATIONS_SHOWN_MAX: usize = 1_000;
/// Largest outboxes, and last events, that `tagcast top` shows.
pub const TOP_ROWS: usize = 10;
/// Time that a scrape waits for the supervisor, which waits up to a second for its children.
pub const METRICS_WAIT: Duration = Duration::from_secs(3);
/// Time without a link to a broker after which health endpoints report it. A broker that is replaced
/// is back sooner, so its death moves no traffic.
pub const OUTAGE_TOLERATED: Duration = Duration::from_millis(500);
/// Time after a termination signal in which further ones count as the same Ctrl-C, passed on by the
/// program that started the server.
pub const SIGNAL_ECHO: Duration = Duration::from_secs(1);
/// First pause before a crashed child is restarted.
pub const RESTART_PAUSE_MIN: Duration = Duration::from_millis(100);
/// Longest pause before a crashed child is restarted.
pub const RESTART_PAUSE_MAX: Duration = Duration::from_secs(5);
/// Crashes within [`RESTART_WINDOW`] that cause no pause.
pub const RESTARTS_FREE: usize = 5;
/// Time window in which crashes are counted.
pub const RESTART_WINDOW: Duration = Duration::from_secs(60);
/// Time that children keep running after the supervisor is lost.
pub const ORPHAN_WAIT: Duration = Duration::from_secs(2);

/// Time until a hung broker has been replaced by one that has received the clients of its workers.
/// Workers that shut down wait this long if a fifth of the drain time is then left to close their
/// clients.
pub const HUNG_BROKER_REPLACED: Duration = Duration::from_secs(4);

const _: () = assert!(
    LIVENESS_INTERVAL.as_millis() * (LIVENESS_UNANSWERED_MAX as u128 + 1) <= 3000,
    "a hung child is noticed within three seconds"
);
const _: () = assert!(
    LIVENESS_INTERVAL.as_millis() > 10 * TURN_PART.as_millis()
        && LIVENESS_INTERVAL.as_millis() > BROKER_TURN.as_millis() + BROKER_REMOVALS.as_millis(),
    "a question of the supervisor finds many turns"
);
const _: () = assert!(WORK_AHEAD_MAX > LIGHT_BURST, "it can be heavy");
const _: () = assert!(WORK_AHEAD_MAX.is_multiple_of(64), "it is kept in units of 64");
const _: () =
    assert!(LIVENESS_GAP.as_millis() >= 2 * LIVENESS_INTERVAL.as_millis(), "a late tick is no gap");
const _: () =
    assert!(HEADS_BYTES_MAX / HANDSHAKES_MAX >= HEAD_BYTES_MAX, "heads of the default all fit");
const _: () = assert!(SLOW_START_BYTES <= FANOUT_BYTES_MAX / 4, "several workers may start slowly");
const _: () = assert!(LINK_MESSAGE_BYTES_MAX > 2 * WINDOW_BYTES, "a window fits a message");
const _: () =
    assert!(LARGE_MESSAGE_BYTES > READ_BYTES, "a large message was gathered from several reads");
const _: () = assert!(SEND_BYTES < SEND_BUFFER_BYTES, "one send fits the kernel's buffer");
const _: () = assert!(OUTBOX_SLACK_BYTES > READ_BYTES, "one read cannot overflow an outbox");

/// Events of one HTTP resource that a worker holds, sent and queued.
pub const WEBHOOK_EVENTS_MAX: usize = 4096;
/// Bytes of those events. One event of any size is always allowed.
pub const WEBHOOK_EVENTS_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Concurrent handshakes of one address (for IPv6 of a /64) for which a worker calls one backend: a
/// sixteenth of its queue, so that no address can keep others out. Clients behind an untrusted
/// proxy share one address and may reconnect together.
pub const OPENINGS_PENDING_MAX: usize = 256;

const _: () =
    assert!(OPENINGS_PENDING_MAX * 16 <= WEBHOOK_EVENTS_MAX, "one address leaves room for others");
