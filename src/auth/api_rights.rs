//! Rights of an application in the HTTP API, and the credentials that it may use there.

use serde::{Deserialize, Serialize};

/// Rights of an application in the HTTP API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiRights {
    /// Its permissions.
    pub permissions: ApiPermissions,
    /// Credentials that are accepted.
    pub methods: AuthMethods,
    /// Maximum recipients of one publication. `None`: no limit.
    pub max_recipients: Option<u64>,
}

/// One permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiPermission(u8);

/// Names of the permissions. The index of a name is its bit.
const PERMISSIONS: [&str; 8] =
    ["publish", "broadcast", "ask", "list", "tags", "disconnect", "tokens", "stats"];

impl ApiPermission {
    /// Publish to a UUID, an ident, tags or an expression.
    pub const PUBLISH: Self = Self(0);
    /// Publish to all clients.
    pub const BROADCAST: Self = Self(1);
    /// To list clients and their tags, and to explain expressions.
    pub const LIST: Self = Self(3);

    /// To change tags of connected clients.
    pub const TAGS: Self = Self(4);

    /// To close connections.
    pub const DISCONNECT: Self = Self(5);

    /// To ask a client and wait for its answer.
    pub const ASK: Self = Self(2);

    /// To give connections new tokens.
    pub const TOKENS: Self = Self(6);

    /// Names of all permissions.
    #[must_use]
    pub const fn names() -> &'static [&'static str] {
        &PERMISSIONS
    }

    /// Returns the permission of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let at = PERMISSIONS.iter().position(|known| *known == name)?;
        u8::try_from(at).ok().map(Self)
    }

    /// Returns the name.
    #[must_use]
    pub fn name(self) -> &'static str {
        PERMISSIONS.get(usize::from(self.0)).copied().unwrap_or_default()
    }
}

/// A set of permissions. The default is all permissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiPermissions(u8);

impl Default for ApiPermissions {
    fn default() -> Self {
        Self(u8::MAX)
    }
}

impl ApiPermissions {
    /// Returns the empty set.
    pub const NONE: Self = Self(0);

    /// Returns the set with one more permission.
    #[must_use]
    pub const fn with(self, permission: ApiPermission) -> Self {
        Self(self.0 | 1 << permission.0)
    }

    /// Returns the permissions that are in both sets.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Returns true if this permission is in the set.
    #[must_use]
    pub const fn has(self, permission: ApiPermission) -> bool {
        self.0 & 1 << permission.0 != 0
    }
}

/// Credentials that an application accepts.
#[expect(clippy::struct_excessive_bools, reason = "two independent facts, as in the file")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthMethods {
    /// The secret itself.
    pub bearer: bool,
    /// A signature made with the secret.
    pub signed: bool,
}

impl Default for AuthMethods {
    fn default() -> Self {
        Self { bearer: true, signed: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_what_was_added_and_by_default_everything() {
        let publish = ApiPermissions::NONE.with(ApiPermission::PUBLISH);
        assert!(publish.has(ApiPermission::PUBLISH) && !publish.has(ApiPermission::BROADCAST));
        for name in ApiPermission::names() {
            let permission = ApiPermission::named(name).unwrap();
            assert_eq!(permission.name(), *name);
            assert!(ApiPermissions::default().has(permission));
        }
        assert_eq!(ApiPermission::named("Publish"), None);
        assert_eq!(ApiPermission::named("broadcast"), Some(ApiPermission::BROADCAST));
    }
}
