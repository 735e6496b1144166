//! `tagcast cluster check`: whether the configuration alone makes a host of a cluster.

use std::process::ExitCode;
use std::time::Duration;

use super::super::config_args::source;
use super::super::doctor::{Finding, FindingLevel, print};
use super::super::{EXIT_CONFIG, print_error};
use super::ClusterCheckArguments;
use crate::carrier::{HeardHost, NatsLook, NatsRefusal, look};
use crate::cluster::CLUSTER_MESSAGE_BYTES_MAX;
use crate::config::{self, BridgeConfig, Config, UuidKey};
use crate::types::{NatsFault, Secret, SharedSetting};

/// How long other hosts are listened for: some of their heartbeats.
const LISTEN: Duration = Duration::from_millis(1500);
/// The oldest version of NATS that is supported.
const NATS_VERSION_MIN: (u32, u32) = (2, 9);

/// Connects with the configuration of the arguments, and prints what is found. The exit code is 1 if there is a problem.
pub(super) fn run(arguments: &ClusterCheckArguments) -> ExitCode {
    let loaded = match config::load(&source(arguments.ini.clone(), Vec::new())) {
        Ok(loaded) => loaded,
        Err(findings) => {
            print_error(&findings.to_string());
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    let findings = match bridge_config(loaded.config) {
        Err(finding) => vec![*finding],
        Ok(bridge) => match look(&bridge, LISTEN) {
            Ok(found) => judge(&bridge, &found),
            Err(refusal) => vec![refused(&bridge, &refusal)],
        },
    };
    print(&findings);
    let is_bad = findings.iter().any(|finding| finding.severity == FindingLevel::Error);
    if is_bad { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Returns the configuration of the bridge, with the key of the UUIDs.
fn bridge_config(mut config: Config) -> Result<BridgeConfig, Box<Finding>> {
    if let UuidKey::File(path) = &config.uuid_key {
        let text = std::fs::read_to_string(path).map_err(|error| {
            let what = format!("{} cannot be read: {error}", path.display());
            let cure =
                "copy the uuid.key of a host to this path; run the check as the server's user";
            Box::new(Finding::bad(FindingLevel::Error, "uuidKey", what, cure))
        })?;
        config.uuid_key = UuidKey::Value(Secret::new(text.trim().to_owned()));
    }
    config.for_bridge().ok_or_else(|| {
        let what = "nats of [cluster] is not set";
        let cure = "set nats and name of [cluster]: docs/cluster.md#setting-up";
        Box::new(Finding::bad(FindingLevel::Error, "configuration", what, cure))
    })
}

fn refused(config: &BridgeConfig, NatsRefusal { fault, text }: &NatsRefusal) -> Finding {
    let servers = config.cluster.nats.servers.join(", ");
    let what = format!("no connection to {servers}: {}: {text}", fault.text());
    let cure = match fault {
        NatsFault::Name => "correct the name in nats of [cluster], or the DNS",
        NatsFault::Unreachable | NatsFault::Timeout | NatsFault::LameDuck => {
            "start the NATS server, correct nats of [cluster], or open the port in the firewall"
        }
        NatsFault::Credentials => {
            "compare the file of credsFile, nkeyFile, userFile or tokenFile with the NATS server's users"
        }
        NatsFault::File => "correct the file; it must be readable for the server's user",
        NatsFault::Tls => "set caFile to the certificate authority of the NATS server",
        NatsFault::MaxPayload => "set max_payload of the NATS server to 1MB",
    };
    Finding::bad(FindingLevel::Error, "connection", what, cure)
}

/// Returns what is right and wrong with a server that accepts connections.
fn judge(config: &BridgeConfig, found: &NatsLook) -> Vec<Finding> {
    let mut all = vec![version(found), payload(found.max_payload)];
    let name = &config.cluster.name;
    let permissions = format!(
        "give the user of NATS the permissions to publish and to subscribe to `tagcast.{name}.>`"
    );
    for subject in &found.subjects {
        all.push(if subject.passes {
            Finding::ok("subject", format!("{}: messages pass both ways", subject.subject))
        } else {
            let what = format!("{}: what was published has not come back", subject.subject);
            Finding::bad(FindingLevel::Error, "subject", what, permissions.clone())
        });
    }
    for error in &found.errors {
        let what = format!("the server reports: {error}");
        all.push(Finding::bad(FindingLevel::Error, "permissions", what, permissions.clone()));
    }
    if found.sealed_otherwise > 0 {
        let what = format!(
            "{} messages are sealed with a different uuidKey, or are from another cluster of the same name",
            found.sealed_otherwise
        );
        let cure = "give all hosts the same uuidKey, or the other cluster another name";
        all.push(Finding::bad(FindingLevel::Error, "uuidKey", what, cure));
    }
    if found.hosts.is_empty() {
        all.push(Finding::ok("hosts", "no host of this cluster sends heartbeats"));
    }
    for (id, host) in &found.hosts {
        all.extend(of_host(config, &id.to_string(), host));
    }
    all
}

fn version(found: &NatsLook) -> Finding {
    let NatsLook { server, version, .. } = found;
    let mut numbers = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let (major, minor) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let what = format!("{server} has NATS {version}");
    if (major, minor) >= NATS_VERSION_MIN {
        return Finding::ok("connection", what);
    }
    Finding::bad(FindingLevel::Error, "connection", what, "use NATS 2.9 or later")
}

fn payload(max: usize) -> Finding {
    let what = format!("max_payload is {max} bytes");
    if max >= CLUSTER_MESSAGE_BYTES_MAX {
        return Finding::ok("max_payload", what);
    }
    let cure = "set max_payload of the NATS server to 64KB or more, better 1MB";
    Finding::bad(FindingLevel::Error, "max_payload", what, cure)
}

/// What another host, or this one if it runs, says about itself.
fn of_host(
    config: &BridgeConfig,
    id: &str,
    HeardHost { profile, runs }: &HeardHost,
) -> Vec<Finding> {
    let name = format!("{} ({id}, version {})", profile.name, profile.version);
    let mut all = vec![Finding::ok("hosts", format!("{name} sends heartbeats"))];
    if runs.len() > 1 {
        let what = format!("{name}: two servers use this host id at once");
        let cure = "remove state/host.id on one of them, and restart it";
        all.push(Finding::bad(FindingLevel::Error, "hosts", what, cure));
    }
    for setting in SharedSetting::ALL {
        let of = |profile: &crate::types::HostProfile| {
            let found = profile.settings.iter().find(|it| it.setting == *setting);
            found.map(|it| it.digest)
        };
        if let (Some(own), Some(other)) = (of(&config.profile), of(profile))
            && own != other
        {
            let what = format!("{name}: {} differs from this configuration", setting.text());
            let cure = "give all hosts the same file, and `tagcast reload`";
            all.push(Finding::bad(FindingLevel::Error, "configuration", what, cure));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(version: &str) -> NatsLook {
        NatsLook {
            server: "127.0.0.1:4222".to_owned(),
            version: version.to_owned(),
            max_payload: 0,
            subjects: Vec::new(),
            errors: Vec::new(),
            hosts: std::collections::BTreeMap::new(),
            sealed_otherwise: 0,
        }
    }

    #[test]
    fn old_versions_and_small_messages_are_errors() {
        for (text, expected) in [
            ("2.8.4", FindingLevel::Error),
            ("2.9.10", FindingLevel::Ok),
            ("2.15.1-dev", FindingLevel::Ok),
            ("3.0.0", FindingLevel::Ok),
            ("unknown", FindingLevel::Error),
        ] {
            assert_eq!(version(&found(text)).severity, expected, "{text}");
        }
        assert_eq!(payload(CLUSTER_MESSAGE_BYTES_MAX - 1).severity, FindingLevel::Error);
        assert_eq!(payload(CLUSTER_MESSAGE_BYTES_MAX).severity, FindingLevel::Ok);
    }
}
