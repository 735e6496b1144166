//! A scripted backend for tests: it acts on each event as the test wants, and records all events.

pub mod chat;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

/// Time limit for the arrival of an event.
const PATIENCE: Duration = Duration::from_secs(15);

/// The reaction of a backend to an event.
pub enum Act {
    /// Answers with these commands.
    Commands(&'static str),
    /// Answers with this status and text.
    Answer(u16, String),
    /// Answers with this text and closes the connection, although no header announces that.
    AnswerAndEnd(String),
    /// Never answers.
    Hang,
    /// Resets the connection after reading the event.
    Reset,
    /// Writes these bytes and closes the connection.
    Raw(Vec<u8>),
}

/// A received request.
#[derive(Clone, Debug)]
pub struct ReceivedEvent {
    /// The headers, with lower-case names.
    pub headers: Vec<(String, String)>,
    /// The unchanged body.
    pub body: String,
    /// The event.
    pub event: Value,
}

impl ReceivedEvent {
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

type Script = Box<dyn Fn(&Value) -> Act + Send + Sync>;

struct Shared {
    script: Mutex<Arc<Script>>,
    received: Mutex<Vec<ReceivedEvent>>,
    more: Condvar,
    ended: AtomicBool,
    streams: Mutex<Vec<TcpStream>>,
    closed: Mutex<usize>,
}

/// A backend over real sockets.
pub struct Backend {
    shared: Arc<Shared>,
    accept_thread: Option<JoinHandle<()>>,
    pub address: SocketAddr,
}

impl Backend {
    /// Starts a backend on a free port.
    pub fn start(script: impl Fn(&Value) -> Act + Send + Sync + 'static) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), script)
    }

    /// Starts a backend at an address where an earlier backend listened.
    pub fn start_at(
        address: SocketAddr,
        script: impl Fn(&Value) -> Act + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let script: Script = Box::new(script);
        let shared = Arc::new(Shared {
            script: Mutex::new(Arc::new(script)),
            received: Mutex::default(),
            more: Condvar::new(),
            ended: AtomicBool::new(false),
            streams: Mutex::default(),
            closed: Mutex::default(),
        });
        let inside = Arc::clone(&shared);
        let accept_thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if inside.ended.load(Ordering::SeqCst) {
                    return;
                }
                let (inside, stream) = (Arc::clone(&inside), stream.unwrap());
                inside.streams.lock().unwrap().push(stream.try_clone().unwrap());
                std::thread::spawn(move || serve(&inside, stream));
            }
        });
        Self { shared, accept_thread: Some(accept_thread), address }
    }

    /// Replaces the reaction to events.
    pub fn script(&self, script: impl Fn(&Value) -> Act + Send + Sync + 'static) {
        let script: Script = Box::new(script);
        *self.shared.script.lock().unwrap() = Arc::new(script);
    }

    pub fn url(&self) -> String {
        format!("http://{}/chat", self.address)
    }

    /// Returns all requests received so far.
    pub fn received(&self) -> Vec<ReceivedEvent> {
        self.shared.received.lock().unwrap().clone()
    }

    /// Returns the events of this name received so far.
    pub fn events(&self, name: &str) -> Vec<Value> {
        let received = self.received().into_iter().map(|received| received.event);
        received.filter(|event| event["event"] == name).collect()
    }

    /// Returns the number of connections that the backend itself has closed after writing everything.
    pub fn closed(&self) -> usize {
        *self.shared.closed.lock().unwrap()
    }

    /// Waits for this number of events of this name.
    #[track_caller]
    pub fn wait_for(&self, name: &str, count: usize) -> Vec<Value> {
        let deadline = Instant::now() + PATIENCE;
        let mut received = self.shared.received.lock().unwrap();
        loop {
            let events: Vec<Value> = received
                .iter()
                .map(|it| it.event.clone())
                .filter(|it| it["event"] == name)
                .collect();
            if events.len() >= count {
                return events;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                drop(received);
                panic!("no {count} events {name:?} but {:?}", self.received());
            }
            received = self.shared.more.wait_timeout(received, left).unwrap().0;
        }
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        for stream in self.shared.streams.lock().unwrap().drain(..) {
            stream.shutdown(std::net::Shutdown::Both).ok();
        }
        // This connection wakes the accepting thread, which then exits and frees the port.
        TcpStream::connect(self.address).ok();
        if let Some(accept_thread) = self.accept_thread.take() {
            accept_thread.join().ok();
        }
    }
}

fn serve(shared: &Shared, stream: TcpStream) {
    let mut reader = BufReader::new(stream);
    while let Some(received) = read(&mut reader) {
        if shared.ended.load(Ordering::SeqCst) {
            return;
        }
        let script = Arc::clone(&shared.script.lock().unwrap());
        let event = received.event.clone();
        shared.received.lock().unwrap().push(received);
        shared.more.notify_all();
        let stream = reader.get_mut();
        match script(&event) {
            Act::Commands(text) => answer(stream, 200, text),
            Act::Answer(status, text) => answer(stream, status, &text),
            Act::AnswerAndEnd(text) => {
                answer(stream, 200, &text);
                stream.shutdown(std::net::Shutdown::Both).ok();
                *shared.closed.lock().unwrap() += 1;
                return;
            }
            Act::Hang => {
                // Waits until the other side gives up.
                let mut rest = Vec::new();
                stream.read_to_end(&mut rest).ok();
                return;
            }
            Act::Reset => {
                rustix::net::sockopt::set_socket_linger(&*stream, Some(Duration::ZERO)).unwrap();
                return;
            }
            Act::Raw(bytes) => {
                stream.write_all(&bytes).ok();
                return;
            }
        }
    }
}

fn answer(stream: &mut impl Write, status: u16, text: &str) {
    let length = text.len();
    let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(&[head.as_bytes(), text.as_bytes()].concat()).ok();
}

fn read(reader: &mut BufReader<impl Read>) -> Option<ReceivedEvent> {
    let mut headers = Vec::new();
    let mut line = String::new();
    if reader.read_line(&mut line).ok()? == 0 {
        return None;
    }
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.push((name.to_lowercase(), value.to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length")?.1.parse().ok()?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let body = String::from_utf8(body).unwrap();
    let event = serde_json::from_str(&body).unwrap();
    Some(ReceivedEvent { headers, body, event })
}

/// Starts a backend inside TLS that answers every event with the same text, each on a separate connection.
pub fn start_tls(pems: (&str, &str), text: &'static str) -> u16 {
    let config = tls_config(pems);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut reader = BufReader::new(StreamOwned::new(connection, stream.unwrap()));
            if read(&mut reader).is_some() {
                answer(reader.get_mut(), 200, text);
            }
        }
    });
    port
}

/// The TLS configuration of a backend with this certificate and key in PEM.
pub fn tls_config((certificate, key): (&str, &str)) -> Arc<ServerConfig> {
    let chain = CertificateDer::pem_slice_iter(certificate.as_bytes()).map(Result::unwrap);
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain.collect(), key)
        .unwrap();
    Arc::new(config)
}
