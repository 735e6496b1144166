//! A TCP proxy that stops to pass bytes on, as a network does that is partitioned.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::wait::pause;

/// How long bytes wait before the state of the proxy is looked at again.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A proxy in front of a port of this machine.
#[derive(Debug)]
pub struct LinkProxy {
    /// The port that it listens on.
    pub port: u16,
    state: Arc<ProxyState>,
}

#[derive(Debug, Default)]
struct ProxyState {
    /// Bytes to the target wait.
    holds_requests: AtomicBool,
    /// Bytes from the target wait.
    holds_answers: AtomicBool,
}

impl LinkProxy {
    /// Starts a proxy in front of a port. It ends with the test.
    #[track_caller]
    pub fn start(target: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(ProxyState::default());
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", target)) else { continue };
                let [from, to] = [&client, &server].map(|it| it.try_clone().unwrap());
                let state = Arc::clone(&shared);
                thread::spawn(move || copy(&from, &to, &state.holds_requests));
                let state = Arc::clone(&shared);
                thread::spawn(move || copy(&server, &client, &state.holds_answers));
            }
        });
        Self { port, state }
    }

    /// Passes on nothing more, in both directions. No connection is closed.
    pub fn cut(&self) {
        self.state.holds_answers.store(true, Ordering::Relaxed);
        self.cut_requests();
    }

    /// Passes on nothing more of the clients.
    pub fn cut_requests(&self) {
        self.state.holds_requests.store(true, Ordering::Relaxed);
    }

    /// Passes on what has waited, and everything after it.
    pub fn heal(&self) {
        self.state.holds_answers.store(false, Ordering::Relaxed);
        self.state.holds_requests.store(false, Ordering::Relaxed);
    }
}

fn copy(mut from: &TcpStream, mut to: &TcpStream, is_held: &AtomicBool) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(bytes) = from.read(&mut buffer) {
        while is_held.load(Ordering::Relaxed) {
            pause(LOOK_EVERY);
        }
        if bytes == 0 || to.write_all(&buffer[..bytes]).is_err() {
            break;
        }
    }
    for socket in [from, to] {
        socket.shutdown(Shutdown::Both).ok();
    }
}
