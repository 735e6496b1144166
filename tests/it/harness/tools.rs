//! Programs that a test needs and that a machine may not have.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Returns the binary of an example. Builds it if necessary: cargo does not build examples when a
/// single test is run.
#[track_caller]
pub fn example(name: &str) -> PathBuf {
    // Tests are in `target/debug/deps`, examples in `target/debug/examples`.
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

/// A requirement of a test in `tests/tools.rs`.
#[derive(Debug, Clone, Copy)]
pub enum Need {
    /// A program and its Debian package.
    Program(&'static str, &'static str),
    /// A file and the Debian package that contains it.
    File(&'static str, &'static str),
    /// A file, and the script of `.ci` that installs it if PyPI or an npm registry can be reached.
    Installed(&'static str, &'static str),
    /// The Autobahn testsuite. `.ci/install-autobahn` installs it if Python 2.7 is available.
    Autobahn,
    /// Permission for `strace` to attach to processes, which containers often forbid.
    Tracing,
    /// Permission to create network namespaces, which requires root.
    Namespaces,
    /// Permission to mount an overlay in a namespace, which requires root.
    Overlay,
}

impl Need {
    /// Returns what is missing and how to fix it. None if the test can run.
    pub fn missing(self) -> Option<String> {
        let (there, cure) = match self {
            Self::Program(program, package) => {
                (runs(program, &["--version"]), format!("{program} (apt install {package})"))
            }
            Self::File(file, package) => {
                (Path::new(file).exists(), format!("{file} (apt install {package})"))
            }
            Self::Installed(file, script) => {
                (Path::new(file).exists(), format!("{file} ({script})"))
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
            Self::Overlay => {
                let mount = "mount -t tmpfs none /mnt && mkdir /mnt/u /mnt/w /mnt/m && \
                             mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/u,workdir=/mnt/w /mnt/m";
                let there = succeeds("unshare", &["--mount", "--pid", "--fork", "sh", "-c", mount]);
                (there, "overlays (run as root)".to_owned())
            }
        };
        (!there).then_some(cure)
    }

    /// Returns true if its absence is a failure with `TAGCAST_REQUIRE_TOOLS=1`. A program can be
    /// installed; a permission of the machine cannot.
    pub fn can_be_installed(self) -> bool {
        matches!(self, Self::Program(..) | Self::File(..))
    }
}

/// Returns the command of the Autobahn testsuite, if `.ci/install-autobahn` has installed it.
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
