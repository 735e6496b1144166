//! Revoked connection tokens.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Tokens of one application that are not valid any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRevocation {
    /// Key of the application.
    #[serde(rename = "app")]
    pub application: Box<str>,
    /// Which of its tokens.
    #[serde(flatten)]
    pub tokens: RevokedTokens,
    /// Unix second at which the last of these tokens has expired.
    pub until: u64,
}

/// A part of the tokens of an application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum RevokedTokens {
    /// The one with this id.
    Id {
        /// Its claim `jti`.
        jti: Box<str>,
    },
    /// Those of a user that were issued before a time. A token without `iat` counts as issued in 1970.
    Subject {
        /// The claim `sub`.
        sub: Box<str>,
        /// Unix seconds.
        issued_before: u64,
    },
    /// All that were issued before a time.
    All {
        /// Unix seconds.
        issued_before: u64,
    },
}

/// What a revocation compares of a token.
#[derive(Clone, Copy, Debug)]
pub struct TokenIdentity<'a> {
    /// Key of its application.
    pub application: &'a str,
    /// `jti`.
    pub id: Option<&'a str>,
    /// `sub`.
    pub subject: Option<&'a str>,
    /// `iat`.
    pub issued: Option<u64>,
}

/// Revocations, each until its tokens have expired.
#[derive(Clone, Debug, Default)]
pub struct RevocationList {
    entries: HashMap<Arc<RevocationKey>, RevocationTimes>,
    /// The same in the order of their ends.
    ends: BTreeSet<(u64, Arc<RevocationKey>)>,
    /// The sum of the digests of all entries.
    digest: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct RevocationKey {
    application: Box<str>,
    tokens: RevokedKey,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum RevokedKey {
    Id(Box<str>),
    Subject(Box<str>),
    All,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct RevocationTimes {
    issued_before: u64,
    until: u64,
}

impl TokenRevocation {
    fn key(&self) -> RevocationKey {
        let tokens = match &self.tokens {
            RevokedTokens::Id { jti } => RevokedKey::Id(jti.clone()),
            RevokedTokens::Subject { sub, .. } => RevokedKey::Subject(sub.clone()),
            RevokedTokens::All { .. } => RevokedKey::All,
        };
        RevocationKey { application: self.application.clone(), tokens }
    }

    /// Returns the bytes of its texts.
    #[must_use]
    pub fn held(&self) -> usize {
        self.application.len()
            + match &self.tokens {
                RevokedTokens::Id { jti } => jti.len(),
                RevokedTokens::Subject { sub, .. } => sub.len(),
                RevokedTokens::All { .. } => 0,
            }
    }
}

impl RevokedTokens {
    /// Returns the time before which the tokens were issued. `None`: whenever that was.
    #[must_use]
    pub fn issued_before(&self) -> Option<u64> {
        match self {
            Self::Id { .. } => None,
            Self::Subject { issued_before, .. } | Self::All { issued_before } => {
                Some(*issued_before)
            }
        }
    }
}

impl RevocationList {
    /// Returns the number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns true if no token is revoked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns true if a revocation needs no further entry.
    #[must_use]
    pub fn has_place_of(&self, revocation: &TokenRevocation) -> bool {
        self.entries.contains_key(&revocation.key())
    }

    /// Returns true if a revocation adds nothing: an earlier one includes it.
    #[must_use]
    pub fn includes(&self, revocation: &TokenRevocation) -> bool {
        let issued_before = revocation.tokens.issued_before().unwrap_or(u64::MAX);
        self.entries.get(&revocation.key()).is_some_and(|times| {
            times.issued_before >= issued_before && times.until >= revocation.until
        })
    }

    /// Returns a number that is the same for lists with the same entries, in whatever order they were added.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// Adds a revocation. With an earlier one of the same tokens it becomes one that includes both.
    pub fn add(&mut self, revocation: &TokenRevocation) {
        let issued_before = revocation.tokens.issued_before().unwrap_or(u64::MAX);
        let mut times = RevocationTimes { issued_before, until: revocation.until };
        let key = Arc::new(revocation.key());
        if let Some(former) = self.entries.get(&key) {
            self.ends.remove(&(former.until, Arc::clone(&key)));
            self.digest = self.digest.wrapping_sub(digest_of(&key, *former));
            times.issued_before = times.issued_before.max(former.issued_before);
            times.until = times.until.max(former.until);
        }
        self.digest = self.digest.wrapping_add(digest_of(&key, times));
        self.ends.insert((times.until, Arc::clone(&key)));
        self.entries.insert(key, times);
    }

    /// Removes up to `count` revocations whose tokens have expired by now. Returns how many.
    pub fn forget_expired(&mut self, now: u64, count: usize) -> usize {
        let mut removed = 0;
        while removed < count
            && self.ends.first().is_some_and(|(until, _)| *until <= now)
            && let Some((_, key)) = self.ends.pop_first()
        {
            if let Some(times) = self.entries.remove(&key) {
                self.digest = self.digest.wrapping_sub(digest_of(&key, times));
            }
            removed += 1;
        }
        removed
    }

    /// Returns true if a token is revoked.
    #[must_use]
    pub fn has(&self, token: TokenIdentity<'_>) -> bool {
        if self.entries.is_empty() {
            return false;
        }
        let TokenIdentity { application, id, subject, issued } = token;
        let keys = [
            id.map(|id| RevokedKey::Id(id.into())),
            subject.map(|subject| RevokedKey::Subject(subject.into())),
            Some(RevokedKey::All),
        ];
        keys.into_iter().flatten().any(|tokens| {
            let key = RevocationKey { application: application.into(), tokens };
            let times = self.entries.get(&key);
            times.is_some_and(|times| issued.unwrap_or(0) < times.issued_before)
        })
    }

    /// Returns all revocations, those first whose tokens expire first.
    pub fn iter(&self) -> impl Iterator<Item = TokenRevocation> {
        self.ends.iter().filter_map(|(until, key)| {
            let issued_before = self.entries.get(key)?.issued_before;
            let tokens = match &key.tokens {
                RevokedKey::Id(jti) => RevokedTokens::Id { jti: jti.clone() },
                RevokedKey::Subject(sub) => {
                    RevokedTokens::Subject { sub: sub.clone(), issued_before }
                }
                RevokedKey::All => RevokedTokens::All { issued_before },
            };
            Some(TokenRevocation { application: key.application.clone(), tokens, until: *until })
        })
    }
}

/// Returns the first half of a digest of an entry.
fn digest_of(key: &RevocationKey, times: RevocationTimes) -> u64 {
    let (kind, text) = match &key.tokens {
        RevokedKey::Id(id) => (1_u8, &**id),
        RevokedKey::Subject(subject) => (2, &**subject),
        RevokedKey::All => (3, ""),
    };
    let digest = Sha256::new()
        .chain_update(key.application.as_bytes())
        .chain_update([0, kind])
        .chain_update(text.as_bytes())
        .chain_update([0])
        .chain_update(times.issued_before.to_le_bytes())
        .chain_update(times.until.to_le_bytes());
    let digest: [u8; 32] = digest.finalize().into();
    digest.first_chunk().copied().map(u64::from_le_bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revocation(tokens: RevokedTokens, until: u64) -> TokenRevocation {
        TokenRevocation { application: "shop".into(), tokens, until }
    }

    fn id(jti: &str) -> RevokedTokens {
        RevokedTokens::Id { jti: jti.into() }
    }

    fn token<'a>(id: &'a str, subject: &'a str, issued: Option<u64>) -> TokenIdentity<'a> {
        TokenIdentity { application: "shop", id: Some(id), subject: Some(subject), issued }
    }

    #[test]
    fn tokens_are_revoked_by_id_by_user_and_all_of_an_application() {
        let mut list = RevocationList::default();
        assert!(!list.has(token("t-1", "42", Some(5))));
        list.add(&revocation(id("t-1"), 100));
        assert!(list.has(token("t-1", "42", Some(5))) && !list.has(token("t-2", "42", Some(5))));
        let other = TokenIdentity { application: "other", ..token("t-1", "42", Some(5)) };
        assert!(!list.has(other));
        let subject = RevokedTokens::Subject { sub: "42".into(), issued_before: 10 };
        list.add(&revocation(subject, 100));
        assert!(list.has(token("t-2", "42", Some(9))) && list.has(token("t-2", "42", None)));
        assert!(!list.has(token("t-2", "42", Some(10))) && !list.has(token("t-2", "43", None)));
        list.add(&revocation(RevokedTokens::All { issued_before: 3 }, 100));
        assert!(list.has(token("t-2", "43", Some(2))) && !list.has(token("t-2", "43", Some(3))));
        assert_eq!(list.len(), 3);
    }

    #[test]
    fn a_later_revocation_of_the_same_tokens_includes_the_earlier_one() {
        let mut list = RevocationList::default();
        let subject = |issued_before| RevokedTokens::Subject { sub: "42".into(), issued_before };
        list.add(&revocation(subject(10), 50));
        assert!(list.has_place_of(&revocation(subject(5), 100)));
        list.add(&revocation(subject(5), 100));
        assert_eq!(list.iter().collect::<Vec<_>>(), [revocation(subject(10), 100)]);
    }

    #[test]
    fn the_digest_depends_on_the_entries_and_not_on_their_order() {
        let all: Vec<_> = (0..9_u64).map(|n| revocation(id(&n.to_string()), 100 + n)).collect();
        let (mut one, mut other) = (RevocationList::default(), RevocationList::default());
        all.iter().for_each(|it| one.add(it));
        all.iter().rev().for_each(|it| other.add(it));
        assert!(one.digest() == other.digest() && one.digest() != 0);
        // What is included changes nothing, what ends later does.
        assert!(one.includes(&all[3]));
        one.add(&all[3]);
        assert_eq!(one.digest(), other.digest());
        let longer = TokenRevocation { until: 500, ..all[3].clone() };
        assert!(!one.includes(&longer));
        one.add(&longer);
        assert_ne!(one.digest(), other.digest());
        other.add(&longer);
        assert_eq!(one.digest(), other.digest());
        one.forget_expired(1000, 99);
        assert_eq!(one.digest(), 0);
    }

    #[test]
    fn an_entry_ends_when_its_tokens_have_expired() {
        let mut list = RevocationList::default();
        for n in 0..10_u64 {
            list.add(&revocation(id(&n.to_string()), 100 + n));
        }
        assert_eq!((list.forget_expired(99, 5), list.forget_expired(104, 3)), (0, 3));
        assert_eq!((list.forget_expired(104, 9), list.len()), (2, 5));
        assert!(!list.has(token("4", "x", None)) && list.has(token("5", "x", None)));
    }

    #[test]
    fn a_revocation_is_one_line_of_json() {
        for (tokens, json) in [
            (id("t-1"), r#"{"app":"shop","jti":"t-1","until":7}"#),
            (
                RevokedTokens::Subject { sub: "42".into(), issued_before: 5 },
                r#"{"app":"shop","sub":"42","issued_before":5,"until":7}"#,
            ),
            (
                RevokedTokens::All { issued_before: 5 },
                r#"{"app":"shop","issued_before":5,"until":7}"#,
            ),
        ] {
            let revocation = revocation(tokens, 7);
            assert_eq!(serde_json::to_string(&revocation).unwrap(), json);
            let read: TokenRevocation = serde_json::from_str(json).unwrap();
            assert_eq!(read, revocation);
        }
        for wrong in [r#"{"app":"shop","until":7}"#, r#"{"app":"shop","sub":"1","until":7}"#] {
            assert!(serde_json::from_str::<TokenRevocation>(wrong).is_err(), "{wrong}");
        }
    }
}
