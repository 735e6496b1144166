//! The applications of auth.yml, found by their keys and secrets.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::secret_digest::SecretDigest;
use super::{Grant, Right};
use crate::auth::auth_basis::{AuthBasis, ShownCredentials};
use crate::auth::token::TokenVerifier;
use crate::auth::{
    Application, Applications, MessageCheck, PresenceSettings, ResumeSettings, TagSource,
};
use crate::types::limits::SECRETS_MAX;
use crate::types::{Credentials, LimitedApplication, Tenant};

#[expect(clippy::struct_excessive_bools, reason = "two independent facts about the applications")]
#[derive(Debug)]
pub(super) struct KnownKey {
    /// Applications in the order of the file.
    pub(super) entries: Vec<ApplicationRules>,
    pub(super) by_key: HashMap<Box<str>, u32>,
    /// Index of the application of connections without a key.
    pub(super) anonymous: Option<u32>,
    /// Length of the longest secret in bytes.
    secret_bytes_max: usize,
    /// Most secrets of one application. As many are compared for each, so that the time does not
    /// depend on the application.
    secrets_max: usize,
    /// An application limits the size of its messages.
    pub(super) limits_messages: bool,
    /// True if any application accepts tokens.
    pub(super) takes_tokens: bool,
    /// Names of cookies that may carry a token, each once. Usually there are none.
    pub(super) token_cookies: Vec<Box<str>>,
    /// Spaces whose clients have only the tags of their tokens. Usually there are none.
    pub(super) tags_by_token: Vec<Tenant>,
}

pub(super) struct ApplicationRules {
    pub(super) key: Box<str>,
    pub(super) secrets: Box<[SecretDigest]>,
    pub(super) tenant: Tenant,
    /// A client may open a connection with the key alone, without the secret.
    opens_with_key: bool,
    pub(super) clients: Right,
    pub(super) check: Option<Box<MessageCheck>>,
    /// `None`: the application accepts no tokens.
    pub(super) tokens: Option<Box<TokenVerifier>>,
    pub(super) message_bytes_max: Option<usize>,
    /// It, if the number of its connections is limited.
    pub(super) limited: Option<Arc<LimitedApplication>>,
    pub(super) resume: ResumeSettings,
    pub(super) presence: PresenceSettings,
}

impl fmt::Debug for ApplicationRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("tenant", &self.tenant).finish_non_exhaustive()
    }
}

impl KnownKey {
    pub(super) fn new(applications: &Applications) -> Self {
        let entries: Vec<ApplicationRules> =
            applications.list.iter().map(ApplicationRules::new).collect();
        let secrets = applications.list.iter().flat_map(|one| &one.secrets);
        let secret_bytes_max = secrets.map(|one| one.secret.bytes()).max().unwrap_or_default();
        let secrets_max = entries.iter().map(|entry| entry.secrets.len()).max().unwrap_or_default();
        let takes_tokens = entries.iter().any(|entry| entry.tokens.is_some());
        let places = entries.iter().zip(0..).map(|(entry, place)| (entry.key.clone(), place));
        Self {
            by_key: places.collect(),
            limits_messages: entries.iter().any(|entry| entry.message_bytes_max.is_some()),
            token_cookies: token_cookies(&entries),
            entries,
            anonymous: applications.anonymous.and_then(|place| u32::try_from(place).ok()),
            secret_bytes_max,
            secrets_max,
            takes_tokens,
            tags_by_token: tags_by_token(applications),
        }
    }

    /// Returns the index of the application with this key.
    pub(super) fn place_of(&self, key: &str) -> Option<u32> {
        self.by_key.get(key).copied()
    }

    pub(super) fn open(&self, shown: &Credentials<'_>) -> Option<Grant> {
        if let Some(proof) = self.proven(shown) {
            return Some(proof.grant());
        }
        let place = *self.by_key.get(shown.key.as_ref())?;
        self.entries
            .get(place as usize)?
            .open_with_key(AuthBasis::new(place, ShownCredentials::Key))
    }

    pub(super) fn open_anonymously(&self) -> Option<Grant> {
        let place = self.anonymous?;
        self.entries
            .get(place as usize)?
            .open_with_key(AuthBasis::new(place, ShownCredentials::NoKey))
    }

    /// Returns the grant of the application with the same key, if it still has the secret.
    pub(super) fn proven_before(&self, key: &str, secret: SecretDigest) -> Option<Grant> {
        let place = *self.by_key.get(key)?;
        let entry = self.entries.get(place as usize)?;
        let found = (0..).zip(&entry.secrets).find(|(_, known)| known.is(secret));
        found.map(|(secret, _)| ProvenApplication { place, secret, entry }.grant())
    }

    /// Returns the application whose key and one of whose secrets match. An unknown key takes as long
    /// as a wrong secret.
    pub(super) fn proven(&self, shown: &Credentials<'_>) -> Option<ProvenApplication<'_>> {
        let place = self.by_key.get(shown.key.as_ref());
        let entry = place.and_then(|place| Some((*place, self.entries.get(*place as usize)?)));
        // An empty secret never matches. A secret longer than any known one is not hashed, because
        // it may be as long as a message.
        let may_be = |secret: &&str| (1..=self.secret_bytes_max).contains(&secret.len());
        let shown_secret = shown.secret.as_deref().filter(may_be);
        let digest = shown_secret.map(SecretDigest::new);
        let known = entry.map_or(&[][..], |(_, entry)| &entry.secrets);
        let mut found = None;
        for (at, secret) in (0..self.secrets_max).zip(0..) {
            let expected = known.get(at).copied().unwrap_or(SecretDigest::NO_SECRET);
            let is_it = digest.unwrap_or(SecretDigest::NO_SECRET).is(expected);
            if is_it && at < known.len() && digest.is_some() {
                found = Some(secret);
            }
        }
        let ((place, entry), secret) = entry.zip(found)?;
        Some(ProvenApplication { place, secret, entry })
    }
}

/// An application for which a secret was shown.
pub(super) struct ProvenApplication<'k> {
    pub(super) place: u32,
    /// Index of the secret.
    secret: u32,
    pub(super) entry: &'k ApplicationRules,
}

impl ProvenApplication<'_> {
    pub(super) fn grant(&self) -> Grant {
        let basis = AuthBasis::of_secret(self.place, self.secret);
        Grant { tenant: self.entry.tenant.clone(), right: Right::Publish, basis }
    }
}

/// The tenant of an application.
fn tenant_of(application: &Application) -> Tenant {
    let tenant = application.tenant.as_deref().map(|name| Tenant(name.into()));
    tenant.unwrap_or_else(Tenant::shared)
}

fn token_cookies(entries: &[ApplicationRules]) -> Vec<Box<str>> {
    let tokens = entries.iter().filter_map(|entry| entry.tokens.as_deref());
    let mut names: Vec<Box<str>> = tokens.filter_map(|it| it.cookie().map(Into::into)).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn tags_by_token(applications: &Applications) -> Vec<Tenant> {
    let protecting = applications.list.iter().filter(|one| one.tags == TagSource::Token);
    protecting.map(tenant_of).collect()
}

impl ApplicationRules {
    fn new(application: &Application) -> Self {
        // The index of a secret has three bits in a basis.
        let secrets = application.secrets.iter().take(SECRETS_MAX);
        let secrets = secrets.map(|one| SecretDigest::of(&one.secret));
        Self {
            key: application.key.as_str().into(),
            secrets: secrets.collect(),
            tenant: tenant_of(application),
            opens_with_key: application.authorize_open,
            clients: if application.client_publish { Right::Publish } else { Right::Listen },
            message_bytes_max: application.limits.message.limit(),
            limited: application
                .limits
                .connections
                .limit()
                .map(|_| Arc::new(LimitedApplication(application.key.as_str().into()))),
            resume: application.resume,
            presence: application.presence.clone(),
            check: application.schema.as_ref().map(|it| Box::new(MessageCheck::new(it))),
            tokens: application.tokens.as_ref().map(|it| Box::new(TokenVerifier::new(it))),
        }
    }

    fn open_with_key(&self, basis: AuthBasis) -> Option<Grant> {
        let grant = || Grant { tenant: self.tenant.clone(), right: self.clients, basis };
        self.opens_with_key.then(grant)
    }
}
