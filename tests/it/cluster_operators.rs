//! What operators see of several hosts: `tagcast cluster`, its check, names, clocks, and settings that differ.

use rustix::process::Signal;

use crate::harness::api::AUTH;
use crate::harness::nats::{CLUSTER, Nats, host, host_with, hosts, wait_until_joined};
use crate::harness::processes::send_signal;
use crate::harness::{Finished, Folder, Open, Raw, Server, eventually, run_to_end};

/// Returns what `tagcast cluster --json` shows.
fn shown(server: &Server) -> Option<serde_json::Value> {
    serde_json::from_str(&server.command(&["cluster", "--json"]).text).ok()
}

fn page(server: &Server) -> Raw {
    server.open(&Open::at("/web?key=shop"))
}

pub fn the_command_shows_each_host_with_its_name_and_clients() {
    let nats = Nats::start("");
    let name = |name: &str| host_with(&nats, &format!("hostName = {name}\n"));
    let both = [name("web-1").start(), name("web-2").start()];
    wait_until_joined(&both);
    let _pages = [page(&both[0]), page(&both[1]), page(&both[1])];
    let report = eventually("the clients of both", || {
        let report = shown(&both[0])?;
        let other = &report["others"][0];
        let is_complete = report["clients"] == 1
            && other["clients"] == 2
            && other["lag_us"].as_u64().is_some()
            && other["clock_us"].as_i64().is_some();
        is_complete.then_some(report)
    });
    let other = &report["others"][0];
    assert_eq!((&report["name"], &other["name"]), (&"web-1".into(), &"web-2".into()));
    let server = report["nats"].as_str().unwrap();
    assert!(server.ends_with(&nats.port.to_string()), "{server}");
    // Both hosts have the clock of this machine.
    assert!(other["clock_us"].as_i64().unwrap().abs() < 1_000_000, "{other}");
    assert_eq!((&other["behind"], &other["lost"]), (&0.into(), &0.into()));
    assert_eq!(other["differs"], serde_json::json!([]));
    let table = both[0].command(&["cluster"]).text;
    for words in ["cluster test, format 1: connected to NATS", "web-1 *", "\nweb-2 "] {
        assert!(table.contains(words), "no {words:?} in\n{table}");
    }
    let status = both[1].command(&["status"]).text;
    assert!(status.contains("; this host is web-2"), "{status}");
    let html = both[1].call("GET", "/", &[]).body;
    assert!(html.contains("<span id=\"host\">web-2</span>"), "the page of the server");
    let ini = std::fs::read_to_string(both[1].folder.path("websock.ini")).unwrap();
    both[1].folder.write("websock.ini", &ini.replace("web-2", "renamed"));
    assert_eq!(both[1].command(&["reload"]).code, Some(0));
    eventually("the new name", || {
        (shown(&both[0])?["others"][0]["name"] == "renamed").then_some(())
    });
}

pub fn a_host_that_is_killed_is_shown_as_gone() {
    let nats = Nats::start("");
    let [a, b] = hosts(&nats);
    // Its processes end without a goodbye.
    b.signal(Signal::KILL);
    b.children().into_iter().for_each(|(child, _)| send_signal(child, Signal::KILL));
    eventually("a host that is gone", || {
        (shown(&a)?["others"][0]["state"] == "gone").then_some(())
    });
    let table = a.command(&["cluster"]).text;
    assert!(table.contains(" gone "), "{table}");
}

/// Fault 58.
pub fn hosts_with_different_settings_show_them_until_they_are_the_same() {
    let nats = Nats::start("");
    let other = AUTH.replace("oth-for-tests", "another-one");
    assert_ne!(other, AUTH);
    let setup = host(&nats).variable("TAGCAST_API_ADDRESS", "http://127.0.0.1:0");
    let second = host(&nats).auth(&other).variable("TAGCAST_MAX_MESSAGE", "1M");
    let both = [setup.start(), second.start()];
    wait_until_joined(&both);
    let differing = |server: &Server| {
        let report = shown(server)?;
        let settings = report["others"][0]["differs"].as_array()?.iter();
        Some(settings.map(|it| it["setting"].as_str().unwrap_or_default().to_owned()).collect())
    };
    for host in &both {
        eventually("both differences", || {
            let differing: Vec<String> = differing(host)?;
            (differing == ["auth.yml", "maxMessage"]).then_some(())
        });
    }
    let mismatch = "tagcast_cluster_configuration_mismatch{setting=\"auth.yml\"}";
    crate::metrics::wait_for(&both[0], &[(mismatch, 1.0)]);
    let table = both[0].command(&["cluster"]).text;
    assert!(table.contains("auth.yml differs for "), "{table}");
    both[1].folder.write("auth.yml", AUTH);
    assert_eq!(both[1].command(&["reload"]).code, Some(0));
    eventually("one difference", || {
        let differing: Vec<String> = differing(&both[0])?;
        (differing == ["maxMessage"]).then_some(())
    });
}

pub fn pings_pass_the_lanes_and_a_host_that_hangs_does_not_answer() {
    let nats = Nats::start("");
    let name = |name: &str| host_with(&nats, &format!("hostName = {name}\n"));
    let all = [name("web-1").start(), name("web-2").start(), name("web-3").start()];
    wait_until_joined(&all);
    eventually("the names of the others", || {
        let report = shown(&all[0])?;
        let mut others = report["others"].as_array()?.iter();
        others.all(|it| it["name"].as_str().is_some_and(|it| !it.is_empty())).then_some(())
    });
    let ping = |more: &[&str]| all[0].command(&[&["cluster", "ping"], more].concat());
    let finished = ping(&["--count", "20", "--json"]);
    assert_eq!(finished.code, Some(0), "{}", finished.text);
    let hosts: serde_json::Value = serde_json::from_str(&finished.text).unwrap();
    let hosts = hosts.as_array().unwrap();
    assert_eq!(hosts.len(), 2);
    for host in hosts {
        assert_eq!((&host["sent"], &host["answered"]), (&20.into(), &20.into()));
        let [p50, p99] = ["p50_us", "p99_us"].map(|it| host[it].as_u64().unwrap());
        assert!(0 < p50 && p50 <= p99 && p99 < 1_000_000, "{host}");
    }
    let id = hosts.iter().find(|host| host["name"] == "web-3").unwrap()["id"].as_str().unwrap();
    for one in ["web-3", id] {
        let finished = ping(&[one, "--count", "2"]);
        assert_eq!(finished.code, Some(0), "{}", finished.text);
        assert!(finished.text.contains("web-3") && finished.text.contains("2/2"));
        assert!(!finished.text.contains("web-2"), "{}", finished.text);
    }
    let finished = ping(&["web-9"]);
    assert_eq!(finished.code, Some(1), "{}", finished.text);
    assert!(finished.text.contains("no other host web-9"), "{}", finished.text);
    // Pings are no publications.
    assert_eq!(all[1].bridge_counts().unwrap().items_in, 0);
    a_host_that_hangs_does_not_answer(&all);
}

fn a_host_that_hangs_does_not_answer(all: &[Server; 3]) {
    let ping =
        |more: &[&str]| all[0].command(&[&["cluster", "ping", "--count", "1"], more].concat());
    let bridges = all[2].children().into_iter().filter(|(_, role)| role.contains("bridge"));
    let suspended: Vec<u32> = bridges.map(|(child, _)| child).collect();
    assert_eq!(suspended.len(), 1);
    suspended.iter().for_each(|child| send_signal(*child, Signal::STOP));
    let finished = ping(&[]);
    assert_eq!(finished.code, Some(1), "{}", finished.text);
    assert!(finished.text.contains("0/1") && finished.text.contains("1/1"), "{}", finished.text);
    // It is replaced, and its successor answers.
    eventually("an answer of the next bridge", || (ping(&["web-3"]).code == Some(0)).then_some(()));
}

/// Without a cluster there is nothing to show.
#[test]
fn a_server_without_a_cluster_has_no_hosts_to_show() {
    let server = Server::start();
    let shown = server.command(&["cluster"]);
    assert_eq!(shown.code, Some(69), "{}", shown.text);
    assert!(shown.text.contains("no host of a cluster"), "{}", shown.text);
    let pinged = server.command(&["cluster", "ping"]);
    assert_eq!(pinged.code, Some(69), "{}", pinged.text);
}

/// Runs `tagcast cluster check` with a configuration of its own.
fn check(url: &str, key: &str, auth: &str, more: &str) -> Finished {
    let folder = Folder::new();
    let ini = format!("uuidKey = {key}\n[cluster]\nnats = {url}\nname = {CLUSTER}\n{more}");
    folder.write("websock.ini", &ini);
    folder.write("auth.yml", auth);
    folder.write("user", "limited:secret");
    run_to_end(&folder, &["cluster", "check", "-i", "websock.ini"])
}

pub fn the_check_names_each_problem_with_a_fix() {
    let nats = Nats::start("");
    let (url, key) = (nats.url(), "01".repeat(32));
    let running = host_with(&nats, "hostName = web-1\n").start();
    let found = check(&url, &key, AUTH, "");
    assert_eq!(found.code, Some(0), "{}", found.text);
    for words in ["has NATS 2.", "tagcast.test.m.*: messages pass both ways", "web-1 (", "0 errors"]
    {
        assert!(found.text.contains(words), "no {words:?} in\n{}", found.text);
    }
    // It has disturbed nothing.
    assert_eq!(running.bridge_counts().unwrap().invalid_messages, 0);
    let has_problem = |found: &Finished, words: [&str; 2]| {
        assert_eq!(found.code, Some(1), "{}", found.text);
        for words in words {
            assert!(found.text.contains(words), "no {words:?} in\n{}", found.text);
        }
    };
    let other = AUTH.replace("oth-for-tests", "another-one");
    has_problem(&check(&url, &key, &other, ""), ["auth.yml differs", "the same file"]);
    let sealed = ["sealed with a different uuidKey", "give all hosts the same uuidKey"];
    has_problem(&check(&url, &"02".repeat(32), AUTH, ""), sealed);
    let away = ["the server cannot be reached", "start the NATS server"];
    has_problem(&check("nats://127.0.0.1:1", &key, AUTH, ""), away);
    let limited = Nats::start(
        r#"authorization { users: [ { user: limited, password: secret, permissions: {
            publish: ["tagcast.test.>"], subscribe: ["tagcast.test.h", "tagcast.test.e.>"] } } ] }"#,
    );
    let found = check(&limited.url(), &key, AUTH, "userFile = user\n");
    has_problem(&found, ["tagcast.test.m.*: what was published has not", "to subscribe"]);
    has_problem(&found, ["tagcast.test.h: messages pass", "Permissions Violation"]);
    let found = check(&limited.url(), &key, AUTH, "");
    has_problem(&found, ["the server refuses the credentials", "userFile"]);
}
