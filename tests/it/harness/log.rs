//! Collects the lines that a server writes while it runs.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use super::wait::DEADLINE;

/// The lines so far, and the number of open streams.
#[derive(Debug, Default)]
struct Lines {
    all: Vec<String>,
    open_streams: usize,
}

/// The lines that a process has written to standard output and standard error.
#[derive(Clone, Debug, Default)]
pub struct Log(Arc<(Mutex<Lines>, Condvar)>);

impl Log {
    /// Collects another stream, in a thread that exits at the end of the stream.
    pub fn collect(&self, stream: impl Read + Send + 'static) {
        self.0.0.lock().unwrap().open_streams += 1;
        let log = self.clone();
        std::thread::spawn(move || {
            let mut reader = BufReader::new(stream);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                log.0.0.lock().unwrap().all.push(text);
                log.0.1.notify_all();
                line.clear();
            }
            log.0.0.lock().unwrap().open_streams -= 1;
            log.0.1.notify_all();
        });
    }

    /// Returns all lines so far.
    pub fn text(&self) -> String {
        self.0.0.lock().unwrap().all.join("\n")
    }

    /// Waits until `find` returns a value for a line. Panics with the whole log if all streams have
    /// ended or the deadline has passed.
    #[track_caller]
    pub fn wait_for<T>(&self, what: &str, find: impl Fn(&str) -> Option<T>) -> T {
        let deadline = Instant::now() + DEADLINE;
        let mut lines = self.0.0.lock().unwrap();
        loop {
            if let Some(found) = lines.all.iter().find_map(|line| find(line)) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if lines.open_streams == 0 || left.is_zero() {
                let all = lines.all.join("\n");
                // The lock must not be held during the panic, so that the collector threads and
                // later readers can still use it.
                drop(lines);
                panic!("the server never wrote {what}; it wrote:\n{all}");
            }
            lines = self.0.1.wait_timeout(lines, left).unwrap().0;
        }
    }

    /// Waits until every stream has ended.
    pub fn wait_for_end(&self) {
        let deadline = Instant::now() + DEADLINE;
        let mut lines = self.0.0.lock().unwrap();
        while lines.open_streams > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "somebody still holds the output:\n{}", lines.all.join("\n"));
            lines = self.0.1.wait_timeout(lines, left).unwrap().0;
        }
    }
}
