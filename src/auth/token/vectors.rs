//! Tokens and keys of the documentation's vectors, for tests.

use crate::auth::{
    Application, ApplicationSecret, Applications, AuthorizeOpen, Permissions, TokenAlgorithm,
    TokenKey, TokenKeyMaterial, TokenSettings,
};
use crate::types::Secret;

/// Time at which the vectors are judged.
pub(crate) const AT: u64 = 1_764_345_700;
pub(crate) const SECRET: &str = "k3y-for-tests-only-0123456789abcdef";
/// `{"aud":"shop","sub":"42","iat":1764345600,"exp":1764349200,"jti":"t-1","tags":{"role":"admin","level":12}}`
pub(crate) const PAYLOAD: &str = "eyJhdWQiOiJzaG9wIiwic3ViIjoiNDIiLCJpYXQiOjE3NjQzNDU2MDAsImV4cCI6MTc2NDM0OTIwMCwianRpIjoidC0xIiwidGFncyI6eyJyb2xlIjoiYWRtaW4iLCJsZXZlbCI6MTJ9fQ";
/// RFC 8037 §A.2.
pub(crate) const ED_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\n\
    MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n";
/// RFC 8037 §A.1, in PKCS#8.
pub(crate) const ED_PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\n\
    MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";
/// RFC 7515 §A.3.
pub(crate) const EC_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\n\
    MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEXH8UTNG72bfocs3+257rn0\n\
    s2ldbqkLJK2KRiMohYjlrQ==\n-----END PUBLIC KEY-----\n";

/// Header and signature of T1 to T7. The claims are [`PAYLOAD`].
pub(crate) const VECTORS: [(&str, &str); 7] = [
    (
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6Im1haW4ifQ",
        "ycJlTk1-8DmmzPQ8Ih32vgemiPerrXrNdVLCIOPiEVw",
    ),
    (
        "eyJhbGciOiJFZERTQSIsImtpZCI6ImVkMSJ9",
        "jdyQpJaiypw76pO3SlqnxjvcqzEdvSMfRq63Po1S7n6yuQGSdOwT_FpMWnk5Y7P58NzIANbLRZAQ2y4C1s6nDA",
    ),
    (
        "eyJhbGciOiJFUzI1NiIsImtpZCI6ImVzMSJ9",
        "m00NsjdAkuVxd81eOZ3uh0ks48zVoitjiKJWpSlj9mUnkn_0rr4m13jP3dAFvnPm8rrPg6kxDB7Fa0k7cw8Thg",
    ),
    ("eyJhbGciOiJub25lIn0", ""),
    ("eyJhbGciOiJIUzI1NiIsImtpZCI6ImVkMSJ9", "92eFg9WhLjs6uLral4o6qBNe-2rtaJTlKzk-FZa_gZw"),
    ("eyJhbGciOiJIUzI1NiIsImtpZCI6ImVkMSJ9", "obY6hSlTiW1yRE7gryuGvCk62GlpVF9irUmou3RJGmY"),
    (
        "eyJhbGciOiJIUzI1NiIsImtpZCI6Im1haW4iLCJjcml0IjpbIngiXSwieCI6MX0",
        "uqPmWeCTngDE80hfUKoopMrayo1cqW8oYKYq7_g_OS0",
    ),
];

/// Returns a vector, counted from 1.
pub(crate) fn vector(number: usize) -> String {
    let (header, signature) = VECTORS[number - 1];
    format!("{header}.{PAYLOAD}.{signature}")
}

/// Keys of the application `shop` of the vectors.
pub(crate) fn settings() -> TokenSettings {
    let key = |id: &str, algorithm, material| TokenKey {
        id: id.to_owned(),
        algorithm,
        material,
        expires: None,
    };
    let public = |algorithm, pem| TokenKeyMaterial::public(algorithm, pem).unwrap();
    let (ed, es) = (TokenAlgorithm::EdDsa, TokenAlgorithm::Es256);
    let main = TokenKeyMaterial::Secret(Secret::new(SECRET.to_owned()));
    let keys = vec![
        key("main", TokenAlgorithm::Hs256, main),
        key("ed1", ed, public(ed, ED_PUBLIC)),
        key("es1", es, public(es, EC_PUBLIC)),
    ];
    TokenSettings { keys, ..TokenSettings::default() }
}

/// An application that opens with its key.
pub(crate) fn application(key: &str, secret: &str, tokens: Option<TokenSettings>) -> Application {
    Application {
        key: key.to_owned(),
        secrets: vec![ApplicationSecret::own(Secret::new(secret.to_owned()))],
        authorize_open: true,
        tenant: Some(key.to_owned()),
        tokens,
        ..Application::placeholder()
    }
}

/// The application `shop` with these settings, and `other` without tokens.
pub(crate) fn rules(settings: TokenSettings) -> Permissions {
    let list = vec![
        application("shop", SECRET, Some(settings)),
        application("other", "oth-for-tests-only-0123456789abcdef", None),
    ];
    let applications = Applications { list, anonymous: None };
    Permissions::new(Some(&applications), AuthorizeOpen::Application)
}
