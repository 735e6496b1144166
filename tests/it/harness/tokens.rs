//! Connection tokens of the application `shop`.

use std::time::SystemTime;

use serde_json::{Value, json};
use tagcast::auth::{TokenAlgorithm, sign_token};
use tagcast::types::Secret;

use super::api::{SHOP, SHOP_SECRET};
use super::opening::Open;
use super::raw::Raw;
use super::server::Server;

/// The time in Unix seconds.
pub fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

/// Signs claims of `shop` with its secret. `aud` and `exp` are added where they are missing.
pub fn token(claims: &Value) -> String {
    let mut all = json!({"aud": "shop", "exp": now() + 3600});
    for (name, value) in claims.as_object().unwrap() {
        all[name] = value.clone();
    }
    let key = Secret::new(SHOP_SECRET.to_owned());
    sign_token(&all.to_string(), TokenAlgorithm::Hs256, &key, "main").unwrap()
}

/// An opening of `/web` with a token.
pub fn with_token(claims: &Value) -> Open {
    Open::at(&format!("/web?token={}", token(claims)))
}

/// The applications `shop`, with these further members, and `other`, which accepts no tokens.
pub fn auth(members: &str) -> String {
    format!(
        "applications:
  - key: shop
    tenant: shop
    secret: {SHOP_SECRET}
    authorizeOpen: true
    tokens: [{{id: main, alg: HS256, secret: own}}]
{members}
  - {{key: other, tenant: other, secret: oth-for-tests-only-0123456789abcdef, authorizeOpen: true}}
"
    )
}

/// Returns what the HTTP API shows of a client.
#[track_caller]
pub fn show(server: &Server, client: &Raw) -> Value {
    let target = format!("/v1/apps/shop/connections/{}", client.uuid);
    let answer = server.call("GET", &target, &[SHOP]);
    assert_eq!(answer.status(), 200, "{}", answer.body);
    answer.json()
}
