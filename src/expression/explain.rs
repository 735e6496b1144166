//! Explains why an expression is true or false for one client.

use serde::Serialize;

use crate::types::{Expression, TagCondition, TagTerm, Tags};

/// The reason why an expression is true or false for one client. Its JSON has the members of the
/// answer to `explain`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// Whether the client matches.
    pub matches: bool,
    /// Canonical texts of the path from the whole expression to the deciding part: the first false
    /// operand of a false AND, the first true operand of a true OR, the operand of NOT.
    pub path: Vec<String>,
    /// All parts of the expression.
    pub tree: ExplainedPart,
}

/// A part of an expression, and whether it is true for the client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum ExplainedPart {
    /// All operands must be true.
    And(ExplainedOperator),
    /// One operand must be true.
    Or(ExplainedOperator),
    /// The operand must be false.
    Not(ExplainedOperator),
    /// A test of one tag.
    Term {
        /// Its canonical text.
        text: String,
        /// True if the client matches this part.
        matches: bool,
        /// The client's value of the tag, if it has the tag.
        actual: Option<String>,
        /// Number of clients that match this part, if it was requested.
        #[serde(skip_serializing_if = "Option::is_none")]
        matched: Option<u64>,
    },
}

/// An operator with its operands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExplainedOperator {
    /// True if the client matches this part.
    pub matches: bool,
    /// The operands in canonical order.
    pub operands: Vec<ExplainedPart>,
    /// Number of clients that match this part, if it was requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matched: Option<u64>,
}

/// Explains an expression for a client with these tags.
pub(super) fn explain(expression: &Expression, tags: &Tags) -> Explanation {
    let tree = explained(expression.root(), tags);
    let mut path = Vec::new();
    trace(expression.root(), &tree, &mut path);
    Explanation { matches: tree.matches(), path, tree }
}

impl ExplainedPart {
    /// True if the client matches this part.
    #[must_use]
    pub fn matches(&self) -> bool {
        match self {
            Self::And(it) | Self::Or(it) | Self::Not(it) => it.matches,
            Self::Term { matches, .. } => *matches,
        }
    }

    /// Sets the number of clients that match each part, in the order of [`Expression::parts`].
    /// Parts without a count keep `None`.
    pub fn count(&mut self, counts: &mut impl Iterator<Item = u64>) {
        let next = counts.next();
        match self {
            Self::And(it) | Self::Or(it) | Self::Not(it) => {
                it.matched = next;
                it.operands.iter_mut().for_each(|operand| operand.count(counts));
            }
            Self::Term { matched, .. } => *matched = next,
        }
    }
}

fn explained(condition: &TagCondition, tags: &Tags) -> ExplainedPart {
    let operator = |operands: &[TagCondition], is_true: fn(&[ExplainedPart]) -> bool| {
        let operands: Vec<_> = operands.iter().map(|operand| explained(operand, tags)).collect();
        ExplainedOperator { matches: is_true(&operands), operands, matched: None }
    };
    match condition {
        TagCondition::All(operands) => {
            ExplainedPart::And(operator(operands, |them| them.iter().all(ExplainedPart::matches)))
        }
        TagCondition::Any(operands) => {
            ExplainedPart::Or(operator(operands, |them| them.iter().any(ExplainedPart::matches)))
        }
        TagCondition::Not(operand) => {
            let operand = std::slice::from_ref(&**operand);
            ExplainedPart::Not(operator(operand, |them| !them.iter().any(ExplainedPart::matches)))
        }
        TagCondition::Term(term) => ExplainedPart::Term {
            text: term.to_string(),
            matches: term.matches(tags),
            actual: actual(term, tags).map(str::to_owned),
            matched: None,
        },
    }
}

/// Returns the value that decides about a term: that of the tag or, of several topics, the first that passes.
fn actual<'a>(term: &'a TagTerm, tags: &'a Tags) -> Option<&'a str> {
    let topics = || tags.topics().values_of(term.name());
    let own = tags.value_of(term.name()).into_iter();
    own.chain(topics())
        .find(|value| term.test().passes(value))
        .or_else(|| tags.value_of(term.name()).or_else(|| topics().next()))
}

/// Follows deciding operands down to the last one.
fn trace(condition: &TagCondition, part: &ExplainedPart, path: &mut Vec<String>) {
    path.push(condition.to_string());
    let (operands, parts, deciding) = match (condition, part) {
        (TagCondition::All(operands), ExplainedPart::And(it)) if !it.matches => {
            (&**operands, &it.operands, false)
        }
        (TagCondition::Any(operands), ExplainedPart::Or(it)) if it.matches => {
            (&**operands, &it.operands, true)
        }
        (TagCondition::Not(operand), ExplainedPart::Not(it)) => {
            (std::slice::from_ref(&**operand), &it.operands, !it.matches)
        }
        _ => return,
    };
    let mut both = operands.iter().zip(parts);
    if let Some((operand, part)) = both.find(|(_, part)| part.matches() == deciding) {
        trace(operand, part, path);
    }
}
