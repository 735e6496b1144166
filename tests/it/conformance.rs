//! RFC 6455 as checked by the Autobahn testsuite. Its fuzzing client tests the resource `echo` of a complete
//! server with sections 1 to 7, 9 and 10. The results are compared with `tests/conformance/expected.json`.
//!
//! Sections 12 and 13 test compression, which is declined (docs/decisions/0007). Tests named `hostile_…`
//! cover behaviour that the suite does not check (masks, limits, handshakes, slow peers).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::harness::{Folder, Setup, Watch, wstest};
use serde_json::{Value, json};

/// The expected results: the behaviour in each case, and the close.
const EXPECTED: &str = include_str!("../conformance/expected.json");
const SECTIONS: [&str; 9] = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*"];
/// Time limit of all cases, in seconds. On an idle machine they take 16.
const SECONDS_MAX: &str = "300";

/// Behaviour and close of each case.
type Results = BTreeMap<String, (String, String)>;

/// Called by `tests/tools.rs`, because the suite may not be installed.
pub fn every_case_of_autobahn_ends_as_expected() {
    let wstest = wstest().unwrap();
    let ini = "maxMessage = 32M\npingInterval = 0\n[resource /echo]\nkind = echo";
    let server = Setup::new().ini(ini).start();
    let watch = Watch::over(&server);
    let folder = Folder::new();
    let found = run(&wstest, &folder, server.port);
    watch.nothing_is_left();
    let expected = read(EXPECTED);
    if found != expected {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("conformance.json");
        std::fs::write(&path, written(&found)).unwrap();
        panic!("{}\nthe results are in {}", differences(&expected, &found), path.display());
    }
}

/// Runs the fuzzing client and parses its report.
fn run(wstest: &Path, folder: &Folder, port: u16) -> Results {
    let specification = json!({
        "outdir": "reports",
        "servers": [{"agent": "tagcast", "url": format!("ws://127.0.0.1:{port}/echo")}],
        "cases": SECTIONS,
        "exclude-cases": [],
        "exclude-agent-cases": {},
    });
    let file = folder.write("cases.json", &specification.to_string());
    let ended = Command::new("timeout")
        .arg(SECONDS_MAX)
        .arg(wstest)
        .args(["--mode", "fuzzingclient", "--spec"])
        .arg(file)
        .current_dir(folder.root())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{}: {printed}", ended.status);
    let report = std::fs::read_to_string(folder.path("reports/index.json")).unwrap();
    let report: Value = serde_json::from_str(&report).unwrap();
    let word = |case: &Value, name: &str| case[name].as_str().unwrap().to_owned();
    let cases = report["tagcast"].as_object().unwrap().iter();
    cases
        .map(|(id, case)| (id.clone(), (word(case, "behavior"), word(case, "behaviorClose"))))
        .collect()
}

fn read(text: &str) -> Results {
    serde_json::from_str(text).unwrap()
}

/// Formats one line per case, in the order of their numbers.
fn written(results: &Results) -> String {
    let mut cases: Vec<_> = results.iter().collect();
    cases.sort_by_key(|(id, _)| -> Vec<u32> {
        id.split('.').map(|number| number.parse().unwrap()).collect()
    });
    let line = |(id, (behavior, close)): &(&String, &(String, String))| {
        format!("  \"{id}\": [\"{behavior}\", \"{close}\"]")
    };
    format!("{{\n{}\n}}\n", cases.iter().map(line).collect::<Vec<_>>().join(",\n"))
}

/// Returns the cases whose result differs from the expected one, and cases that are missing.
fn differences(expected: &Results, found: &Results) -> String {
    let all: std::collections::BTreeSet<_> = expected.keys().chain(found.keys()).collect();
    let lines = all.into_iter().filter(|id| expected.get(*id) != found.get(*id));
    let line =
        |id: &String| format!("{id}: {:?} expected, {:?} found", expected.get(id), found.get(id));
    lines.map(line).collect::<Vec<_>>().join("\n")
}

/// To add an expected result other than "OK", a reason must be added here.
#[test]
fn nothing_is_expected_but_success() {
    let expected = read(EXPECTED);
    assert_eq!(expected.len(), 301, "sections 1 to 7, 9 and 10 have as many cases");
    for (id, (behavior, close)) in &expected {
        // 7.1.6 and 7.13: several behaviors are correct, and the suite does not judge them.
        let is_right = |word: &str| word == "OK" || word == "INFORMATIONAL";
        assert!(is_right(behavior) && is_right(close), "{id}: {behavior}, {close}");
    }
}
