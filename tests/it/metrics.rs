//! `GET /metrics`: names, sums over all processes, and what a dead process leaves.

use std::collections::BTreeMap;

use crate::harness::api::{ApiAnswer, head, post};
use crate::harness::processes::send_signal;
use crate::harness::{Open, Raw, Server, Setup, broadcast, eventually};
use regex_lite::Regex;
use rustix::process::Signal;

/// A server with an address of its own for the API.
pub fn started() -> Server {
    Setup::new().workers(1).ini("apiAddress = http://127.0.0.1:0").start()
}

fn ask(server: &Server) -> ApiAnswer {
    Raw::connect(server.api_port("http")).request(head("GET", "/metrics", &[]))
}

/// The samples by name and labels.
fn scrape(server: &Server) -> BTreeMap<String, f64> {
    let answer = ask(server);
    assert_eq!(answer.status(), 200, "{}", answer.body);
    let lines = answer.body.lines().filter(|line| !line.starts_with('#'));
    let sample = |line: &str| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), value.parse().unwrap())
    };
    lines.map(sample).collect()
}

/// Scrapes until the samples have what is expected. A scrape may be a second old.
fn wait_for(server: &Server, expected: &[(&str, f64)]) -> BTreeMap<String, f64> {
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
    let mut kept = Raw::connect(server.port);
    assert_eq!(kept.request(head("GET", "/v1/info", &[])).status(), 200);
    kept.request(head("GET", "/metrics", &[])).is_error(404, "not_found");
}

/// Names on the page with their types.
fn listed() -> BTreeMap<String, String> {
    let page = std::fs::read_to_string("docs/metrics.md").unwrap();
    page.lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| `tagcast_")?.split(" | ");
            let (name, kind) = (cells.next()?.strip_suffix('`')?, cells.next()?);
            matches!(kind, "counter" | "gauge").then(|| (name.to_owned(), kind.to_owned()))
        })
        .collect()
}

#[test]
fn the_page_lists_every_name_with_its_type() {
    let (server, listed) = (started(), listed());
    let body = ask(&server).body;
    let shown: BTreeMap<_, _> = body
        .lines()
        .filter_map(|line| {
            let (name, kind) = line.strip_prefix("# TYPE tagcast_")?.split_once(' ')?;
            let total = if kind == "counter" { "_total" } else { "" };
            Some((format!("{name}{total}"), kind.to_owned()))
        })
        .collect();
    for (name, kind) in &shown {
        assert_eq!(listed.get(name), Some(kind), "{name} is on the page");
    }
    // Without a limit of memory and without unplanned ends these do not occur.
    let optional = ["memory_", "process_exits_total"];
    for name in listed.keys().filter(|name| !optional.iter().any(|it| name.starts_with(it))) {
        assert!(shown.contains_key(name), "{name} is served");
    }
}

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
        ("tagcast_connections_opened_total", 3.0),
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

#[test]
fn no_counter_falls_when_a_process_dies() {
    let server = started();
    let mut clients: Vec<Raw> = (0..2).map(|_| server.open(&Open::web())).collect();
    let packet = broadcast("before");
    clients[0].text(&packet);
    clients[0].expect_next();
    clients[1].expect_text(&packet);
    let delivered = "tagcast_deliveries_total{outcome=\"delivered\"}";
    let mut before =
        wait_for(&server, &[(delivered, 1.0), ("tagcast_publications_resolved_total", 1.0)]);
    for role in ["worker", "broker", "api"] {
        let process = eventually("the process", || server.with_role(role).first().copied());
        send_signal(process, Signal::KILL);
        eventually("its successor", || {
            server.with_role(role).first().filter(|other| **other != process).copied()
        });
        let exits = format!("tagcast_process_exits_total{{role=\"{role}\",reason=\"killed\"}}");
        let after = wait_for(&server, &[(&exits, 1.0)]);
        for (name, value) in &before {
            let is_counter = name.split('{').next().unwrap().ends_with("_total");
            let falls = after.get(name).is_none_or(|now| now < value);
            assert!(!is_counter || !falls, "{name} fell after the death of the {role}");
        }
        before = after;
    }
    let known = before["tagcast_connections{worker=\"0\"}"]
        + before["tagcast_connections_closed_total"]
        + before["tagcast_connections_handed_over_total"];
    assert!((before["tagcast_connections_accepted_total"] - known).abs() < 0.5, "{before:#?}");
}

#[test]
fn dashboards_use_names_of_the_page() {
    let listed = listed();
    let name = Regex::new("tagcast_[a-z_]+").unwrap();
    for file in ["dashboards/grafana.json", "dashboards/alerts.yml"] {
        let text = std::fs::read_to_string(file).unwrap();
        let used: Vec<_> = name.find_iter(&text).map(|found| found.as_str()).collect();
        assert!(used.len() > 5, "{file} uses metrics");
        for name in used {
            assert!(listed.contains_key(name.trim_start_matches("tagcast_")), "{file}: {name}");
        }
    }
    let dashboard = std::fs::read_to_string("dashboards/grafana.json").unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&dashboard).unwrap();
    assert_eq!(dashboard["title"], "Tagcast");
}
