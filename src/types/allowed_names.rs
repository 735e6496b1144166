//! Names that a token allows.

use super::is_guarded_topic;

/// Names that a capability of a token allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedNames {
    /// All.
    All,
    /// These. A name that ends in `*` stands for all that begin with the rest of it.
    Listed(Box<[Box<str>]>),
}

impl AllowedNames {
    /// Returns true if a name is allowed.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        matches!(self, Self::All) || self.lists(name)
    }

    /// Returns true if the name is listed, or a beginning of it. [`AllowedNames::All`] lists none.
    #[must_use]
    pub fn lists(&self, name: &str) -> bool {
        let Self::Listed(names) = self else { return false };
        names.iter().any(|allowed| match allowed.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => **allowed == *name,
        })
    }

    /// Returns true if a client with these names may join a topic. A guarded one must be listed.
    #[must_use]
    pub fn admits_topic(&self, topic: &str) -> bool {
        if is_guarded_topic(topic) { self.lists(topic) } else { self.has(topic) }
    }

    /// Returns its memory in bytes.
    #[must_use]
    pub fn held(&self) -> usize {
        match self {
            Self::All => 0,
            Self::Listed(names) => {
                names.iter().map(|name| name.len() + size_of::<Box<str>>()).sum()
            }
        }
    }
}

/// No names.
impl Default for AllowedNames {
    fn default() -> Self {
        Self::Listed(Box::default())
    }
}
