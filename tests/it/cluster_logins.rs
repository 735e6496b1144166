//! How hosts log in to NATS: certificates, NKeys, credentials files and tokens.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use nkeys::KeyPair;
use serde_json::{Value, json};

use crate::harness::nats::{Nats, host_with, wait_until_joined};
use crate::harness::tls::certificate_in;
use crate::harness::{Folder, Open, Setup, broadcast};

/// Starts two hosts, and publishes on one for a client of the other.
#[track_caller]
fn publications_pass(setup: &Setup) {
    let both = [setup.start(), setup.start()];
    wait_until_joined(&both);
    let [mut publisher, mut far] =
        [&both[0], &both[1]].map(|host| host.open(&Open::at("/web?key=shop")));
    publisher.text(broadcast("in"));
    far.expect_text(&broadcast("in"));
}

/// Expects that a host reports a reason, and nothing of a secret.
#[track_caller]
fn is_refused(setup: &Setup, reason: &str, secret: &str) {
    let host = setup.start();
    let line = host.wait_for_output("nats_disconnected");
    assert!(line.contains(reason), "{line}");
    assert!(!line.contains(secret), "{line}");
}

pub fn hosts_log_in_with_certificates() {
    let [server, client] = [Folder::new(), Folder::new()];
    certificate_in(&server);
    certificate_in(&client);
    let [of_server, key, of_client] =
        [server.path("cert.pem"), server.path("key.pem"), client.path("cert.pem")];
    let nats = Nats::start(&format!(
        "tls {{ cert_file: {of_server:?}, key_file: {key:?}, ca_file: {of_client:?}, verify: true }}"
    ));
    let url = format!("tls://localhost:{}", nats.port);
    let ca = format!("caFile = {}", of_server.display());
    let own = format!(
        "certFile = {}\npkFile = {}",
        of_client.display(),
        client.path("key.pem").display()
    );
    let at = |keys: &str| host_with(&nats, keys).variable("TAGCAST_CLUSTER_NATS", &url);
    publications_pass(&at(&format!("{ca}\n{own}")));
    is_refused(&at(&own), "TLS failed", "BEGIN");
    is_refused(&at(&ca), "TLS failed", "BEGIN");
}

pub fn hosts_log_in_with_an_nkey() {
    let (key, other) = (KeyPair::new_user(), KeyPair::new_user());
    let nats =
        Nats::start(&format!("authorization {{ users: [ {{ nkey: {} }} ] }}", key.public_key()));
    let folder = Folder::new();
    let with = |seed: &str| {
        let file = folder.write("nats.nkey", &format!("{seed}\n"));
        host_with(&nats, &format!("nkeyFile = {}", file.display()))
    };
    publications_pass(&with(&key.seed().unwrap()));
    let wrong = other.seed().unwrap();
    is_refused(&with(&wrong), "the server refuses the credentials", &wrong);
}

pub fn hosts_log_in_with_a_token() {
    let nats = Nats::start("authorization { token: \"of-the-cluster\" }");
    let folder = Folder::new();
    let with = |token: &str| {
        let file = folder.write("nats.token", &format!("{token}\n"));
        host_with(&nats, &format!("tokenFile = {}", file.display()))
    };
    publications_pass(&with("of-the-cluster"));
    is_refused(&with("of-another"), "the server refuses the credentials", "of-another");
}

pub fn hosts_log_in_with_a_credentials_file() {
    let (operator, account, user) =
        (KeyPair::new_operator(), KeyPair::new_account(), KeyPair::new_user());
    let of_operator = token(&operator, &operator, &json!({"type": "operator", "version": 2}));
    let unlimited = json!({"subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1,
        "wildcards": true, "conn": -1, "leaf": -1});
    let claims = json!({"type": "account", "version": 2, "limits": unlimited});
    let of_account = token(&operator, &account, &claims);
    let subjects = json!({"allow": ["tagcast.test.>"]});
    let claims = json!({"type": "user", "version": 2, "pub": subjects, "sub": subjects,
        "subs": -1, "data": -1, "payload": -1});
    let of_user = token(&account, &user, &claims);
    let nats = Nats::start(&format!(
        "operator: {of_operator}\nresolver: MEMORY\nresolver_preload: {{ {}: {of_account} }}",
        account.public_key()
    ));
    let folder = Folder::new();
    let with = |seed: &str| {
        let file = folder.write(
            "nats.creds",
            &format!(
                "-----BEGIN NATS USER JWT-----\n{of_user}\n------END NATS USER JWT------\n\n\
                 -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
            ),
        );
        host_with(&nats, &format!("credsFile = {}", file.display()))
    };
    publications_pass(&with(&user.seed().unwrap()));
    let wrong = KeyPair::new_user().seed().unwrap();
    is_refused(&with(&wrong), "the server refuses the credentials", &wrong);
}

/// Returns a JWT of NATS, signed by `issuer`, as `nsc` makes it.
fn token(issuer: &KeyPair, subject: &KeyPair, claims: &Value) -> String {
    let header = json!({"typ": "JWT", "alg": "ed25519-nkey"});
    let body = json!({"jti": subject.public_key(), "iat": 1_700_000_000, "iss": issuer.public_key(),
        "name": "test", "sub": subject.public_key(), "nats": claims});
    let part = |json: &Value| BASE64_URL_SAFE_NO_PAD.encode(json.to_string());
    let signed = format!("{}.{}", part(&header), part(&body));
    let signature = issuer.sign(signed.as_bytes()).unwrap();
    format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}
