//! Access rules: who may open a connection, who may publish, and in which tenant.

mod denied;
mod secret_digest;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

pub use self::denied::Denied;
pub(crate) use self::secret_digest::SecretDigest;
use super::ground::{AuthBasis, Edition, ShownCredentials};
use super::{Application, Applications, MessageCheck};
use crate::types::{Credentials, Tenant, word_choices};

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
#[derive(Debug)]
pub struct Permissions {
    rules: AccessRules,
    open: AuthorizeOpen,
    edition: Edition,
    /// Rules before these, until every grant of them was renewed.
    former: Option<Box<Self>>,
}

#[derive(Debug)]
enum AccessRules {
    /// Everything is allowed, because there are no applications.
    Everything,
    Applications(KnownKey),
}

#[derive(Debug)]
struct KnownKey {
    /// Applications in the order of the file.
    entries: Vec<ApplicationRules>,
    by_key: HashMap<Box<str>, u32>,
    /// Index of the application of connections without a key.
    anonymous: Option<u32>,
    /// Length of the longest secret in bytes.
    secret_bytes_max: usize,
}

struct ApplicationRules {
    key: Box<str>,
    secret: SecretDigest,
    tenant: Tenant,
    /// A client may open a connection with the key alone, without the secret.
    opens_with_key: bool,
    clients: Right,
    check: Option<Box<MessageCheck>>,
}

impl fmt::Debug for ApplicationRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("tenant", &self.tenant).finish_non_exhaustive()
    }
}

/// Rights of a connection, decided when it opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Tenant of the connection.
    pub tenant: Tenant,
    /// Right to publish without showing credentials.
    pub right: Right,
    /// Credentials that the rights are based on.
    pub ground: AuthBasis,
}

/// Borrowed grant of a connection, from its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrantRef<'g> {
    /// Tenant of the connection.
    pub tenant: &'g Tenant,
    /// Right to publish without showing credentials.
    pub right: Right,
    /// Credentials that the rights are based on.
    pub ground: AuthBasis,
}

/// Permission to publish one message.
#[derive(Debug)]
pub struct Permit<'a> {
    /// Tenant of the publication.
    pub tenant: Tenant,
    /// Schema check of the application. `None`: any message is allowed.
    pub check: Option<&'a MessageCheck>,
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
            AccessRules::Applications(KnownKey::new(applications))
        });
        Self { rules, open, edition: Edition::FIRST, former: None }
    }

    /// Replaces the rules `former`. A grant of these stays valid until it is [renewed](Self::renew), or
    /// until [`Self::forget_former`].
    #[must_use]
    pub fn replacing(mut self, mut former: Self) -> Self {
        former.forget_former();
        self.edition = former.edition.next();
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
        Self { rules, open, edition: Edition::FIRST, former: None }
    }

    /// Creates rules with one application: its key opens, its secret publishes.
    #[cfg(test)]
    pub(crate) fn of_one(key: &str, secret: &str) -> Self {
        let application = Application {
            key: key.to_owned(),
            secret: crate::types::Secret::new(secret.to_owned()),
            authorize_open: true,
            client_publish: false,
            tenant: None,
            schema: None,
            api: crate::auth::ApiRights::default(),
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
                Ok(Grant { tenant, right, ground: AuthBasis::NOTHING })
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
        let GrantRef { tenant, right, ground } = grant;
        match (&self.rules, shown) {
            (AccessRules::Applications(known), Some(credentials)) => {
                let (_, entry) = known.proven(credentials).ok_or(Denied::Send)?;
                Ok(Permit { tenant: entry.tenant.clone(), check: entry.check.as_deref() })
            }
            (AccessRules::Everything, _) => Ok(Permit { tenant: tenant.clone(), check: None }),
            (_, None) if right == Right::Publish => {
                let holder = self.holder(ground);
                let check = holder.and_then(|(entry, _)| entry.check.as_deref());
                Ok(Permit { tenant: tenant.clone(), check })
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
    pub fn may_see_counts(&self, ground: AuthBasis) -> bool {
        matches!(self.rules, AccessRules::Everything) || ground.is_proven()
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
    /// still exist in the same tenant. If the client showed a secret, the secret must be unchanged.
    ///
    /// # Errors
    ///
    /// Fails when the connection must be closed.
    pub fn renew(&self, tenant: &Tenant, ground: AuthBasis) -> Result<Grant, Denied> {
        let granted = match (&self.rules, self.holder(ground)) {
            (AccessRules::Everything, _) => Ok(Grant::everything()),
            (AccessRules::Applications(known), Some((entry, ShownCredentials::Secret))) => {
                known.proven_before(entry).ok_or(Denied::Open)
            }
            (AccessRules::Applications(_), Some((entry, ShownCredentials::Key))) => {
                self.open(Some(&Credentials { key: (&*entry.key).into(), secret: None }))
            }
            (AccessRules::Applications(_), _) => self.open(None),
        }?;
        if granted.tenant == *tenant {
            Ok(granted.in_edition(self.edition))
        } else {
            Err(Denied::Open)
        }
    }

    /// Returns the application that admitted a connection and the credentials that were shown.
    fn holder(&self, ground: AuthBasis) -> Option<(&ApplicationRules, ShownCredentials)> {
        let is_former = ground.edition() != self.edition;
        match &(if is_former { self.former.as_deref()? } else { self }).rules {
            AccessRules::Applications(known) if ground.shown() != ShownCredentials::Nothing => {
                known.entries.get(ground.place()).map(|entry| (entry, ground.shown()))
            }
            _ => None,
        }
    }
}

impl Grant {
    fn in_edition(self, edition: Edition) -> Self {
        Self { ground: self.ground.in_edition(edition), ..self }
    }

    /// Grant of a server without applications.
    fn everything() -> Self {
        Self { tenant: Tenant::shared(), right: Right::Publish, ground: AuthBasis::NOTHING }
    }

    /// Borrows the grant for the decision about a message.
    #[must_use]
    pub fn by_ref(&self) -> GrantRef<'_> {
        GrantRef { tenant: &self.tenant, right: self.right, ground: self.ground }
    }
}

impl KnownKey {
    fn new(applications: &Applications) -> Self {
        let entries: Vec<ApplicationRules> =
            applications.list.iter().map(ApplicationRules::new).collect();
        let secrets = applications.list.iter().map(|one| one.secret.bytes());
        let places = entries.iter().zip(0..).map(|(entry, place)| (entry.key.clone(), place));
        Self {
            by_key: places.collect(),
            entries,
            anonymous: applications.anonymous.and_then(|place| u32::try_from(place).ok()),
            secret_bytes_max: secrets.max().unwrap_or_default(),
        }
    }

    fn open(&self, shown: &Credentials<'_>) -> Option<Grant> {
        if let Some((place, entry)) = self.proven(shown) {
            return Some(entry.proven(place));
        }
        let place = *self.by_key.get(shown.key.as_ref())?;
        self.entries
            .get(place as usize)?
            .open_with_key(AuthBasis::new(place, ShownCredentials::Key))
    }

    fn open_anonymously(&self) -> Option<Grant> {
        let place = self.anonymous?;
        self.entries
            .get(place as usize)?
            .open_with_key(AuthBasis::new(place, ShownCredentials::NoKey))
    }

    /// Returns the grant of the application with the same key and the same secret.
    fn proven_before(&self, former: &ApplicationRules) -> Option<Grant> {
        let place = *self.by_key.get(&former.key)?;
        let entry = self.entries.get(place as usize)?;
        entry.secret.is(former.secret).then(|| entry.proven(place))
    }

    /// Returns the application whose key and secret match. An unknown key takes as long as a wrong
    /// secret.
    fn proven(&self, shown: &Credentials<'_>) -> Option<(u32, &ApplicationRules)> {
        let place = self.by_key.get(shown.key.as_ref());
        let entry = place.and_then(|place| Some((*place, self.entries.get(*place as usize)?)));
        // An empty secret never matches. A secret longer than any known one is not hashed, because
        // it may be as long as a message.
        let may_be = |secret: &&str| (1..=self.secret_bytes_max).contains(&secret.len());
        let shown_secret = shown.secret.as_deref().filter(may_be);
        let secret = shown_secret.map(SecretDigest::new);
        let expected = entry.map_or(SecretDigest::NO_SECRET, |(_, entry)| entry.secret);
        let is_it = secret.unwrap_or(SecretDigest::NO_SECRET).is(expected);
        entry.filter(|_| is_it && secret.is_some())
    }
}

impl ApplicationRules {
    fn new(application: &Application) -> Self {
        let tenant = application.tenant.as_deref().map(|name| Tenant(Arc::from(name)));
        Self {
            key: application.key.as_str().into(),
            secret: SecretDigest::of(&application.secret),
            tenant: tenant.unwrap_or_else(Tenant::shared),
            opens_with_key: application.authorize_open,
            clients: if application.client_publish { Right::Publish } else { Right::Listen },
            check: application.schema.as_ref().map(|it| Box::new(MessageCheck::new(it))),
        }
    }

    fn open_with_key(&self, ground: AuthBasis) -> Option<Grant> {
        let grant = || Grant { tenant: self.tenant.clone(), right: self.clients, ground };
        self.opens_with_key.then(grant)
    }

    fn proven(&self, place: u32) -> Grant {
        let ground = AuthBasis::new(place, ShownCredentials::Secret);
        Grant { tenant: self.tenant.clone(), right: Right::Publish, ground }
    }
}

#[cfg(test)]
mod tests;
