//! Traces: from an HTTP publication to its deliveries, sent to an OpenTelemetry receiver.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant, SystemTime};

use rustls::{ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::backend::tls_config;
use crate::harness::api::{Clients, PUBLISH, SHOP, post, setup};
use crate::harness::tls::certificate_in;
use crate::harness::{DEADLINE, Folder, Open, Raw, Server, run_to_end, run_to_end_with};
use crate::metrics::wait_for;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

/// A receiver on loopback: the path and the body of each request.
pub(crate) struct Collector {
    port: u16,
    requests: Receiver<(String, Value)>,
}

impl Collector {
    pub(crate) fn start() -> Self {
        Self::receive_by(receive)
    }

    /// Receives inside TLS, with the certificate in this folder.
    fn start_tls(folder: &Folder) -> Self {
        let pem = |name| std::fs::read_to_string(folder.path(name)).unwrap();
        let config = tls_config((&pem("cert.pem"), &pem("key.pem")));
        Self::receive_by(move |stream| {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            receive(StreamOwned::new(connection, stream))
        })
    }

    fn receive_by(receive: impl Fn(TcpStream) -> Option<(String, Value)> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, requests) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Some(request) = receive(stream.unwrap()) else { continue };
                if sender.send(request).is_err() {
                    return;
                }
            }
        });
        Self { port, requests }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Receives requests until one of them has this text, and returns all of them.
    #[track_caller]
    pub(crate) fn text_until(&self, last: &str) -> String {
        let mut text = String::new();
        while !text.contains(last) {
            text.push_str(&self.requests.recv_timeout(DEADLINE).unwrap().1.to_string());
        }
        text
    }

    /// Receives spans until there are this many, and returns them.
    #[track_caller]
    fn spans(&self, count: usize) -> Vec<Value> {
        let mut all = Vec::new();
        while all.len() < count {
            let (path, body) = self.requests.recv_timeout(DEADLINE).unwrap();
            assert_eq!(path, "/v1/traces");
            let resource = &body["resourceSpans"][0];
            let name = &resource["resource"]["attributes"][0];
            assert_eq!(name, &json!({"key": "service.name", "value": {"stringValue": "tagcast"}}));
            all.extend(resource["scopeSpans"][0]["spans"].as_array().unwrap().iter().cloned());
        }
        assert_eq!(all.len(), count, "{all:?}");
        all
    }
}

/// Reads one request and answers it.
fn receive(stream: impl Read + Write) -> Option<(String, Value)> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first).ok().filter(|read| *read > 0)?;
    let (mut length, mut line) = (0, String::new());
    while reader.read_line(&mut line).unwrap() > 2 {
        let (name, value) = line.trim().split_once(": ").unwrap();
        if name.eq_ignore_ascii_case("Content-Length") {
            length = value.parse().unwrap();
        }
        line.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    reader
        .get_mut()
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        .unwrap();
    Some((first.split(' ').nth(1)?.to_owned(), serde_json::from_slice(&body).unwrap()))
}

/// Publishes with a value of the header `traceparent`, or without.
#[track_caller]
fn publish(server: &Server, traceparent: Option<&str>, body: &str) -> Value {
    publish_at(server.port, traceparent, body)
}

#[track_caller]
fn publish_at(port: u16, traceparent: Option<&str>, body: &str) -> Value {
    let mut headers = vec![SHOP];
    headers.extend(traceparent.map(|value| ("traceparent", value)));
    let answer = Raw::connect(port).request(post(PUBLISH, &headers, body));
    assert_eq!(answer.status(), 200, "{}", answer.body);
    answer.json()
}

fn sampled() -> String {
    format!("00-{TRACE}-{CALLER}-01")
}

fn of_name<'a>(spans: &'a [Value], name: &str) -> Vec<&'a Value> {
    spans.iter().filter(|span| span["name"] == name).collect()
}

/// The value of an attribute, as text.
fn attribute(span: &Value, key: &str) -> String {
    let all = span["attributes"].as_array().unwrap();
    let value = &all.iter().find(|it| it["key"] == key).unwrap()["value"];
    let text = value.get("intValue").or_else(|| value.get("stringValue")).unwrap();
    text.as_str().unwrap().to_owned()
}

fn nanos(span: &Value, key: &str) -> u64 {
    span[key].as_str().unwrap().parse().unwrap()
}

/// Checks the parent of a span, and that its time is within that of its parent. Some times have microseconds.
#[track_caller]
fn expect_inside(parent: &Value, span: &Value) {
    let times = |span| ["startTimeUnixNano", "endTimeUnixNano"].map(|key| nanos(span, key) / 1000);
    let ([first, last], [from, to]) = (times(parent), times(span));
    assert_eq!(span["parentSpanId"], parent["spanId"]);
    assert!(first <= from && from <= to && to <= last, "{span} in {parent}");
}

const ALL: &str = r#"{"to":"all","message":1}"#;

/// Case A246.
#[test]
fn a_sampled_publication_has_the_spans_of_its_way() {
    let collector = Collector::start();
    let server = setup().ini(&format!("otlpEndpoint = {}/", collector.endpoint())).start();
    let mut clients = Clients::open(&server);
    for other in [None, Some("00-x"), Some(&*sampled().replace("-01", "-00"))] {
        publish(&server, other, ALL);
    }
    let began = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
    let answer = publish(&server, Some(&sampled()), ALL);
    assert_eq!(answer["matched"], 3);
    let workers = answer["workers"].as_u64().unwrap();
    // What was not sampled is not among them.
    let spans = collector.spans(3 + workers as usize);
    assert!(spans.iter().all(|span| span["traceId"] == TRACE), "{spans:?}");
    let (http, publish) = (of_name(&spans, "tagcast.http"), of_name(&spans, "tagcast.publish"));
    let (http, publish) = (http[0], publish[0]);
    assert_eq!(http["parentSpanId"], CALLER);
    assert_eq!(attribute(http, "http.route"), "/v1/apps/{app}/publish");
    assert_eq!(attribute(http, "http.response.status_code"), "200");
    assert_eq!(publish["parentSpanId"], http["spanId"]);
    assert_eq!(attribute(publish, "tagcast.matched"), "3");
    assert_eq!(attribute(publish, "tagcast.workers"), workers.to_string());
    let resolve = of_name(&spans, "tagcast.resolve");
    let fanout = of_name(&spans, "tagcast.fanout");
    assert_eq!((resolve.len(), fanout.len()), (1, workers as usize));
    let written = fanout.iter().map(|span| attribute(span, "tagcast.written"));
    assert_eq!(written.map(|it| it.parse::<u64>().unwrap()).sum::<u64>(), 3);
    resolve.iter().chain(&fanout).for_each(|span| expect_inside(publish, span));
    assert!(nanos(http, "startTimeUnixNano") >= began);
    (0..4).for_each(|_| drop(clients.f.frame()));
}

#[test]
fn a_batch_has_the_spans_of_each_publication() {
    let collector = Collector::start();
    let server = setup().ini(&format!("otlpEndpoint = {}", collector.endpoint())).start();
    let body =
        format!(r#"{{"publications":[{ALL},{}]}}"#, r#"{"to":"all","message":2,"ack":"none"}"#);
    let request = post("/v1/apps/shop/publish:batch", &[SHOP, ("traceparent", &sampled())], &body);
    assert_eq!(Raw::connect(server.port).request(request).status(), 200);
    // No client is there, so there is no fan-out.
    let spans = collector.spans(5);
    let counts =
        ["tagcast.http", "tagcast.publish", "tagcast.resolve"].map(|it| of_name(&spans, it).len());
    assert_eq!(counts, [1, 2, 2]);
}

#[test]
fn without_a_receiver_nothing_is_sent_and_a_reload_begins_and_ends_it() {
    let collector = Collector::start();
    let server = setup().start();
    publish(&server, Some(&sampled()), ALL);
    let path = server.folder.path("websock.ini");
    let before = std::fs::read_to_string(&path).unwrap();
    let reload = |text: &str| {
        std::fs::write(&path, text).unwrap();
        let finished = run_to_end(&server.folder, &["reload"]);
        assert_eq!(finished.code, Some(0), "{}", finished.text);
    };
    let with = before.replacen('\n', &format!("\notlpEndpoint = {}\n", collector.endpoint()), 1);
    reload(&with);
    publish(&server, Some(&sampled()), ALL);
    collector.spans(3);
    reload(&before);
    publish(&server, Some(&sampled()), ALL);
    assert!(collector.requests.recv_timeout(Duration::from_secs(3)).is_err());
}

#[test]
fn spans_of_the_last_second_are_sent_before_the_server_ends() {
    let collector = Collector::start();
    let server = setup().ini(&format!("otlpEndpoint = {}", collector.endpoint())).start();
    let mut clients = Clients::open(&server);
    let answer = publish(&server, Some(&sampled()), ALL);
    drop(clients.f.frame());
    server.term();
    assert_eq!(server.wait_exit(DEADLINE).code(), Some(0));
    collector.spans(3 + answer["workers"].as_u64().unwrap() as usize);
}

#[test]
fn a_receiver_that_does_not_answer_does_not_hold_up_the_end() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let server = setup().ini(&format!("otlpEndpoint = http://127.0.0.1:{port}")).start();
    publish(&server, Some(&sampled()), ALL);
    let begun = Instant::now();
    server.term();
    assert_eq!(server.wait_exit(DEADLINE).code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    server.wait_for_output("event=trace_export_failed why=\"the process exits\" unsent=3");
}

/// The certificate of the receiver is signed by an authority that only `SSL_CERT_FILE` names.
#[test]
fn a_receiver_inside_tls_is_trusted_by_its_certificate_only() {
    let folder = Folder::new();
    certificate_in(&folder);
    let collector = Collector::start_tls(&folder);
    let ini = format!("otlpEndpoint = https://localhost:{}", collector.port);
    let authority = folder.path("cert.pem").display().to_string();
    let server = setup().ini(&ini).variable("SSL_CERT_FILE", &authority).start();
    publish(&server, Some(&sampled()), ALL);
    collector.spans(3);
    drop(server);
    let server = setup().ini(&ini).start();
    publish(&server, Some(&sampled()), ALL);
    let output = server.wait_for_output("trace_export_failed");
    assert!(output.contains("certificate"), "{output}");
}

#[test]
fn a_receiver_that_is_gone_disturbs_nothing_and_its_spans_are_counted() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let ini = format!("apiAddress = http://127.0.0.1:0\notlpEndpoint = http://127.0.0.1:{port}");
    let server = setup().ini(&ini).start();
    let mut client = server.open(&Open::at("/web?key=shop"));
    for _ in 0..5 {
        publish_at(server.api_port("http"), Some(&sampled()), ALL);
        client.frame();
    }
    server.wait_for_output("trace_export_failed");
    let count = |outcome: &str| format!("tagcast_trace_spans_total{{outcome=\"{outcome}\"}}");
    wait_for(&server, &[(&count("dropped"), 20.0), (&count("exported"), 0.0)]);
    assert!(!server.output().contains(TRACE));
}

#[test]
fn an_invalid_address_of_a_receiver_is_an_error() {
    for (value, words) in [
        ("collector:4318", "is not an address of a receiver"),
        ("ftp://collector", "is not an address of a receiver"),
        ("http://user@collector", "names a user"),
        ("http://collector/?x=1", "has a query"),
    ] {
        let folder = Folder::new();
        folder.write("websock.ini", &format!("[websocketserver]\notlpEndpoint = {value}\n"));
        let finished = run_to_end(&folder, &["check", "-i", "websock.ini"]);
        assert_eq!(finished.code, Some(78), "{}", finished.text);
        assert!(finished.text.contains(words), "{}", finished.text);
    }
}

#[test]
fn the_variable_of_opentelemetry_counts_if_the_file_has_no_receiver() {
    let folder = Folder::new();
    let check = |ini: &str| {
        folder.write("websock.ini", &format!("[websocketserver]\n{ini}"));
        let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", "ftp://collector")];
        run_to_end_with(&folder, &["check", "-i", "websock.ini"], &variables)
    };
    let of_variable = check("");
    assert_eq!(of_variable.code, Some(78), "{}", of_variable.text);
    assert!(of_variable.text.contains("OTEL_EXPORTER_OTLP_ENDPOINT"), "{}", of_variable.text);
    for ini in ["otlpEndpoint = none\n", "otlpEndpoint = http://127.0.0.1:4318\n"] {
        let of_file = check(ini);
        assert_eq!(of_file.code, Some(0), "{}", of_file.text);
    }
}
