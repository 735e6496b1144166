//! Tokens: no bytes are a token without the key, and claims are accepted only if they say what a simple reader
//! reads in them.

use serde_json::Value;
use tagcast::auth::{
    ApiRights, Application, ApplicationLimits, ApplicationSecret, Applications, AuthorizeOpen,
    Permissions, PresenceSettings, ResumeSettings, ShownToken, TagSource, TokenAlgorithm, TokenKey,
    TokenKeyMaterial, TokenSettings, sign_token,
};
use tagcast::types::{HistorySettings, Secret};

const SECRET: &str = "a secret of the fuzzer that no input contains";
const NOW: u64 = 1_764_345_700;
const LEEWAY: u64 = 30;

/// The bytes are a token, and then the claims of one.
pub fn run(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let rules = rules();
    let shown = |token| ShownToken { token, key: None, now: NOW };
    assert!(rules.verify_token(shown(text)).is_err());
    let secret = Secret::new(SECRET.to_owned());
    let token = sign_token(text, TokenAlgorithm::Hs256, &secret, "main").unwrap();
    let Ok(verified) = rules.verify_token(shown(&token)) else { return };
    let claims = verified.claims;
    assert!(claims.expires + LEEWAY > NOW && claims.expires <= NOW + 24 * 3600 + LEEWAY);
    assert!(claims.tags.iter().all(|tag| !tag.name().starts_with('@')));
    // Half of a surrogate pair and very large numbers are JSON, but serde_json reads neither.
    let Ok(read) = serde_json::from_str::<Value>(text) else { return };
    let audience = &read["aud"];
    let is_ours = |value: &Value| value == "shop";
    assert!(is_ours(audience) || audience.as_array().is_some_and(|list| list.iter().any(is_ours)));
    let expires = read["exp"].as_f64().unwrap();
    assert!((expires - claims.expires as f64).abs() < 1.0);
    assert_eq!(read["sub"].as_str(), claims.subject.as_deref());
    assert_eq!(read["jti"].as_str(), claims.id.as_deref());
    assert_eq!(read["caps"]["publish"].as_bool(), claims.capabilities.publish);
    assert_eq!(read["caps"]["receive"].as_bool(), claims.capabilities.receive);
}

fn rules() -> Permissions {
    let secret = || Secret::new(SECRET.to_owned());
    let key = TokenKey {
        id: "main".to_owned(),
        algorithm: TokenAlgorithm::Hs256,
        material: TokenKeyMaterial::Secret(secret()),
        expires: None,
    };
    let shop = Application {
        key: "shop".to_owned(),
        secrets: vec![ApplicationSecret::own(secret())],
        authorize_open: true,
        client_publish: false,
        tenant: None,
        schema: None,
        api: ApiRights::default(),
        limits: ApplicationLimits::default(),
        tags: TagSource::default(),
        resume: ResumeSettings::default(),
        history: HistorySettings::default(),
        presence: PresenceSettings::default(),
        tokens: Some(TokenSettings { keys: vec![key], ..TokenSettings::default() }),
    };
    let applications = Applications { list: vec![shop], anonymous: None };
    Permissions::new(Some(&applications), AuthorizeOpen::Application)
}
