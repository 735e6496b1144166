//! `GET /metrics`: names, sums over all processes, and labels.

use std::collections::BTreeMap;

use crate::harness::api::{ApiAnswer, SHOP, head, post, setup};
use crate::harness::frames;
use crate::harness::tls::certificate_between;
use crate::harness::tokens::{auth, now, token, with_token};
use crate::harness::{Folder, Open, Raw, Server, Setup, broadcast, eventually};
use regex_lite::Regex;
use serde_json::json;

/// A server with an address of its own for the API.
pub fn started() -> Server {
    Setup::new().workers(1).ini("apiAddress = http://127.0.0.1:0").start()
}

fn ask(server: &Server) -> ApiAnswer {
    ask_for(server, "/metrics")
}

fn ask_for(server: &Server, path: &str) -> ApiAnswer {
    Raw::connect(server.api_port("http")).request(head("GET", path, &[]))
}

/// The samples by name and labels.
pub fn scrape(server: &Server) -> BTreeMap<String, f64> {
    samples_of(&ask(server))
}

fn samples_of(answer: &ApiAnswer) -> BTreeMap<String, f64> {
    assert_eq!(answer.status(), 200, "{}", answer.body);
    let lines = answer.body.lines().filter(|line| !line.starts_with('#'));
    let sample = |line: &str| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), value.parse().unwrap())
    };
    lines.map(sample).collect()
}

/// The sum of a family over its labels.
pub fn sum_of(samples: &BTreeMap<String, f64>, family: &str) -> f64 {
    let is_it = |name: &str| name.split('{').next() == Some(family);
    samples.iter().filter(|(name, _)| is_it(name)).map(|(_, value)| value).sum()
}

/// Scrapes until the samples have what is expected. A scrape may be a second old.
pub fn wait_for(server: &Server, expected: &[(&str, f64)]) -> BTreeMap<String, f64> {
    eventually("the samples", || {
        let samples = scrape(server);
        let has = |(name, value): &(&str, f64)| samples.get(*name) == Some(value);
        expected.iter().all(has).then_some(samples)
    })
}

#[test]
fn metrics_are_served_on_addresses_of_the_api_alone() {
    let server = started();
    let answer = ask(&server);
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(answer.head.header("Content-Type"), Some(content_type));
    assert!(answer.body.ends_with("# EOF\n"), "{}", answer.body);
    let post = Raw::connect(server.api_port("http")).request(post("/metrics", &[], "{}"));
    post.is_error(405, "method_not_allowed");
    let query = Raw::connect(server.api_port("http")).request(head("GET", "/metrics?x=1", &[]));
    query.is_error(400, "unknown_parameter");
    let shared = Raw::connect(server.port).request(head("GET", "/metrics", &[]));
    assert_eq!(shared.status(), 404);
    let server = Setup::new().workers(1).start();
    let rebound = "GET /metrics HTTP/1.1\r\nHost: attacker.example\r\n\r\n";
    let mut kept = Raw::connect(server.port);
    assert_eq!(kept.request(head("GET", "/v1/info", &[])).status(), 200);
    kept.request(rebound).is_error(403, "invalid_host");
    let mut kept = Raw::connect(server.port);
    assert_eq!(kept.request(head("GET", "/v1/info", &[])).status(), 200);
    kept.request(head("GET", "/metrics", &[])).is_error(404, "not_found");
}

/// Names on the page with their types.
pub fn listed() -> BTreeMap<String, String> {
    let page = std::fs::read_to_string("docs/metrics.md").unwrap();
    page.lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| `tagcast_")?.split(" | ");
            let (name, kind) = (cells.next()?.strip_suffix('`')?, cells.next()?);
            matches!(kind, "counter" | "gauge" | "histogram")
                .then(|| (name.to_owned(), kind.to_owned()))
        })
        .collect()
}

/// The families of an answer with their types, as the page names them.
fn types_of(body: &str) -> BTreeMap<String, String> {
    body.lines()
        .filter_map(|line| {
            let (name, kind) = line.strip_prefix("# TYPE tagcast_")?.split_once(' ')?;
            let total = if kind == "counter" { "_total" } else { "" };
            Some((format!("{name}{total}"), kind.to_owned()))
        })
        .collect()
}

#[test]
fn the_page_lists_every_name_with_its_type() {
    let (server, listed) = (started(), listed());
    // A family of the API is empty until a request was answered.
    eventually("a count of requests", || {
        scrape(&server)
            .contains_key("tagcast_api_requests_total{route=\"/metrics\",status=\"200\"}")
            .then_some(())
    });
    let body = ask(&server).body;
    let applications = ask_for(&server, "/metrics/applications").body;
    let mut shown = types_of(&body);
    shown.extend(types_of(&applications));
    for (name, kind) in &shown {
        assert_eq!(listed.get(name), Some(kind), "{name} is on the page");
    }
    // Without a limit of memory, without a certificate, without resources, without other hosts, refusals and unplanned ends these do not occur.
    let optional = [
        "memory_",
        "certificate_",
        "process_exits_total",
        "resource_",
        "cluster_",
        "handshakes_refused_total",
        "auth_failures_total",
        "publications_denied_total",
    ];
    for name in listed.keys().filter(|name| !optional.iter().any(|it| name.starts_with(it))) {
        assert!(shown.contains_key(name), "{name} is served");
    }
}

/// A238.
#[test]
fn samples_agree_with_what_clients_counted() {
    let server = started();
    let mut clients: Vec<Raw> = (0..3).map(|_| server.open(&Open::web())).collect();
    for number in 0..5 {
        let packet = broadcast(&number.to_string());
        clients[0].text(&packet);
        clients[0].expect_next();
        for client in &mut clients[1..] {
            client.expect_text(&packet);
        }
    }
    let answer = Raw::connect(server.api_port("http")).request(post(
        "/v1/apps/-/publish",
        &[],
        r#"{"to":"all","message":1,"ack":"accepted"}"#,
    ));
    assert_eq!(answer.status(), 200, "{}", answer.body);
    let samples = wait_for(
        &server,
        &[
            ("tagcast_publications_total{source=\"websocket\"}", 5.0),
            ("tagcast_publications_total{source=\"http\"}", 1.0),
            ("tagcast_deliveries_total{outcome=\"delivered\"}", 13.0),
        ],
    );
    for (name, value) in [
        ("tagcast_connections{worker=\"0\"}", 3.0),
        ("tagcast_connections_opened_total{dialect=\"phpws\"}", 3.0),
        ("tagcast_clients{dialect=\"phpws\"}", 3.0),
        ("tagcast_messages_received_total{dialect=\"phpws\"}", 5.0),
        ("tagcast_publication_recipients_count", 6.0),
        ("tagcast_publication_recipients_sum", 13.0),
        ("tagcast_publication_recipients_bucket{le=\"1.0\"}", 0.0),
        ("tagcast_publication_recipients_bucket{le=\"10.0\"}", 6.0),
        ("tagcast_publication_recipients_bucket{le=\"+Inf\"}", 6.0),
        ("tagcast_index_clients", 3.0),
        ("tagcast_deliveries_matched_total", 13.0),
        ("tagcast_deliveries_waiting", 0.0),
        ("tagcast_server_state{state=\"serving\"}", 1.0),
        ("tagcast_server_state{state=\"draining\"}", 0.0),
        ("tagcast_scrape_stale{role=\"broker\",worker=\"\"}", 0.0),
        ("tagcast_config_generation", 1.0),
    ] {
        assert_eq!(samples.get(name), Some(&value), "{name} in {samples:#?}");
    }
    let memory = samples["tagcast_process_resident_memory_bytes{role=\"worker\",worker=\"0\"}"];
    assert!(memory > 1_000_000.0, "{memory}");
}

/// A247.
#[test]
fn dashboards_use_names_of_the_page() {
    let listed = listed();
    let name = Regex::new("tagcast_[a-z_]+").unwrap();
    let is_listed = |name: &str| {
        let of_histogram =
            ["_bucket", "_count", "_sum"].iter().find_map(|it| name.strip_suffix(it));
        listed.contains_key(name) || of_histogram.is_some_and(|name| listed.contains_key(name))
    };
    for file in ["dashboards/grafana.json", "dashboards/alerts.yml"] {
        let text = std::fs::read_to_string(file).unwrap();
        let used: Vec<_> = name.find_iter(&text).map(|found| found.as_str()).collect();
        assert!(used.len() > 5, "{file} uses metrics");
        for name in used {
            assert!(is_listed(name.trim_start_matches("tagcast_")), "{file}: {name}");
        }
    }
    let dashboard = std::fs::read_to_string("dashboards/grafana.json").unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&dashboard).unwrap();
    assert_eq!(dashboard["title"], "Tagcast");
}

#[test]
fn connections_are_counted_by_code_and_requests_by_route() {
    let server = started();
    let mut clients: Vec<Raw> = (0..3).map(|_| server.open(&Open::web())).collect();
    clients[0].send(frames::close(1000, ""));
    clients[1].send(frames::close(4321, ""));
    drop(clients);
    let refused = Raw::connect(server.port).request(
        "GET /web HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 77\r\n\r\n",
    );
    let status = refused.status();
    assert!((400..500).contains(&status), "{status}");
    let wrong = Raw::connect(server.api_port("http")).request(head("GET", "/v1/nothing", &[]));
    assert_eq!(wrong.status(), 404);
    let refused = format!("tagcast_handshakes_refused_total{{status=\"{status}\"}}");
    let samples = wait_for(
        &server,
        &[
            ("tagcast_connections_closed_total{code=\"1000\"}", 1.0),
            ("tagcast_connections_closed_total{code=\"4xxx\"}", 1.0),
            ("tagcast_connections_closed_total{code=\"lost\"}", 1.0),
            ("tagcast_clients{dialect=\"phpws\"}", 0.0),
            ("tagcast_api_requests_total{route=\"other\",status=\"404\"}", 1.0),
            ("tagcast_api_request_duration_seconds_count{route=\"other\"}", 1.0),
            (&refused, 1.0),
        ],
    );
    let accepted = samples["tagcast_connections_accepted_total"];
    let known = sum_of(&samples, "tagcast_connections")
        + sum_of(&samples, "tagcast_connections_closed_total")
        + samples["tagcast_connections_handed_over_total"];
    assert!((accepted - known).abs() < 0.5, "{samples:#?}");
    let turns = samples["tagcast_event_loop_turn_duration_seconds_count{role=\"worker\"}"];
    assert!(turns >= 3.0, "{turns}");
}

/// Gives the samples of each application.
fn scrape_applications(server: &Server) -> BTreeMap<String, f64> {
    samples_of(&ask_for(server, "/metrics/applications"))
}

/// A241.
#[test]
fn applications_have_rows_whose_labels_are_escaped() {
    let entry = |key: &str| {
        let secret = "a-secret-of-more-than-32-characters";
        format!(
            "  - {{ key: {key}, secret: {secret}-{}, authorizeOpen: true, clientPublish: true }}\n",
            key.len()
        )
    };
    let file = format!("applications:\n{}{}", entry("\"a\\\"b\""), entry("other"));
    let server = Setup::new().workers(1).ini("apiAddress = http://127.0.0.1:0").auth(&file).start();
    // Its tag is x="1\"} evil 1".
    let open = Open::at("/web?key=a%22b&tags=%7B%22x%22:%221%5C%22%7D%20evil%201%22%7D");
    let mut clients: Vec<Raw> = (0..2).map(|_| server.open(&open)).collect();
    let packet = broadcast("x");
    clients[0].text(&packet);
    clients[0].expect_next();
    clients[1].expect_text(&packet);
    let wrong = post("/v1/apps/other/publish", &[("Authorization", "Bearer wrong")], "{}");
    let wrong = Raw::connect(server.api_port("http")).request(wrong);
    assert_eq!(wrong.status(), 401);
    let own = |family: &str| format!("tagcast_application_{family}{{application=\"a\\\"b\"}}");
    let failures = "tagcast_application_auth_failures_total{application=\"other\"}";
    let samples = eventually("the samples", || {
        let samples = scrape_applications(&server);
        (samples.get(failures) == Some(&1.0)).then_some(samples)
    });
    for (family, value) in [
        ("clients", 2.0),
        ("messages_received_total", 1.0),
        ("publications_total", 1.0),
        ("deliveries_total", 1.0),
    ] {
        assert_eq!(samples.get(&own(family)), Some(&value), "{family} in {samples:#?}");
    }
    assert_eq!(samples["tagcast_application_clients{application=\"other\"}"], 0.0);
    assert!(!ask(&server).body.contains("evil"));
}

/// A242.
#[test]
fn with_3000_applications_a_thousand_have_rows() {
    let entry = |number: u32| {
        let secret = format!("secret-number-{number}-of-more-than-32-characters");
        format!("  - {{ key: app{number}, secret: {secret}, authorizeOpen: false }}\n")
    };
    let file = format!("applications:\n{}", (0..3000).map(entry).collect::<String>());
    let server = Setup::new().workers(1).ini("apiAddress = http://127.0.0.1:0").auth(&file).start();
    let lines = ask(&server).body.lines().count();
    assert!(lines < 2000, "{lines} lines");
    let samples = scrape_applications(&server);
    let clients = samples.keys().filter(|name| name.starts_with("tagcast_application_clients{"));
    assert_eq!(clients.count(), 1001);
    assert!(samples.contains_key("tagcast_application_clients{application=\"\"}"));
}

#[test]
fn one_of_64_publications_is_timed() {
    let server = started();
    let mut client = server.open(&Open::web());
    let mut other = server.open(&Open::web());
    for number in 0..130 {
        let packet = broadcast(&number.to_string());
        client.text(&packet);
        client.expect_next();
        other.expect_text(&packet);
    }
    let samples = wait_for(&server, &[("tagcast_delivery_lag_seconds_count", 2.0)]);
    let lag = samples["tagcast_delivery_lag_seconds_sum"];
    assert!(lag > 0.0 && lag < 10.0, "{lag}");
    let bytes = samples["tagcast_message_bytes_total{direction=\"in\"}"];
    let sent: usize = (0..130).map(|number: i32| broadcast(&number.to_string()).len()).sum();
    assert!((bytes - sent as f64).abs() < 0.5, "{bytes} of {sent}");
}

#[test]
fn the_end_of_the_certificate_is_shown_and_follows_a_reload() {
    const EXPIRY: &str = "tagcast_certificate_expiry_timestamp_seconds";
    let folder = Folder::new();
    certificate_between(&folder, 2020, 2040);
    folder.write(
        "websock.ini",
        "[websocketserver]\naddress = wss://127.0.0.1:0\nworkers = 1\ncertFile = cert.pem\n\
         pkFile = key.pem\napiAddress = http://127.0.0.1:0\n",
    );
    let server = Server::run(folder, &["serve", "-i", "websock.ini"], &[]);
    // The first seconds of 2040 and 2041.
    assert_eq!(scrape(&server).get(EXPIRY), Some(&2_208_988_800.0));
    certificate_between(&server.folder, 2020, 2041);
    assert_eq!(server.command(&["reload"]).code, Some(0));
    wait_for(&server, &[(EXPIRY, 2_240_611_200.0)]);
}

#[test]
fn changes_of_tags_are_counted_by_their_source() {
    let changes = |source: &str| format!("tagcast_tag_changes_total{{source=\"{source}\"}}");
    let api = "apiAddress = http://127.0.0.1:0";
    let server = setup().ini(api).auth(&auth("    clientPublish: true")).start();
    let mut client = server.open(&with_token(&json!({"sub": "1", "tags": {"a": "1"}})));
    let claims = json!({"sub": "1", "tags": {"a": "2"}, "exp": now() + 600});
    client.text(json!({"opcode": "token", "token": token(&claims)}).to_string());
    client.expect_next();
    let body = r#"{"set":{"b":"1"}}"#;
    let target = format!("/v1/apps/shop/connections/{}/tags", client.uuid);
    let headers = [SHOP, ("Content-Type", "application/json"), ("Content-Length", "17")];
    let mut request = head("PATCH", &target, &headers);
    request.extend_from_slice(body.as_bytes());
    let answer = Raw::connect(server.api_port("http")).request(request);
    assert_eq!(answer.status(), 200, "{}", answer.body);
    wait_for(&server, &[(&changes("token"), 1.0), (&changes("api"), 1.0)]);
    // This resource gives each client a tag.
    let server = Setup::new().ini(&format!("{api}\n[bloatless]\napplications = chat")).start();
    let _chats = [Open::at("/chat"), Open::at("/chat")].map(|it| it.upgrade(server.port));
    let samples = wait_for(&server, &[(&changes("resource"), 2.0), (&changes("api"), 0.0)]);
    assert!(!samples.contains_key(&changes("client")), "{samples:#?}");
}
