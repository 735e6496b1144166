//! The bytes that `publish` and `subscribe` send, checked by servers in this test, also inside TLS; and their
//! reactions to refusals.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;

use crate::harness::{DEADLINE, Finished, Folder, Running, run_to_end, run_to_end_with};
use rustix::process::Signal;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use tungstenite::handshake::server::{Request, Response};
use tungstenite::protocol::CloseFrame;
use tungstenite::{Message, WebSocket};

const SECRET: &str = "s&cret+ü";
const TAGS_NONE: &str = "/?tags=%7B%7D";

/// A server that handles one connection with `serve` and returns its result.
struct OneGuest<T> {
    port: u16,
    served: JoinHandle<T>,
}

impl<T: Send + 'static> OneGuest<T> {
    fn new(serve: impl FnOnce(TcpStream) -> T + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let served = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(DEADLINE)).unwrap();
            serve(stream)
        });
        Self { port, served }
    }

    fn url(&self) -> String {
        format!("ws://127.0.0.1:{}/", self.port)
    }

    #[track_caller]
    fn served(self) -> T {
        self.served.join().unwrap()
    }
}

/// Returns the upgraded socket, the target of the request, and its header `Client-Type`.
fn accept<S: Read + Write>(stream: S) -> (WebSocket<S>, String, Option<String>) {
    let (mut target, mut client_type) = (String::new(), None);
    let look = |request: &Request, response: Response| {
        target = request.uri().to_string();
        let header = request.headers().get("Client-Type");
        client_type = header.map(|value| value.to_str().unwrap().to_owned());
        Ok(response)
    };
    let socket = tungstenite::accept_hdr(stream, look).unwrap();
    (socket, target, client_type)
}

/// Returns the upgraded socket of a client of `tagcast.v1` that was welcomed, and its `hello`.
fn accept_v1<S: Read + Write>(stream: S) -> (WebSocket<S>, Value) {
    let name = |_: &Request, mut response: Response| {
        let name = tungstenite::http::HeaderValue::from_static("tagcast.v1");
        response.headers_mut().insert("Sec-WebSocket-Protocol", name);
        Ok(response)
    };
    let mut socket = tungstenite::accept_hdr(stream, name).unwrap();
    let hello = read_json(&mut socket);
    assert_eq!(hello["op"], "hello");
    let welcome = json!({"op": "welcome", "uuid": "u", "resumed": false, "ping": 20});
    socket.send(Message::text(welcome.to_string())).unwrap();
    (socket, hello)
}

fn message(data: &str) -> Message {
    Message::text(format!(r#"{{"op":"msg","data":{data}}}"#))
}

fn read_json<S: Read + Write>(socket: &mut WebSocket<S>) -> Value {
    serde_json::from_str(socket.read().unwrap().to_text().unwrap()).unwrap()
}

fn close(code: u16, reason: &str) -> Option<CloseFrame> {
    Some(CloseFrame { code: code.into(), reason: reason.to_owned().into() })
}

fn read_to_end<S: Read + Write>(socket: &mut WebSocket<S>) {
    while socket.read().is_ok() {}
}

#[track_caller]
fn run(url: &str, arguments: &str) -> Finished {
    let all: Vec<_> = arguments.split(' ').chain(["--url", url]).collect();
    run_to_end_with(&Folder::new(), &all, &[("TAGCAST_SECRET", SECRET)])
}

#[track_caller]
fn expect_end(finished: &Finished, code: i32, text: &str) {
    assert_eq!(finished.code, Some(code), "{}", finished.text);
    assert!(finished.text.contains(text), "{}", finished.text);
    assert!(!finished.text.contains(SECRET), "{}", finished.text);
}

/// Reads one request to tags, and answers the Close that follows it.
fn gomoob(stream: impl Read + Write) -> (String, Value) {
    let (mut socket, target, client_type) = accept(stream);
    assert_eq!(client_type, None);
    socket.send(Message::text(r#""a broadcast meanwhile""#)).unwrap();
    let request = read_json(&mut socket);
    let closing = socket.read().unwrap();
    assert!(matches!(closing, Message::Close(Some(frame)) if u16::from(frame.code) == 1000));
    read_to_end(&mut socket);
    (target, request)
}

#[test]
fn a_publication_to_tags_waits_for_the_answered_close() {
    let guest = OneGuest::new(gomoob);
    expect_end(&run(&guest.url(), "publish --tag language=FR --tag n=12 bonjour"), 0, "");
    let (target, request) = guest.served();
    assert_eq!(target, TAGS_NONE);
    let tags = json!({"language": "FR", "n": "12"});
    assert_eq!(request, json!({"message": "bonjour", "tags": tags, "metadata": {}}));
}

#[test]
fn key_and_secret_are_in_the_query_and_in_the_request() {
    let guest = OneGuest::new(gomoob);
    expect_end(&run(&guest.url(), "publish --tag a=b --key my/key --json {\"x\":1}"), 0, "");
    let (target, request) = guest.served();
    assert_eq!(target, format!("{TAGS_NONE}&key=my%2Fkey&secret=s%26cret%2B%C3%BC"));
    let metadata = json!({"key": "my/key", "secret": SECRET});
    assert_eq!(request["metadata"], metadata);
    assert_eq!(request["message"], json!({"x": 1}));
}

#[test]
fn any_other_close_is_the_refusal() {
    for (code, reason, exit, expected_text) in [
        (1008, "sending is not authorized", 77, "the server refused: Close 1008, sending is not"),
        (1000, "no", 69, "the server refused: Close 1000, no"),
        (1013, "a\u{1b}[2Jb", 69, "Close 1013, a\\u{1b}[2Jb"),
    ] {
        let guest = OneGuest::new(move |stream| {
            let (mut socket, ..) = accept(stream);
            read_json(&mut socket);
            socket.close(close(code, reason)).unwrap();
            read_to_end(&mut socket);
        });
        expect_end(&run(&guest.url(), "publish --tag a=b x"), exit, expected_text);
        guest.served();
    }
}

#[test]
fn a_path_with_the_other_dialect_is_reported() {
    let guest = OneGuest::new(|stream| {
        let (mut socket, ..) = accept(stream);
        socket.send(Message::text(r#"{"opcode":"ready","uuid":"x"}"#)).unwrap();
        read_to_end(&mut socket);
    });
    expect_end(&run(&guest.url(), "publish --tag a=b x"), 78, "phpWebSocketServer's dialect");
    guest.served();
}

/// Acknowledges one packet, then sends `after`.
fn phpws(after: Option<&'static str>) -> OneGuest<(String, Value)> {
    OneGuest::new(move |stream| {
        let (mut socket, target, client_type) = accept(stream);
        assert_eq!(client_type.as_deref(), Some("web"));
        socket.send(Message::text(r#"{"opcode":"ready","uuid":"x"}"#)).unwrap();
        let packet = read_json(&mut socket);
        socket.send(Message::text(r#"{"opcode":"next","fyi":""}"#)).unwrap();
        if let Some(text) = after {
            socket.send(Message::text(text)).unwrap();
        }
        read_to_end(&mut socket);
        (target, packet)
    })
}

#[test]
fn phpws_packets_carry_key_and_secret() {
    let guest = phpws(None);
    expect_end(&run(&guest.url(), "publish --all --key blog x"), 0, "");
    let (target, packet) = guest.served();
    assert_eq!(target, "/?key=blog&secret=s%26cret%2B%C3%BC");
    let expected = json!({"opcode": "broadcast", "message": "x", "key": "blog", "secret": SECRET});
    assert_eq!(packet, expected);

    let guest = phpws(None);
    expect_end(&run(&guest.url(), "publish --ident me x"), 0, "");
    let (target, packet) = guest.served();
    assert_eq!(target, "/");
    assert_eq!(packet, json!({"opcode": "feedback", "message": "x", "ident": "me"}));
}

#[test]
fn a_refusal_after_the_acknowledgement_is_reported() {
    let guest = phpws(Some(r#"{"opcode":"error","error":"you may not publish"}"#));
    expect_end(
        &run(&guest.url(), "publish --all x"),
        77,
        "the server refused: you may not publish",
    );
    guest.served();
}

#[test]
fn a_refusal_by_http_is_reported_with_its_reason() {
    for (answer, exit, expected_text) in [
        ("401 Unauthorized|{\"error\":\"wrong key\"}", 77, "HTTP 401 Unauthorized: wrong key"),
        ("403 Forbidden|{\"error\":\"wrong origin\"}", 77, "HTTP 403 Forbidden: wrong origin"),
        (
            "429 Too Many Requests|429 Too Many Requests: wait\n",
            69,
            "HTTP 429 Too Many Requests: wait",
        ),
        ("503 Service Unavailable|", 69, "HTTP 503 Service Unavailable"),
    ] {
        for command in ["publish --all x", "publish --tag a=b x", "subscribe"] {
            let (status, body) = answer.split_once('|').unwrap();
            let length = body.len();
            let response = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}");
            let guest = OneGuest::new(move |mut stream| {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    stream.read_exact(&mut byte).unwrap();
                    head.push(byte[0]);
                }
                stream.write_all(response.as_bytes()).unwrap();
            });
            expect_end(&run(&guest.url(), command), exit, expected_text);
            guest.served();
        }
    }
}

/// Sends these messages, then `then`. Returns the `hello` and the code of the Close at the end.
fn sends(
    messages: &'static [&'static str],
    then: Option<(u16, &'static str)>,
) -> OneGuest<(Value, Option<u16>)> {
    OneGuest::new(move |stream| {
        let (mut socket, hello) = accept_v1(stream);
        // The ping is sent first, because the test may stop the client as soon as it has all messages.
        socket.send(Message::text(r#"{"op":"ping"}"#)).unwrap();
        assert_eq!(read_json(&mut socket), json!({"op": "pong"}));
        for data in messages {
            socket.send(message(data)).unwrap();
        }
        if let Some((code, reason)) = then {
            socket.close(close(code, reason)).unwrap();
        }
        let mut answer = None;
        while let Ok(message) = socket.read() {
            match message {
                Message::Text(text) => assert_eq!(text.as_str(), r#"{"op":"bye"}"#),
                Message::Close(frame) => answer = frame.map(|frame| u16::from(frame.code)),
                _ => {}
            }
        }
        (hello, answer)
    })
}

#[test]
fn a_subscriber_prints_a_line_for_each_message_and_ends_on_signals() {
    for signal in [Signal::INT, Signal::TERM] {
        let guest = sends(&[r#""one""#, r#"{"two":2}"#], None);
        let folder = Folder::new();
        let url = guest.url();
        let tags = ["--tag", "language=FR", "--tag", "town=A b", "--key", "shop"];
        let running = Running::start(&folder, &[&["subscribe", "--url", &url], &tags[..]].concat());
        running.wait_for_line("one");
        running.wait_for_line(r#"{"two":2}"#);
        running.signal(signal);
        let (code, output, _) = running.wait_for_end();
        assert_eq!((code, output.as_str()), (Some(0), "one\n{\"two\":2}"));
        let (hello, answer) = guest.served();
        let shown = (&hello["tags"], &hello["key"]);
        assert_eq!(shown, (&json!({"language": "FR", "town": "A b"}), &json!("shop")));
        assert_eq!(answer, Some(1000));
    }
}

#[test]
fn a_subscriber_ends_after_the_wanted_count() {
    let guest = sends(&["1", "2", "3", "4", "5"], None);
    let finished = run(&guest.url(), "subscribe --count 3 --json");
    assert_eq!(finished.code, Some(0), "{}", finished.text);
    let numbers: Vec<_> = finished.text.lines().filter(|line| line.len() == 1).collect();
    assert_eq!(numbers, ["1", "2", "3"]);
    assert_eq!(guest.served().1, Some(1000), "a goodbye");
}

#[test]
fn a_subscriber_ends_when_the_server_ends_it_for_good() {
    for (code, reason, exit) in [
        (1000, "done", 69),
        (4003, "application removed or changed", 77),
        (4009, "unauthorized", 77),
    ] {
        let guest = sends(&[], Some((code, reason)));
        let finished = run(&guest.url(), "subscribe");
        let text = format!("the server ended the connection: Close {code}, {reason}");
        expect_end(&finished, exit, &text);
        guest.served();
    }
}

#[test]
fn a_server_that_does_not_speak_v1_is_reported_to_subscribers() {
    let guest = OneGuest::new(|stream| accept(stream).1);
    expect_end(&run(&guest.url(), "subscribe"), 78, "it does not speak tagcast.v1");
    guest.served();
}

#[test]
fn a_closed_output_ends_the_subscriber_quietly() {
    let guest = OneGuest::new(|stream| {
        let (mut socket, _) = accept_v1(stream);
        while socket.send(message("\"again\"")).is_ok() {}
    });
    let line = format!(
        "timeout 60 \"$0\" subscribe --url {} | head -n 1; exit ${{PIPESTATUS[0]}}",
        guest.url()
    );
    let output = std::process::Command::new("bash")
        .args(["-c", &line, env!("CARGO_BIN_EXE_tagcast")])
        .output()
        .unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(0), &b"again\n"[..]));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.lines().count() == 1 && errors.contains("subscribed"), "{errors}");
    guest.served();
}

/// Returns a certificate for this name, as PEM, and the settings of a server with it.
fn certificate(name: &str) -> (String, Arc<ServerConfig>) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    (made.cert.pem(), Arc::new(config))
}

/// Completes a TLS handshake; `None` if the client refuses it.
fn inside_tls(
    mut stream: TcpStream,
    config: Arc<ServerConfig>,
) -> Option<StreamOwned<ServerConnection, TcpStream>> {
    let mut tls = ServerConnection::new(config).unwrap();
    while tls.is_handshaking() {
        tls.complete_io(&mut stream).ok()?;
    }
    Some(StreamOwned::new(tls, stream))
}

#[test]
fn a_subscriber_inside_tls_prints_pongs_and_closes() {
    let (pem, config) = certificate("localhost");
    let folder = Folder::new();
    folder.write("ca.pem", &pem);
    let guest = OneGuest::new(move |stream| {
        let (mut socket, _) = accept_v1(inside_tls(stream, config).unwrap());
        for number in 1..=2000 {
            socket.write(message(&number.to_string())).unwrap();
        }
        socket.send(Message::Ping("alive?".into())).unwrap();
        let pong = socket.read().unwrap();
        socket.send(message("\"last\"")).unwrap();
        (pong, read_json(&mut socket) == json!({"op": "bye"}))
    });
    let url = format!("wss://localhost:{}/", guest.port);
    let running = Running::start(&folder, &["subscribe", "--url", &url, "--ca", "ca.pem"]);
    running.wait_for_line("last");
    running.signal(Signal::INT);
    let (code, output, _) = running.wait_for_end();
    assert_eq!((code, output.lines().count()), (Some(0), 2001));
    assert_eq!(guest.served(), (Message::Pong("alive?".into()), true));
}

#[test]
fn wss_trusts_the_certificates_of_the_file_and_no_others() {
    let (pem, config) = certificate("localhost");
    let (other, _) = certificate("localhost");
    let folder = Folder::new();
    folder.write("ca.pem", &pem);
    folder.write("other.pem", &other);
    folder.write("none.pem", "nothing");
    let publish = |ca: &str| {
        let config = Arc::clone(&config);
        let guest = OneGuest::new(move |stream| Some(gomoob(inside_tls(stream, config)?)));
        let url = format!("wss://localhost:{}/", guest.port);
        let arguments = ["publish", "--tag", "a=b", "--ca", ca, "--url", &url, "x"];
        let finished = run_to_end(&folder, &arguments);
        // If the client never connected, this connection ends the server's wait.
        drop(TcpStream::connect(("127.0.0.1", guest.port)));
        (finished, guest.served())
    };
    let (finished, served) = publish("ca.pem");
    expect_end(&finished, 0, "");
    assert_eq!(served.unwrap().0, TAGS_NONE);
    let (finished, served) = publish("other.pem");
    expect_end(&finished, 78, "not signed by the authority");
    assert_eq!(served, None);
    expect_end(&publish("none.pem").0, 78, "none.pem: it contains no PEM certificate");
    expect_end(&publish("missing.pem").0, 78, "missing.pem");
}
