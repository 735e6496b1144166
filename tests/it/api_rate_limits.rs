//! Limits of the rate of requests to the HTTP API: of an application, and of an address.

use crate::harness::api::{AUTH, ApiAnswer, OTHER, PUBLISH, SHOP, head, setup};
use crate::harness::{Finished, Open, Raw, Server, eventually, frames, run_to_end};

/// `shop` with these limits.
fn auth(limits: &str) -> String {
    AUTH.replace("clientPublish: true", &format!("clientPublish: true, limits: {limits}"))
}

fn publish(server: &Server) -> ApiAnswer {
    server.post(PUBLISH, SHOP, r#"{"to":"all","message":1}"#)
}

fn is_limited(answer: &ApiAnswer, name: &str) {
    answer.is_error(429, "rate_limited");
    let error = &answer.json()["error"];
    assert_eq!(error["name"], name, "{error}");
    let millis = error["retry_after_ms"].as_u64().unwrap();
    let seconds: u64 = answer.head.header("Retry-After").unwrap().parse().unwrap();
    assert!(millis > 0 && seconds == millis.div_ceil(1000), "{millis} {seconds}");
}

/// Case A227.
#[test]
fn requests_above_the_rate_of_an_application_are_refused_with_a_time() {
    let server = setup().auth(&auth("{ requests: 1/s burst 5 }")).start();
    let mut answers: Vec<ApiAnswer> = (0..20).map(|_| publish(&server)).collect();
    let accepted = answers.iter().filter(|answer| answer.status() == 200).count();
    // The machine may be slow, so more may have become free meanwhile.
    assert!((5..20).contains(&accepted), "{accepted}");
    let first = answers.first().unwrap();
    assert_eq!(first.head.header("X-RateLimit-Limit"), Some("5"));
    assert_eq!(first.head.header("X-RateLimit-Remaining"), Some("4"));
    answers.retain(|answer| answer.status() != 200);
    for answer in &answers {
        is_limited(answer, "requests");
        assert_eq!(answer.json()["error"]["limit"], 1);
        assert_eq!(answer.head.header("X-RateLimit-Remaining"), Some("0"));
    }
    let other = server.post("/v1/apps/other/publish", OTHER, r#"{"to":"all","message":1}"#);
    assert_eq!((other.status(), other.head.header("X-RateLimit-Limit")), (200, None));
    eventually("another request is allowed", || {
        Some(()).filter(|()| publish(&server).status() == 200)
    });
}

#[test]
fn refused_requests_are_counted_for_their_application() {
    let server = setup().auth(&auth("{ requests: 1/s burst 1 }")).start();
    let refused = (0..5).filter(|_| publish(&server).status() == 429).count();
    let limited = eventually("the counters are answered", || {
        let answer = server.call("GET", "/v1/apps/shop/stats", &[SHOP]);
        Some(answer.json()).filter(|_| answer.status() == 200)
    });
    let counted = limited["counters"]["rate_limited"].as_u64().unwrap();
    assert!(counted >= refused as u64 && refused > 0, "{counted} {refused}");
}

#[test]
fn a_limit_of_the_server_applies_to_applications_without_one() {
    let server =
        setup().auth(&auth("{ requests: none }")).ini("limitRequests = 1/s burst 3").start();
    let other = || server.call("GET", "/v1/apps/other/stats", &[OTHER]);
    let answers: Vec<ApiAnswer> = (0..12).map(|_| other()).collect();
    is_limited(answers.iter().find(|answer| answer.status() == 429).unwrap(), "requests");
    for _ in 0..12 {
        assert_eq!(publish(&server).status(), 200);
    }
}

#[test]
fn an_address_is_limited_whatever_its_credentials() {
    let server =
        setup().ini("limitRequestsPerIP = 1/s burst 4\ntrustedProxies = 127.0.0.1").start();
    let wrong = ("Authorization", "Bearer wrong");
    let get = |ip: &str| {
        let headers = [wrong, ("X-Forwarded-For", ip)];
        server.call("GET", "/v1/apps/shop/stats", &headers)
    };
    let answers: Vec<ApiAnswer> = (0..20).map(|_| get("203.0.113.1")).collect();
    assert!(answers.iter().take(4).all(|answer| answer.status() == 401));
    is_limited(answers.iter().find(|answer| answer.status() == 429).unwrap(), "requests_per_ip");
    get("203.0.113.2").is_error(401, "invalid_credentials");
    get("unknown").is_error(400, "bad_request");
    assert_eq!(server.call("GET", "/readyz", &[]).status(), 200);
}

/// Case A232.
#[test]
fn a_reload_changes_a_limit_at_once_and_closes_no_connection() {
    let server = setup().auth(&auth("{ requests: 1000/s }")).start();
    let mut page = server.open(&Open::at("/web?key=shop"));
    let mut kept = Raw::connect(server.port);
    let get = head("GET", "/v1/apps/shop/stats", &[SHOP]);
    assert_eq!(kept.request(&get).head.header("X-RateLimit-Limit"), Some("1000"));
    server.folder.write("auth.yml", &auth("{ requests: 1/s burst 2 }"));
    let Finished { code, text } = run_to_end(&server.folder, &["reload"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("application `shop`: another limits"), "{text}");
    let answers: Vec<ApiAnswer> = (0..12).map(|_| kept.request(&get)).collect();
    assert!(answers.iter().any(|answer| answer.status() == 429));
    assert_eq!(answers.first().unwrap().head.header("X-RateLimit-Limit"), Some("2"));
    page.send(frames::ping(b"here"));
    page.expect_pong(b"here");
}
