//! Limits of `tagcast.v1`.

use std::time::Duration;

/// Maximum bytes of `hello`.
pub const V1_HELLO_BYTES_MAX: usize = 16 * 1024;
/// Maximum bytes of the name of an event.
pub const V1_EVENT_BYTES_MAX: usize = 64;
/// Maximum levels of lists and objects in data.
pub const V1_DATA_NESTING_MAX: usize = 127;
/// Maximum items of `except`.
pub const V1_EXCEPT_MAX: usize = 16;
/// How long a resume token is valid. A client that is away for so long has ended in any case; the token then gives it
/// its UUID back.
pub const RESUME_TOKEN_AGE: Duration = Duration::from_secs(86_400);
/// Maximum characters of a resume token. A longer one is not read.
pub const RESUME_TOKEN_BYTES_MAX: usize = 200;
/// How long a client may be away by default.
pub const RESUME_FOR: Duration = Duration::from_secs(60);
/// The longest time that a client may be away.
pub const RESUME_FOR_MAX: Duration = Duration::from_secs(600);
/// Publications that are kept for a client that is away, by default.
pub const MAILBOX: u16 = 100;
/// The most that an application may set.
pub const MAILBOX_MAX: u16 = 1000;
/// Maximum bytes of the publications in a mailbox.
pub const MAILBOX_BYTES_MAX: usize = 256 * 1024;
/// Numbers of requests below the latest one of an instance that are recognised when they are repeated.
pub const REQUEST_IDS_BELOW: u64 = 255;
/// Memory for all clients that are away, by default.
pub const AWAY_MEMORY: usize = 64 * 1024 * 1024;
/// Time for a client to send anything, once another connection shows its token.
pub const PROBE_WAIT: Duration = Duration::from_secs(2);
/// Memory of the latest publications of a space by default, without the memory around them, in bytes.
pub const HISTORY_BYTES: usize = 2 * 1024 * 1024;
/// The most publications that an application may have stored.
pub const HISTORY_MAX: usize = 100_000;
/// How long publications are stored by default.
pub const HISTORY_AGE: Duration = Duration::from_secs(120);
/// The longest time for which an application may have publications stored.
pub const HISTORY_AGE_MAX: Duration = Duration::from_secs(86_400);
/// Memory for the stored publications of all spaces, by default.
pub const HISTORY_MEMORY: usize = 256 * 1024 * 1024;
/// Stored publications that are examined for returning clients in one turn of the broker.
pub const REPLAY_ENTRIES: usize = 2000;
/// Bytes that may wait for the link of a worker when a client of it begins to get what it has missed.
pub const REPLAY_LINK_BYTES: usize = 256 * 1024;
/// Maximum bytes of the name of a topic.
pub const TOPIC_BYTES_MAX: usize = 200;
/// The most topics of a client that `maxTopics` may allow. Each change of tags or topics reads all of them.
pub const TOPICS_MAX: usize = 500;
/// Maximum topics of a client by default.
pub const TOPICS: usize = 100;
/// Changes of the tags of a client that are stored for the publications before them.
pub const TAG_CHANGES_STORED: usize = 64;
/// How often workers get the latest position of each space with new publications.
pub const JOURNAL_TICK: Duration = Duration::from_secs(1);
/// Watches of one client.
pub const WATCHES_MAX: usize = 16;
/// Different queries that are watched in one space. Each is compared with the tags of a client that changes.
pub const WATCHED_QUERIES_MAX: usize = 1000;
/// Time over which changes of a list of members are collected.
pub const PRESENCE_COLLECTED: Duration = Duration::from_millis(500);
/// The least time between two counts that a watcher gets.
pub const PRESENCE_COUNT_EVERY: Duration = Duration::from_secs(1);
/// Members of a list by default. Of more there is only the number.
pub const PRESENCE_MEMBERS: u32 = 200;
/// The most members of a list that an application may set.
pub const PRESENCE_MEMBERS_MAX: u32 = 1000;
/// How long a client stays a member after it has gone away, by default.
pub const PRESENCE_LINGER: Duration = Duration::from_secs(5);
/// The longest time that an application may set.
pub const PRESENCE_LINGER_MAX: Duration = Duration::from_secs(600);
/// Names and beginnings of names of tags that an application shows.
pub const PRESENCE_TAGS_MAX: usize = 64;
/// Bytes that may wait for the link of a worker when the watchers of a query get news.
pub const PRESENCE_LINK_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of news that may wait in a worker. With more, it reads no more from its link.
pub const PRESENCE_WAITING_BYTES: usize = 8 * 1024 * 1024;
