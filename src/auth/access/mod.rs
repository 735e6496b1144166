//! Access rules: who may open a connection, who may publish, and in which tenant.

mod denied;
mod known_applications;
mod refresh;
mod secret_digest;
mod token;

use std::sync::Arc;

pub use self::denied::Denied;
use self::known_applications::{ApplicationRules, KnownKey};
pub use self::refresh::RefreshedConnection;
pub(crate) use self::secret_digest::SecretDigest;
pub use self::token::{ShownToken, VerifiedToken};
use super::auth_basis::{AuthBasis, Edition, ShownCredentials};
use super::{Applications, MessageCheck, PresenceSettings, ResumeSettings, TokenClaims};
use crate::types::{Credentials, LimitedApplication, RevocationList, Tenant, word_choices};

word_choices! {
    /// Clients that may open a connection.
    AuthorizeOpen {
        /// Clients that an application of auth.yml admits.
        Application = "application",
        /// All clients. This is the default of Gomoob's manager.
        All = "all",
    }
}

/// Access rules of auth.yml. They contain only digests of secrets, so a secret can be neither
/// printed nor read back.
#[derive(Clone, Debug)]
pub struct Permissions {
    rules: AccessRules,
    open: AuthorizeOpen,
    edition: Edition,
    /// Rules before these, until every grant of them was renewed.
    former: Option<Box<Self>>,
    /// Tokens that are not valid any more. `None`: there are none.
    revoked: Option<Arc<RevocationList>>,
}

#[derive(Clone, Debug)]
enum AccessRules {
    /// Everything is allowed, because there are no applications.
    Everything,
    /// Shared with the copy of the rules that reads large messages on another thread.
    Applications(Arc<KnownKey>),
}

/// Rights of a connection, decided when it opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Tenant of the connection.
    pub tenant: Tenant,
    /// Right to publish without showing credentials.
    pub right: Right,
    /// Credentials that the rights are based on.
    pub basis: AuthBasis,
}

/// Borrowed grant of a connection, from its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrantRef<'g> {
    /// Tenant of the connection.
    pub tenant: &'g Tenant,
    /// Right to publish without showing credentials.
    pub right: Right,
    /// Credentials that the rights are based on.
    pub basis: AuthBasis,
}

/// Permission to publish one message.
#[derive(Debug)]
pub struct Permit<'a> {
    /// Tenant of the publication.
    pub tenant: Tenant,
    /// Schema check of the application. `None`: any message is allowed.
    pub check: Option<&'a MessageCheck>,
    /// Index of the application. `None`: the server has no applications.
    pub application: Option<u32>,
}

/// Right of a client that shows no credentials with its messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// The client may publish.
    Publish,
    /// The client may only listen.
    Listen,
}

impl Right {
    /// Returns true if this right includes the needed one.
    #[must_use]
    pub fn covers(self, needed: Self) -> bool {
        self == Self::Publish || needed == Self::Listen
    }
}

impl Permissions {
    /// Creates the rules of these applications. `None` allows everything.
    #[must_use]
    pub fn new(applications: Option<&Applications>, open: AuthorizeOpen) -> Self {
        let rules = applications.map_or(AccessRules::Everything, |applications| {
            AccessRules::Applications(Arc::new(KnownKey::new(applications)))
        });
        Self { rules, open, edition: Edition::FIRST, former: None, revoked: None }
    }

    /// Replaces the rules `former`. A grant of these stays valid until it is [renewed](Self::renew), or
    /// until [`Self::forget_former`].
    #[must_use]
    pub fn replacing(mut self, mut former: Self) -> Self {
        former.forget_former();
        self.edition = former.edition.next();
        self.revoked = former.revoked.take();
        self.former = Some(Box::new(former));
        self
    }

    /// Drops the former rules, once every grant of them was renewed.
    pub fn forget_former(&mut self) {
        self.former = None;
    }

    /// Creates rules that allow everything.
    #[must_use]
    pub const fn everything() -> Self {
        let (rules, open) = (AccessRules::Everything, AuthorizeOpen::All);
        Self { rules, open, edition: Edition::FIRST, former: None, revoked: None }
    }

    /// Creates rules with one application: its key opens, its secret publishes.
    #[cfg(test)]
    pub(crate) fn of_one(key: &str, secret: &str) -> Self {
        let application = crate::auth::Application {
            key: key.to_owned(),
            secrets: vec![crate::auth::ApplicationSecret::own(crate::types::Secret::new(
                secret.to_owned(),
            ))],
            authorize_open: true,
            client_publish: false,
            tenant: None,
            ..crate::auth::Application::placeholder()
        };
        let applications = Applications { list: vec![application], anonymous: Some(0) };
        Self::new(Some(&applications), AuthorizeOpen::Application)
    }

    /// Decides whether a client may open a connection.
    ///
    /// # Errors
    ///
    /// Fails when no application admits the client.
    pub fn open(&self, shown: Option<&Credentials<'_>>) -> Result<Grant, Denied> {
        let AccessRules::Applications(known) = &self.rules else { return Ok(Grant::everything()) };
        let granted = match shown {
            Some(credentials) => known.open(credentials),
            None => known.open_anonymously(),
        };
        match (granted, self.open) {
            (Some(grant), _) => Ok(grant.in_edition(self.edition)),
            // A client that no application admitted may listen in the shared tenant, and nothing
            // else.
            (None, AuthorizeOpen::All) => {
                let (tenant, right) = (Tenant::shared(), Right::Listen);
                Ok(Grant { tenant, right, basis: AuthBasis::NOTHING })
            }
            (None, AuthorizeOpen::Application) => Err(Denied::Open),
        }
    }

    /// Decides whether a connection may publish a message. The credentials `shown` with the message
    /// determine the tenant and the schema. Without them the connection does.
    ///
    /// # Errors
    ///
    /// Fails when the credentials are wrong, or when there are none and the connection may not
    /// publish.
    pub fn send(
        &self,
        grant: GrantRef<'_>,
        shown: Option<&Credentials<'_>>,
    ) -> Result<Permit<'_>, Denied> {
        let GrantRef { tenant, right, basis } = grant;
        match (&self.rules, shown) {
            (AccessRules::Applications(known), Some(credentials)) => {
                let proven = known.proven(credentials).ok_or(Denied::Send)?;
                let (entry, application) = (proven.entry, Some(proven.place));
                let check = entry.check.as_deref();
                Ok(Permit { tenant: entry.tenant.clone(), check, application })
            }
            (AccessRules::Everything, _) => {
                Ok(Permit { tenant: tenant.clone(), check: None, application: None })
            }
            (_, None) if right == Right::Publish => {
                let holder = self.holder(basis);
                let check = holder.and_then(|(entry, _)| entry.check.as_deref());
                let application = self.application_index(basis);
                Ok(Permit { tenant: tenant.clone(), check, application })
            }
            (_, None) => Err(Denied::Send),
        }
    }
}

impl Permissions {
    /// Returns true if a publisher may learn how many clients its publications reach. It must have
    /// shown a secret, unless there are no applications. Otherwise a page with the right to publish
    /// could find out who is connected.
    #[must_use]
    pub fn may_see_counts(&self, basis: AuthBasis) -> bool {
        matches!(self.rules, AccessRules::Everything) || basis.is_proven()
    }

    /// Returns the key of the application that admitted a connection; `None` if it needed no key.
    #[must_use]
    pub fn application_of(&self, ground: AuthBasis) -> Option<&str> {
        match self.holder(ground)? {
            (_, ShownCredentials::Nothing | ShownCredentials::NoKey) => None,
            (entry, ShownCredentials::Key | ShownCredentials::Secret | ShownCredentials::Token) => {
                Some(&entry.key)
            }
        }
    }

    /// Returns the index of the application that admitted a connection, in these rules. `None` if it needed
    /// none, or if the application is gone.
    #[must_use]
    pub fn application_index(&self, basis: AuthBasis) -> Option<u32> {
        let (entry, _) = self.holder(basis)?;
        match &self.rules {
            AccessRules::Applications(known) if basis.edition() != self.edition => {
                known.place_of(&entry.key)
            }
            AccessRules::Applications(_) => u32::try_from(basis.place()).ok(),
            AccessRules::Everything => None,
        }
    }

    /// Returns the application that admitted a connection, if the number of its connections is limited.
    #[must_use]
    pub fn limited_application(&self, basis: AuthBasis) -> Option<Arc<LimitedApplication>> {
        self.holder(basis)?.0.limited.clone()
    }

    /// Returns how a client that its application has admitted resumes.
    #[must_use]
    pub fn resume_settings(&self, basis: AuthBasis) -> ResumeSettings {
        self.holder(basis).map(|(entry, _)| entry.resume).unwrap_or_default()
    }

    /// Returns what a client that its application has admitted may watch, and what others see of it. `None`: the usual.
    #[must_use]
    pub fn presence_settings(&self, basis: AuthBasis) -> Option<&PresenceSettings> {
        self.holder(basis).map(|(entry, _)| &entry.presence)
    }

    /// Returns the maximum bytes of a message of a connection, if its application limits them.
    #[must_use]
    pub fn message_bytes_max(&self, basis: AuthBasis) -> Option<usize> {
        let AccessRules::Applications(known) = &self.rules else { return None };
        if !known.limits_messages {
            return None;
        }
        self.holder(basis)?.0.message_bytes_max
    }

    /// Returns all tenants without duplicates.
    #[must_use]
    pub fn tenants(&self) -> Vec<Tenant> {
        let mut all = vec![Tenant::shared()];
        if let AccessRules::Applications(known) = &self.rules {
            for entry in &known.entries {
                if !all.contains(&entry.tenant) {
                    all.push(entry.tenant.clone());
                }
            }
        }
        all
    }

    /// Returns the tenant of connections without a key.
    #[must_use]
    pub fn anonymous_tenant(&self) -> Tenant {
        let AccessRules::Applications(known) = &self.rules else { return Tenant::shared() };
        let entry = known.anonymous.and_then(|place| known.entries.get(place as usize));
        entry.map_or_else(Tenant::shared, |entry| entry.tenant.clone())
    }

    /// Applies these rules to a connection that the former rules admitted. The application must
    /// still exist in the same tenant. If the client showed a secret, the application must
    /// still have it. If it showed a token, the application must still have the key that signed it.
    ///
    /// # Errors
    ///
    /// Fails when the connection must be closed.
    pub fn renew(
        &self,
        tenant: &Tenant,
        basis: AuthBasis,
        token: Option<&TokenClaims>,
    ) -> Result<Grant, Denied> {
        let granted = match (&self.rules, self.holder(basis)) {
            (AccessRules::Everything, _) => Ok(Grant::everything()),
            (AccessRules::Applications(known), Some((entry, ShownCredentials::Secret))) => {
                let secret = entry.secrets.get(basis.secret()).copied();
                let kept = secret.and_then(|secret| known.proven_before(&entry.key, secret));
                kept.ok_or(Denied::Open)
            }
            (AccessRules::Applications(known), Some((entry, ShownCredentials::Token))) => {
                known.renew_token(entry, basis, token).ok_or(Denied::Open)
            }
            (AccessRules::Applications(_), Some((entry, ShownCredentials::Key))) => {
                self.open(Some(&Credentials { key: (&*entry.key).into(), secret: None }))
            }
            (AccessRules::Applications(_), _) => self.open(None),
        }?;
        // A connection of before may have tags that it chose.
        let has_tags_by_token = |rules: &Self| rules.has_tags_by_token(tenant, basis);
        let is_newly_protected =
            has_tags_by_token(self) && !self.former.as_deref().is_some_and(has_tags_by_token);
        let is_former = basis.edition() != self.edition;
        if granted.tenant == *tenant && !(is_former && is_newly_protected) {
            Ok(granted.in_edition(self.edition))
        } else {
            Err(Denied::Open)
        }
    }

    /// Returns the application that admitted a connection and the credentials that were shown.
    fn holder(&self, basis: AuthBasis) -> Option<(&ApplicationRules, ShownCredentials)> {
        let is_former = basis.edition() != self.edition;
        match &(if is_former { self.former.as_deref()? } else { self }).rules {
            AccessRules::Applications(known) if basis.shown() != ShownCredentials::Nothing => {
                known.entries.get(basis.place()).map(|entry| (entry, basis.shown()))
            }
            _ => None,
        }
    }
}

impl Grant {
    fn in_edition(self, edition: Edition) -> Self {
        Self { basis: self.basis.in_edition(edition), ..self }
    }

    /// Grant of a server without applications.
    fn everything() -> Self {
        Self { tenant: Tenant::shared(), right: Right::Publish, basis: AuthBasis::NOTHING }
    }

    /// Borrows the grant for the decision about a message.
    #[must_use]
    pub fn by_ref(&self) -> GrantRef<'_> {
        GrantRef { tenant: &self.tenant, right: self.right, basis: self.basis }
    }
}

#[cfg(test)]
mod tests;
