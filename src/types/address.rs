//! Recipients of publications.

use super::limits::EXCEPT_MAX;
use super::{
    Alias, AsTag, ClientUuid, Expression, Ident, Tag, TagCondition, TagQuery, is_guarded_tag_name,
};

/// The recipients of a publication, with an optional exception.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// The recipients.
    pub recipients: Recipients,
    /// One client that is excluded: the sender of a broadcast.
    pub except: Option<ClientUuid>,
}

/// The recipients of an address, always within one tenant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Recipients {
    /// The first client, in connection order, that has this UUID or this ident. At most one client.
    First {
        /// The UUID, if one was given and its signature is valid.
        uuid: Option<ClientUuid>,
        /// The ident, if one was given.
        ident: Option<Ident>,
    },
    /// All web-type clients that have all these tags. An empty query matches all of them.
    Matching(TagQuery),
    /// One client, by one of the less common kinds of name.
    Named(Box<NamedClient>),
    /// Web-type clients found by tags in this order. A tag that no client has is skipped. Each
    /// other tag keeps the clients that also have it. If no client is left, the next tag starts
    /// again with all clients. Without tags all clients match.
    TagSequence(Box<[Tag]>),
    /// All web-type clients whose tags an expression matches.
    Expression(Expression),
    /// Those of other recipients whose tags an expression matches.
    Among(Box<RecipientsAmong>),
    /// Other recipients without several clients.
    Without(Box<RecipientsWithout>),
}

/// Recipients without several clients.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RecipientsWithout {
    /// The recipients. They are not a [`Recipients::Without`] themselves.
    pub recipients: Recipients,
    /// Excluded clients, at most [`EXCEPT_MAX`](super::limits::EXCEPT_MAX).
    pub uuids: Box<[ClientUuid]>,
}

/// Recipients whose tags an expression matches too.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RecipientsAmong {
    /// The recipients. They are not a [`Recipients::Among`] themselves.
    pub recipients: Recipients,
    /// What a recipient must match.
    pub expression: Expression,
}

impl Recipients {
    /// Returns their memory in bytes, about.
    #[must_use]
    pub fn held(&self) -> usize {
        let lists = match self {
            Self::First { .. } => 0,
            Self::Named(_) => size_of::<NamedClient>(),
            Self::Matching(query) => query.held(),
            Self::TagSequence(tags) => tags.iter().map(Tag::held).sum(),
            Self::Expression(expression) => expression.held(),
            Self::Without(it) => it.recipients.held() + size_of_val(&*it.uuids),
            Self::Among(it) => it.recipients.held() + it.expression.held(),
        };
        size_of::<Self>() + lists
    }

    /// Returns the topic whose clients they are, if it is exactly one.
    #[must_use]
    pub fn topic(&self) -> Option<&str> {
        match self {
            Self::Matching(query) if query.len() == 1 => query.iter().next()?.topic(),
            Self::TagSequence(tags) => match &**tags {
                [tag] => tag.as_tag().topic(),
                _ => None,
            },
            Self::Expression(expression) => match expression.root() {
                TagCondition::Term(term) => term.topic(),
                _ => None,
            },
            Self::Without(it) => it.recipients.topic(),
            Self::Among(it) => it.recipients.topic(),
            Self::Matching(_) | Self::First { .. } | Self::Named(_) => None,
        }
    }

    /// Returns whether guarded topics decide which clients they are.
    #[must_use]
    pub fn names_guarded_topics(&self) -> bool {
        let is_one = |name: &str| is_guarded_tag_name(name);
        match self {
            Self::Matching(query) => query.iter().any(|tag| is_one(tag.name())),
            Self::TagSequence(tags) => tags.iter().any(|tag| is_one(tag.name())),
            Self::Expression(expression) => expression.names(is_guarded_tag_name),
            Self::Without(it) => it.recipients.names_guarded_topics(),
            Self::Among(it) => {
                it.recipients.names_guarded_topics() || it.expression.names(is_guarded_tag_name)
            }
            Self::First { .. } | Self::Named(_) => false,
        }
    }

    /// Returns true if there can be at most one recipient.
    #[must_use]
    pub fn is_single(&self) -> bool {
        match self {
            Self::First { .. } | Self::Named(_) => true,
            Self::Without(it) => it.recipients.is_single(),
            Self::Among(it) => it.recipients.is_single(),
            Self::Matching(_) | Self::TagSequence(_) | Self::Expression(_) => false,
        }
    }
}

/// Less common names of one client. The first client in connection order that matches any of them
/// is the recipient.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct NamedClient {
    /// The UUID, if one was given and its signature is valid.
    pub uuid: Option<ClientUuid>,
    /// A text that may be an alias.
    pub alias: Option<Alias>,
    /// The ident, if one was given.
    pub ident: Option<Ident>,
    /// Additional matches besides equality.
    pub options: MatchOptions,
}

/// Matches of a [`NamedClient`] besides equality.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct MatchOptions(u8);

impl MatchOptions {
    /// Any web-type client matches.
    pub const ANY_WEB: Self = Self(1);
    /// Any client with an ident matches.
    pub const ANY_IDENT: Self = Self(2);
    /// An ident with the same numeric value matches: `5` and `5.0`.
    pub const SAME_NUMBER: Self = Self(4);
    /// UUID and alias match web-type clients only.
    pub const WEB_ONLY: Self = Self(8);
    const ALL: u8 = 15;

    /// Returns the union of both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns true if all options of `other` are set.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Returns true if these options match clients even without a name.
    #[must_use]
    pub const fn selects_alone(self) -> bool {
        self.0 & (Self::ANY_WEB.0 | Self::ANY_IDENT.0) != 0
    }

    /// Returns the encoding on the link.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Decodes the options from the link. Returns `None` if an unknown bit is set.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Option<Self> {
        if bits & !Self::ALL == 0 { Some(Self(bits)) } else { None }
    }
}

impl Address {
    /// Addresses all clients.
    #[must_use]
    pub fn everyone() -> Self {
        Self { recipients: Recipients::Matching(TagQuery::default()), except: None }
    }

    /// Addresses all clients except one.
    #[must_use]
    pub fn everyone_but(uuid: ClientUuid) -> Self {
        Self { except: Some(uuid), ..Self::everyone() }
    }

    /// Addresses the first client with this UUID or this ident.
    #[must_use]
    pub fn first(uuid: Option<ClientUuid>, ident: Option<Ident>) -> Self {
        Self { recipients: Recipients::First { uuid, ident }, except: None }
    }

    /// Addresses the one client that matches these names.
    #[must_use]
    pub fn named(named: NamedClient) -> Self {
        Self { recipients: Recipients::Named(Box::new(named)), except: None }
    }

    /// Addresses the clients that [`Recipients::TagSequence`] finds by these tags.
    #[must_use]
    pub fn tag_sequence(tags: Box<[Tag]>) -> Self {
        Self { recipients: Recipients::TagSequence(tags), except: None }
    }

    /// Excludes several clients, at most [`EXCEPT_MAX`]. They replace those that an
    /// earlier call has excluded.
    #[must_use]
    pub fn without(self, uuids: &[ClientUuid]) -> Self {
        let recipients = match self.recipients {
            Recipients::Without(it) => it.recipients,
            recipients => recipients,
        };
        match uuids {
            [] => Self { recipients, except: None },
            [one] => Self { recipients, except: Some(*one) },
            several => {
                let several = several.iter().take(EXCEPT_MAX).copied().collect();
                let without = RecipientsWithout { recipients, uuids: several };
                Self { recipients: Recipients::Without(Box::new(without)), except: None }
            }
        }
    }

    /// Keeps only those recipients that an expression matches. An address that has been narrowed before is
    /// not changed.
    #[must_use]
    pub fn among(self, expression: Expression) -> Self {
        let recipients = match self.recipients {
            Recipients::Among(it) => Recipients::Among(it),
            // The broker remembers the clients of an expression.
            Recipients::Matching(query) if query.is_empty() => Recipients::Expression(expression),
            recipients => Recipients::Among(Box::new(RecipientsAmong { recipients, expression })),
        };
        Self { recipients, ..self }
    }

    /// Excludes one client.
    #[must_use]
    pub fn but(self, uuid: ClientUuid) -> Self {
        Self { except: Some(uuid), ..self }
    }

    /// Addresses all clients whose tags an expression matches.
    ///
    /// ```
    /// use tagcast::{Address, Expression};
    ///
    /// let address = Address::expr(Expression::parse("room=1 & !muted?")?);
    /// # Ok::<(), tagcast::ExpressionError>(())
    /// ```
    #[must_use]
    pub fn expr(expression: Expression) -> Self {
        Self { recipients: Recipients::Expression(expression), except: None }
    }

    /// Addresses all clients that have all these tags.
    #[must_use]
    pub fn matching(query: TagQuery) -> Self {
        Self { recipients: Recipients::Matching(query), except: None }
    }
}
