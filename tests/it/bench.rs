//! `tagcast bench`: its measurements of a real server, and its detection of lost messages.

use std::io::Read;
use std::net::TcpListener;
use std::thread;

use crate::harness::frames::unmasked;
use crate::harness::{Finished, Folder, Raw, Setup, run_to_end, run_to_end_with};
use serde_json::Value;
use tagcast::websocket::{FrameEvent, FrameReader, MessageLimits};

const SHORT: &[&str] = &["--warmup", "0.1", "--duration", "0.3"];

/// Runs the benchmark and parses the JSON in its output. Progress messages are on other lines.
#[track_caller]
pub fn bench(arguments: &[&str]) -> (Option<i32>, Value) {
    let all = [&["bench"], arguments, &["--json"]].concat();
    json_of(&run_to_end(&Folder::new(), &all))
}

#[track_caller]
fn json_of(finished: &Finished) -> (Option<i32>, Value) {
    let lines = finished.text.lines().skip_while(|line| !line.starts_with(['{', '[']));
    let text: String = lines.filter(|line| !line.contains("in flight")).collect();
    let mut values = serde_json::Deserializer::from_str(&text).into_iter();
    (finished.code, values.next().unwrap_or_else(|| panic!("{}", finished.text)).unwrap())
}

#[track_caller]
fn expect_clean((code, report): &(Option<i32>, Value)) {
    assert_eq!(*code, Some(0), "{report}");
    assert!(report["deliveries"].as_u64().unwrap() > 0, "{report}");
    for fault in ["lost", "out_of_order", "foreign"] {
        assert_eq!(report[fault], 0, "{report}");
    }
    assert!(report["deliveries_per_cpu_second"].as_f64().unwrap() > 0.0, "{report}");
    assert!(report["latency_us"]["p99.9"].as_f64().unwrap() > 0.0, "{report}");
}

#[test]
fn every_scenario_runs_in_both_dialects_and_in_tls() {
    for dialect in ["phpws", "gomoob"] {
        for scenario in [
            &["fanout", "--clients", "20", "--in-flight", "4", "--publishers", "2"][..],
            &["groups", "--clients", "20", "--groups", "4"],
            &["feedback", "--clients", "20", "--rate", "500", "--fanout-rate", "20"],
            &["fanout", "--clients", "5", "--count", "500", "--payload", "70000", "--tls"],
        ] {
            let counted = if scenario.contains(&"--count") { &SHORT[..2] } else { SHORT };
            expect_clean(&bench(&[scenario, &["--dialect", dialect], counted].concat()));
        }
    }
}

#[test]
fn requests_to_the_api_are_measured_and_feedback_next_to_them() {
    for scenario in [
        &["--connections", "4"][..],
        &["--connections", "2", "--batch", "10", "--signed", "--tls"],
        &["--rate", "200", "--payload", "1024", "--feedback-rate", "100"],
    ] {
        let (code, report) = bench(&[&["api"], scenario, SHORT].concat());
        assert_eq!(code, Some(0), "{report}");
        assert!(report["answers"].as_u64().unwrap() > 10, "{report}");
        let (answers, publications) =
            (&report["answers_per_second"], &report["publications_per_second"]);
        let batch = if scenario.contains(&"--batch") { 10.0 } else { 1.0 };
        let each = publications.as_f64().unwrap() / answers.as_f64().unwrap();
        assert!((each - batch).abs() < 1e-9, "{report}");
        assert!(report["latency_us"]["p50"].as_f64().unwrap() > 0.0, "{report}");
        let has_feedback = scenario.contains(&"--feedback-rate");
        assert_eq!(report["feedback"]["is_clean"].as_bool(), has_feedback.then_some(true));
    }
    let (code, _) = bench_refused(&["api", "--batch", "101"]);
    assert_eq!(code, Some(69));
}

#[test]
fn a_quiet_tenant_is_measured_next_to_noisy_ones() {
    let few = &["tenants", "--only", "1,5", "--clients", "24", "--workers", "2"];
    let (code, report) = bench(&[&few[..], SHORT].concat());
    assert_eq!(code, Some(0), "{report}");
    assert!(report["alone"]["p99"].as_f64().unwrap() > 0.0, "{report}");
    let rows = report["rows"].as_array().unwrap();
    assert_eq!(
        rows.iter().map(|row| row["tenants"].as_u64()).collect::<Vec<_>>(),
        [Some(1), Some(8)]
    );
    for row in rows {
        for figure in ["deliveries_per_second_alone", "deliveries_per_second", "kept"] {
            assert!(row[figure].as_f64().unwrap() > 0.0, "{figure}: {report}");
        }
        assert!(row["latency_us"]["p50"].as_f64().unwrap() > 0.0, "{report}");
        assert!(row["verdict"] != "unclean", "{report}");
    }
    let (code, error) = bench_refused(&["tenants", "--only", "6"]);
    assert!(code == Some(69) && error.contains("there are rows 1 to 5"), "{error}");
}

#[track_caller]
fn bench_refused(arguments: &[&str]) -> (Option<i32>, String) {
    let Finished { code, text } = run_to_end(&Folder::new(), &[&["bench"], arguments].concat());
    assert!(text.contains("tagcast bench: "), "{text}");
    (code, text)
}

#[test]
fn idle_connections_and_openings_are_weighed() {
    for (scenario, tls) in [("idle", &[][..]), ("connect", &["--tls"])] {
        let all = [&[scenario, "--clients", "200", "--tags", "2"], tls].concat();
        let (code, report) = bench(&all);
        assert_eq!(code, Some(0), "{report}");
        assert!(report["bytes_per_connection"].as_u64().unwrap() > 0, "{report}");
        assert!(report["handshakes_per_cpu_second"].as_f64().unwrap() > 0.0, "{report}");
    }
}

#[test]
fn floors_are_measured_with_a_server_and_alone() {
    let small = ["--clients", "10", "--in-flight", "2"];
    let (code, compared) = bench(&[&["fanout", "--floor"], &small[..], SHORT].concat());
    assert_eq!(code, Some(0), "{compared}");
    assert!(compared["ratio"].as_f64().unwrap() > 0.0, "{compared}");
    let (code, floors) = bench(&[&["floor"], &small[..], SHORT].concat());
    assert_eq!(code, Some(0), "{floors}");
    for floor in floors.as_array().unwrap() {
        assert!(floor["deliveries"].as_u64().unwrap() > 0 && floor["lost"] == 0, "{floor}");
    }
}

#[test]
fn a_server_that_runs_already_is_measured_with_key_and_secret() {
    const AUTH: &str = "applications:\n  - key: shop\n    secret: sesame-4711\n    \
                        authorizeOpen: true\n";
    let server = Setup::new().auth(AUTH).start();
    let (url, pid) = (format!("ws://127.0.0.1:{}/", server.port), server.pid().to_string());
    let at = ["--url", &url, "--pid", &pid, "--key", "shop", "--clients", "8"];
    let run = |secret: &[(&str, &str)], scenario| {
        let all = [&["bench", scenario, "--json"], &at[..], SHORT].concat();
        run_to_end_with(&server.folder, &all, secret)
    };
    let secret = [("TAGCAST_SECRET", "sesame-4711")];
    expect_clean(&json_of(&run(&secret, "fanout")));
    let denied = run(&[], "fanout");
    assert_eq!(denied.code, Some(69), "{}", denied.text);
    assert!(denied.text.contains("error"), "{}", denied.text);
    assert!(!denied.text.contains("sesame"), "{}", denied.text);
}

#[test]
fn a_missing_server_and_a_contradictory_plan_are_reported() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let url = format!("ws://127.0.0.1:{port}/");
    for (arguments, code, text) in [
        (&["fanout", "--url", &url][..], 69, "connecting"),
        (&["groups", "--clients", "10", "--groups", "3"], 69, "10 clients make no 3 groups"),
        (&["fanout", "--clients", "0"], 69, "there must be clients"),
        (&["fanout", "--in-flight", "2", "--rate", "5"], 2, "cannot be used with"),
        (&["targets", "--only", "T77"], 69, "no target T77"),
    ] {
        let finished = run_to_end(&Folder::new(), &[&["bench"], arguments].concat());
        assert_eq!(finished.code, Some(code), "{}", finished.text);
        assert!(finished.text.contains(text), "{}", finished.text);
    }
}

/// Starts a faulty server that accepts one client and then a publisher. It drops the message with the number
/// `lost`, and sends the message with the number `doubled` twice.
fn faulty(lost: u64, doubled: u64) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        let mut client = let_in(&listener);
        let publisher = let_in(&listener);
        let (mut reader, limits) = (FrameReader::default(), MessageLimits::default());
        let (mut bytes, mut number) = ([0; 4096], 0);
        while let Ok(read @ 1..) = publisher.stream().read(&mut bytes) {
            let mut input = &mut bytes[..read];
            while let Ok(Some(FrameEvent::Text(text))) = reader.next(&mut input, &limits) {
                let packet: Value = serde_json::from_str(text).unwrap();
                let message = unmasked(0x81, packet["message"].to_string());
                let times = if number == lost { 0 } else { 1 + usize::from(number == doubled) };
                if client.try_send(message.repeat(times)).is_err() {
                    return;
                }
                number += 1;
            }
        }
    });
    port
}

fn let_in(listener: &TcpListener) -> Raw {
    let mut peer = Raw::over(listener.accept().unwrap().0);
    peer.read_head();
    peer.send("HTTP/1.1 101 Switching Protocols\r\n\r\n");
    peer
}

#[test]
fn what_is_lost_or_comes_twice_is_seen_and_ends_in_code_1() {
    for (lost, doubled, fault) in [(5, u64::MAX, "lost"), (u64::MAX, 5, "out_of_order")] {
        let url = format!("ws://127.0.0.1:{}/", faulty(lost, doubled));
        let arguments =
            ["fanout", "--dialect", "gomoob", "--clients", "1", "--in-flight", "2", "--url", &url];
        let (code, report) = bench(&[&arguments[..], SHORT].concat());
        assert_eq!((code, &report[fault]), (Some(1), &Value::from(1)), "{report}");
    }
}
