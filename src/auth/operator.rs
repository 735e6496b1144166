//! Operators: people and programs that look after a server. They are not applications.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{ApiPermission, ApiPermissions};
use crate::types::{Secret, word_choices};

/// Beginning of the token of an operator.
pub const OPERATOR_TOKEN_PREFIX: &str = "tco_";

/// Operators of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operators {
    /// Operators in the order of the file. Names are unique.
    pub list: Vec<Operator>,
}

/// One operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operator {
    /// Name in the log and at the login.
    pub name: String,
    /// What the operator may do.
    pub role: OperatorRole,
    /// The password as an argon2id hash in PHC form.
    pub password: Option<Secret>,
    /// SHA-256 of the token.
    pub token: Option<TokenDigest>,
    /// Applications that the operator may see. `None`: all.
    pub applications: Option<Vec<String>>,
    /// Whether the operator may see the content of messages.
    pub payloads: bool,
}

word_choices! {
    /// What an operator may do.
    OperatorRole {
        /// Look.
        Viewer = "viewer",
        /// Also change: send, close connections, reload, drain.
        Operator = "operator",
    }
}

/// SHA-256 of a token.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TokenDigest([u8; 32]);

/// Omits the digest.
impl std::fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[REDACTED]")
    }
}

impl TokenDigest {
    /// Returns the digest of a token.
    #[must_use]
    pub fn of(token: &[u8]) -> Self {
        Self(Sha256::digest(token).into())
    }

    /// Returns the digest with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns its bytes.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Compares in constant time.
    #[must_use]
    pub fn is(self, other: Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Operators {
    /// Returns the operator with this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Operator> {
        self.list.iter().find(|it| it.name == name)
    }

    /// Returns the operator with this token. It compares all tokens.
    #[must_use]
    pub fn with_token(&self, token: TokenDigest) -> Option<&Operator> {
        let fits = |it: &&Operator| it.token.is_some_and(|known| known.is(token));
        self.list.iter().fold(None, |found, it| if fits(&it) { Some(it) } else { found })
    }
}

impl Operator {
    /// Returns true if the operator may see this application.
    #[must_use]
    pub fn sees(&self, application: &str) -> bool {
        let all = self.applications.as_ref();
        all.is_none_or(|all| all.iter().any(|known| known == application))
    }

    /// Returns true if the operator may see the whole server, not only some applications.
    #[must_use]
    pub const fn sees_all(&self) -> bool {
        self.applications.is_none()
    }

    /// Returns what the role permits in the applications.
    #[must_use]
    pub const fn permissions(&self) -> ApiPermissions {
        let viewer = ApiPermissions::NONE.with(ApiPermission::LIST);
        match self.role {
            OperatorRole::Viewer => viewer,
            OperatorRole::Operator => viewer
                .with(ApiPermission::PUBLISH)
                .with(ApiPermission::BROADCAST)
                .with(ApiPermission::TAGS)
                .with(ApiPermission::DISCONNECT),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_finds_its_operator_and_a_list_narrows_what_is_seen() {
        let token = TokenDigest::of(b"tco_x");
        let operator = |name: &str, token, applications| Operator {
            name: name.to_owned(),
            role: OperatorRole::Viewer,
            password: None,
            token,
            applications,
            payloads: false,
        };
        let shop = Some(vec!["shop".to_owned()]);
        let list = vec![operator("anna", None, None), operator("ci", Some(token), shop)];
        let operators = Operators { list };
        let ci = operators.with_token(token).unwrap();
        assert_eq!(ci.name, "ci");
        assert!(ci.sees("shop") && !ci.sees("other") && !ci.sees_all());
        assert!(operators.named("anna").unwrap().sees("other"));
        assert!(operators.with_token(TokenDigest::of(b"tco_y")).is_none());
        assert!(!ci.permissions().has(ApiPermission::DISCONNECT));
        assert!(!format!("{operators:?}").contains(&format!("{:?}", token.bytes())));
    }
}
