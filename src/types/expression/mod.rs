//! Boolean conditions over the tags of a client: their parts, canonical form and evaluation.
//!
//! The module `expression` parses them from text and from JSON.

mod cost;
mod limit;
mod term;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

pub use self::cost::TooExpensive;
pub use self::limit::{ExpressionFault, ExpressionSize};
pub use self::term::{TagTerm, ValueTest, is_keyword, is_word_byte};
use super::Tags;
use super::limits::{EXPRESSION_BYTES_MAX, EXPRESSION_NESTING_MAX};

/// A Boolean condition over the tags of a client, within the limits and in canonical form.
///
/// It is evaluated for web-type clients, like tag queries. Two expressions are equal if their
/// canonical forms are equal.
#[derive(Clone)]
pub struct Expression(Arc<CanonicalExpression>);

struct CanonicalExpression {
    text: Box<str>,
    root: TagCondition,
}

/// A part of an [`Expression`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagCondition {
    /// All operands are true. An expression has at least two operands here, sorted by their
    /// canonical texts.
    All(Box<[Self]>),
    /// At least one operand is true. An expression has at least two operands here, sorted by their
    /// canonical texts.
    Any(Box<[Self]>),
    /// The operand is false. In an expression the operand is not a negation itself.
    Not(Box<Self>),
    /// A tag with this name exists and its value passes a test.
    Term(TagTerm),
}

impl Expression {
    /// Converts a condition to its canonical form.
    ///
    /// A parser of untrusted input must limit the nesting before it builds the condition, because
    /// this function and the drop of a condition recurse to the same depth.
    ///
    /// # Errors
    ///
    /// If an operator has no operands, or if the condition exceeds a limit of expressions.
    pub fn new(condition: TagCondition) -> Result<Self, ExpressionFault> {
        let mut size = ExpressionSize::default();
        condition.measure(&mut size)?;
        let root = condition.canonical();
        let text = root.to_string();
        if text.len() > EXPRESSION_BYTES_MAX {
            return Err(ExpressionFault::TooLong { bytes: text.len() });
        }
        if root.nesting() > EXPRESSION_NESTING_MAX {
            return Err(ExpressionFault::TooDeep);
        }
        Ok(Self(Arc::new(CanonicalExpression { text: text.into(), root })))
    }

    /// Returns the canonical text, which is the same for all spellings of this expression.
    #[must_use]
    pub fn canonical(&self) -> &str {
        &self.0.text
    }

    /// Returns the memory that it uses, in bytes: its text, and the parts with about as many.
    #[must_use]
    pub fn held(&self) -> usize {
        2 * self.canonical().len()
    }

    /// Returns the outermost part.
    #[must_use]
    pub fn root(&self) -> &TagCondition {
        &self.0.root
    }

    /// Returns this expression and all its parts as separate expressions. Each precedes its
    /// operands.
    #[must_use]
    pub fn parts(&self) -> Vec<Self> {
        let mut parts = Vec::new();
        self.root().walk(&mut |part| {
            let text = part.to_string().into();
            parts.push(Self(Arc::new(CanonicalExpression { text, root: part.clone() })));
        });
        parts
    }

    /// Returns true if a client without tags matches. Such an expression reaches clients that the
    /// publisher knows nothing about.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.root().holds(&mut |_| false)
    }

    /// Returns true if the name of a tag in it passes a test.
    #[must_use]
    pub fn names(&self, is_one: impl Fn(&str) -> bool) -> bool {
        let mut found = false;
        self.root().walk(&mut |part| {
            found |= matches!(part, TagCondition::Term(term) if is_one(term.name()));
        });
        found
    }

    /// Returns true if a client with these tags matches.
    #[must_use]
    pub fn matches(&self, tags: &Tags) -> bool {
        self.root().holds(&mut |term| term.matches(tags))
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.canonical() == other.canonical()
    }
}

impl Eq for Expression {}

impl Hash for Expression {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.canonical().hash(state);
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expression({})", self.canonical())
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.canonical())
    }
}

impl TagCondition {
    /// Evaluates the condition, with `term` as the result of each term.
    pub fn holds(&self, term: &mut impl FnMut(&TagTerm) -> bool) -> bool {
        match self {
            Self::All(operands) => operands.iter().all(|operand| operand.holds(term)),
            Self::Any(operands) => operands.iter().any(|operand| operand.holds(term)),
            Self::Not(operand) => !operand.holds(term),
            Self::Term(it) => term(it),
        }
    }

    /// Visits this part and then its operands.
    pub fn walk<'a>(&'a self, visit: &mut impl FnMut(&'a Self)) {
        visit(self);
        match self {
            Self::All(operands) | Self::Any(operands) => {
                operands.iter().for_each(|operand| operand.walk(visit));
            }
            Self::Not(operand) => operand.walk(visit),
            Self::Term(_) => {}
        }
    }

    /// Adds the terms and values of this part to a size.
    fn measure(&self, size: &mut ExpressionSize) -> Result<(), ExpressionFault> {
        match self {
            Self::All(operands) | Self::Any(operands) if operands.is_empty() => {
                Err(ExpressionFault::NoOperand)
            }
            Self::All(operands) | Self::Any(operands) => {
                operands.iter().try_for_each(|operand| operand.measure(size))
            }
            Self::Not(operand) => operand.measure(size),
            Self::Term(term) => size.add(term),
        }
    }

    /// Returns the maximum number of open parentheses and NOTs in the canonical text.
    fn nesting(&self) -> usize {
        match self {
            Self::All(operands) => {
                let of = |it: &Self| it.nesting() + usize::from(matches!(it, Self::Any(_)));
                operands.iter().map(of).max().unwrap_or(0)
            }
            Self::Any(operands) => operands.iter().map(Self::nesting).max().unwrap_or(0),
            Self::Not(operand) => 1 + operand.nesting() + usize::from(operand.is_list()),
            Self::Term(_) => 0,
        }
    }

    /// Returns the canonical form of a condition whose operators all have operands.
    fn canonical(self) -> Self {
        match self {
            Self::Not(operand) => match operand.canonical() {
                Self::Not(inner) => *inner,
                operand => Self::Not(Box::new(operand)),
            },
            Self::All(operands) => {
                let mut all = Vec::with_capacity(operands.len());
                for operand in operands {
                    match operand.canonical() {
                        Self::All(inner) => all.extend(inner),
                        operand => all.push(operand),
                    }
                }
                sorted(all, Self::All)
            }
            Self::Any(operands) => {
                let mut any = Vec::with_capacity(operands.len());
                for operand in operands {
                    match operand.canonical() {
                        Self::Any(inner) => any.extend(inner),
                        operand => any.push(operand),
                    }
                }
                sorted(any, Self::Any)
            }
            Self::Term(term) => Self::Term(term.canonical()),
        }
    }

    fn is_list(&self) -> bool {
        matches!(self, Self::All(_) | Self::Any(_))
    }
}

/// Sorts operands by their texts and removes duplicates. A single operand replaces its operator.
fn sorted(
    mut operands: Vec<TagCondition>,
    operator: fn(Box<[TagCondition]>) -> TagCondition,
) -> TagCondition {
    operands.sort_by_cached_key(TagCondition::to_string);
    operands.dedup();
    match operands.len() {
        1 => operands.swap_remove(0),
        _ => operator(operands.into_boxed_slice()),
    }
}

/// Displays the canonical text of a condition in canonical form.
impl fmt::Display for TagCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All(operands) => {
                for (at, operand) in operands.iter().enumerate() {
                    f.write_str(if at > 0 { "&" } else { "" })?;
                    match operand {
                        Self::Any(_) => write!(f, "({operand})")?,
                        _ => operand.fmt(f)?,
                    }
                }
                Ok(())
            }
            Self::Any(operands) => {
                for (at, operand) in operands.iter().enumerate() {
                    f.write_str(if at > 0 { "|" } else { "" })?;
                    operand.fmt(f)?;
                }
                Ok(())
            }
            Self::Not(operand) => {
                f.write_str("!")?;
                if operand.is_list() { write!(f, "({operand})") } else { operand.fmt(f) }
            }
            Self::Term(term) => term.fmt(f),
        }
    }
}
