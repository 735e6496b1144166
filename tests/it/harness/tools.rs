//! Programs that a test needs and a machine may lack.

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The binary of an example; built when the test was asked for alone, so that cargo has not.
#[track_caller]
pub fn example(name: &str) -> PathBuf {
    // Examples are built beside the tests: target/debug/deps/this, target/debug/examples/that.
    let folder = std::env::current_exe().unwrap();
    let program = folder.parent().unwrap().parent().unwrap().join("examples").join(name);
    if !program.exists() {
        let build = ["build", "--quiet", "--example", name];
        let mut cargo = Command::new(env!("CARGO"));
        assert!(
            cargo.args(build).current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap().success()
        );
    }
    program
}

/// Whether `program` is there. When it is not, the test is skipped with a message, or fails if
/// `TAGCAST_REQUIRE_TOOLS=1` (as the gate sets it).
#[must_use]
pub fn require_tool(program: &str, package: &str) -> bool {
    let found = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok();
    if !found {
        let required = std::env::var("TAGCAST_REQUIRE_TOOLS").is_ok_and(|value| value == "1");
        assert!(!required, "needs {program} (apt install {package})");
        #[expect(clippy::print_stderr, reason = "whoever runs the test shall see what is missing")]
        {
            eprintln!("skipped: needs {program} (apt install {package})");
        }
    }
    found
}
