//! The JavaScript client (`clients/js`): its own tests, with this build of the server, and its size.

use std::process::Command;

use crate::harness::binary;

const CLIENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/js");
/// What `.ci/install-js-client` leaves.
pub const INSTALLED: &str = "clients/js/node_modules/.package-lock.json";

/// Runs a script of `package.json` and returns what it prints.
#[track_caller]
fn npm_run(script: &str) -> String {
    let output = Command::new("npm")
        .args(["run", script])
        .current_dir(CLIENT)
        .env("TAGCAST_BIN", binary())
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
    printed
}

pub fn its_tests_pass_and_it_is_small() {
    let printed = npm_run("test");
    assert!(printed.contains("skipped 0\n"), "{printed}");
    npm_run("size");
}
