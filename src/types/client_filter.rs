//! The clients that a query is about.

use super::{Expression, TagQuery};

/// The clients that a query counts, always within one tenant and among those that tags can reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientFilter {
    /// Clients that have all these tags. An empty query matches all clients.
    Tags(TagQuery),
    /// Clients whose tags an expression matches.
    Expression(Expression),
}

impl ClientFilter {
    /// Returns the memory that it uses, in bytes.
    #[must_use]
    pub fn held(&self) -> usize {
        match self {
            Self::Tags(query) => query.held(),
            Self::Expression(expression) => expression.held(),
        }
    }
}

impl From<TagQuery> for ClientFilter {
    fn from(query: TagQuery) -> Self {
        Self::Tags(query)
    }
}

impl From<Expression> for ClientFilter {
    fn from(expression: Expression) -> Self {
        Self::Expression(expression)
    }
}
