//! The Debian package: built from the binary under test, then installed, run, upgraded, removed and purged in a
//! copy of this machine's file system that nothing outside can see.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::harness::{Folder, binary};

/// Runs its arguments as root in a copy of this file system: changes go to memory, processes and network are
/// separate, and all of it ends with the command. `$1` is an empty folder, `$2` what is visible at /packages, `$3` a
/// script.
const SANDBOX: &str = r#"
set -eu
mount -t tmpfs none "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
mkdir -p "$1/root/packages" "$1/root/dev" "$1/root/proc" "$1/root/run" "$1/root/tmp"
mount --bind "$2" "$1/root/packages"
mount --rbind /dev "$1/root/dev"
mount -t proc proc "$1/root/proc"
mount -t tmpfs none "$1/root/run"
mount -t tmpfs none "$1/root/tmp"
ip link set lo up
exec chroot "$1/root" sh -euc "$3"
"#;

/// What all scripts use: the server runs as its user, as the unit says.
const COMMANDS: &str = r#"
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
cd /
start() {
    runuser -u tagcast -- tagcast serve -i /etc/tagcast/websock.ini 2>/run/log &
    for _ in $(seq 100); do
        if tagcast health -i /etc/tagcast/websock.ini >/dev/null 2>&1; then return; fi
        sleep 0.1
    done
    cat /run/log
    exit 1
}
stop() {
    tagcast drain -i /etc/tagcast/websock.ini
    wait
}
"#;

/// The life of a package, from its installation to the end.
const LIFE: &str = r#"
echo "== install"
dpkg -i /packages/first.deb
stat -c '%a %U:%G %n' /etc/tagcast /etc/tagcast/websock.ini /etc/tagcast/auth.yml /var/lib/tagcast
runuser -u tagcast -- test ! -w /etc/tagcast/websock.ini
tagcast check -i /etc/tagcast/websock.ini
dpkg -L tagcast | grep /man1/
test -s /usr/share/bash-completion/completions/tagcast
if command -v systemd-analyze >/dev/null; then
    systemd-analyze verify /usr/lib/systemd/system/tagcast.service
fi

echo "== run"
start
tagcast publish -i /etc/tagcast/websock.ini --key default --all hello
secret=$(sed -n 's/.*secret: "\(.*\)"/\1/p' /etc/tagcast/auth.yml)
TAGCAST_SECRET=wrong tagcast publish -i /etc/tagcast/websock.ini --key default --all hello || echo "refused $?"
ls /var/lib/tagcast
stop

echo "== edit"
start
sed -i 's/^;pingInterval = 20s/pingInterval = 15s/' /etc/tagcast/websock.ini
tagcast check -i /etc/tagcast/websock.ini 2>&1 | grep warning || echo "nothing to warn of"
tagcast reload -i /etc/tagcast/websock.ini
tagcast status -i /etc/tagcast/websock.ini | head -n 3
stop
# The unit has no other log than standard error, which journalctl shows.
grep -o 'event=\(listening\|config_applied\|shutdown_requested\|server_stopped\)' /run/log | sort -u

echo "== upgrade"
echo "; a line of the operator" >>/etc/tagcast/websock.ini
dpkg -i --force-confold /packages/second.deb
tail -n 1 /etc/tagcast/websock.ini
tail -n 1 /etc/tagcast/websock.ini.dpkg-dist
grep -qF "$secret" /etc/tagcast/auth.yml
stat -c '%a %U:%G %n' /etc/tagcast/websock.ini
start
stop

echo "== remove"
dpkg --remove tagcast
ls /etc/tagcast /var/lib/tagcast
test ! -e /usr/bin/tagcast

echo "== purge"
dpkg --purge tagcast
ls -d /etc/tagcast /var/lib/tagcast /etc/default/tagcast 2>&1 || true
getent passwd tagcast || echo "no user"
"#;

/// Builds the package of a version of the binary under test.
fn build(folder: &Folder, revision: &str) -> PathBuf {
    let built = Command::new("packaging/debian/build")
        .arg(binary())
        .arg(folder.path("packages"))
        .arg(revision)
        // Compressing a debug build would take longer than the test.
        .env("COMPRESSION", "none")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    PathBuf::from(succeeded(&built).trim())
}

#[track_caller]
fn succeeded(output: &Output) -> String {
    let (text, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{text}\n{errors}", output.status);
    text.into_owned()
}

/// Runs a script in the sandbox and returns its output.
#[track_caller]
fn run(folder: &Folder, script: &str) -> String {
    let place = folder.path("sandbox");
    fs::create_dir_all(&place).unwrap();
    let output = Command::new("unshare")
        .args(["--mount", "--pid", "--net", "--fork", "--kill-child", "sh", "-c", SANDBOX, "sh"])
        .arg(place)
        .arg(folder.path("packages"))
        .arg(format!("{COMMANDS}\n{script}"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    succeeded(&output)
}

/// Makes a package of a changed one.
fn changed(folder: &Folder, package: &Path, change: impl FnOnce(&Path)) {
    let root = folder.path("changed");
    let unpacked = Command::new("dpkg-deb").arg("-R").arg(package).arg(&root).output().unwrap();
    succeeded(&unpacked);
    change(&root);
    let packed = Command::new("dpkg-deb")
        .args(["--root-owner-group", "-Znone", "--build"])
        .arg(&root)
        .arg(package)
        .output();
    succeeded(&packed.unwrap());
}

pub fn it_is_installed_run_upgraded_removed_and_purged() {
    let folder = Folder::new();
    let first = build(&folder, "1");
    let second = build(&folder, "2");
    changed(&folder, &second, |root| {
        let ini = root.join("etc/tagcast/websock.ini");
        let text = fs::read_to_string(&ini).unwrap() + "\n; a new comment of the second version\n";
        fs::write(ini, text).unwrap();
    });
    fs::rename(&first, first.with_file_name("first.deb")).unwrap();
    fs::rename(&second, second.with_file_name("second.deb")).unwrap();
    let output = run(&folder, LIFE);
    for text in [
        "750 root:tagcast /etc/tagcast\n640 root:tagcast /etc/tagcast/websock.ini\n\
         640 root:tagcast /etc/tagcast/auth.yml\n700 tagcast:tagcast /var/lib/tagcast\n",
        "the key and secret of your first application are in /etc/tagcast/auth.yml",
        "the configuration is valid: /etc/tagcast/websock.ini",
        "/usr/share/man/man1/tagcast-serve.1.gz",
        "/usr/share/man/man1/tagcast-app-add.1.gz",
        "published to all clients: reached 0 clients",
        "refused 77",
        "uuid.key",
        "the server has stopped",
        "nothing to warn of\nconfiguration 2 is active\nchanged: pingInterval: 20s -> 15s\ntagcast 0.1.0",
        "event=config_applied\nevent=listening\nevent=server_stopped\nevent=shutdown_requested\n",
        "== upgrade",
        "; a line of the operator\n; a new comment of the second version\n640 root:tagcast",
        "auth.yml",
        "no user",
    ] {
        assert!(output.contains(text), "{text:?} is not in:\n{output}");
    }
    let (_, purged) = output.split_once("== purge").unwrap();
    assert_eq!(purged.matches("No such file or directory").count(), 3, "{output}");
}

pub fn a_configuration_with_errors_does_not_stop_the_server() {
    let folder = Folder::new();
    let package = build(&folder, "1");
    let name = package.file_name().unwrap().to_str().unwrap();
    let second = package.with_file_name("second.deb");
    fs::copy(&package, &second).unwrap();
    changed(&folder, &second, |root| {
        let ini = root.join("etc/tagcast/websock.ini");
        fs::write(&ini, fs::read_to_string(&ini).unwrap() + "maxMesage = 1M\n").unwrap();
    });
    // The new file has an error: the running server must not be replaced by one that cannot start.
    let output = run(
        &folder,
        &format!(
            "dpkg -i /packages/{name}\ndpkg -i /packages/second.deb 2>&1\n\
             tail -n 1 /etc/tagcast/websock.ini\n"
        ),
    );
    for text in ["did you mean `maxMessage`?", "not (re)started", "maxMesage = 1M\n"] {
        assert!(output.contains(text), "{text:?} is not in:\n{output}");
    }
}
