//! `tagcast bench compare`: servers that templates describe.

use std::cell::RefCell;
use std::fs;
use std::path::Path;

use crate::bench::bench;
use crate::harness::wait::in_one_of_a_few;
use crate::harness::{Folder, Setup, run_to_end};
use serde_json::Value;

/// A comparison that takes a few seconds.
const SMALL: &[&str] = &[
    "--rounds",
    "1",
    "--clients",
    "12",
    "--groups",
    "3",
    "--in-flight",
    "1,8",
    "--connections",
    "30",
    "--warmup",
    "0.1",
    "--duration",
    "0.3",
];

fn template(name: &str) -> String {
    format!("{}/benches/compare/{name}.ini", env!("CARGO_MANIFEST_DIR"))
}

/// Compares these servers and expects a figure of each in every row.
#[track_caller]
fn compare(templates: &[&str], names: &[&str], more: &[&str]) -> Value {
    let report = RefCell::new(Value::Null);
    // Another server may lose messages by itself. Its figures are then marked, and the command fails.
    let is_ours = names.contains(&"tagcast");
    // On a busy machine a server may not deliver everything within so short a time.
    in_one_of_a_few(|| {
        let (code, found) = bench(&[&["compare"], templates, SMALL, more].concat());
        match code {
            Some(0) => report.replace(found),
            Some(1) if !is_ours && found["rows"].is_array() => report.replace(found),
            code => return Err(format!("{code:?}: {found}")),
        };
        Ok(())
    });
    let report = report.into_inner();
    let rows = report["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 6, "{report}");
    for row in rows {
        let cells = row["servers"].as_array().unwrap();
        let found: Vec<&str> = cells.iter().map(|cell| cell["server"].as_str().unwrap()).collect();
        assert_eq!(found, names, "{report}");
        for cell in cells {
            let median = cell["median"].as_f64().unwrap();
            // So few connections may need no further page.
            let is_memory = row["what"] == "idle connection, bytes";
            assert!(median > 0.0 || is_memory && median >= 0.0, "{row}");
            assert!(!is_ours || cell["is_clean"] == true, "{row}");
        }
    }
    report
}

#[test]
fn tagcast_is_compared_with_the_floors() {
    compare(&[&template("tagcast")], &["floor", "joined floor", "tagcast"], &["--floor"]);
}

pub fn nats_is_compared() {
    let (tagcast, nats) = (template("tagcast"), template("nats"));
    compare(&[&tagcast, &nats], &["tagcast", "NATS"], &[]);
}

pub fn nchan_is_compared() {
    compare(&[&template("nchan")], &["nchan"], &[]);
}

/// Writes the template of Tagcast with one change.
fn changed(folder: &Folder, from: &str, to: &str) -> String {
    let text = fs::read_to_string(template("tagcast")).unwrap();
    assert!(text.contains(from), "{from}");
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/compare");
    let text = text.replace("config = ", &format!("config = {}/", here.display()));
    folder.write("changed.ini", &text.replace(from, to));
    folder.path("changed.ini").display().to_string()
}

#[test]
fn a_server_that_runs_already_is_measured_by_its_process() {
    let server = Setup::new().start();
    let folder = Folder::new();
    let place = format!("url = ws://127.0.0.1:{}\nprocess = {}", server.port, server.pid());
    let file = changed(&folder, "start = {tagcast} serve -i {config}", &place);
    compare(&[&file], &["tagcast"], &[]);
}

#[test]
fn a_wrong_template_is_reported_with_file_key_and_what_would_be_right() {
    for (from, to, code, expected) in [
        (
            "path = /?",
            "pfad = /?",
            78,
            &["changed.ini:9: pfad: is not a key of [open]; use path"][..],
        ),
        ("{payload}\"", "{playload}\"", 78, &["{playload}", "use {topic}, {payload}"]),
        ("[receive]", "[received]", 78, &["[received] is not a section", "[receive]"]),
        ("{tagcast} serve", "no-such-program", 69, &["start: `no-such-program`", "install it"]),
        ("'\"{payload}\"'", "<{payload}>", 69, &["write `message = "]),
        (
            "\"topic\":\"{topic}\"}}",
            "\"topic\":\"x{topic}\"}}",
            69,
            &["did not arrive", "[subscribe]"],
        ),
        ("[publish]", "expect = hello\n[publish]", 69, &["expected `hello`"]),
        ("serve -i", "check -i", 69, &["did not start"]),
    ] {
        let folder = Folder::new();
        let file = changed(&folder, from, to);
        let finished = run_to_end(&folder, &[&["bench", "compare", &file], SMALL].concat());
        assert_eq!(finished.code, Some(code), "{to}: {}", finished.text);
        for words in expected.iter().chain(&["changed.ini"]) {
            assert!(finished.text.contains(words), "{to}: {words}: {}", finished.text);
        }
    }
}

#[test]
fn every_template_can_be_read_and_a_missing_one_is_named() {
    // A plan that is impossible is reported after the templates were read.
    let names = ["tagcast", "nats", "nchan", "centrifugo", "ws"].map(template);
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    let finished =
        run_to_end(&Folder::new(), &[&["bench", "compare", "--rounds", "0"], &all[..]].concat());
    assert!(finished.text.contains("there must be a server"), "{}", finished.text);
    let finished = run_to_end(&Folder::new(), &["bench", "compare", "none.ini"]);
    assert!(finished.text.contains("none.ini"), "{}", finished.text);
}
