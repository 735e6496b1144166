//! Encodes expressions as postfix code: operands come before their operator.
//!
//! The broker is another process than the one that has read an expression, so its limits are checked again.

use bytes::BufMut;

use super::Malformed;
use super::decode::FieldReader;
use super::encode::{put_length, put_text};
use crate::types::limits::{EXPRESSION_LIST_MAX, EXPRESSION_TERMS_MAX};
use crate::types::{Expression, TagCondition, TagTerm, ValueTest};

/// The end. The condition on the stack is the expression.
const END: u8 = 0;
/// A name and a value.
const IS: u8 = 1;
/// A name, a number of values, and the values.
const IN: u8 = 2;
/// A name and a prefix.
const PREFIX: u8 = 3;
/// A name.
const EXISTS: u8 = 4;
/// Negates the last condition.
const NOT: u8 = 5;
/// A number of conditions that are joined by AND.
const ALL: u8 = 6;
/// A number of conditions that are joined by OR.
const ANY: u8 = 7;

/// Steps of one expression. In canonical form there are fewer operators than terms, and at most one negation
/// for each of both.
const STEPS_MAX: usize = 4 * EXPRESSION_TERMS_MAX;

/// Writes an expression.
pub(super) fn put_expression(out: &mut Vec<u8>, expression: &Expression) {
    put_condition(out, expression.root());
    out.put_u8(END);
}

fn put_condition(out: &mut Vec<u8>, condition: &TagCondition) {
    match condition {
        TagCondition::Term(term) => put_term(out, term),
        TagCondition::Not(operand) => {
            put_condition(out, operand);
            out.put_u8(NOT);
        }
        TagCondition::All(operands) | TagCondition::Any(operands) => {
            operands.iter().for_each(|operand| put_condition(out, operand));
            let is_all = matches!(condition, TagCondition::All(_));
            out.put_u8(if is_all { ALL } else { ANY });
            put_length(out, operands.len());
        }
    }
}

fn put_term(out: &mut Vec<u8>, term: &TagTerm) {
    out.put_u8(match term.test() {
        ValueTest::Is(_) => IS,
        ValueTest::In(_) => IN,
        ValueTest::Prefix(_) => PREFIX,
        ValueTest::Exists => EXISTS,
    });
    put_text(out, term.name());
    if let ValueTest::In(values) = term.test() {
        put_length(out, values.len());
    }
    term.test().values().iter().for_each(|value| put_text(out, value));
}

impl FieldReader<'_> {
    /// Reads an expression. The bound on the steps also bounds the nesting of the condition.
    pub(super) fn expression(&mut self) -> Result<Expression, Malformed> {
        let invalid = Malformed::Invalid("expression");
        let mut stack: Vec<TagCondition> = Vec::new();
        for _ in 0..=STEPS_MAX {
            let condition = match self.u8()? {
                END => {
                    let condition = stack.pop().filter(|_| stack.is_empty()).ok_or(invalid)?;
                    return Expression::new(condition).map_err(|_| invalid);
                }
                NOT => TagCondition::Not(Box::new(stack.pop().ok_or(invalid)?)),
                ALL => TagCondition::All(self.operands(&mut stack)?),
                ANY => TagCondition::Any(self.operands(&mut stack)?),
                step => TagCondition::Term(self.term(step)?),
            };
            stack.push(condition);
        }
        Err(invalid)
    }

    fn operands(
        &mut self,
        stack: &mut Vec<TagCondition>,
    ) -> Result<Box<[TagCondition]>, Malformed> {
        let count = self.u32()? as usize;
        let rest = stack.len().checked_sub(count).ok_or(Malformed::Invalid("operands"))?;
        Ok(stack.split_off(rest).into())
    }

    fn term(&mut self, step: u8) -> Result<TagTerm, Malformed> {
        let name = self.text()?;
        let test = match step {
            IS => ValueTest::Is(self.text()?.into()),
            PREFIX => ValueTest::Prefix(self.text()?.into()),
            EXISTS => ValueTest::Exists,
            IN => {
                let count = self.u32()? as usize;
                if count > EXPRESSION_LIST_MAX {
                    return Err(Malformed::Invalid("number of values"));
                }
                let values = (0..count).map(|_| self.text().map(Into::into));
                ValueTest::In(values.collect::<Result<_, _>>()?)
            }
            step => return Err(Malformed::Unknown("step", step)),
        };
        TagTerm::new(name, test).map_err(|_| Malformed::Invalid("term"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_beyond_its_limits_is_refused() {
        let mut bytes = Vec::new();
        put_expression(&mut bytes, &Expression::parse("a=1").unwrap());
        let term = bytes.strip_suffix(&[END]).unwrap().to_vec();
        let read = |steps: &[u8]| {
            let body = [&term[..], steps].concat();
            FieldReader::new(&body).expression().map(|it| it.canonical().to_owned())
        };
        assert_eq!(read(&[END]).as_deref(), Ok("a=1"));
        assert_eq!(read(&[NOT, NOT, END]).as_deref(), Ok("a=1"), "brought into canonical form");
        for steps in [&[ALL, 2, 0, 0, 0, 0][..], &[ALL, 0, 0, 0, 0, 0], &[9, 0], &[NOT; 300], &[]] {
            assert!(read(steps).is_err(), "{steps:?}");
        }
        assert!(read(&[&term[..], &[END]].concat()).is_err(), "two conditions and no operator");
        let many = term.repeat(64);
        let joined = read(&[&many[..], &[ANY, 65, 0, 0, 0, END]].concat());
        assert_eq!(joined, Err(Malformed::Invalid("expression")));
    }
}
