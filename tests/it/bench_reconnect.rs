//! `tagcast bench reconnect`: clients reconnect after a disruption, and are counted.

use crate::bench::bench;

#[test]
fn clients_of_a_killed_worker_reconnect_and_the_others_stay() {
    let (code, report) = bench(&["reconnect", "--clients", "60", "--workers", "2"]);
    assert_eq!(code, Some(0), "{report}");
    let lost = report["lost"].as_u64().unwrap();
    assert!((1..=60).contains(&lost), "{report}");
    assert!(report["server_cpu_seconds"].as_f64().unwrap() > 0.0, "{report}");
    assert!(report["openings_cpu_seconds"].as_f64().unwrap() > 0.0, "{report}");
    assert!(report["seconds_until_served"].as_f64() >= report["seconds_until_open"].as_f64());
    assert!(report["bystander_before_us"]["p99"].as_f64().unwrap() > 0.0, "{report}");
    assert_eq!(report["tls_tickets"], serde_json::Value::Null, "{report}");
    assert_eq!(report["bystander_lost"], 0, "{report}");
}

#[test]
fn all_clients_come_back_to_a_server_that_is_started_again() {
    for tickets in ["on", "off"] {
        let all = ["--clients", "40", "--workers", "1", "--tls", "--tls-tickets", tickets];
        let (code, report) = bench(&[&["reconnect", "--kill", "server"], &all[..]].concat());
        assert_eq!(code, Some(0), "{report}");
        assert_eq!(report["lost"], 40, "{report}");
        // The server was not there when the clients came back.
        assert!(report["refused"].as_u64().unwrap() > 0, "{report}");
        assert_eq!(report["tls_tickets"], tickets == "on", "{report}");
        assert_eq!(report["bystanders"], 0, "{report}");
    }
}

#[test]
fn no_client_is_refused_while_workers_are_replaced() {
    let all = ["--kill", "rolling", "--clients", "30", "--workers", "2", "--jitter", "0.2"];
    let (code, report) = bench(&[&["reconnect"], &all[..]].concat());
    assert_eq!(code, Some(0), "{report}");
    assert!(report["lost"].as_u64().unwrap() >= 30, "{report}");
    assert_eq!(report["refused"], 0, "{report}");
    assert!(report["away_us"]["max"].as_f64().unwrap() < 60e6, "{report}");
}

#[test]
fn clients_of_tagcast_v1_resume_and_recover() {
    let (code, report) = bench(&["reconnect", "--resume", "--clients", "60", "--workers", "2"]);
    assert_eq!(code, Some(0), "{report}");
    assert_eq!(report["returned"]["resumed"], report["returned"]["recovered"], "{report}");
    assert!(report["returned"]["resumed"].as_u64().unwrap() > 0, "{report}");
}
