//! Tests of reloads without a server.

use super::*;
use crate::auth::Application;
use crate::config::{ConfigSources, OnGap, load};
use crate::types::Secret;

fn loaded(flags: &[(&str, &str)]) -> Loaded {
    loaded_with(flags, &[])
}

fn loaded_with(flags: &[(&str, &str)], variables: &[(&str, &str)]) -> Loaded {
    let owned = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    let folder = std::env::temp_dir().join("tagcast-no-such-folder");
    let (flags, variables) = (owned(flags), owned(variables));
    load(&ConfigSources { flags, variables, folder, ..ConfigSources::default() }).unwrap()
}

fn said(former: &Loaded, fresh: Loaded) -> Vec<String> {
    former.reload(fresh).unwrap().changes.iter().map(ToString::to_string).collect()
}

fn application(key: &str, secret: &str) -> Application {
    Application {
        key: key.to_owned(),
        secrets: vec![ApplicationSecret::own(Secret::new(secret.to_owned()))],
        authorize_open: true,
        client_publish: false,
        tenant: None,
        schema: None,
        ..Application::placeholder()
    }
}

#[test]
fn an_equivalent_spelling_changes_no_setting() {
    let former = loaded(&[("maxMessage", "1M")]);
    let reload = former.reload(loaded(&[("maxMessage", "1048576")])).unwrap();
    assert_eq!(reload.loaded.config.limits, former.config.limits);
    assert_eq!(said(&former, loaded(&[("maxMessage", "1M")])), Vec::<String>::new());
}

#[test]
fn an_explicit_default_is_not_a_change() {
    let former = loaded(&[]);
    assert_eq!(said(&former, loaded(&[("pingInterval", "20s")])), Vec::<String>::new());
}

#[test]
fn a_change_that_needs_a_restart_is_reported_at_each_reload() {
    let former = loaded(&[("workers", "2"), ("phpws.uuid", "signed")]);
    let fresh = || loaded(&[("workers", "3"), ("phpws.uuid", "plain"), ("pingInterval", "5s")]);
    let reload = former.reload(fresh()).unwrap();
    let config = &reload.loaded.config;
    assert_eq!((config.workers, config.phpws.uuid), (2, former.config.phpws.uuid));
    assert_eq!(config.limits.ping_interval.as_secs(), 5);
    let waits =
        ["needs a restart: workers: 2 -> 3", "needs a restart: phpws.uuid: signed -> plain"];
    assert_eq!(said(&reload.loaded, fresh()), waits);
}

#[test]
fn of_a_cluster_only_its_name_and_replay_buffer_need_a_restart() {
    let key = "01".repeat(32);
    let with = |name: &str, timeout: &str, on_gap: &str, required: &str, replay: &str| {
        let flags = [
            ("cluster.nats", "nats://127.0.0.1:4222"),
            ("cluster.name", name),
            ("cluster.queryTimeout", timeout),
            ("cluster.onGap", on_gap),
            ("cluster.required", required),
            ("cluster.replayBytes", replay),
        ];
        loaded_with(&flags, &[("TAGCAST_UUID_KEY", &key)])
    };
    let former = with("a", "300ms", "report", "off", "64M");
    let reload = former.reload(with("b", "1s", "close", "on", "32M")).unwrap();
    let cluster = reload.loaded.config.cluster.as_ref().unwrap();
    assert_eq!((&*cluster.name, cluster.replay_bytes), ("a", 64 * 1024 * 1024));
    assert_eq!(cluster.query_timeout.as_secs(), 1);
    assert_eq!((cluster.on_gap, cluster.is_required), (OnGap::Close, true));
}

#[test]
fn applications_are_named_and_their_secrets_are_not() {
    let with = |list: Vec<Application>| {
        let mut loaded = loaded(&[]);
        loaded.config.applications = Some(Applications { list, anonymous: None });
        loaded
    };
    let former = with(vec![application("a", "one-secret"), application("b", "two-secret")]);
    let fresh = with(vec![application("b", "new-secret"), application("c", "three-secret")]);
    let said = said(&former, fresh);
    assert_eq!(
        said,
        [
            "changed: application `b`: another secret",
            "changed: application `c`: added",
            "changed: application `a`: removed"
        ]
    );
}

#[test]
fn a_secret_of_the_configuration_is_never_shown() {
    let key = |digit: &str| digit.repeat(64);
    let with = |key: String| {
        let variables = vec![("TAGCAST_UUID_KEY".to_owned(), key)];
        let folder = std::env::temp_dir().join("tagcast-no-such-folder");
        load(&ConfigSources { variables, folder, ..ConfigSources::default() }).unwrap()
    };
    let (former, fresh) = (with(key("a")), with(key("b")));
    assert!(!format!("{:?}", former.values).contains("aaaa"));
    assert_eq!(said(&former, fresh), ["needs a restart: uuidKey: (secret) -> (secret)"]);
}
