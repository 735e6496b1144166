//! The auth manager: who may open a connection, who may publish, and in which space.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::config::{Application, Applications, AuthorizeOpen};
use crate::types::{Credentials, Tenant};

/// What the applications of auth.yml allow. Secrets are kept as digests: nothing in here can be
/// printed or read back.
#[derive(Debug)]
pub struct Access {
    rules: Rules,
    open: AuthorizeOpen,
}

#[derive(Debug)]
enum Rules {
    /// There are no applications: everything is allowed.
    Everything,
    Applications(Known),
}

#[derive(Debug)]
struct Known {
    by_key: HashMap<Box<str>, Entry>,
    /// The key that a connection without one counts as.
    anonymous: Option<Box<str>>,
}

struct Entry {
    secret: SecretDigest,
    tenant: Tenant,
    opens: Opens,
    clients: Right,
}

/// What a client has to show to open a connection for an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opens {
    WithKey,
    WithSecret,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("tenant", &self.tenant).finish_non_exhaustive()
    }
}

/// What a connection may do, decided when it opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The space that it lives in.
    pub tenant: Tenant,
    /// Whether it may publish by itself.
    pub right: Right,
}

/// Whether somebody may publish without proving anything with each message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// It may.
    Publish,
    /// It may not.
    Listen,
}

/// An opening or a message that is not allowed. It never says which part was wrong: that would help
/// whoever guesses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// The opening.
    Open,
    /// The message.
    Send,
}

impl Denied {
    /// The words for the client, as Gomoob's users know them.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Open => "Connection opening is not authorized !",
            Self::Send => "Message sending is not authorized !",
        }
    }
}

impl Access {
    /// What these applications allow; none allow everything.
    #[must_use]
    pub fn new(applications: Option<&Applications>, open: AuthorizeOpen) -> Self {
        let rules = match applications {
            None => Rules::Everything,
            Some(applications) => Rules::Applications(Known::new(applications)),
        };
        Self { rules, open }
    }

    /// What a server without applications allows: everything.
    #[must_use]
    pub const fn everything() -> Self {
        Self { rules: Rules::Everything, open: AuthorizeOpen::All }
    }

    /// One application whose key opens, and whose secret publishes.
    #[cfg(test)]
    pub(crate) fn of_one(key: &str, secret: &str) -> Self {
        let application = Application {
            key: key.to_owned(),
            secret: crate::config::Secret::new(secret.to_owned()),
            authorize_open: true,
            client_publish: false,
            tenant: None,
        };
        let applications = Applications { list: vec![application], anonymous: Some(0) };
        Self::new(Some(&applications), AuthorizeOpen::Application)
    }

    /// Decides about an opening.
    ///
    /// # Errors
    ///
    /// When no application lets it in.
    pub fn open(&self, shown: Option<&Credentials<'_>>) -> Result<Grant, Denied> {
        let Rules::Applications(known) = &self.rules else { return Ok(Grant::everything()) };
        let granted = match shown {
            Some(credentials) => known.open(credentials),
            None => known.open_anonymously(),
        };
        match (granted, self.open) {
            (Some(grant), _) => Ok(grant),
            // Let in by nobody in particular, it may listen where applications without a tenant
            // are, and nothing else.
            (None, AuthorizeOpen::All) => {
                Ok(Grant { tenant: Tenant::shared(), right: Right::Listen })
            }
            (None, AuthorizeOpen::Application) => Err(Denied::Open),
        }
    }

    /// Decides about a message of a connection; the space in which it is published is that of what
    /// was shown with it, else that of the connection.
    ///
    /// # Errors
    ///
    /// When what was shown is wrong, or nothing was shown and the connection may not publish.
    pub fn send(
        &self,
        (tenant, right): (&Tenant, Right),
        shown: Option<&Credentials<'_>>,
    ) -> Result<Tenant, Denied> {
        match (&self.rules, shown) {
            (Rules::Applications(known), Some(credentials)) => {
                known.proven(credentials).map(|entry| entry.tenant.clone()).ok_or(Denied::Send)
            }
            (Rules::Everything, _) => Ok(tenant.clone()),
            (_, None) if right == Right::Publish => Ok(tenant.clone()),
            (_, None) => Err(Denied::Send),
        }
    }
}

impl Grant {
    /// What everybody has where there are no applications.
    fn everything() -> Self {
        Self { tenant: Tenant::shared(), right: Right::Publish }
    }
}

impl Known {
    fn new(applications: &Applications) -> Self {
        let entry = |it: &Application| (it.key.as_str().into(), Entry::new(it));
        let anonymous = applications.anonymous.and_then(|at| applications.list.get(at));
        Self {
            by_key: applications.list.iter().map(entry).collect(),
            anonymous: anonymous.map(|application| application.key.as_str().into()),
        }
    }

    fn open(&self, shown: &Credentials<'_>) -> Option<Grant> {
        if let Some(entry) = self.proven(shown) {
            return Some(Grant { tenant: entry.tenant.clone(), right: Right::Publish });
        }
        self.by_key.get(shown.key.as_ref())?.open_with_key()
    }

    fn open_anonymously(&self) -> Option<Grant> {
        self.by_key.get(self.anonymous.as_deref()?)?.open_with_key()
    }

    /// The application whose key and secret were shown. An unknown key takes as long as a wrong
    /// secret.
    fn proven(&self, shown: &Credentials<'_>) -> Option<&Entry> {
        let entry = self.by_key.get(shown.key.as_ref());
        // No application has an empty secret; if one had, nobody should get in by it.
        let shown_secret = shown.secret.as_deref().filter(|secret| !secret.is_empty());
        let secret = shown_secret.map(SecretDigest::new);
        let expected = entry.map_or(SecretDigest::NOBODYS, |entry| entry.secret);
        let is_it = secret.unwrap_or(SecretDigest::NOBODYS).is(expected);
        entry.filter(|_| is_it && secret.is_some())
    }
}

impl Entry {
    fn new(application: &Application) -> Self {
        let tenant = application.tenant.as_deref().map(|name| Tenant(Arc::from(name)));
        Self {
            secret: SecretDigest::new(application.secret.expose()),
            tenant: tenant.unwrap_or_else(Tenant::shared),
            opens: if application.authorize_open { Opens::WithKey } else { Opens::WithSecret },
            clients: if application.client_publish { Right::Publish } else { Right::Listen },
        }
    }

    fn open_with_key(&self) -> Option<Grant> {
        let grant = || Grant { tenant: self.tenant.clone(), right: self.clients };
        (self.opens == Opens::WithKey).then(grant)
    }
}

/// A secret as its SHA-256: of one length, so that comparing takes the same time for all.
#[derive(Clone, Copy)]
struct SecretDigest([u8; 32]);

impl SecretDigest {
    /// The digest of no text.
    const NOBODYS: Self = Self([0; 32]);

    fn new(secret: &str) -> Self {
        Self(Sha256::digest(secret.as_bytes()).into())
    }

    fn is(self, other: Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn application(key: &str, (open, publish): (bool, bool), tenant: Option<&str>) -> Application {
        Application {
            key: key.to_owned(),
            secret: Secret::new(format!("{key}'s")),
            authorize_open: open,
            client_publish: publish,
            tenant: tenant.map(str::to_owned),
        }
    }

    fn applications(anonymous: Option<usize>) -> Applications {
        let list = vec![
            application("open", (true, false), None),
            application("closed", (false, false), Some("b")),
            application("chat", (true, true), Some("c")),
        ];
        Applications { list, anonymous }
    }

    fn access(anonymous: Option<usize>, open: AuthorizeOpen) -> Access {
        Access::new(Some(&applications(anonymous)), open)
    }

    fn shown<'a>(key: &'a str, secret: Option<&'a str>) -> Credentials<'a> {
        Credentials { key: key.into(), secret: secret.map(Into::into) }
    }

    fn grant(tenant: &str, right: Right) -> Grant {
        Grant { tenant: Tenant(Arc::from(tenant)), right }
    }

    #[test]
    fn without_applications_everything_is_allowed() {
        let access = Access::new(None, AuthorizeOpen::Application);
        let granted = access.open(None).unwrap();
        assert_eq!(granted, grant("", Right::Publish));
        assert_eq!(
            access.send((&granted.tenant, granted.right), Some(&shown("x", None))),
            Ok(Tenant::shared())
        );
    }

    #[test]
    fn an_opening_needs_a_key_and_for_some_applications_the_secret() {
        let access = access(None, AuthorizeOpen::Application);
        let open = |key, secret| access.open(Some(&shown(key, secret)));
        assert_eq!(access.open(None), Err(Denied::Open));
        assert_eq!(open("open", None), Ok(grant("", Right::Listen)));
        assert_eq!(open("open", Some("wrong")), Ok(grant("", Right::Listen)));
        assert_eq!(open("open", Some("open's")), Ok(grant("", Right::Publish)));
        assert_eq!(open("closed", None), Err(Denied::Open));
        assert_eq!(open("closed", Some("open's")), Err(Denied::Open));
        assert_eq!(open("closed", Some("closed's")), Ok(grant("b", Right::Publish)));
        assert_eq!(open("unknown", Some("open's")), Err(Denied::Open));
        assert_eq!(open("", Some("")), Err(Denied::Open));
        assert_eq!(open("chat", None), Ok(grant("c", Right::Publish)));
    }

    #[test]
    fn who_shows_nothing_counts_as_the_anonymous_application() {
        let anonymous = access(Some(2), AuthorizeOpen::Application);
        assert_eq!(anonymous.open(None), Ok(grant("c", Right::Publish)));
        let locked = access(Some(1), AuthorizeOpen::Application);
        assert_eq!(locked.open(None), Err(Denied::Open));
    }

    #[test]
    fn where_everybody_may_open_nobody_gets_into_a_tenant_by_its_key() {
        let all = access(None, AuthorizeOpen::All);
        assert_eq!(all.open(None), Ok(grant("", Right::Listen)));
        assert_eq!(all.open(Some(&shown("closed", None))), Ok(grant("", Right::Listen)));
        let proven = all.open(Some(&shown("closed", Some("closed's"))));
        assert_eq!(proven, Ok(grant("b", Right::Publish)));
    }

    #[test]
    fn a_message_is_published_in_the_space_of_what_proves_it() {
        let access = access(None, AuthorizeOpen::Application);
        let (shared, c) = (Tenant::shared(), Tenant(Arc::from("c")));
        let (listener, publisher) = ((&shared, Right::Listen), (&c, Right::Publish));
        let proof = shown("closed", Some("closed's"));
        assert_eq!(access.send(listener, Some(&proof)), Ok(Tenant(Arc::from("b"))));
        assert_eq!(access.send(publisher, None), Ok(Tenant(Arc::from("c"))));
        assert_eq!(access.send(listener, None), Err(Denied::Send));
        for wrong in [shown("closed", None), shown("closed", Some("x")), shown("x", Some("x"))] {
            assert_eq!(access.send(publisher, Some(&wrong)), Err(Denied::Send));
        }
    }

    #[test]
    fn nothing_printed_shows_a_secret() {
        let printed = format!("{:?}", access(Some(0), AuthorizeOpen::All));
        assert!(!printed.contains("'s"), "{printed}");
        assert!(!format!("{:?}", shown("k", Some("hidden"))).contains("hidden"));
    }
}
