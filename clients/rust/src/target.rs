//! The recipients of a publication.

use std::collections::BTreeMap;

use serde::Serialize;

/// Tags of a client: names and values.
pub type Tags = BTreeMap<String, String>;

/// The recipients of a publication.
///
/// ```
/// use tagcast_client::To;
///
/// let page = To::uuid("a0ee…");
/// let room = To::tag("room", "1");
/// let news = To::topic("news");
/// let some = To::tags([("room", "1"), ("language", "FR")]);
/// let other = To::expr("room=1 & !(language=FR)");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct To(Recipients);

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Recipients {
    All(bool),
    Tags(Tags),
    Topic(String),
    Expr(String),
    Uuid(String),
    Ident(String),
}

impl To {
    /// All clients of the application.
    #[must_use]
    pub const fn all() -> Self {
        Self(Recipients::All(true))
    }

    /// Clients that have this tag.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "texts and numbers are passed as they are")]
    pub fn tag(name: impl Into<String>, value: impl ToString) -> Self {
        Self(Recipients::Tags(Tags::from([(name.into(), value.to_string())])))
    }

    /// Clients that have all of these tags. Without any, all clients.
    #[must_use]
    pub fn tags<N: Into<String>, V: ToString>(tags: impl IntoIterator<Item = (N, V)>) -> Self {
        Self(Recipients::Tags(
            tags.into_iter().map(|(name, value)| (name.into(), value.to_string())).collect(),
        ))
    }

    /// Clients in this topic.
    #[must_use]
    pub fn topic(name: impl Into<String>) -> Self {
        Self(Recipients::Topic(name.into()))
    }

    /// Clients whose tags match an expression, as `room=1 & !(language=FR)`.
    #[must_use]
    pub fn expr(expression: impl Into<String>) -> Self {
        Self(Recipients::Expr(expression.into()))
    }

    /// The client with this UUID.
    #[must_use]
    pub fn uuid(uuid: impl Into<String>) -> Self {
        Self(Recipients::Uuid(uuid.into()))
    }

    /// The client with this ident that connected first.
    #[must_use]
    pub fn ident(ident: impl Into<String>) -> Self {
        Self(Recipients::Ident(ident.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_target_is_one_member() {
        let json = |to: To| serde_json::to_string(&to).unwrap();
        assert_eq!(json(To::all()), r#"{"all":true}"#);
        assert_eq!(json(To::tag("level", 12)), r#"{"tags":{"level":"12"}}"#);
        assert_eq!(json(To::tags([("b", "1"), ("a", "2")])), r#"{"tags":{"a":"2","b":"1"}}"#);
        assert_eq!(json(To::topic("news")), r#"{"topic":"news"}"#);
        assert_eq!(json(To::expr("a=1")), r#"{"expr":"a=1"}"#);
        assert_eq!(json(To::uuid("u")), r#"{"uuid":"u"}"#);
        assert_eq!(json(To::ident("i")), r#"{"ident":"i"}"#);
    }
}
