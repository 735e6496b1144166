//! Tests of the verification: the vectors of the documentation, and attacks.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::vectors::{AT, EC_PUBLIC, ED_PRIVATE, ED_PUBLIC, SECRET, rules, settings, vector};
use super::*;
use crate::auth::{Permissions, ShownToken, VerifiedToken};
use crate::types::Secret;
use crate::types::limits::{TOKEN_BYTES_MAX, TOKEN_KEYS_MAX};

fn verified(rules: &Permissions, token: &str, now: u64) -> Result<VerifiedToken, TokenError> {
    rules.verify_token(ShownToken { token, key: None, now })
}

fn code(token: &str) -> &'static str {
    match verified(&rules(settings()), token, AT) {
        Ok(_) => "valid",
        Err(error) => error.fault.code(),
    }
}

/// Signs claims with the key `main`.
fn signed(claims: &str) -> String {
    let secret = Secret::new(SECRET.to_owned());
    sign_token(claims, TokenAlgorithm::Hs256, &secret, "main").unwrap()
}

/// Signs the usual claims with some of them replaced. `null` removes one.
fn with(changes: &Value) -> String {
    let mut claims = json!({"aud": "shop", "exp": AT + 3600});
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    signed(&claims.to_string())
}

#[test]
fn the_vectors_have_their_verdicts() {
    let verdicts = [
        "valid",
        "valid",
        "valid",
        "token_algorithm",
        "token_algorithm",
        "token_algorithm",
        "token_malformed",
    ];
    for (number, verdict) in (1..).zip(verdicts) {
        assert_eq!(code(&vector(number)), verdict, "T{number}");
    }
    for (number, key) in [(1, "main"), (2, "ed1"), (3, "es1")] {
        let VerifiedToken { application, key: by, claims } =
            verified(&rules(settings()), &vector(number), AT).unwrap();
        assert_eq!((&*application, &*by), ("shop", key));
        assert_eq!((claims.subject.as_deref(), claims.id.as_deref()), (Some("42"), Some("t-1")));
        assert_eq!(claims.tags.value_of("level"), Some("12"));
        assert_eq!((claims.expires, claims.issued), (1_764_349_200, Some(1_764_345_600)));
    }
}

#[test]
fn a_token_is_valid_until_its_end_and_a_leeway() {
    let rules = rules(settings());
    for (at, verdict) in [
        (1_764_345_569, Err(TokenFault::NotYetValid)),
        (1_764_345_570, Ok(())),
        (1_764_349_229, Ok(())),
        (1_764_349_230, Err(TokenFault::Expired)),
        (u64::MAX, Err(TokenFault::Expired)),
    ] {
        let result = verified(&rules, &vector(1), at).map(drop).map_err(|error| error.fault);
        assert_eq!(result, verdict, "{at}");
    }
}

/// A208.
#[test]
fn times_are_numbers_whose_fraction_is_dropped() {
    let day = 24 * 3600;
    for (claims, verdict) in [
        (json!({"exp": 1_764_349_200.9}), "valid"),
        (json!({"exp": null}), "token_claims"),
        (json!({"exp": "1764349200"}), "token_claims"),
        (json!({"exp": -1}), "token_claims"),
        (json!({"exp": 1e300}), "token_claims"),
        (json!({"exp": AT + day + 30}), "valid"),
        (json!({"exp": AT + day + 31}), "token_too_long"),
        (json!({"exp": AT - 31}), "token_expired"),
        (json!({"nbf": AT + 30}), "valid"),
        (json!({"nbf": AT + 31}), "token_not_yet_valid"),
        (json!({"iat": AT + 31}), "token_not_yet_valid"),
        (json!({"nbf": true}), "token_claims"),
    ] {
        assert_eq!(code(&with(&claims)), verdict, "{claims}");
    }
}

/// A209, A267, A273.
#[test]
fn a_claim_of_the_table_has_its_type_and_is_there_once() {
    for (claims, verdict) in [
        (json!({"tags": {"@user": "1"}}), "token_claims"),
        (json!({"tags": {"@resource": "/x"}}), "token_claims"),
        (json!({"tags": {"45": "x"}}), "token_claims"),
        (json!({"tags": "role"}), "token_claims"),
        (json!({"sub": "x".repeat(255)}), "valid"),
        (json!({"sub": "x".repeat(256)}), "token_claims"),
        (json!({"sub": 42}), "token_claims"),
        (json!({"sub": ""}), "token_claims"),
        (json!({"sub": "a\nb"}), "token_claims"),
        (json!({"jti": "x".repeat(129)}), "token_claims"),
        (json!({"ident": "a\u{0}"}), "token_claims"),
        (json!({"user": {"name": "x".repeat(4096)}}), "token_malformed"),
        (json!({"user": {"name": ["é"]}, "info": 1}), "valid"),
        (json!({"caps": {"publish": true, "receive": false}}), "valid"),
        (json!({"caps": {"topics": ["room-*"], "watch": true}}), "valid"),
        (json!({"caps": {"publish": 1}}), "token_claims"),
        (json!({"caps": {"topics": [1]}}), "token_claims"),
        (json!({"caps": {"pubish": false}}), "token_claims"),
        (json!({"caps": []}), "token_claims"),
        (json!({"caps": {"publish": "room=1"}}), "valid"),
        (json!({"caps": {"publish": {"tag": "room", "is": "1"}}}), "valid"),
        (json!({"caps": {"publish": "room="}}), "token_claims"),
        (json!({"caps": {"publish": {}}}), "token_claims"),
        (json!({"caps": {"publish": null}}), "token_claims"),
        (json!({"caps": {"retag": false}}), "valid"),
        (json!({"caps": {"retag": ["mood"]}}), "valid"),
        (json!({"caps": {"retag": "mood"}}), "token_claims"),
        (json!({"caps": {"topics": false}}), "token_claims"),
        (json!({"lim": {"message": 1}}), "valid"),
        (json!({"lim": {"connections": 1}}), "token_claims"),
        (json!({"uuid": "x"}), "valid"),
        (json!({"uuid": 1}), "token_claims"),
        (json!({"unknown": [1, {}]}), "valid"),
        (json!({"__proto__": 1, "constructor": {}, "tags": {"__proto__": "1"}}), "valid"),
    ] {
        assert_eq!(code(&with(&claims)), verdict, "{claims}");
    }
    let twice = format!(r#"{{"aud":"shop","exp":{},"\u0065xp":{}}}"#, AT + 1, AT + 2);
    assert_eq!(code(&signed(&twice)), "token_claims");
    let twice = format!(r#"{{"aud":"other","aud":"shop","exp":{}}}"#, AT + 1);
    assert_eq!(code(&signed(&twice)), "token_claims");
    let null = format!(r#"{{"aud":"shop","exp":{},"sub":null}}"#, AT + 1);
    assert_eq!(code(&signed(&null)), "token_claims");
}

/// A207.
#[test]
fn a_token_is_for_the_application_that_it_names() {
    for (claims, verdict) in [
        (json!({"aud": "other"}), "tokens_disabled"),
        (json!({"aud": "nobody"}), "token_audience"),
        (json!({"aud": null}), "token_audience"),
        (json!({"aud": 1}), "token_audience"),
        (json!({"aud": []}), "token_audience"),
        (json!({"aud": ["x", "shop"]}), "valid"),
        (json!({"aud": ["x", 1]}), "token_audience"),
    ] {
        assert_eq!(code(&with(&claims)), verdict, "{claims}");
    }
    let rules = rules(settings());
    let both = with(&json!({"aud": ["other", "shop"]}));
    for (key, verdict) in
        [("shop", Ok(())), ("other", Err(TokenFault::Disabled)), ("x", Err(TokenFault::Audience))]
    {
        let shown = ShownToken { token: &both, key: Some(key), now: AT };
        assert_eq!(rules.verify_token(shown).map(drop).map_err(|it| it.fault), verdict, "{key}");
    }
    let open = Permissions::everything();
    assert_eq!(verified(&open, &vector(1), AT).unwrap_err().fault, TokenFault::Disabled);
}

#[test]
fn issuer_and_tenant_are_those_of_the_file() {
    let strict = TokenSettings {
        issuer: Some("https://shop.example".to_owned()),
        tenants: vec!["other".to_owned(), "eu-*".to_owned()],
        ..settings()
    };
    let strict = rules(strict);
    let fault = |claims: Value| verified(&strict, &with(&claims), AT).map_err(|error| error.fault);
    let iss = "https://shop.example";
    assert_eq!(fault(json!({})).unwrap_err(), TokenFault::Issuer);
    assert_eq!(fault(json!({"iss": "https://shop.example/"})).unwrap_err(), TokenFault::Issuer);
    for tenant in ["shop", "other", "eu-", "eu-1"] {
        let claims = fault(json!({"iss": iss, "tenant": tenant})).unwrap().claims;
        assert_eq!(claims.tenant.as_deref(), Some(tenant));
    }
    for tenant in ["others", "eu", "us-1", "*"] {
        assert_eq!(fault(json!({"iss": iss, "tenant": tenant})).unwrap_err(), TokenFault::Tenant);
    }
    assert_eq!(code(&with(&json!({"tenant": "other"}))), "token_tenant");
    assert_eq!(code(&with(&json!({"tenant": "shop"}))), "valid");
}

/// Returns the token with this header, signed with the secret as HMAC.
fn with_header(header: &str) -> String {
    let claims = json!({"aud": "shop", "exp": AT + 60}).to_string();
    let signed = format!("{}.{}", compact::encoded(header), compact::encoded(&claims));
    let key = jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes()).unwrap();
    let algorithm = jsonwebtoken::Algorithm::HS256;
    let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &key, algorithm).unwrap();
    format!("{signed}.{signature}")
}

/// A258, A259.
#[test]
fn the_algorithm_is_the_keys_and_nothing_of_a_header_is_a_key() {
    for (header, verdict) in [
        (r#"{"alg":"HS256"}"#, "valid"),
        (r#"{"alg":"HS256","typ":"jwt"}"#, "valid"),
        (r#"{"alg":"HS256","typ":"tagcast+jwt","kid":"main"}"#, "valid"),
        (
            r#"{"alg":"HS256","kid":"main","jwk":{"kty":"oct","k":"AA"},"jku":"http://127.0.0.1:1/","x5c":["AA"]}"#,
            "valid",
        ),
        (r#"{"alg":"none"}"#, "token_algorithm"),
        (r#"{"alg":"None"}"#, "token_algorithm"),
        (r#"{"alg":"nOnE","kid":"main"}"#, "token_algorithm"),
        (r#"{"alg":"HS512","kid":"main"}"#, "token_algorithm"),
        (r#"{"alg":"hs256"}"#, "token_algorithm"),
        (r#"{"alg":"RS256"}"#, "token_algorithm"),
        (r#"{"alg":"ES256","kid":"main"}"#, "token_algorithm"),
        (r#"{"alg":"ES256"}"#, "token_signature"),
        (r#"{"alg":"EdDSA"}"#, "token_signature"),
        (r#"{"alg":"HS256","kid":"none"}"#, "token_unknown_key"),
        (r#"{"alg":"HS256","kid":""}"#, "token_unknown_key"),
        (r#"{"alg":"HS256","kid":1}"#, "token_malformed"),
        (r#"{"alg":"HS256","kid":null}"#, "token_malformed"),
        (r#"{"alg":"HS256","typ":"at+jwt"}"#, "token_malformed"),
        (r#"{"alg":"HS256","alg":"HS256"}"#, "token_malformed"),
        (r#"{"alg":"HS256","crit":[]}"#, "token_malformed"),
        (r#"{"alg":"HS256","zip":"DEF"}"#, "token_malformed"),
        (r#"{"alg":"HS256","enc":"A128GCM"}"#, "token_malformed"),
        (r#"{"kid":"main"}"#, "token_malformed"),
        ("[]", "token_malformed"),
        ("", "token_malformed"),
    ] {
        assert_eq!(code(&with_header(header)), verdict, "{header}");
    }
}

#[test]
fn a_token_has_one_form_only() {
    let token = vector(1);
    let (head, signature) = token.rsplit_once('.').unwrap();
    for wrong in [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "...".to_owned(),
        head.to_owned(),
        format!("{token}."),
        format!(".{token}"),
        format!("{token}="),
        format!(" {token}"),
        format!("{token}\n"),
        format!("{head}.{}", URL_SAFE_NO_PAD.encode("x")),
        // Bits after the last byte of the signature.
        format!("{head}.{}x", &signature[..signature.len() - 1]),
        format!("{head}."),
    ] {
        assert!(matches!(code(&wrong), "token_malformed" | "token_signature"), "{wrong}");
    }
    let long = with(&json!({"unknown": "x".repeat(TOKEN_BYTES_MAX)}));
    assert_eq!(code(&long), "token_malformed");
}

#[test]
fn the_secret_of_another_application_signs_nothing() {
    let secret = Secret::new("oth-for-tests-only-0123456789abcdef".to_owned());
    let claims = json!({"aud": "shop", "exp": AT + 60}).to_string();
    let token = sign_token(&claims, TokenAlgorithm::Hs256, &secret, "main").unwrap();
    assert_eq!(code(&token), "token_signature");
}

#[test]
fn many_audiences_and_keys_cost_a_bounded_number_of_signatures() {
    let key = settings().keys[2].clone();
    let keys = (0..TOKEN_KEYS_MAX).map(|at| TokenKey { id: format!("k{at}"), ..key.clone() });
    let settings = TokenSettings { keys: keys.collect(), ..settings() };
    let list: Vec<_> = (0..100)
        .map(|at| vectors::application(&format!("a{at}"), SECRET, Some(settings.clone())))
        .collect();
    let audiences: Vec<_> = list.iter().map(|one| one.key.clone()).collect();
    let applications = crate::auth::Applications { list, anonymous: None };
    let rules = Permissions::new(Some(&applications), crate::auth::AuthorizeOpen::Application);
    let claims = json!({"aud": audiences, "exp": AT}).to_string();
    let signed =
        format!("{}.{}", compact::encoded(r#"{"alg":"ES256"}"#), compact::encoded(&claims));
    let token = format!("{signed}.{}", vectors::VECTORS[2].1);
    assert_eq!(verified(&rules, &token, AT).unwrap_err().fault, TokenFault::Signature);
    // 800 signatures would be possible. The budget is spent after two applications.
    let compact = CompactToken::split(&token).unwrap();
    let mut budget = SignatureBudget::default();
    let verifier = TokenVerifier::new(&settings);
    for _ in 0..100 {
        assert!(verifier.check_signature(&compact, &mut budget).is_err());
    }
    assert!(budget.is_spent());
}

#[test]
fn only_a_public_key_of_the_algorithm_is_taken() {
    let (ed, es) = (TokenAlgorithm::EdDsa, TokenAlgorithm::Es256);
    assert!(TokenKeyMaterial::public(ed, ED_PUBLIC).is_ok());
    assert!(TokenKeyMaterial::public(es, EC_PUBLIC).is_ok());
    for (algorithm, pem) in [
        (ed, EC_PUBLIC),
        (es, ED_PUBLIC),
        (ed, ED_PRIVATE),
        (TokenAlgorithm::Hs256, ED_PUBLIC),
        (ed, ""),
        (es, "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"),
    ] {
        assert_eq!(TokenKeyMaterial::public(algorithm, pem), Err(key::InvalidPublicKey), "{pem}");
    }
}

#[test]
fn a_signed_token_is_one_that_verifies() {
    let claims = json!({"aud": "shop", "exp": AT + 60, "sub": "é"}).to_string();
    let key = Secret::new(ED_PRIVATE.to_owned());
    let token = sign_token(&claims, TokenAlgorithm::EdDsa, &key, "ed1").unwrap();
    assert_eq!(code(&token), "valid");
    for (algorithm, key) in [
        (TokenAlgorithm::Es256, ED_PRIVATE),
        (TokenAlgorithm::EdDsa, ED_PUBLIC),
        (TokenAlgorithm::EdDsa, "x"),
        (TokenAlgorithm::Hs256, ""),
    ] {
        let key = Secret::new(key.to_owned());
        assert_eq!(sign_token(&claims, algorithm, &key, "x"), Err(InvalidSigningKey));
    }
}

proptest! {
    #[test]
    fn no_text_is_a_token_by_chance(text in "[A-Za-z0-9_.-]{0,80}") {
        prop_assert!(verified(&rules(settings()), &text, AT).is_err());
    }

    #[test]
    fn a_changed_byte_makes_a_token_invalid(at in 0_usize..400, byte in 0_u8..128, which in 1_usize..4) {
        let token = vector(which);
        let mut changed = token.clone().into_bytes();
        let at = at % changed.len();
        prop_assume!(changed[at] != byte);
        changed[at] = byte;
        let changed = String::from_utf8(changed).unwrap();
        prop_assert!(verified(&rules(settings()), &changed, AT).is_err(), "{changed}");
    }

    #[test]
    fn claims_of_any_text_do_not_panic(claims in "(?s)([\\{\\}\\[\\]:,\"aeudxp1-]|.){0,40}") {
        drop(verified(&rules(settings()), &signed(&claims), AT));
        let claims = format!(r#"{{"aud":"shop","exp":{AT},"caps":{claims},"tags":{claims}}}"#);
        drop(verified(&rules(settings()), &signed(&claims), AT));
    }
}
