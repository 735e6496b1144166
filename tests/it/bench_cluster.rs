//! `tagcast bench cluster`: several hosts over a real NATS server, measured small.

use serde_json::Value;

use crate::bench::bench;
use crate::harness::nats::PROGRAM;

/// Measures some rows, and returns them with the whole report.
#[track_caller]
fn measured(rows: &str) -> (Vec<Value>, Value) {
    let nats = std::env::var(PROGRAM).unwrap_or_else(|_| "nats-server".to_owned());
    let sizes = ["--many", "3", "--clients", "20", "--publications", "2000"];
    let times = ["--warmup", "0.1", "--duration", "0.3"];
    let what = ["cluster", "--hosts", "3", "--nats", nats.as_str(), "--only", rows];
    let (code, report) = bench(&[&what[..], &sizes, &times].concat());
    assert_eq!(code, Some(0), "{report}");
    assert!(report["nats"].as_str().unwrap().contains("nats-server"), "{report}");
    let figures = report["figures"].as_array().unwrap().clone();
    let names: Vec<&str> = figures.iter().map(|it| it["row"].as_str().unwrap()).collect();
    assert_eq!(names.join(","), rows);
    for figure in &figures {
        assert_ne!(figure["verdict"], "unclean", "{figure}");
        for text in ["what", "figure", "target", "baseline"] {
            let text = figure[text].as_str().unwrap();
            assert!(!text.is_empty() && !text.contains("NaN"), "{figure}");
        }
    }
    (figures, report)
}

pub fn latency_and_costs_of_several_hosts_are_measured_with_baselines() {
    let (_, report) = measured("C1,C2,C3,C4");
    let parts = report["parts"].as_array().unwrap();
    assert_eq!(parts.len(), 7, "{report}");
    let used = |part: &&Value| part["micros"].as_f64().unwrap() > 0.0;
    assert!(parts.iter().filter(used).count() >= 6, "{report}");
    measured("C5");
    measured("C7,C8,C9");
}

pub fn faults_between_measured_hosts_lose_nothing() {
    for rows in ["C6", "C10"] {
        let (figures, _) = measured(rows);
        assert_eq!(figures[0]["verdict"], "reached", "{figures:?}");
    }
}

/// An error needs no NATS server.
#[test]
fn a_row_that_does_not_exist_is_refused() {
    let folder = crate::harness::Folder::new();
    let finished = crate::harness::run_to_end(&folder, &["bench", "cluster", "--only", "C11"]);
    assert_eq!(finished.code, Some(69), "{}", finished.text);
    assert!(finished.text.contains("C1 to C10"), "{}", finished.text);
}
