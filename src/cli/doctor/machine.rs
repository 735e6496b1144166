//! Limits of the kernel and of the processes, and the clock.

use std::fs;
use std::path::Path;

use rustix::process::{Resource, getrlimit};

use super::{Finding, FindingLevel};
use crate::admin::{AdminRequest, AdminResponse, ask};
use crate::config::Config;
use crate::telemetry::unix_seconds;

/// Descriptors from which on a process needs no advice.
const DESCRIPTORS_GOOD: u64 = 65_536;
/// Connections that wait to be accepted; the server asks for as many.
const BACKLOG_GOOD: u64 = 4096;
/// Start of the year in which this version was made, in seconds since 1970.
const TOO_EARLY: u64 = 1_767_225_600;
/// Exists while systemd-timesyncd has synchronized the clock.
const SYNCHRONIZED: &str = "/run/systemd/timesync/synchronized";

pub(super) fn findings(config: Option<&Config>) -> Vec<Finding> {
    let mut all = vec![descriptors(config)];
    all.extend(backlog("net.core.somaxconn"));
    all.extend(backlog("net.ipv4.tcp_max_syn_backlog"));
    all.extend(tracked_connections());
    all.push(clock());
    all
}

/// The limit of the running server counts, otherwise the one of this process, which a server that is
/// started from here would have.
fn descriptors(config: Option<&Config>) -> Finding {
    const CHECK: &str = "descriptors";
    let running = config.and_then(|config| supervisor(&config.state_folder));
    let limit = running
        .and_then(limit_of)
        .unwrap_or_else(|| getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX));
    let whose = if running.is_some() { "of the running server" } else { "started from here" };
    let what = format!("a process {whose} may open {limit}; each connection needs one");
    let wanted = config.map_or(0, |config| u64::from(config.admission.max_clients));
    if limit >= DESCRIPTORS_GOOD.max(wanted) {
        return Finding::ok(CHECK, what);
    }
    let cure = "LimitNOFILE=1048576 in the unit, `ulimit -Hn 1048576` in a shell, or \
                --ulimit nofile=1048576 for a container";
    Finding::bad(FindingLevel::Warning, CHECK, what, cure)
}

fn supervisor(state_folder: &Path) -> Option<u32> {
    let mut call = ask(state_folder, &AdminRequest::Status).ok()?;
    match call.next_answer() {
        Ok(Some(AdminResponse::Status(status))) => Some(status.pid),
        _ => None,
    }
}

fn limit_of(pid: u32) -> Option<u64> {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

fn backlog(name: &str) -> Option<Finding> {
    let value = kernel_value(name)?;
    let what = format!("{name} = {value}");
    Some(if value >= BACKLOG_GOOD {
        Finding::ok("kernel", what)
    } else {
        let cure =
            format!("sysctl -w {name}={BACKLOG_GOOD}, so that many clients can connect at once");
        Finding::bad(FindingLevel::Warning, "kernel", what, cure)
    })
}

/// A firewall that tracks connections drops packets when its table is full.
fn tracked_connections() -> Option<Finding> {
    let max = kernel_value("net.netfilter.nf_conntrack_max")?;
    let count = kernel_value("net.netfilter.nf_conntrack_count")?;
    let what = format!("the firewall tracks {count} of at most {max} connections");
    Some(if count < max / 4 * 3 {
        Finding::ok("kernel", what)
    } else {
        let cure = format!("sysctl -w net.netfilter.nf_conntrack_max={}", max.saturating_mul(4));
        Finding::bad(FindingLevel::Warning, "kernel", what, cure)
    })
}

fn kernel_value(name: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/sys/{}", name.replace('.', "/"))).ok()?;
    text.trim().parse().ok()
}

fn clock() -> Finding {
    const CHECK: &str = "clock";
    const CURE: &str = "run a time service (apt install systemd-timesyncd, or chrony); signed requests, \
                        certificates and the expiry of secrets depend on the clock";
    if unix_seconds() < TOO_EARLY {
        return Finding::bad(FindingLevel::Error, CHECK, "the clock is years slow", CURE);
    }
    let has_timesyncd = Path::new("/run/systemd/timesync").exists();
    if has_timesyncd && !Path::new(SYNCHRONIZED).exists() {
        let what = "systemd-timesyncd has not synchronized the clock";
        return Finding::bad(FindingLevel::Warning, CHECK, what, CURE);
    }
    Finding::ok(
        CHECK,
        if has_timesyncd { "synchronized by systemd-timesyncd" } else { "plausible" },
    )
}
