//! Cost of the client protocols: parsing of client messages, rendering of publications, and parsing
//! of handshake requests.

#![allow(clippy::unwrap_used, reason = "a benchmark may stop at the first surprise")]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use bytes::Bytes;
use criterion::Criterion;
use tagcast::auth::Permissions;
use tagcast::auth::uuid::{Signer, UuidForm};
use tagcast::http::{HeadScanner, decide, parameter, parse};
use tagcast::protocol::{Cast, Protocol, ProtocolOptions, gomoob, phpws, tags};
use tagcast::resource::{ClientHandle, Gomoob, Phpws, ResourceHooks};
use tagcast::session::{Message, Session, SessionRules};
use tagcast::types::{
    AddressLimit, Client, ClientClass, ClientUuid, Content, PayloadForm, Tags, Tenant,
};

const UUID: ClientUuid = ClientUuid([0xA0; 16]);

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    parse_phpws(&mut criterion);
    parse_gomoob(&mut criterion);
    render(&mut criterion);
    serve(&mut criterion);
    open(&mut criterion);
    criterion.final_summary();
}

/// Returns a message of 128 bytes.
fn text() -> String {
    "The quick brown fox jumps over the lazy dog, twice or so. Again!".repeat(2)
}

fn rules() -> SessionRules {
    SessionRules {
        signer: Signer::new(&[1; 32], UuidForm::Signed),
        access: Permissions::everything(),
        message_bytes_max: 5 * 1024 * 1024,
        chunks_max: 0,
        topics_max: 0,
        protocols: ProtocolOptions::default(),
    }
}

/// Returns phpWebSocketServer packets, each with a message of 128 bytes.
fn packets() -> [(&'static str, String); 4] {
    let (text, uuid) = (text(), rules().signer.text(UUID));
    [
        ("broadcast", format!(r#"{{"opcode":"broadcast","message":"{text}"}}"#)),
        ("feedback", format!(r#"{{"opcode":"feedback","uuid":"{uuid}","message":"{text}"}}"#)),
        (
            "with tags",
            format!(
                r#"{{"opcode":"broadcast","tags":{{"room":"7","lang":"en"}},"message":"{text}"}}"#
            ),
        ),
        (
            "with key and secret",
            format!(
                r#"{{"opcode":"broadcast","key":"chat","secret":"s3cr3t","message":"{text}"}}"#
            ),
        ),
    ]
}

/// Returns Gomoob requests, each with a message of 128 bytes.
fn requests() -> [(&'static str, String); 3] {
    let text = text();
    [
        ("broadcast", format!(r#"{{"message":"{text}"}}"#)),
        ("with tags", format!(r#"{{"message":"{text}","tags":{{"room":"7","lang":"en"}}}}"#)),
        (
            "with key and secret",
            format!(
                r#"{{"message":"{text}","tags":{{"room":"7"}},"metadata":{{"key":"chat","secret":"s3cr3t"}}}}"#
            ),
        ),
    ]
}

fn parse_phpws(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("phpws parse");
    for (name, packet) in packets() {
        group.bench_function(name, |bencher| bencher.iter(|| phpws::parse(black_box(&packet))));
        if name == "with key and secret" {
            group.bench_function("take key and secret away", |bencher| {
                bencher.iter(|| phpws::without_credentials(black_box(&packet)));
            });
        }
    }
    group.finish();
}

fn parse_gomoob(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("gomoob parse");
    for (name, request) in requests() {
        group.bench_function(name, |bencher| bencher.iter(|| gomoob::parse(black_box(&request))));
    }
    group.finish();
}

fn render(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("render");
    let [(_, packet), ..] = packets();
    let packet = Content { form: PayloadForm::Packet, payload: Bytes::from(packet) };
    let message =
        Content { form: PayloadForm::Message, payload: Bytes::from(format!(r#""{}""#, text())) };
    for (name, dialect, content) in [
        ("phpws, a packet", Protocol::Phpws, &packet),
        ("phpws, a message", Protocol::Phpws, &message),
        ("gomoob, a packet", Protocol::Gomoob, &packet),
        ("gomoob, a message", Protocol::Gomoob, &message),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                black_box(dialect.render(black_box(content).borrowed(), Cast::Many));
            });
        });
    }
    group.finish();
}

/// Measures the path from the text of a frame to the worker's effects: session, resource, access
/// rules.
fn serve(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("serve");
    let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let client = Client {
        tenant: Tenant::shared(),
        uuid: UUID,
        ident: None,
        tags: Tags::default(),
        class: ClientClass::Web,
        takes_publications: true,
        counted: AddressLimit::ByAddress,
        application: None,
        ip,
    };
    let rules = rules();
    let ([(_, broadcast), (_, feedback), ..], [_, (_, tagged), _]) = (packets(), requests());
    let cases: [(&str, &mut dyn ResourceHooks, &str); 3] = [
        ("phpws broadcast", &mut Phpws, &broadcast),
        ("phpws feedback", &mut Phpws, &feedback),
        ("gomoob with tags", &mut Gomoob, &tagged),
    ];
    for (name, resource, text) in cases {
        let mut session = session(resource.protocol());
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let message = Message::Text(black_box(text));
                black_box(session.on_message(message, &rules));
                let mut handle = ClientHandle::new(&session, &client, &rules);
                resource.on_message(&mut handle, message);
                handle.into_effects()
            });
        });
    }
    group.finish();
}

fn session(protocol: Protocol) -> Session {
    let grant = Permissions::everything().open(None).unwrap();
    Session::new(UUID, grant, ClientClass::Web, protocol)
}

/// Handshake request of a browser, with tags.
const HEAD: &[u8] = b"GET /?tags=%7B%22room%22:%227%22,%22lang%22:%22en%22%7D HTTP/1.1\r\n\
    Host: chat.example.com:8094\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0\r\n\
    Accept: */*\r\n\
    Accept-Language: en-US,en;q=0.5\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Sec-WebSocket-Version: 13\r\n\
    Origin: https://chat.example.com\r\n\
    Sec-WebSocket-Extensions: permessage-deflate\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Connection: keep-alive, Upgrade\r\n\
    Cookie: PHPSESSID=0123456789abcdef0123456789\r\n\
    Pragma: no-cache\r\n\
    Cache-Control: no-cache\r\n\
    Upgrade: websocket\r\n\r\n";

fn open(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("open");
    group.bench_function("find the end of the head", |bencher| {
        bencher.iter(|| HeadScanner::default().scan(black_box(HEAD)).unwrap());
    });
    group.bench_function("parse the head", |bencher| {
        bencher.iter(|| parse(black_box(HEAD)).unwrap());
    });
    let head = parse(HEAD).unwrap();
    group.bench_function("decide", |bencher| {
        bencher.iter(|| {
            black_box(decide(black_box(&head)).unwrap());
        });
    });
    group.bench_function("read its tags", |bencher| {
        bencher.iter(|| {
            let query = black_box(&head).query().unwrap();
            tags::of_opening(&parameter(query, "tags").unwrap()).unwrap()
        });
    });
    group.finish();
}
