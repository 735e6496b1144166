//! Operators: login, tokens, roles, and what they read about the server.

use std::os::unix::fs::PermissionsExt;
use std::sync::OnceLock;

use serde_json::Value;
use tagcast::config::hash_password;

use crate::harness::api::{AUTH, ApiAnswer, Clients, SHOP, SHOP_SECRET, head, post};
use crate::harness::processes::send_signal;
use crate::harness::{Folder, Raw, Server, eventually, run_to_end};
use rustix::process::Signal;

/// The password of anna.
pub const PASSWORD: &str = "correct horse battery";
/// The token of `ci`.
pub const CI: &str = "tco_for-tests-only-0123456789abcdefghijklmnop";
/// The token of `eve`, who may read payloads.
pub const EVE: &str = "tco_for-tests-only-eve-0123456789abcdefghijklm";
const UUID_KEY: &str = "0101010101010101010101010101010101010101010101010101010101010101";

/// Returns the header of a token.
pub fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

fn digest(token: &str) -> String {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(token.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Anna may do everything, `ci` looks at `shop`, `eve` reads everything.
fn operators() -> String {
    static HASH: OnceLock<String> = OnceLock::new();
    let hash = HASH.get_or_init(|| hash_password(PASSWORD).unwrap().expose().to_owned());
    format!(
        "operators:\n  - {{ name: anna, role: operator, password: \"{hash}\" }}\n  - {{ name: ci, role: viewer, \
         token: sha256:{}, applications: [shop] }}\n  - {{ name: eve, role: viewer, token: sha256:{}, \
         payloads: true }}\n",
        digest(CI),
        digest(EVE)
    )
}

fn write_operators(folder: &Folder, text: &str, mode: u32) {
    let path = folder.write("operators.yml", text);
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// A server with operators, applications, and an address of its own for the API.
#[track_caller]
pub fn operated(ini: &str) -> Server {
    let folder = Folder::new();
    write_operators(&folder, &operators(), 0o600);
    folder.write("auth.yml", AUTH);
    let ini = format!(
        "[websocketserver]\naddress = ws://127.0.0.1:0\nworkers = 2\npingInterval = 0\nuuidKey = {UUID_KEY}\n\
         apiAddress = http://127.0.0.1:0\noperatorFile = operators.yml\n{ini}"
    );
    folder.write("websock.ini", &ini);
    Server::run(folder, &["serve", "-i", "websock.ini"], &[])
}

/// Everything that no answer may have: secrets, tokens, passwords, and what is kept of them.
pub fn secrets(session: &str) -> Vec<String> {
    let all = [SHOP_SECRET, "oth-for-tests-only", UUID_KEY, PASSWORD, "argon2id", CI, EVE, session];
    all.map(str::to_owned).into_iter().chain([digest(CI), digest(EVE)]).collect()
}

/// Requests of an operator.
impl Server {
    /// Sends a request without a body to the API's own address.
    #[track_caller]
    pub fn operate(&self, method: &str, target: &str, token: &str) -> ApiAnswer {
        let token = bearer(token);
        let request = head(method, target, &[("Authorization", &token)]);
        Raw::connect(self.api_port("http")).request(request)
    }

    /// Posts JSON to the API's own address.
    #[track_caller]
    pub fn operate_with(&self, target: &str, token: &str, body: &str) -> ApiAnswer {
        let token = bearer(token);
        let request = post(target, &[("Authorization", &token)], body);
        Raw::connect(self.api_port("http")).request(request)
    }

    /// Logs anna in and returns the token of her session.
    #[track_caller]
    pub fn log_in(&self) -> String {
        let answer = self.try_login("127.0.0.1", "anna", PASSWORD);
        assert_eq!(answer.status(), 200, "{}", answer.body);
        answer.json()["token"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    fn try_login(&self, from: &str, name: &str, password: &str) -> ApiAnswer {
        let body = format!(r#"{{"name":"{name}","password":"{password}"}}"#);
        Raw::connect_from(from, self.api_port("http")).request(post("/v1/server/login", &[], &body))
    }
}

#[test]
fn an_operator_logs_in_and_a_session_ends_at_the_logout() {
    let server = operated("");
    let token = server.log_in();
    assert!(token.starts_with("tcs_"));
    let me = server.operate("GET", "/v1/server/me", &token).json();
    assert_eq!((&me["name"], &me["role"]), (&Value::from("anna"), &Value::from("operator")));
    assert!(
        me["session_expires"].as_u64().unwrap() > 1_700_000_000 && me["applications"].is_null()
    );
    let ci = server.operate("GET", "/v1/server/me", CI).json();
    assert_eq!(
        (&ci["role"], &ci["applications"][0]),
        (&Value::from("viewer"), &Value::from("shop"))
    );
    assert!(ci["session_expires"].is_null());
    assert_eq!(server.operate_with("/v1/server/logout", &token, "{}").status(), 200);
    server.operate("GET", "/v1/server/me", &token).is_error(401, "invalid_credentials");
    Raw::connect(server.api_port("http"))
        .request(head("GET", "/v1/server/me", &[]))
        .is_error(401, "missing_credentials");
    server.wait_for_output("operator_logged_in");
}

/// Case A250.
#[test]
fn five_wrong_passwords_a_minute_are_checked_for_a_name_and_an_address() {
    let server = operated("");
    for _ in 0..5 {
        let wrong = server.try_login("127.0.0.1", "anna", "wrong password");
        wrong.is_error(401, "invalid_credentials");
    }
    let refused = server.try_login("127.0.0.1", "anna", PASSWORD);
    refused.is_error(429, "rate_limited");
    assert!(refused.head.header("Retry-After").is_some());
    assert_eq!(server.try_login("127.0.0.2", "anna", PASSWORD).status(), 200);
    server.try_login("127.0.0.1", "nobody", PASSWORD).is_error(401, "invalid_credentials");
    server.try_login("127.0.0.1", "ci", "").is_error(401, "invalid_credentials");
}

/// Case A251.
#[test]
fn a_session_does_not_outlive_the_api_process_and_a_token_does() {
    let server = operated("");
    let token = server.log_in();
    send_signal(server.api_process(), Signal::KILL);
    eventually("the next process answers", || {
        let port = server.api_port("http");
        let token = bearer(CI);
        let request = head("GET", "/v1/server/me", &[("Authorization", &token)]);
        (Raw::connect(port).request(request).status() == 200).then_some(())
    });
    server.operate("GET", "/v1/server/me", &token).is_error(401, "invalid_credentials");
    server.log_in();
}

/// Case A252.
#[test]
fn secrets_of_applications_and_tokens_of_operators_are_separate() {
    let server = operated("");
    server.operate("GET", "/v1/server/overview", SHOP_SECRET).is_error(401, "invalid_credentials");
    let body = r#"{"to":"all","message":1}"#;
    for token in [CI.to_owned(), server.log_in()] {
        let answer = server.operate_with("/v1/apps/shop/publish", &token, body);
        answer.is_error(401, "invalid_credentials");
    }
}

#[test]
fn operators_are_served_on_addresses_of_the_api_alone() {
    let server = operated("");
    let token = bearer(CI);
    let request = head("GET", "/v1/server/me", &[("Authorization", &token)]);
    Raw::connect(server.port).request(request).is_error(404, "not_found");
    let without = crate::harness::api::setup().ini("apiAddress = http://127.0.0.1:0").start();
    without.operate("GET", "/v1/server/me", CI).is_error(404, "not_found");
    without.operate_with("/v1/server/login", CI, "{}").is_error(404, "not_found");
}

#[test]
fn the_overview_has_sums_and_the_points_of_charts() {
    let server = operated("");
    let _clients = Clients::open(&server);
    let shown = eventually("points", || {
        let shown = server.operate("GET", "/v1/server/overview", CI).json();
        let points = shown["history"]["second"].as_array()?.len();
        (points >= 2 && shown["totals"]["clients"] == 5).then_some(shown)
    });
    assert_eq!((&shown["state"], &shown["broker_linked"]), (&"serving".into(), &true.into()));
    assert_eq!(shown["totals"]["connections"], 5);
    let columns: Vec<&str> =
        shown["columns"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let point = shown["history"]["second"][1].as_array().unwrap();
    assert_eq!((columns.len(), columns[0]), (point.len(), "time"));
    assert_eq!(shown["configuration"]["number"], 1);
    assert!(shown["certificate"].is_null());
    let processes = server.operate("GET", "/v1/server/processes", CI).json();
    assert_eq!(processes["processes"][1]["role"], "api");
    assert_eq!(processes["stage"], "serving");
}

#[test]
fn the_configuration_shows_sources_and_no_secret() {
    let server = operated("maxMessage = 1M\n");
    let shown = server.operate("GET", "/v1/server/configuration", CI).json();
    let key = |name: &str| {
        let all = shown["keys"].as_array().unwrap();
        all.iter().find(|row| row["key"] == name).unwrap().clone()
    };
    let message = key("maxMessage");
    assert_eq!((&message["value"], &message["default"]), (&"1M".into(), &"5M".into()));
    assert!(message["source"].as_str().unwrap().ends_with("websock.ini:8"), "{message}");
    assert_eq!(
        (&key("workers")["needs_restart"], &key("page")["source"]),
        (&true.into(), &"default".into())
    );
    assert_eq!(key("uuidKey")["value"], "•••");
}

/// Cases A249 and A254 for the endpoints about the server.
#[test]
fn an_operator_sees_only_its_applications_and_no_secret() {
    let server = operated("");
    let _clients = Clients::open(&server);
    let list = server.operate("GET", "/v1/server/applications", CI).json();
    let names: Vec<&Value> =
        list["applications"].as_array().unwrap().iter().map(|it| &it["application"]).collect();
    assert_eq!(names, ["shop"]);
    assert_eq!(list["applications"][0]["secrets"][0]["id"], "own");
    let shop = server.operate("GET", "/v1/server/applications/shop", CI).json();
    assert_eq!(shop["clients"]["web"], 3);
    server.operate("GET", "/v1/server/applications/other", CI).is_error(404, "not_found");
    server.operate("GET", "/v1/server/applications/none", CI).is_error(404, "not_found");
    let anna = server.log_in();
    let other = server.operate("GET", "/v1/server/applications/other", &anna).json();
    assert_eq!(other["clients"]["web"], 1);
    let names = [
        "me",
        "overview",
        "processes",
        "configuration",
        "events",
        "applications",
        "applications/shop",
    ];
    let answers: String =
        names.map(|name| server.operate("GET", &format!("/v1/server/{name}"), &anna).body).concat();
    let metrics = server.operate("GET", "/metrics", &anna).body;
    for secret in secrets(&anna) {
        for text in [&answers, &metrics, &server.output()] {
            assert!(!text.contains(&secret), "{secret}");
        }
    }
}

/// Case A245.
#[test]
fn metrics_need_an_operator_where_clients_connect() {
    let server = operated("");
    let shared = |headers: &[(&str, &str)]| {
        Raw::connect(server.port).request(head("GET", "/metrics", headers))
    };
    shared(&[]).is_error(401, "missing_credentials");
    shared(&[SHOP]).is_error(401, "invalid_credentials");
    let token = bearer(CI);
    let scraped = shared(&[("Authorization", &token)]);
    assert!(scraped.body.ends_with("# EOF\n"), "{}", scraped.body);
    let own = |token: &str| server.operate("GET", "/metrics", token).status();
    assert_eq!(own("none"), 200);
    let server = operated("metricsAuth = on\n");
    server.operate("GET", "/metrics", "none").is_error(401, "invalid_credentials");
    assert_eq!(server.operate("GET", "/metrics", CI).status(), 200);
}

#[test]
fn check_reports_errors_of_the_file_with_its_line() {
    let folder = Folder::new();
    let ini = |lines: &str| {
        folder.write("websock.ini", &format!("address = ws://127.0.0.1:0\n{lines}"));
    };
    let check = || run_to_end(&folder, &["check"]);
    ini("operatorFile = operators.yml\n");
    assert!(check().text.contains("operators.yml: there is no such file"), "{}", check().text);
    write_operators(&folder, &operators(), 0o640);
    assert!(check().text.contains("(mode 640); chmod 600"), "{}", check().text);
    write_operators(&folder, "operators:\n- name: a\n  role: boss\n", 0o600);
    let found = check();
    assert_eq!(found.code, Some(78));
    assert!(
        found.text.contains("operators.yml:3: operator 1: role: `boss` is unknown"),
        "{}",
        found.text
    );
    write_operators(&folder, &operators(), 0o600);
    assert_eq!(check().code, Some(0), "{}", check().text);
    assert!(
        check().text.contains("no application has the key `shop`")
            || check().text.contains("valid")
    );
    ini("metricsAuth = on\n");
    assert!(check().text.contains("metricsAuth: needs operators"), "{}", check().text);
}

#[test]
fn commands_edit_the_file_and_a_reload_applies_it() {
    let server = operated("");
    let token_of = |text: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix("token: ")).unwrap();
        assert!(line.starts_with("tco_") && line.len() == 47, "{line}");
        line.to_owned()
    };
    let added = server.command(&["operator", "add", "bob", "--application", "shop"]);
    assert_eq!(added.code, Some(0), "{}", added.text);
    let first = token_of(&added.text);
    server.operate("GET", "/v1/server/me", &first).is_error(401, "invalid_credentials");
    let reloaded = server.command(&["reload"]);
    assert!(reloaded.text.contains("operator `bob`: added"), "{}", reloaded.text);
    assert_eq!(server.operate("GET", "/v1/server/me", &first).json()["name"], "bob");
    let second = token_of(&server.command(&["operator", "token", "bob"]).text);
    let reloaded = server.command(&["reload"]);
    assert!(reloaded.text.contains("operator `bob`: another token"), "{}", reloaded.text);
    server.operate("GET", "/v1/server/me", &first).is_error(401, "invalid_credentials");
    assert_eq!(server.operate("GET", "/v1/server/me", &second).json()["role"], "viewer");
    let twice = server.command(&["operator", "add", "bob"]);
    assert_eq!(twice.code, Some(78));
    assert!(twice.text.contains("has this name already"), "{}", twice.text);
    let short = server.command(&["operator", "password", "bob"]);
    assert!(short.text.contains("8 to 1024 bytes"), "{}", short.text);
    let text = std::fs::read_to_string(server.folder.path("operators.yml")).unwrap();
    assert!(text.contains("applications: [\"shop\"]") && !text.contains(&second), "{text}");
}

#[test]
fn a_session_ends_when_the_password_changes() {
    let server = operated("");
    let token = server.log_in();
    let other = hash_password("another password").unwrap();
    let text = operators();
    let old = text.split('"').nth(1).unwrap();
    write_operators(&server.folder, &text.replace(old, other.expose()), 0o600);
    assert_eq!(server.command(&["reload"]).code, Some(0));
    server.operate("GET", "/v1/server/me", &token).is_error(401, "invalid_credentials");
    assert_eq!(server.try_login("127.0.0.1", "anna", "another password").status(), 200);
}
