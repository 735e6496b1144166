//! Compares random expressions with a naive tree, in both forms and many spellings.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{json_of, tags};
use crate::types::Expression;

/// A condition built by a test, with the data for its value.
#[derive(Clone, Debug)]
enum Naive {
    Is(String, String),
    In(String, Vec<String>),
    Prefix(String, String),
    Exists(String),
    Not(Box<Self>),
    And(Vec<Self>),
    Or(Vec<Self>),
}

impl Naive {
    fn holds(&self, tags: &BTreeMap<String, String>) -> bool {
        match self {
            Self::Is(name, value) => tags.get(name) == Some(value),
            Self::In(name, values) => tags.get(name).is_some_and(|it| values.contains(it)),
            Self::Prefix(name, prefix) => tags.get(name).is_some_and(|it| it.starts_with(prefix)),
            Self::Exists(name) => tags.contains_key(name),
            Self::Not(operand) => !operand.holds(tags),
            Self::And(operands) => operands.iter().all(|it| it.holds(tags)),
            Self::Or(operands) => operands.iter().any(|it| it.holds(tags)),
        }
    }

    /// Returns the text form with superfluous parentheses. `style` selects the spelling of the
    /// operators.
    fn text(&self, style: usize) -> String {
        let quoted = |text: &String| serde_json::to_string(text).unwrap();
        let joined = |operands: &[Self], signs: [&str; 3]| {
            let each: Vec<_> = operands.iter().map(|it| format!("({})", it.text(style))).collect();
            each.join(signs[style % 3])
        };
        let gap = ["", " ", "\r\n\t"][style % 3];
        match self {
            Self::Is(name, value) => format!("{}{gap}={gap}{}", quoted(name), quoted(value)),
            Self::In(name, values) => {
                let values: Vec<_> = values.iter().map(quoted).collect();
                format!("{} in{gap}({gap}{}{gap})", quoted(name), values.join(","))
            }
            Self::Prefix(name, prefix) => format!("{}{gap}={gap}{}*", quoted(name), quoted(prefix)),
            Self::Exists(name) => format!("{}{gap}?", quoted(name)),
            Self::Not(operand) => {
                format!("{}({})", ["!", "not ", "!"][style % 3], operand.text(style))
            }
            Self::And(operands) => joined(operands, ["&", " and ", "&&"]),
            Self::Or(operands) => joined(operands, ["|", " or ", "||"]),
        }
    }
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![Just("a"), Just("b"), Just("or"), Just("é x"), Just("@user")].prop_map(Into::into)
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![Just(""), Just("1"), Just("12"), Just("in"), Just("x\"\\\u{1}\n"), Just("ü")]
        .prop_map(Into::into)
}

fn naive() -> impl Strategy<Value = Naive> {
    let term = prop_oneof![
        (name(), value()).prop_map(|(name, value)| Naive::Is(name, value)),
        (name(), prop::collection::vec(value(), 1..4))
            .prop_map(|(name, values)| Naive::In(name, values)),
        (name(), value()).prop_map(|(name, value)| match &*value {
            "" => Naive::Exists(name),
            _ => Naive::Prefix(name, value),
        }),
    ];
    term.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|it| Naive::Not(Box::new(it))),
            prop::collection::vec(inner.clone(), 1..4).prop_map(Naive::And),
            prop::collection::vec(inner, 1..4).prop_map(Naive::Or),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn every_way_to_write_an_expression_means_the_same(
        naive in naive(),
        clients in prop::collection::vec(prop::collection::btree_map(name(), value(), 0..4), 1..6),
    ) {
        let expression = Expression::parse(&naive.text(0)).unwrap();
        let canonical = expression.canonical();
        for style in 1..3 {
            let other = Expression::parse(&naive.text(style)).unwrap();
            prop_assert_eq!(other.canonical(), canonical);
        }
        let again = Expression::parse(canonical).unwrap();
        prop_assert_eq!(again.canonical(), canonical);
        prop_assert_eq!(again.root(), expression.root());
        let json = Expression::from_json(&json_of(expression.root())).unwrap();
        prop_assert_eq!(json.canonical(), canonical);
        prop_assert_eq!(expression.is_open(), naive.holds(&BTreeMap::new()));
        for client in &clients {
            let pairs: Vec<_> = client.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            let tags = tags(&pairs);
            prop_assert_eq!(expression.matches(&tags), naive.holds(client), "{}", canonical);
            let explanation = expression.explain(&tags);
            prop_assert_eq!(explanation.matches, naive.holds(client));
            prop_assert_eq!(explanation.path.first().map(String::as_str), Some(canonical));
        }
    }

    #[test]
    fn no_text_panics(text in "(?s)([ab1é=?!*()&|,\"\\ ]|in|not|and|or|\\\\u00|.){0,30}") {
        if let Ok(expression) = Expression::parse(&text) {
            let again = Expression::parse(expression.canonical()).unwrap();
            prop_assert_eq!(again.canonical(), expression.canonical());
        }
        drop(Expression::from_json(&text));
    }
}
