//! Pages of a list of clients.

use super::{
    ClientClass, ClientUuid, ConnectionRef, Expression, Ident, JoinNumber, TagVersion, Tags,
};

/// The clients of a list, always within one tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListFilter {
    /// All clients that tags can reach.
    Everyone,
    /// Those of them that an expression matches.
    Expression(Expression),
    /// All clients with this name, in the order in which they joined.
    Ident(Ident),
}

impl ListFilter {
    /// Returns the memory that it uses, in bytes.
    #[must_use]
    pub fn held(&self) -> usize {
        match self {
            Self::Everyone => 0,
            Self::Expression(expression) => expression.held(),
            Self::Ident(ident) => ident.as_str().len(),
        }
    }
}

/// The position of a client in a list. It keeps its place as long as it is connected, whichever broker answers.
///
/// Clients with one name are in the order of their numbers, all others in the order of worker and slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListPosition {
    /// The number of its join.
    pub number: JoinNumber,
    /// Its worker and slot.
    pub place: ConnectionRef,
}

/// A client in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedClient {
    /// Its position.
    pub position: ListPosition,
    /// Its UUID.
    pub uuid: ClientUuid,
    /// Name that it gave itself.
    pub ident: Option<Ident>,
    /// Web-type or php-type.
    pub class: ClientClass,
    /// Its tags; none for a php-type client, which tags do not reach.
    pub tags: Tags,
    /// Version of the tags.
    pub version: TagVersion,
}

/// A part of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientPage {
    /// Number of all clients of the list at this moment.
    pub matched: u64,
    /// The clients of the page, in the order of the list.
    pub clients: Vec<ListedClient>,
    /// Whether more clients follow the last one.
    pub has_more: bool,
}

/// How large a page may be. It has one client more than is too many bytes, so it is never empty for its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageSize {
    /// Clients.
    pub clients: usize,
    /// Bytes of their names and values.
    pub bytes: usize,
}

/// A client by its UUID, as expressions see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientTags {
    /// No client of the tenant has this UUID.
    Unknown,
    /// Tags do not reach the client, so no expression matches it.
    NotReached,
    /// The tags of the client.
    Reached(Tags),
}

/// A part of the tag names of a tenant, or of the values of one name, that is searched in one step.
///
/// A whole list is searched from its end to its start. Entries only move towards the start, so an entry that
/// is there all the time is found at least once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagScan {
    /// The name whose values are searched; `None` for the names themselves.
    pub name: Option<Box<str>>,
    /// Texts begin with this.
    pub prefix: Box<str>,
    /// Texts are greater than this.
    pub after: Option<Box<str>>,
    /// How many texts are wanted: the smallest ones.
    pub limit: usize,
    /// Where the step before this one has stopped; `None` for the first step.
    pub before: Option<u32>,
}

/// What one step of a [`TagScan`] has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScannedTags {
    /// The smallest texts of this part, in ascending order.
    pub found: Vec<TagCount>,
    /// Where the next step begins; `None` after the last one.
    pub rest: Option<u32>,
}

/// A tag name with the number of its values, or a value with the number of its clients.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TagCount {
    /// The name or the value.
    pub text: Box<str>,
    /// The number of values or clients.
    pub count: u64,
}
