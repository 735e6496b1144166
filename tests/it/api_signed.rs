//! Signed requests, and what an application may do.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::harness::api::{ApiAnswer, Clients, PUBLISH, SHOP, SHOP_SECRET, post, setup};
use crate::harness::{Raw, Server, pause};

const BODY: &str = r#"{"to":{"tags":{"language":"FR"}},"message":"Bonjour"}"#;

const CI: &str = "applications:
  - { key: shop, tenant: shop, secret: k3y-for-tests-only-0123456789abcdef, authorizeOpen: true, clientPublish: true }
  - { key: ci, tenant: shop, secret: ci--for-tests-only-0123456789abcdef, authorizeOpen: false, permissions: [publish], maxRecipients: 2 }
  - { key: other, tenant: other, secret: oth-for-tests-only-0123456789abcdef, authorizeOpen: true }
  - { key: safe, secret: saf-for-tests-only-0123456789abcdef, authorizeOpen: true, authMethods: [signed] }
  - { key: büro, tenant: shop, secret: k3y-for-tests-only-0123456789abcdef, authorizeOpen: true }
  - { key: lister, secret: lst-for-tests-only-0123456789abcdef, authorizeOpen: true, permissions: [list] }
";

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A request as a backend signs it.
#[derive(Clone)]
pub(crate) struct Signed<'a> {
    pub(crate) path: &'a str,
    pub(crate) secret: &'a str,
    pub(crate) timestamp: u64,
    pub(crate) nonce: &'a str,
}

impl Signed<'_> {
    fn headers(&self, body: &str) -> Vec<(&'static str, String)> {
        let Self { path, secret, timestamp, nonce } = self;
        let digest = hexadecimal(&Sha256::digest(body));
        let text = format!("TAGCAST1\nPOST\n{path}\n\n{timestamp}\n{nonce}\n{digest}");
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(text.as_bytes());
        let signature = hexadecimal(&mac.finalize().into_bytes());
        vec![
            ("X-Tagcast-Timestamp", timestamp.to_string()),
            ("X-Tagcast-Nonce", (*nonce).to_owned()),
            ("X-Tagcast-Content-SHA256", digest),
            ("X-Tagcast-Signature", format!("v1={signature}")),
        ]
    }

    pub(crate) fn bytes(&self, body: &str) -> Vec<u8> {
        let headers = self.headers(body);
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        post(self.path, &headers, body)
    }

    pub(crate) fn send(&self, server: &Server, body: &str) -> ApiAnswer {
        Raw::connect(server.port).request(self.bytes(body))
    }
}

pub(crate) fn signed(nonce: &str) -> Signed<'_> {
    Signed { path: PUBLISH, secret: SHOP_SECRET, timestamp: now(), nonce }
}

/// A request that was signed in the second in which the server started is refused.
fn started() -> Server {
    let server = setup().auth(CI).start();
    server.wait_for_output("event=api_ready");
    pause(Duration::from_millis(1100));
    server
}

/// A34, A40.
#[test]
fn a_signed_request_is_accepted_once() {
    let server = started();
    let mut clients = Clients::open(&server);
    let request = signed("nonce-0001");
    let answer = request.send(&server, BODY);
    assert_eq!((answer.status(), answer.json()["matched"].as_u64()), (200, Some(1)));
    assert!(clients.f.frame().as_text().contains("Bonjour"));
    request.send(&server, BODY).is_error(401, "nonce_reused");
    // An invalid request spends its nonce too.
    let request = signed("nonce-0002");
    request.send(&server, "{}").is_error(400, "missing_member");
    request.send(&server, "{}").is_error(401, "nonce_reused");
    // Of two at the same moment one is accepted.
    let bytes = signed("nonce-0003").bytes(BODY);
    let mut both = [Raw::connect(server.port), Raw::connect(server.port)];
    both.iter_mut().for_each(|client| client.send(&bytes));
    let mut statuses = both.map(|mut client| client.read_answer().status());
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 401]);
}

/// A35, A36, A37, A255.
#[test]
fn what_was_changed_is_not_what_was_signed() {
    let server = started();
    let request = signed("nonce-0001");
    let headers = request.headers(BODY);
    let with = |path: &str, change: usize, body: &str| {
        let mut headers = headers.clone();
        if let Some((_, value)) = headers.get_mut(change) {
            let last = value.pop().unwrap();
            value.push(if last == '1' { '2' } else { '1' });
        }
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Raw::connect(server.port).request(post(path, &headers, body))
    };
    for change in 0..4 {
        with(PUBLISH, change, BODY).is_error(401, "invalid_signature");
    }
    for path in [
        "/v1/apps/shop/publish?a",
        "/v1/apps/shop/publish:batch",
        "/v1/apps/shop/connections:disconnect",
        // An application with the same secret.
        "/v1/apps/b%C3%BCro/publish",
    ] {
        with(path, 9, BODY).is_error(401, "invalid_signature");
    }
    with("/v1/apps/other/publish", 9, BODY).is_error(401, "invalid_signature");
    with("/v1/apps/nobody/publish", 9, BODY).is_error(401, "invalid_signature");
    let other_body = BODY.replace("Bonjour", "Bonsoir");
    with(PUBLISH, 9, &other_body).is_error(401, "body_mismatch");
    // Nothing of this has spent the nonce.
    assert_eq!(request.send(&server, BODY).status(), 200);
    let by_ci = Signed { secret: "ci--for-tests-only-0123456789abcdef", ..signed("nonce-0002") };
    by_ci.send(&server, BODY).is_error(401, "invalid_signature");
}

/// A38, A39, A43.
#[test]
fn a_signature_has_its_time() {
    let server = started();
    let at =
        |timestamp: u64, nonce: &str| Signed { timestamp, ..signed(nonce) }.send(&server, BODY);
    let now = now();
    let answer = at(now - 400, "nonce-0001");
    assert!(answer.is_error(401, "timestamp_expired").json()["error"]["server_time"].is_u64());
    at(now - 30, "nonce-0002").is_error(401, "predates_restart");
    assert_eq!(at(now + 50, "nonce-0003").status(), 200);
    let answer = at(now + 120, "nonce-0004");
    assert!(answer.is_error(401, "timestamp_ahead").json()["error"]["server_time"].is_u64());
    // The answer to a bad signature never contains the time.
    let bad = Signed { secret: "wrong", timestamp: 0, ..signed("nonce-0005") };
    bad.send(&server, BODY).is_error(401, "invalid_signature");
    let mut headers = signed("nonce-0006").headers(BODY);
    headers[0].1 = "+1".to_owned();
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Raw::connect(server.port)
        .request(post(PUBLISH, &headers, BODY))
        .is_error(400, "invalid_header");
    let both = [&headers[1..], &[SHOP, ("X-Tagcast-Timestamp", "1764345600")]].concat();
    Raw::connect(server.port)
        .request(post(PUBLISH, &both, BODY))
        .is_error(400, "multiple_credentials");
}

/// A45.
#[test]
fn an_application_may_do_what_it_is_permitted() {
    let server = setup().auth(CI).start();
    let mut clients = Clients::open(&server);
    let ci = ("Authorization", "Bearer ci--for-tests-only-0123456789abcdef");
    let path = "/v1/apps/ci/publish";
    for to in [r#""all""#, r#"{"tags":{}}"#] {
        let answer = server.post(path, ci, &format!(r#"{{"to":{to},"message":1}}"#));
        let error = answer.is_error(403, "permission_denied").json();
        assert_eq!(error["error"]["permission"], "broadcast");
    }
    assert_eq!(server.post(path, ci, BODY).json()["matched"], 1);
    // A request can only lower the limits of its application.
    for tags in [r#"{"language":"FR"}"#, r#"{"language":"EN"}"#] {
        let body = format!(r#"{{"to":{{"tags":{tags}}},"message":1,"max_recipients":0}}"#);
        server.post(path, ci, &body).is_error(409, "too_many_recipients");
    }
    let lister = ("Authorization", "Bearer lst-for-tests-only-0123456789abcdef");
    let answer = server.post("/v1/apps/lister/publish", lister, "not even JSON");
    answer.is_error(403, "permission_denied");
    let safe = ("Authorization", "Bearer saf-for-tests-only-0123456789abcdef");
    server.post("/v1/apps/safe/publish", safe, BODY).is_error(403, "signature_required");
    let bonjour = r#"{"opcode":"broadcast","message":"Bonjour"}"#;
    clients.expect_frames(&server, [&[bonjour], &[], &[], &[], &[]]);
}

/// A77, A78.
#[test]
fn a_batch_is_published_one_by_one_in_order() {
    let server = setup().start();
    let mut clients = Clients::open(&server);
    let path = "/v1/apps/shop/publish:batch";
    let body = format!(
        r#"{{"publications":[{BODY},{{"to":{{"tags":{{"a":1.5}}}},"message":1}},{{"to":"all","message":2,"ack":"none"}}]}}"#
    );
    let answer = server.post(path, SHOP, &body);
    let results = &answer.json()["results"];
    assert_eq!(answer.status(), 200);
    assert_eq!(
        (results[0]["status"].as_u64(), results[0]["matched"].as_u64()),
        (Some(200), Some(1))
    );
    assert_eq!(results[1]["status"], 400);
    assert_eq!(results[1]["error"]["at"], "/publications/1/to/tags");
    assert_eq!(
        (results[2]["status"].as_u64(), results[2]["accepted"].as_bool()),
        (Some(202), Some(true))
    );
    let two = r#"{"opcode":"broadcast","message":2}"#;
    let bonjour = r#"{"opcode":"broadcast","message":"Bonjour"}"#;
    clients.expect_frames(&server, [&[bonjour, two], &["2"], &[two], &[], &[]]);
    let item = r#"{"to":"all","message":1}"#;
    let of = |count: usize| format!(r#"{{"publications":[{}]}}"#, vec![item; count].join(","));
    for count in [0, 101] {
        server.post(path, SHOP, &of(count)).is_error(400, "invalid_value");
    }
    let written =
        r#"{"publications":[{"to":"all","message":1},{"to":"all","message":1,"ack":"written"}]}"#;
    let answer = server.post(path, SHOP, written);
    assert_eq!(answer.error(), (400, "invalid_value".into(), "/publications/1/ack".into()));
    let mut client = Raw::connect(server.port);
    let key = ("Idempotency-Key", "o-1");
    client.request(post(path, &[SHOP, key], &of(1))).is_error(400, "invalid_header");
    clients.expect_frames(&server, [&[], &[], &[], &[], &[]]);
    assert_eq!(server.post(path, SHOP, &of(100)).json()["results"].as_array().unwrap().len(), 100);
}
