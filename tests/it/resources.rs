//! Resources of an embedding program: the calls that they get, the effects that they can request, and the
//! cost of a panic. The server runs as threads of this process, with the resources of this file.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use serde_json::json;

use crate::harness::{DEADLINE, Folder, Open, Raw, frames};
use tagcast::config::{self, ConfigSources};
use tagcast::protocol::Protocol;
use tagcast::resource::{ClientHandle, ConnectRequest, Presence, ResourceContext, ResourceHooks};
use tagcast::server::{Builder, InProcess};
use tagcast::session::Message;
use tagcast::types::{Address, CloseCode, CloseReason, Tag, Tags, Tenant};

/// A server with one worker that serves `/own`, and a channel from its resource.
struct Own {
    server: Option<InProcess>,
    reports: Receiver<String>,
    _folder: Folder,
}

impl Own {
    fn start(protocol: fn() -> Protocol) -> Self {
        Self::start_with(protocol, || ())
    }

    /// Starts a server and calls `begin` whenever a worker starts.
    fn start_with(protocol: fn() -> Protocol, begin: impl Fn() + Send + Sync + 'static) -> Self {
        Self::start_ticking(protocol, begin, None)
    }

    /// Starts a server whose resource ticks and gives all its clients a common tag.
    fn start_ticking(
        protocol: fn() -> Protocol,
        begin: impl Fn() + Send + Sync + 'static,
        common: Option<Tag>,
    ) -> Self {
        let folder = Folder::new();
        let flags = [("address", "ws://127.0.0.1:0"), ("workers", "1"), ("console", "off")];
        let flags = flags.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
        let root = folder.root().to_owned();
        let source = ConfigSources { flags, folder: root, ..ConfigSources::default() };
        let config = config::load(&source).unwrap().config;
        let (report, reports) = channel();
        let make = move || {
            begin();
            Probe { protocol, report: report.clone(), count: 0, common: common.clone() }
        };
        let server =
            Builder::new().resource_with_hooks("/own", make).start_in_process(config).unwrap();
        Self { server: Some(server), reports, _folder: folder }
    }

    fn port(&self) -> u16 {
        self.server.as_ref().unwrap().addresses()[0].port()
    }

    #[track_caller]
    fn expect_report(&self, text: &str) {
        assert_eq!(self.reports.recv_timeout(DEADLINE).unwrap(), text);
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.server.take().unwrap().stop();
    }
}

/// A resource that executes its clients' commands and reports its calls.
struct Probe {
    protocol: fn() -> Protocol,
    report: Sender<String>,
    count: u32,
    /// A common tag of all clients. If it is set, the resource also ticks.
    common: Option<Tag>,
}

impl Probe {
    fn report(&self, text: impl Into<String>) {
        // The test may have finished already.
        self.report.send(text.into()).ok();
    }
}

impl ResourceHooks for Probe {
    fn protocol(&self) -> Protocol {
        (self.protocol)()
    }

    fn common_tag(&self) -> Option<&Tag> {
        self.common.as_ref()
    }

    fn tick_interval(&self) -> Option<Duration> {
        self.common.as_ref().map(|_| Duration::from_millis(50))
    }

    /// Sends all clients their number, as the broker reports it.
    fn on_tick(&mut self, desk: &mut ResourceContext<'_>) {
        desk.query_presence(7, Tenant::shared(), Tags::default(), "@kind");
    }

    fn on_resource_presence(&mut self, desk: &mut ResourceContext<'_>, about: u64, who: &Presence) {
        let text = format!("{about}: {} clients, {:?}", who.clients, who.values);
        desk.publish_text(Tenant::shared(), Address::everyone(), text).unwrap();
    }

    fn on_open(&mut self, client: &mut ClientHandle<'_>, request: &ConnectRequest<'_>) {
        self.report(format!("open {} {:?}", request.path(), request.parameter("who")));
        if let Some(cookie) = request.header("cookie") {
            let count = request.headers().count();
            self.report(format!(
                "from {} with {:?}, {count} headers",
                request.peer(),
                Some(cookie)
            ));
        }
        if let Some(word) = request.parameter("greet") {
            client.reply_text(word);
        }
    }

    fn on_message(&mut self, client: &mut ClientHandle<'_>, message: Message<'_>) {
        self.count += 1;
        match message.text().unwrap_or("binary") {
            "busy" => client.set_fyi("busy"),
            "panic" => panic!("as the test wants it"),
            "hang" => loop {
                std::thread::park();
            },
            "count" => client.reply_text(self.count.to_string()),
            "binary" => client.reply_binary(message.bytes()),
            "close" => client.close(CloseReason::new(CloseCode(4001), "enough")),
            "all" => client.publish(Address::everyone(), "to all").unwrap(),
            "others" => client.publish(Address::everyone().but(client.id()), "to others").unwrap(),
            "me" => {
                let me = client.verified(&client.uuid());
                client.publish(Address::first(me, None), "to me").unwrap();
            }
            "tags" => {
                let tags =
                    client.tags().iter().map(|tag| format!("{}={}", tag.name(), tag.value()));
                let tags: Vec<_> = tags.collect();
                client.reply(&tags).unwrap();
            }
            "untag" => client.remove_tag("language"),
            text => client.reply(text).unwrap(),
        }
    }

    fn on_close(&mut self, client: &mut ClientHandle<'_>, _: &CloseReason) {
        self.report("close");
        client.reply_text("nobody hears this");
    }

    fn on_connection_lost(&mut self, _: &mut ClientHandle<'_>, fault: &CloseReason) {
        self.report(format!("error {} {}", fault.code.0, fault.text));
    }
}

fn phpws() -> Protocol {
    Protocol::Phpws
}

fn bare() -> Protocol {
    Protocol::Gomoob
}

#[test]
fn case_30_acknowledgements_contain_what_the_resource_has_set() {
    let own = Own::start(phpws);
    let mut client = Open::at("/own").ready(own.port());
    let mut other = Open::at("/own").ready(own.port());
    client.text("busy");
    client.expect_next();
    client.text("count");
    client.expect_text(r#"{"opcode":"next","fyi":"busy"}"#);
    client.expect_text("2");
    other.text("count");
    other.expect_next();
    other.expect_text("3");
}

#[test]
fn a_resource_gets_open_close_and_errors_in_order() {
    let own = Own::start(bare);
    let mut client = Open::at("/own?who=Anna%20B&greet=hi").upgrade(own.port());
    client.expect_text("hi");
    own.expect_report(r#"open /own Some("Anna B")"#);
    client.send(frames::close(1000, "bye"));
    client.expect_close(1000);
    own.expect_report("close");
    let mut bad = Open::at("/own").upgrade(own.port());
    own.expect_report("open /own None");
    bad.send([0x83, 0x80, 0, 0, 0, 0]);
    bad.expect_close(1002);
    assert!(own.reports.recv_timeout(DEADLINE).unwrap().starts_with("error 1002 "));
    own.expect_report("close");
    let gone = Open::at("/own").upgrade(own.port());
    own.expect_report("open /own None");
    drop(gone);
    own.expect_report("close");
}

#[test]
fn a_panic_ends_its_connection_and_nothing_else() {
    let own = Own::start(bare);
    let (mut client, mut other) = (
        Open::at("/own").upgrade(own.port()),
        Open::at("/own?tags={\"language\":\"FR\"}").upgrade(own.port()),
    );
    own.expect_report("open /own None");
    own.expect_report("open /own None");
    client.text("panic");
    client.expect_close(1011);
    own.expect_report("close");
    other.text("tags");
    other.expect_text(r#"["language=FR"]"#);
    Open::web().ready(own.port());
}

/// V73.
#[test]
fn a_client_of_v1_is_away_after_a_panic_of_its_resource() {
    let own = Own::start(bare);
    let mut client = Open::v1("/own").upgrade(own.port());
    client.hello(json!({}));
    let first = client.expect_welcome();
    own.expect_report("open /own None");
    // The resource has got it, which is all that `ack` says.
    client.request_v1(1, json!({"op": "send", "data": "panic"}));
    let bye = client.json();
    assert_eq!((&bye["op"], &bye["code"]), (&json!("bye"), &json!(1011)), "{bye}");
    client.expect_close(1011);
    own.expect_report("close");
    let mut client = Open::v1("/own").upgrade(own.port());
    client.hello(json!({"resume": first["resume"]}));
    let second = client.expect_welcome();
    assert_eq!((&second["resumed"], &second["uuid"]), (&json!(true), &first["uuid"]), "{second}");
    let recovery = client.json();
    assert_eq!((&recovery["op"], &recovery["reason"]), (&json!("recovery"), &json!("off")));
}

#[test]
fn a_resource_that_never_returns_kills_only_its_worker() {
    let own = Own::start(bare);
    let mut client = Open::at("/own").upgrade(own.port());
    client.text("hang");
    // The handshake waits in the listening socket until a worker accepts it.
    let mut next = Open::at("/own").upgrade(own.port());
    next.text("me");
    next.expect_text(r#""to me""#);
}

#[test]
fn a_worker_that_panics_is_replaced() {
    let begun = AtomicU32::new(0);
    let own = Own::start_with(bare, move || {
        assert!(begun.fetch_add(1, Ordering::Relaxed) >= 2, "as the test wants it");
    });
    let mut client = Open::at("/own").upgrade(own.port());
    client.text("me");
    client.expect_text(r#""to me""#);
}

#[test]
fn it_replies_publishes_tags_and_closes() {
    let own = Own::start(bare);
    let fr = "/own?tags={\"language\":\"FR\"}";
    let (mut client, mut page) = (Open::at(fr).upgrade(own.port()), Open::web().ready(own.port()));
    client.text("all");
    client.expect_text(r#""to all""#);
    page.expect_text(r#"{"opcode":"broadcast","message":"to all"}"#);
    client.text("others");
    page.expect_text(r#"{"opcode":"broadcast","message":"to others"}"#);
    client.text("me");
    client.expect_text(r#""to me""#);
    client.text("untag");
    client.text("tags");
    client.expect_text("[]");
    client.text("é");
    client.expect_text(r#""é""#);
    client.text("close");
    client.expect_close(4001);
    page.received_nothing_of_its_own();
}

#[test]
fn headers_choose_the_protocol_and_never_the_resource() {
    let own = Own::start(bare);
    let mut page = Open::at("/own").header("Client-Type", "web").ready(own.port());
    page.text("x");
    page.expect_next();
    page.expect_text(r#"{"opcode":"feedback","message":"x"}"#);
    let gomoob = Open::at("/own").without("Origin").header("User-Agent", "websocket-client-php");
    let mut client: Raw = gomoob.upgrade(own.port());
    client.text("x");
    client.expect_text(r#""x""#);
}

#[test]
fn a_tick_can_query_presence_and_broadcast() {
    let kind = Tag::new("@kind", "probe").unwrap();
    let own = Own::start_ticking(|| Protocol::Plain, || (), Some(kind));
    let mut client = Open::at("/own").upgrade(own.port());
    // A query that was sent before the client joined may still be answered.
    while client.frame().as_text() == "7: 0 clients, []" {}
    client.expect_text(r#"7: 1 clients, ["probe"]"#);
    client.text("tags");
    loop {
        let frame = client.frame();
        if frame.as_text().starts_with('[') {
            assert_eq!(frame.as_text(), r#"["@kind=probe"]"#);
            break;
        }
    }
}

#[test]
fn an_opening_has_the_headers_and_address_of_its_client() {
    let own = Own::start(|| Protocol::Plain);
    let target = "/own?who=asks&greet=hi";
    let mut client = Open::at(target).header("Cookie", "a=b").upgrade(own.port());
    client.expect_text("hi");
    let local = client.stream().local_addr().unwrap();
    own.expect_report(r#"open /own Some("asks")"#);
    own.expect_report(&format!("from {local} with Some(\"a=b\"), {} headers", 8));
}
