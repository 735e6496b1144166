//! Programs that a test needs and a machine may lack.

use std::path::{Path, PathBuf};
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

/// What a test of `tests/tools.rs` needs from the machine.
#[derive(Debug, Clone, Copy)]
pub enum Need {
    /// A program, and the Debian package that has it.
    Program(&'static str, &'static str),
    /// The Autobahn testsuite, which `.ci/install-autobahn` installs where Python 2.7 is there.
    Autobahn,
    /// `strace` may attach to processes: containers often forbid it.
    Tracing,
    /// Network namespaces can be made, which takes root.
    Namespaces,
}

impl Need {
    /// What is missing, with the cure; none when the test can run.
    pub fn missing(self) -> Option<String> {
        let (there, cure) = match self {
            Self::Program(program, package) => {
                (runs(program, &["--version"]), format!("{program} (apt install {package})"))
            }
            Self::Autobahn => {
                (wstest().is_some(), "Autobahn (.ci/install-autobahn, Python 2.7)".to_owned())
            }
            Self::Tracing => {
                let attach = "sleep 0.2 & exec strace -q -o /dev/null -p $!";
                (succeeds("sh", &["-c", attach]), "the right to trace processes".to_owned())
            }
            Self::Namespaces => {
                let there = succeeds("ip", &["netns", "add", "tagcast-probe"]);
                succeeds("ip", &["netns", "del", "tagcast-probe"]);
                (there, "network namespaces (run as root)".to_owned())
            }
        };
        (!there).then_some(cure)
    }

    /// Whether its absence is a failure where `TAGCAST_REQUIRE_TOOLS=1`: a program can be installed, a
    /// right of the machine cannot.
    pub fn can_be_installed(self) -> bool {
        matches!(self, Self::Program(..))
    }
}

/// The Autobahn testsuite's command, where `.ci/install-autobahn` has put it.
pub fn wstest() -> Option<PathBuf> {
    let named = std::env::var_os("TAGCAST_AUTOBAHN").map(PathBuf::from);
    let usual = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/autobahn");
    let command = named.as_ref().unwrap_or(&usual).join("python/bin/wstest");
    if command.exists() {
        return Some(command);
    }
    assert!(named.is_none(), "there is no {}: run .ci/install-autobahn", command.display());
    None
}

fn runs(program: &str, arguments: &[&str]) -> bool {
    quiet(program, arguments).status().is_ok()
}

fn succeeds(program: &str, arguments: &[&str]) -> bool {
    quiet(program, arguments).status().is_ok_and(|status| status.success())
}

fn quiet(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}
