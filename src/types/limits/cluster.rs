//! Limits of the lanes between hosts.

use std::time::Duration;

/// Hosts that one host remembers in the life of its bridge, those that are gone included. A cluster has at most
/// a hundred.
pub const CLUSTER_HOSTS_MAX: usize = 256;
/// Bytes of the name of a host, and of its version.
pub const HOST_NAME_BYTES_MAX: usize = 64;
/// Runs of one host that were replaced and are never accepted again.
pub const CLUSTER_FORMER_RUNS_MAX: usize = 8;
/// Hosts that may be asked at once to prove that they live.
pub const CLUSTER_CANDIDATES_MAX: usize = 64;
/// Characters of the name of a cluster: it is a part of each subject.
pub const CLUSTER_NAME_BYTES_MAX: usize = 32;
/// Bytes of a sealed body, so that a message fits a NATS server with `max_payload: 64KB`.
pub const CLUSTER_BODY_BYTES_MAX: usize = 60 * 1024;
/// Bytes of an item, or of one part of a larger item. The rest of a body is for fences.
pub const CLUSTER_PART_BYTES_MAX: usize = 52 * 1024;
/// Bytes of an item: more than the largest message that a client may send.
pub const CLUSTER_ITEM_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes that are kept to be sent again, by default.
pub const CLUSTER_REPLAY_BYTES: usize = 64 * 1024 * 1024;
/// How long items are kept to be sent again, by default. A host that was silent for longer is forgotten.
pub const CLUSTER_REPLAY_TIME: Duration = Duration::from_secs(60);
/// Bytes that were sent and that the NATS server has not confirmed.
pub const CLUSTER_UNCONFIRMED_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes of items that wait for earlier items of the same host.
pub const CLUSTER_HELD_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The same for all hosts together.
pub const CLUSTER_HELD_TOTAL_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes of one answer to a request for items.
pub const CLUSTER_REPAIR_BYTES_MAX: usize = 1024 * 1024;
/// Bytes a second that are sent again even if nothing else is sent.
pub const CLUSTER_REPAIR_RATE: u64 = 16 * 1024 * 1024;
/// Of what a host sends, at most one part in this many is sent again on request.
pub const CLUSTER_REPAIR_PART: u64 = 4;
/// The shortest wait before missing items are requested. Most were only overtaken.
pub const CLUSTER_REPAIR_WAIT: Duration = Duration::from_millis(30);
/// The longest such wait. Hosts choose at random, so that they do not all request at once.
pub const CLUSTER_REPAIR_WAIT_MAX: Duration = Duration::from_millis(80);
/// How long an answer may take before the request is repeated.
pub const CLUSTER_REPAIR_RETRY: Duration = Duration::from_millis(300);
/// A pause in an answer after which the rest is requested.
pub const CLUSTER_REPAIR_PAUSE: Duration = Duration::from_millis(20);
/// Small messages of one kind that arrive at a host in a second, from all hosts together.
pub const CLUSTER_SMALL_BATCHES: u32 = 20_000;
/// Small messages that a host may send in a lane in a second, however many hosts there are.
pub const CLUSTER_SMALL_BATCHES_MIN: u32 = 200;
/// Interval of heartbeats.
pub const CLUSTER_HEARTBEAT: Duration = Duration::from_millis(250);
/// The next heartbeat follows this long after the last item of a burst: it shows what was lost at the end.
pub const CLUSTER_HEARTBEAT_AFTER_BURST: Duration = Duration::from_millis(20);
/// Own heartbeats without one of another host before that host is silent: one second.
pub const CLUSTER_SILENT_BEATS: u64 = 4;
/// Own heartbeats without one of another host before that host is gone: three seconds.
pub const CLUSTER_GONE_BEATS: u64 = 12;
/// How long items of a silent host wait for earlier ones.
pub const CLUSTER_HELD_TIME: Duration = Duration::from_secs(10);
/// How long an echo is awaited before the next is sent.
pub const CLUSTER_ECHO_EVERY: Duration = Duration::from_millis(5);
/// Echoes that are awaited at once.
pub const CLUSTER_ECHOES_MAX: usize = 64;
/// How long publishers wait for another host: without an echo for this long, the replay buffer is enough.
pub const CLUSTER_ECHO_WAIT: Duration = Duration::from_secs(1);
/// How long a host waits after a reconnect for another host before it sends again what was not confirmed.
pub const CLUSTER_RESUME_WAIT: Duration = Duration::from_millis(500);
/// Epochs whose ends a hello reports.
pub const CLUSTER_EPOCHS: usize = 8;
/// Control messages that wait for the carrier.
pub const CLUSTER_CONTROL_MAX: usize = 1024;
/// Keys of epochs of other hosts that are kept. Deriving one takes a microsecond.
pub const CLUSTER_KEYS_MAX: usize = 256;
/// Ranges that other hosts have requested and that are not sent yet.
pub const CLUSTER_REPAIRS_MAX: usize = 512;
/// Questions to other hosts that are open, and questions of other hosts that the broker has not answered, each.
pub const CLUSTER_QUERIES_MAX: usize = 1024;
/// Publications of a host whose reports of other hosts are awaited, and publications of other hosts whose reports are
/// not complete, each.
pub const CLUSTER_REPORTS_MAX: usize = 512;
/// Questions, answers and parts of answers that wait to be sent.
pub const CLUSTER_QUERIES_WAITING_MAX: usize = 32 * 1024;
/// Bytes of the answer of one host to a question: a page of a list, and what surrounds its names and values.
pub const CLUSTER_ANSWER_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Bytes of answers that a bridge keeps: those of other hosts until all have come, and its own until they are sent.
pub const CLUSTER_ANSWERS_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Pings to other hosts that are open, and pings of other hosts that are answered in one turn.
pub const CLUSTER_PINGS_MAX: usize = 256;
/// How long another host may take to answer a ping. A lane that works takes milliseconds.
pub const CLUSTER_PING_WAIT: Duration = Duration::from_secs(1);
/// A setting that differs between hosts for longer is a warning: a reload of all hosts is over by then.
pub const CLUSTER_DIFFERENCE_WARN: Duration = Duration::from_secs(300);
/// Difference of the clocks of two hosts above which it is a warning.
pub const CLUSTER_CLOCK_WARN: Duration = Duration::from_secs(2);
/// Interval in which the broker tells the bridge how many clients it has, if that has changed.
pub const CLUSTER_CLIENTS_EVERY: Duration = Duration::from_millis(250);
/// Addresses in a heartbeat: those of which its host has the most connections.
pub const CLUSTER_ADDRESSES_TOLD_MAX: usize = 256;
/// Addresses of other hosts that count against a limit over all hosts: those with the most connections.
pub const CLUSTER_ADDRESSES_MAX: usize = 4096;
/// Bytes of revocations in a question or an answer to one. The last of them may exceed it.
pub const CLUSTER_REVOCATIONS_BYTES: usize = 32 * 1024;
/// Records of requests in one item.
pub const CLUSTER_RECORDS_MAX: usize = 1000;
/// How long a question to other hosts waits for their answers, by default.
pub const CLUSTER_QUERY_TIMEOUT: Duration = Duration::from_millis(300);
/// How much longer the API process waits for its own bridge, which may hang.
pub const CLUSTER_QUERY_GRACE: Duration = Duration::from_millis(150);
/// Time between two questions to the host of a publication whose answer it has not completed.
pub const CLUSTER_USED_ID_PAUSE: Duration = Duration::from_millis(20);
/// Watched queries that a host names to others, and that it takes of one other host. Each is evaluated by every host.
pub const CLUSTER_WATCHES_MAX: usize = 4096;
/// Bytes of these queries, about: all of them are one item when a host joins.
pub const CLUSTER_WATCHES_BYTES: usize = 1024 * 1024;
/// Bytes of members in one item, about, so that a long list delays no publication for long.
pub const CLUSTER_PRESENCE_ITEM_BYTES: usize = 32 * 1024;
/// Memory of the members of other hosts that match watched queries, about.
pub const CLUSTER_PRESENCE_BYTES: usize = 64 * 1024 * 1024;

/// NATS servers that the configuration may name. Others of their cluster are found through them.
pub const NATS_SERVERS_MAX: usize = 16;
/// Messages from NATS that wait for the bridge, for each of its two connections. What comes above is dropped, and
/// other hosts send it again.
pub const CARRIER_IN_MAX: usize = 512;
/// Messages for NATS that wait in the carrier. The rest waits in the replay buffer.
pub const CARRIER_OUT_MAX: usize = 64;
/// Bytes of a file with credentials for NATS that are read.
pub const NATS_CREDENTIALS_BYTES_MAX: u64 = 64 * 1024;
/// How long connecting to a NATS server may take, its subscriptions included.
pub const NATS_CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Pause before the second attempt to connect to NATS. Each later pause is twice as long.
pub const NATS_RETRY_PAUSE_MIN: Duration = Duration::from_millis(50);
/// The longest pause between two attempts: a NATS server that has returned is used within this time.
pub const NATS_RETRY_PAUSE_MAX: Duration = Duration::from_secs(1);
/// Interval of pings on connections to NATS. A connection that answers two of them late is given up.
pub const NATS_PING: Duration = Duration::from_secs(5);
/// How long the broker waits for a bridge that does not say that publications are carried, before it acknowledges
/// them without. A bridge says so after [`CLUSTER_ECHO_WAIT`] at the latest.
pub const BRIDGE_WAIT: Duration = Duration::from_secs(2);
/// The same while there is no bridge. One that has died is replaced within a tenth of this.
pub const BRIDGE_ABSENT_WAIT: Duration = Duration::from_secs(1);
/// Bytes of publications that the broker keeps for a bridge for which it no longer waits.
pub const BRIDGE_KEPT_BYTES: usize = 8 * 1024 * 1024;
/// Bytes of forwards that wait in the link to the bridge. More are handed over when it has taken them.
pub const BRIDGE_LINK_BYTES: usize = 1024 * 1024;
/// How long a bridge that ends waits until everything is with the NATS server.
pub const BRIDGE_END_WAIT: Duration = Duration::from_secs(1);

const _: () =
    assert!(BRIDGE_WAIT.as_millis() > CLUSTER_ECHO_WAIT.as_millis(), "a bridge says it first");
const _: () = assert!(
    CLUSTER_HOSTS_MAX * (4 + 10) + CLUSTER_PART_BYTES_MAX + 64 < CLUSTER_BODY_BYTES_MAX,
    "a part and its fence fit a body"
);
const _: () = assert!(CLUSTER_GONE_BEATS > CLUSTER_SILENT_BEATS, "silent comes before gone");
const _: () = assert!(
    CLUSTER_REPLAY_TIME.as_secs() > CLUSTER_HELD_TIME.as_secs(),
    "items of a silent host are passed on before it is forgotten"
);
const _: () = assert!(
    CLUSTER_EPOCHS * CLUSTER_HOSTS_MAX * (4 + 10) < CLUSTER_PART_BYTES_MAX,
    "a hello is one item"
);
/// Names in the directory of all hosts. One that two hosts have counts twice.
pub const CLUSTER_DIRECTORY_NAMES: usize = 1_000_000;
/// Memory of the directory of all hosts in bytes, about.
pub const CLUSTER_DIRECTORY_BYTES: usize = 256 * 1024 * 1024;
/// Bytes of names in one item, about: some hundred names.
pub const CLUSTER_DIRECTORY_ITEM_BYTES: usize = 32 * 1024;
/// How long a host that was asked for its names may send none, before the next one is asked.
pub const CLUSTER_DIRECTORY_WAIT: Duration = Duration::from_secs(1);
/// After a gap, a host is asked for its names after this time. Gaps are often several.
pub const CLUSTER_DIRECTORY_PAUSE: Duration = Duration::from_millis(100);
/// Bytes of names that the broker keeps while there is no bridge, before publications no longer wait for it.
pub const CLUSTER_DIRECTORY_KEPT_BYTES: usize = 4 * 1024 * 1024;
/// Publications to a client of another host that a bridge remembers for the next broker: those of the windows of four
/// workers.
pub const CLUSTER_SENT_TO_ONE_MAX: usize = 16 * 1024;
/// Clients that wait at once for their records of other hosts. Further ones begin again.
pub const MOVES_ASKED_MAX: usize = 1024;
/// Requests of other hosts for records that wait at once. Further ones are not answered.
pub const MOVES_REQUESTED_MAX: usize = 4096;
/// Hosts that are asked one after the other for the record of one client. A client that moves more often begins again.
pub const MOVES_HOSTS_MAX: u8 = 3;
/// Bytes of the stored publications that go to another host with a record. A client that has missed more learns that.
pub const MOVE_PUBLICATIONS_BYTES: usize = 1024 * 1024;
/// Bytes of records on their way to other hosts. The next ones are handed over when the NATS server has taken these.
pub const MOVES_SENT_BYTES: usize = 8 * 1024 * 1024;
/// Bytes of stored publications of clients that have come from other hosts and wait for the lanes. A client whose
/// publications exceed it learns that it has missed some.
pub const MOVES_WAITING_BYTES: usize = 64 * 1024 * 1024;
/// Clients that have moved to other hosts and are remembered, so that what is published to them follows.
pub const MOVED_CLIENTS_MAX: usize = 100_000;
/// How long they are remembered. All hosts know of them from the directory within milliseconds.
pub const MOVED_CLIENTS_TIME: Duration = Duration::from_secs(600);
