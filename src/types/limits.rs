//! Every number of the server: its unit, its reason, and how it relates to its neighbours.

use std::time::Duration;

/// Tags of one client, and of one query.
pub const TAGS_MAX: usize = 128;
/// Bytes of a tag's name.
pub const TAG_NAME_BYTES_MAX: usize = 255;
/// Bytes of a tag's value.
pub const TAG_VALUE_BYTES_MAX: usize = 255;
/// Steps, of some ten nanoseconds each, that a check of one message against a schema may take.
pub const SCHEMA_STEPS_MAX: u64 = 2_000_000;
/// Bytes of a text or a number that one step of such a check pays for.
pub const SCHEMA_STEP_BYTES: usize = 16;
/// Steps for each byte of a message that a schema may take at the worst: a message of a thousand bytes
/// can always be checked.
pub const SCHEMA_WEIGHT_MAX: u64 = 2_000;
/// How deep a message may be nested that is held against a schema: a comparison of its values calls
/// itself as deep.
pub const SCHEMA_DEPTH_MAX: usize = 127;
/// How deep the parts of a schema may lie in each other, references followed: a check calls itself as
/// deep.
pub const SCHEMA_NESTING_MAX: usize = 512;
/// Bytes of a compiled regular expression.
pub const SCHEMA_PATTERN_BYTES_MAX: usize = 64 * 1024;

/// Bytes of an ident: it is a header value and a key of the index, as a tag's value is.
pub const IDENT_BYTES_MAX: usize = 255;

/// Bytes of a request head by default: cookies of single sign-on take ten kilobytes, and Node and
/// Apache's proxies take as much.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Lines of a request head, the request line not counted: what Apache takes, and hyper.
pub const HEAD_LINES_MAX: usize = 100;
/// Bytes of all heads that are under way in a worker, whatever one head may have: where there are so many
/// handshakes that their share is less, longer heads are told to come later.
pub const HEADS_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes of the first words of clients that are older than `Client-Type`: they were never longer.
pub const OLD_HEAD_BYTES_MAX: usize = 8 * 1024;

/// Bytes of a value of `websock.ini` after its `${NAME}` were replaced: the longest list that makes sense.
pub const EXPANDED_BYTES_MAX: usize = 64 * 1024;
/// Bytes that all `${NAME}` of a configuration bring: as many as the file itself may have.
pub const EXPANSION_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of the shortest secret that is not guessed: at least 64 bits, if it is random.
pub const SECRET_BYTES_MIN: usize = 16;
/// Different characters of a secret that is not a pattern.
pub const SECRET_CHARACTERS_MIN: usize = 6;
/// Entries of a folder that are looked at for pages and scripts.
pub const FOLDER_ENTRIES_MAX: usize = 1000;
/// Levels of lists and mappings in `auth.yml`, which needs three.
pub const AUTH_FILE_DEPTH_MAX: usize = 32;
/// Values in `auth.yml`: twenty thousand applications with all of their members. A file of 1 MiB can
/// hold half a million, of some hundred bytes each.
pub const AUTH_FILE_NODES_MAX: usize = 300_000;

/// The largest message by default: phpWebSocketServer's 5 MiB.
pub const MESSAGE_BYTES_MAX: usize = 5 * 1024 * 1024;
/// Pieces that a message may always have; one more is allowed for each [`BYTES_PER_PIECE`].
pub const PIECES_MIN: usize = 1024;
/// Bytes that earn a message one more piece: tiny fragments cost more than their bytes.
pub const BYTES_PER_PIECE: usize = 64;

/// What an outbox may hold beyond the largest message.
pub const OUTBOX_SLACK_BYTES: usize = 1024 * 1024;
/// How long a socket may take no byte while its outbox holds some.
pub const OUTBOX_STALL: Duration = Duration::from_secs(10);
/// The kernel's send buffer of a client: without it the kernel swallows megabytes for a reader
/// that never reads, and the bound on the outbox is no bound on memory.
pub const SEND_BUFFER_BYTES: usize = 64 * 1024;
/// How long data may go unacknowledged by the peer's kernel: a pulled cable is noticed after this
/// also where no pings go (php-type clients).
pub const USER_TIMEOUT: Duration = Duration::from_secs(30);
/// Replies to one read that leave in one send; what is more leaves in several.
pub const SEND_BYTES_MAX: usize = 256 * 1024;
/// Publications for the same clients are joined up to this size: what leaves in one send fits into
/// the kernel's send buffer, so that a reader that keeps up never has a backlog.
pub const SEND_BYTES: usize = 48 * 1024;
/// Clients that one turn of a worker writes a fan-out to: half a millisecond to two, after which
/// publications to one client, openings and publishers have their turn. [`TURN_PART`] bounds it too.
pub const FANOUT_SLICE: usize = 256;
/// A link that was silent for so long may have a backlog of the server's own making: half of it would
/// be nothing unusual on a busy machine, and a window fills in less at full speed.
pub const LINK_SILENCE: Duration = Duration::from_millis(250);
/// Nothing of the server stands still for longer than that: it is found hanging.
pub const LINK_SILENCE_MAX: Duration = Duration::from_secs(3);
/// How long a worker waits for one client that empties half an outbox while such a backlog is paced:
/// three megabytes a second keep up, by default.
pub const DRAIN_WAIT: Duration = Duration::from_secs(1);
/// A client whose socket takes nothing for this long does not empty its outbox.
pub const OUTBOX_MOVES: Duration = Duration::from_millis(250);
/// The longest that a backlog is paced. A worker that catches up is done long before.
pub const BACKLOG_MAX: Duration = Duration::from_secs(30);
/// Bytes of publications that wait in a worker; what is more stays on the link.
pub const FANOUT_BYTES_MAX: usize = 1024 * 1024;
/// With more batches waiting than this, a publication to one client is not looked for in all of
/// them, and waits in line.
pub const OVERTAKE_BATCHES_MAX: usize = 64;
/// One read from one socket, into a buffer that all connections of a worker share.
pub const READ_BYTES: usize = 64 * 1024;

/// What one kind of work may take of a worker's turn (the link, the fan-out, sockets, answers of
/// backends, paused publishers, timers, newcomers …), one unit of it at least. A worker has some ten
/// kinds, so that its turn ends after some ten milliseconds.
pub const TURN_PART: Duration = Duration::from_millis(1);
/// What a broker's turn gives to the messages of its workers.
pub const BROKER_TURN: Duration = Duration::from_millis(5);
/// What one connection may take before it waits behind the others: some two hundred small messages. A
/// backend's batch of 64 publications fits, so that it reaches the broker whole.
pub const HEAVY_SHARE: Duration = Duration::from_micros(250);
/// The same for a connection that has taken little so far: a burst of some dozens. Six hundred that
/// begin to send at the same moment are through this once in some 30 ms.
pub const LIGHT_SHARE: Duration = Duration::from_micros(50);
/// Bytes of work that a connection may be ahead of the others before it is served after those that are
/// not: some two dozen small messages, each of which counts for [`UNIT_WORK`] more than it has. A byte of
/// work costs some four nanoseconds.
pub const LIGHT_BURST: u64 = 16 * 1024;
/// Bytes of work that a connection is ahead of the others at most, whatever it has sent: what is done in
/// twice its [`HEAVY_SHARE`], so that it waits for one or two rounds of the others. A multiple of 64.
pub const WORK_AHEAD_MAX: u64 = 128 * 1024;
/// Bytes of work that are forgotten in each millisecond in which no connection waits: all of it in a tenth of a
/// second.
pub const WORK_FORGOTTEN: u64 = 1310;
/// Connections that wait to be served from which on only [`CROWDED_READ_BYTES`] are read of each: what
/// is read and not served yet is memory of the worker.
pub const CROWD: usize = 64;
/// One read from one socket while a crowd waits.
pub const CROWDED_READ_BYTES: usize = 8 * 1024;
/// Bytes of work after which a loop looks at its clock: a look costs as much as some 50 bytes.
pub const CLOCK_WORK: usize = 4096;
/// What one unit of work counts for in addition to its bytes: eight small messages are a look at the clock.
pub const UNIT_WORK: usize = 512;

/// Control frames (ping, pong, close) that a peer may send in one second.
pub const CONTROL_FRAMES_PER_SECOND: u32 = 100;
/// How long the server waits for the other side's Close.
pub const CLOSE_WAIT: Duration = Duration::from_secs(2);
/// How often an unfinished message or frame is looked at by default (`messageTimeout`): it has to
/// have grown since (slow POST defence).
pub const MESSAGE_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes by which it has to grow for each second of that: a tenth of the slowest mobile network that
/// is still in use.
pub const MESSAGE_RATE_MIN: u32 = 1024;

/// The pause that ends a message of a raw client which nothing else ends: longer than one write takes
/// over loopback, and what phpWebSocketServer's clients do not notice.
pub const RAW_PAUSE: Duration = Duration::from_millis(20);

/// Bytes of the token that a publisher chooses for its reports: a UUID has 36.
pub const REPORT_TOKEN_BYTES_MAX: usize = 64;

/// Publications that a worker holds until the broker has acknowledged them (rule L4).
pub const WINDOW_PUBLICATIONS: u64 = 4096;
/// Bytes of them; one publication is always admitted.
pub const WINDOW_BYTES: usize = 8 * 1024 * 1024;
/// Values in an answer about who is connected: a page that lists more needs another way.
pub const ANSWER_VALUES_MAX: usize = 1000;
/// Clients that are looked at for the values of an answer: where few carry the tag that is asked for, the
/// answer has fewer values, and the broker spends no more than some milliseconds.
pub const ANSWER_LOOKS_MAX: usize = 4000;
/// The largest message on a link: a publication of the largest size with its address, or a set of
/// slots. What is larger ends the link (rule L1).
pub const LINK_MESSAGE_BYTES_MAX: usize = 256 * 1024 * 1024;

/// A log file of this size is put aside: small enough for an editor, days of an info log.
pub const LOG_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Old log files that are kept.
pub const LOG_FILES_KEPT: usize = 5;

/// Percent of the memory limit from which on no connection is accepted (Envoy begins at 92).
pub const PRESSURE_FULL: u64 = 85;
/// From which on the clients that hold the most are closed.
pub const PRESSURE_SHEDDING: u64 = 92;
/// From which on publications are denied.
pub const PRESSURE_BUSY: u64 = 97;
/// Bytes that the connections of a worker take in before it looks at its memory and asks the
/// supervisor to look too: what can be missed between two looks.
pub const GROWTH_BYTES: usize = 1024 * 1024;
/// What a connection takes in addition to what it holds, roughly (`docs/benchmarks.md`).
pub const CONNECTION_BYTES: u64 = 512;
/// A connection that holds less is not closed for memory: it is a client in the middle of something.
pub const HOLDER_BYTES_MIN: u64 = 1024;
/// What all those have to hold together before clients are closed that hold no more than one send:
/// closing them would free nothing that matters.
pub const SHED_BYTES_MIN: u64 = 4 * 1024 * 1024;
/// How long no connection may be accepted before clients are closed although the stage for that is not
/// reached: else some who hold much would keep all others out.
pub const PRESSURE_FULL_WAIT: Duration = Duration::from_secs(2);
/// Bytes of a page of memory, as `/proc` counts.
pub const PAGE_BYTES: u64 = 4096;
/// How far below its beginning a stage ends, in percent of the ceiling.
pub const PRESSURE_EASE: u64 = 3;

/// Lines of the log in one second and worker about openings that are refused, and as many about TLS
/// handshakes that fail: a person reads no more, and a flood of strangers fills no disk.
pub const STRANGERS_LINES_PER_SECOND: u32 = 100;
/// Handshakes in flight in one worker; past it the worker does not accept.
pub const HANDSHAKES_MAX: usize = 1024;
/// What a turn gives to TLS handshakes, at least one: a delivery waits for them no longer than
/// that.
pub const SHAKING_TIME: Duration = Duration::from_micros(500);
/// Descriptors that a worker keeps free for itself (links, logs, files).
pub const DESCRIPTORS_RESERVED: u64 = 256;
/// Descriptors beyond those that a worker has when it begins to accept: a link to a new broker while
/// the old one is read to its end, a file that is looked into.
pub const DESCRIPTORS_SPARE: u64 = 8;
/// Pause after an accept that failed for want of a resource: without it, half a million failures a
/// second at 99 % CPU.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How often the supervisor counts, and asks each child that answered whether it still turns.
pub const BEAT_EVERY: Duration = Duration::from_millis(250);
/// Ticks that a question to a child may stay open: it hangs then. Far longer than any turn of its
/// loop, and together with the tick that asks within the three seconds in which a hung child is to
/// be noticed.
pub const BEATS_UNANSWERED_MAX: u32 = 10;
/// The same for a child that has not said anything yet: a process is loaded, and reads a
/// configuration that may hold thousands of applications, on a machine that may be busy.
pub const FIRST_BEATS_UNANSWERED_MAX: u32 = 60;
/// Between two ticks lies more than this when the supervisor itself was stopped or asleep; what
/// children left unanswered before is forgotten then.
pub const BEAT_GAP: Duration = Duration::from_secs(1);
/// A worker hears its supervisor at least this often while its sockets keep it busy.
pub const ORDERS_WAIT: Duration = Duration::from_millis(100);
/// How long a child may stay without reaping after its link was lost (rule L1).
pub const LINK_LOST_WAIT: Duration = Duration::from_secs(1);
/// Signals to end that come within this time after one are the same Ctrl-C, passed on by whatever
/// started the server.
pub const SIGNAL_ECHO: Duration = Duration::from_secs(1);
/// First pause before a dead child is replaced a second time in a row.
pub const RESTART_PAUSE_MIN: Duration = Duration::from_millis(100);
/// Longest pause before a dead child is replaced.
pub const RESTART_PAUSE_MAX: Duration = Duration::from_secs(5);
/// Deaths within [`RESTART_WINDOW`] before pauses begin.
pub const RESTARTS_FREE: usize = 5;
/// The time in which deaths are counted.
pub const RESTART_WINDOW: Duration = Duration::from_secs(60);
/// How long children live on when the supervisor is gone.
pub const ORPHAN_WAIT: Duration = Duration::from_secs(2);

/// After so long a broker that hung has a successor, which has heard what its workers hold. Workers that
/// end wait so long for it if that leaves a fifth of their time to close their clients.
pub const HUNG_BROKER_REPLACED: Duration = Duration::from_secs(4);

const _: () = assert!(
    BEAT_EVERY.as_millis() * (BEATS_UNANSWERED_MAX as u128 + 1) <= 3000,
    "a hung child is noticed within three seconds"
);
const _: () = assert!(
    BEAT_EVERY.as_millis() > 10 * TURN_PART.as_millis()
        && BEAT_EVERY.as_millis() > BROKER_TURN.as_millis(),
    "a question of the supervisor finds many turns"
);
const _: () = assert!(WORK_AHEAD_MAX > LIGHT_BURST, "it can be heavy");
const _: () = assert!(WORK_AHEAD_MAX.is_multiple_of(64), "it is kept in units of 64");
const _: () = assert!(BEAT_GAP.as_millis() >= 2 * BEAT_EVERY.as_millis(), "a late tick is no gap");
const _: () =
    assert!(HEADS_BYTES_MAX / HANDSHAKES_MAX >= HEAD_BYTES_MAX, "heads of the default all fit");
const _: () = assert!(LINK_MESSAGE_BYTES_MAX > 2 * WINDOW_BYTES, "a window fits a message");
const _: () = assert!(SEND_BYTES < SEND_BUFFER_BYTES, "one send fits the kernel's buffer");
const _: () = assert!(OUTBOX_SLACK_BYTES > READ_BYTES, "one read cannot overflow an outbox");

/// Events of one HTTP resource that a worker holds: with its backend, and waiting.
pub const WEBHOOK_EVENTS_MAX: usize = 4096;
/// The same in bytes; one event is held however large it is.
pub const WEBHOOK_EVENTS_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Openings of one address (with IPv6 of a /64) that a worker asks one backend about at the same time:
/// a sixteenth of its queue, so that no address keeps others out. Many clients of an untrusted proxy
/// have one address, and come back together.
pub const OPENINGS_ASKED_MAX: usize = 256;

const _: () =
    assert!(OPENINGS_ASKED_MAX * 16 <= WEBHOOK_EVENTS_MAX, "one address leaves room for others");
