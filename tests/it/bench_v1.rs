//! `tagcast bench v1`, measured small.

use crate::bench::bench;
use crate::harness::{Folder, run_to_end};

/// Measures a row small, and checks that its texts are complete.
#[track_caller]
fn is_measured(row: &str) {
    let sizes = ["--clients", "200", "--recipients", "20", "--watchers", "10", "--rounds", "1"];
    let times = ["--warmup", "0.1", "--duration", "0.2", "--only", row];
    let (code, report) = bench(&[&["v1"][..], &sizes, &times].concat());
    assert_eq!(code, Some(0), "{report}");
    let figures = report["figures"].as_array().unwrap();
    let rows: Vec<_> = figures.iter().map(|figure| figure["row"].as_str().unwrap()).collect();
    assert_eq!(rows, [row]);
    for text in ["what", "figure", "target", "baseline"] {
        let text = figures[0][text].as_str().unwrap();
        let is_wrong = text.is_empty() || text.contains("NaN") || text.contains("inf");
        assert!(!is_wrong, "{}", figures[0]);
    }
}

#[test]
fn fan_outs_with_stored_publications_are_measured() {
    is_measured("M2");
}

#[test]
fn clients_that_are_away_and_come_back_are_measured() {
    is_measured("M5");
    is_measured("M6");
}

#[test]
fn answers_and_watched_clients_are_measured() {
    is_measured("M9");
    is_measured("M12");
}

#[test]
fn a_row_of_v1_that_does_not_exist_is_refused() {
    let finished = run_to_end(&Folder::new(), &["bench", "v1", "--only", "M3"]);
    assert_eq!(finished.code, Some(69), "{}", finished.text);
    assert!(finished.text.contains("M2, M5, M6, M9, M12"), "{}", finished.text);
}
