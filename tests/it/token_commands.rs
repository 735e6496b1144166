//! `tagcast token create` and `tagcast token verify`, and the members of `auth.yml` about tokens.

use crate::harness::{Finished, Folder, run_to_end};

const SECRET: &str = "k3y-for-tests-only-0123456789abcdef";
const PAYLOAD: &str = "eyJhdWQiOiJzaG9wIiwic3ViIjoiNDIiLCJpYXQiOjE3NjQzNDU2MDAsImV4cCI6MTc2NDM0OTIwMCwianRpIjoidC0xIiwidGFncyI6eyJyb2xlIjoiYWRtaW4iLCJsZXZlbCI6MTJ9fQ";
/// The keys of RFC 8037 §A.1 and §A.2, and of RFC 7515 §A.3.
const ED_PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\n\
    MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";
const ED_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\n\
    MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n";
const EC_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\n\
    MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEXH8UTNG72bfocs3+257rn0\n\
    s2ldbqkLJK2KRiMohYjlrQ==\n-----END PUBLIC KEY-----\n";

/// Creates a folder with an application that accepts tokens, and further members of it.
fn folder(members: &str) -> Folder {
    let folder = Folder::new();
    folder.write("websock.ini", "address = ws://127.0.0.1:0\nworkers = 1\n");
    folder.write("ed1.pem", ED_PUBLIC);
    folder.write("es1.pem", EC_PUBLIC);
    let shop = format!("- key: shop\n  secret: {SECRET}\n  authorizeOpen: true\n  tenant: shop\n");
    folder.write("auth.yml", &format!("applications:\n{shop}{members}"));
    folder
}

fn with_tokens() -> Folder {
    folder(
        "  tokens:\n  - {id: main, alg: HS256, secret: own}\n  - {id: ed1, alg: EdDSA, publicKeyFile: ed1.pem}\n  \
         - {id: es1, alg: ES256, publicKeyFile: es1.pem}\n",
    )
}

#[track_caller]
fn expect_verdict(folder: &Folder, token: &str, at: &str, code: i32, verdict: &str) {
    let Finished { code: found, text } =
        run_to_end(folder, &["token", "verify", "--at", at, token]);
    assert!(text.contains(verdict), "no {verdict:?} in\n{text}");
    assert_eq!(found, Some(code), "{text}");
    assert!(!text.contains(SECRET), "{text}");
}

/// A201, A202, A259.
#[test]
fn the_vectors_are_judged_as_documented() {
    let folder = with_tokens();
    let vectors = [
        (
            "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6Im1haW4ifQ",
            "ycJlTk1-8DmmzPQ8Ih32vgemiPerrXrNdVLCIOPiEVw",
            "valid: application `shop`, key `main`, expires in 3500 s",
        ),
        (
            "eyJhbGciOiJFZERTQSIsImtpZCI6ImVkMSJ9",
            "jdyQpJaiypw76pO3SlqnxjvcqzEdvSMfRq63Po1S7n6yuQGSdOwT_FpMWnk5Y7P58NzIANbLRZAQ2y4C1s6nDA",
            "valid: application `shop`, key `ed1`",
        ),
        (
            "eyJhbGciOiJFUzI1NiIsImtpZCI6ImVzMSJ9",
            "m00NsjdAkuVxd81eOZ3uh0ks48zVoitjiKJWpSlj9mUnkn_0rr4m13jP3dAFvnPm8rrPg6kxDB7Fa0k7cw8Thg",
            "valid: application `shop`, key `es1`",
        ),
        ("eyJhbGciOiJub25lIn0", "", "invalid: token_algorithm: "),
        (
            "eyJhbGciOiJIUzI1NiIsImtpZCI6ImVkMSJ9",
            "92eFg9WhLjs6uLral4o6qBNe-2rtaJTlKzk-FZa_gZw",
            "invalid: token_algorithm: ",
        ),
        (
            "eyJhbGciOiJIUzI1NiIsImtpZCI6ImVkMSJ9",
            "obY6hSlTiW1yRE7gryuGvCk62GlpVF9irUmou3RJGmY",
            "invalid: token_algorithm: ",
        ),
        (
            "eyJhbGciOiJIUzI1NiIsImtpZCI6Im1haW4iLCJjcml0IjpbIngiXSwieCI6MX0",
            "uqPmWeCTngDE80hfUKoopMrayo1cqW8oYKYq7_g_OS0",
            "invalid: token_malformed: ",
        ),
    ];
    for (header, signature, verdict) in vectors {
        let token = format!("{header}.{PAYLOAD}.{signature}");
        let code = i32::from(!verdict.starts_with("valid"));
        expect_verdict(&folder, &token, "1764345700", code, verdict);
    }
    let (header, signature, _) = vectors[0];
    let first = format!("{header}.{PAYLOAD}.{signature}");
    expect_verdict(&folder, &first, "1764349229", 0, "valid");
    expect_verdict(&folder, &first, "1764349231", 1, "invalid: token_expired: ");
    let elsewhere = ["token", "verify", "--at", "1764345700", "--app", "other", &first];
    let finished = run_to_end(&folder, &elsewhere);
    assert_eq!(finished.code, Some(1), "{}", finished.text);
    assert!(finished.text.contains("invalid: token_audience"), "{}", finished.text);
}

/// Runs `token create`, and returns the token.
#[track_caller]
fn create(folder: &Folder, arguments: &[&str]) -> String {
    let Finished { code, text } = run_to_end(folder, &[&["token", "create"], arguments].concat());
    assert_eq!(code, Some(0), "{text}");
    // A warning about a file may come before or after it.
    text.lines().find(|line| line.starts_with("ey")).unwrap().to_owned()
}

#[test]
fn a_created_token_has_the_claims_of_its_arguments() {
    let folder = with_tokens();
    let key = folder.write("private.pem", ED_PRIVATE);
    let key = key.to_str().unwrap();
    for signing in [&["--kid", "main"][..], &["--kid", "ed1", "--key-file", key]] {
        let claims =
            ["--sub", "42", "--tag", "role=admin", "--tag", "level=12", "--publish", "false"];
        let token = create(&folder, &[signing, &claims].concat());
        let Finished { code, text } = run_to_end(&folder, &["token", "verify", &token]);
        assert_eq!(code, Some(0), "{text}");
        for words in [
            r#""sub":"42""#,
            r#""tags":{"level":"12","role":"admin"}"#,
            r#""caps":{"publish":false}"#,
            &format!("key `{}`", signing[1]),
        ] {
            assert!(text.contains(words), "no {words} in\n{text}");
        }
    }
    for (arguments, code, words) in [
        (&["--expires", "25h"][..], 65, "would refuse this token: its `exp` is more than 86400 s"),
        (&["--tag", "@user=1"], 65, "The tag '@user' is the server's to give !"),
        (&["--tenant", "other"], 65, "its `tenant` is neither"),
        (&["--kid", "es1"], 78, "give its private key with --key-file"),
        (&["--kid", "none"], 78, "no key has this id: main, ed1, es1"),
        (&["--key-file", key], 78, "name one of the keys with --kid: main, ed1, es1"),
        (&["--kid", "es1", "--key-file", key], 78, "is not a private key of this algorithm"),
        (&["--app", "none"], 78, "there is no such application: shop"),
    ] {
        let finished = run_to_end(&folder, &[&["token", "create"], arguments].concat());
        assert_eq!(finished.code, Some(code), "{arguments:?}: {}", finished.text);
        assert!(finished.text.contains(words), "{arguments:?}: {}", finished.text);
    }
}

/// Expects that `check` reports an error in `auth.yml`.
#[track_caller]
fn expect_finding(members: &str, words: &str) {
    let Finished { code, text } = run_to_end(&folder(members), &["check"]);
    assert!(text.contains(words), "{members}: no {words:?} in\n{text}");
    assert_eq!(code, Some(78), "{members}: {text}");
    assert!(!text.contains("0123456789abcdef"), "{text}");
}

#[test]
fn keys_that_cannot_be_used_are_reported() {
    for (key, words) in [
        ("", "tokens: is not a list of keys"),
        ("main", "tokens 1: is not a key"),
        ("{id: a, alg: HS512, secret: own}", "tokens 1: alg: is not a known algorithm"),
        ("{id: a, alg: hs256, secret: own}", "write HS256, EdDSA or ES256"),
        ("{id: a, secret: own}", "tokens 1: alg: is missing"),
        ("{alg: HS256, secret: own}", "tokens 1: has no `id`"),
        ("{id: a, alg: HS256}", "tokens 1: has no key"),
        ("{id: a, alg: HS256, secret: own, env: X}", "tokens 1: has more than one key"),
        ("{id: a, alg: HS256, secret: other}", "`other` is the id of no secret of the application"),
        (
            "{id: a, alg: HS256, publicKeyFile: ed1.pem}",
            "tokens 1: publicKeyFile: is not for HS256",
        ),
        ("{id: a, alg: EdDSA, secret: own}", "tokens 1: secret: is not for EdDSA"),
        ("{id: a, alg: HS256, value: short-0123456789abcdef}", "has fewer than 32 bytes"),
        ("{id: a, alg: EdDSA, publicKeyFile: no.pem}", "the file `no.pem`: there is no such file"),
        ("{id: a, alg: EdDSA, publicKeyFile: es1.pem}", "is not a public key of this algorithm"),
        ("{id: a, alg: ES256, publicKeyFile: ed1.pem}", "openssl genpkey -algorithm EC"),
        ("{id: a, alg: HS256, secret: own, kid: a}", "tokens 1: kid: "),
        (
            "{id: a, alg: HS256, secret: own}, {id: a, alg: HS256, secret: own}",
            "is the id of another key too",
        ),
    ] {
        expect_finding(&format!("  tokens: [{key}]\n"), words);
    }
    let key = "  tokens: [{id: a, alg: HS256, secret: own}]\n";
    for (member, words) in [
        ("tokenMaxAge: 0s", "tokenMaxAge: is not a time"),
        ("tokenMaxAge: 1d", "for example 30m or 24h"),
        ("tokenTenants: other", "tokenTenants: is not a list of tenants"),
        ("tokenTenants: ['a*b']", "a name may end with `*`"),
        ("tokenTenant: [a]", "did you mean `tokenTenants`?"),
        ("issuer: ''", "issuer: is empty"),
    ] {
        expect_finding(&format!("{key}  {member}\n"), words);
    }
    expect_finding("  issuer: x\n", "issuer: has no effect without `tokens`");
    let finished = run_to_end(&folder(&format!("{key}  tokenMaxAge: 30m\n")), &["check"]);
    assert_eq!(finished.code, Some(0), "{}", finished.text);
}
