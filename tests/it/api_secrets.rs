//! The secrets of an application: how one is replaced by another, and where each is accepted.

use std::time::{SystemTime, UNIX_EPOCH};

use tagcast::config::{ConfigSources, load};
use tagcast::server::InProcess;

use crate::api_signed::{Signed, signed};
use crate::harness::api::{ApiAnswer, PUBLISH, head, setup};
use crate::harness::{Finished, Folder, Open, Raw, Server, pause, run_to_end};

const OWN: &str = "own-for-tests-only-0123456789abcdef";
const NEW: &str = "new-for-tests-only-0123456789abcdef";
const CI: &str = "ci--for-tests-only-0123456789abcdef";
const BODY: &str = r#"{"to":{"tags":{"language":"FR"}},"message":"Bonjour"}"#;

/// The file with an application, whose members after the key these are.
fn auth(members: &str) -> String {
    format!(
        "applications:\n  - key: shop\n    tenant: shop\n    authorizeOpen: false\n{members}\
         \x20 - {{ key: safe, secret: saf-for-tests-only-0123456789abcdef, authorizeOpen: true, authMethods: [signed] }}\n"
    )
}

fn own() -> String {
    format!("    secret: {OWN}\n")
}

fn secrets(list: &str) -> String {
    format!("    secrets:\n{list}")
}

fn new() -> String {
    format!("      - {{ id: new, value: {NEW} }}\n")
}

fn publish(server: &Server, secret: &str) -> ApiAnswer {
    server.post(PUBLISH, ("Authorization", &format!("Bearer {secret}")), BODY)
}

fn open(secret: &str) -> Open {
    Open::at(&format!("/web?key=shop&secret={secret}"))
}

fn reload(server: &Server) -> String {
    let Finished { code, text } = run_to_end(&server.folder, &["reload"]);
    assert_eq!(code, Some(0), "{text}");
    text
}

/// A47.
#[test]
fn case_a47_a_secret_is_replaced_by_two_reloads_without_a_gap() {
    let server = setup().auth(&auth(&own())).start();
    assert_eq!(publish(&server, OWN).status(), 200);
    publish(&server, NEW).is_error(401, "invalid_credentials");
    let mut old = server.open(&open(OWN));
    server.folder.write("auth.yml", &auth(&(own() + &secrets(&new()))));
    assert!(reload(&server).contains("application `shop`: another secrets"));
    let mut replaced = server.open(&open(NEW));
    for secret in [OWN, NEW] {
        assert_eq!(publish(&server, secret).status(), 200);
        // A message may show any of them too.
        let packet = format!(
            r#"{{"opcode":"broadcast","key":"shop","secret":"{secret}","message":"by {secret}"}}"#
        );
        replaced.text(&packet);
        replaced.expect_next();
        let heard = format!(r#"{{"opcode":"broadcast","message":"by {secret}"}}"#);
        assert_eq!(old.frame().as_text(), heard);
    }
    server.folder.write("auth.yml", &auth(&secrets(&new())));
    reload(&server);
    old.expect_close(1008);
    publish(&server, OWN).is_error(401, "invalid_credentials");
    open(OWN).ask(server.port).expect_refusal(401);
    assert_eq!(publish(&server, NEW).status(), 200);
    // The connection that showed the new one stays.
    replaced.text(r#"{"opcode":"broadcast","message":"still here"}"#);
    replaced.expect_next();
}

#[test]
fn each_secret_signs_and_may_do_no_more_than_it_is_permitted() {
    let list = format!("      - {{ id: ci, env: CI_SECRET, permissions: [publish] }}\n{}", new());
    let auth = auth(&(own() + &secrets(&list)));
    let server = setup().variable("CI_SECRET", CI).auth(&auth).start();
    server.wait_for_output("event=api_ready");
    // What was signed in the second in which the API process started is refused.
    pause(std::time::Duration::from_millis(1100));
    for (secret, nonce) in [(OWN, "nonce-0001"), (NEW, "nonce-0002"), (CI, "nonce-0003")] {
        let answer = Signed { secret, ..signed(nonce) }.send(&server, BODY);
        assert_eq!(answer.status(), 200, "{}", answer.body);
        // A nonce belongs to the application, whatever secret signs it.
        let again = Signed { secret: OWN, ..signed(nonce) }.send(&server, BODY);
        again.is_error(401, "nonce_reused");
    }
    let all = r#"{"to":"all","message":1}"#;
    let by_ci = server.post(PUBLISH, ("X-API-Key", CI), all);
    assert_eq!(by_ci.is_error(403, "permission_denied").json()["error"]["permission"], "broadcast");
    assert_eq!(server.post(PUBLISH, ("X-API-Key", NEW), all).status(), 200);
}

/// A48.
#[test]
fn case_a48_a_secret_of_yesterday_is_not_accepted() {
    let list = format!("      - {{ id: ci, value: {CI}, expires: 2020-01-01 }}\n");
    let server = setup().auth(&auth(&(own() + &secrets(&list)))).start();
    server.wait_for_output("has expired and is not accepted");
    publish(&server, CI).is_error(401, "invalid_credentials");
    open(CI).ask(server.port).expect_refusal(401);
    let by_ci = Signed { secret: CI, ..signed("nonce-0001") };
    by_ci.send(&server, BODY).is_error(401, "invalid_signature");
    assert_eq!(publish(&server, OWN).status(), 200);
    let bearer = format!("Bearer {OWN}");
    let stats = server.call("GET", "/v1/apps/shop/stats", &[("Authorization", &bearer)]).json();
    let expired =
        |at: usize| (stats["secrets"][at]["id"].as_str(), &stats["secrets"][at]["expired"]);
    assert_eq!(expired(0), (Some("own"), &false.into()));
    assert_eq!(expired(1), (Some("ci"), &true.into()));
}

#[test]
fn a_secret_ends_at_its_time_without_a_reload() {
    let folder = Folder::new();
    folder.write("websock.ini", "adress = ws://127.0.0.1:0\nworkers = 1\n");
    folder.write("auth.yml", &auth(&(own() + &secrets(&new()))));
    let sources = ConfigSources { folder: folder.path(""), ..ConfigSources::default() };
    let mut config = load(&sources).unwrap().config;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let applications = config.applications.as_mut().unwrap();
    applications.list[0].secrets[1].expires = Some(now + 4);
    let server = InProcess::start(config).unwrap();
    let port = server.addresses()[0].port();
    let mut kept = open(OWN).ready(port);
    let mut ended = open(NEW).ready(port);
    ended.expect_close(1008);
    open(NEW).ask(port).expect_refusal(401);
    let request = |secret: &str| {
        let key = format!("Bearer {secret}");
        let headers = [("Authorization", key.as_str())];
        Raw::connect(port).request(crate::harness::api::post(PUBLISH, &headers, BODY))
    };
    request(NEW).is_error(401, "invalid_credentials");
    assert_eq!(request(OWN).status(), 200);
    kept.text(r#"{"opcode":"broadcast","message":1}"#);
    kept.expect_next();
    server.stop();
}

/// A46.
#[test]
fn case_a46_the_name_of_an_application_is_percent_encoded() {
    let server = setup().start();
    let shop = ("Authorization", "Bearer k3y-for-tests-only-0123456789abcdef");
    assert_eq!(server.post("/v1/apps/b%C3%BCro/publish", shop, BODY).status(), 200);
    let raw = head("GET", "/v1/apps/b\u{fc}ro/publish", &[shop]);
    let answer = Raw::connect(server.port).request(raw);
    assert_eq!(answer.status(), 400);
}

/// A50.
#[test]
fn case_a50_an_application_of_signed_requests_takes_no_secret() {
    let server = setup().auth(&auth(&own())).start();
    let safe = ("Authorization", "Bearer saf-for-tests-only-0123456789abcdef");
    server.post("/v1/apps/safe/publish", safe, BODY).is_error(403, "signature_required");
    let wrong = ("Authorization", "Bearer saf-for-tests-only-0123456789abcdeg");
    server.post("/v1/apps/safe/publish", wrong, BODY).is_error(401, "invalid_credentials");
}
