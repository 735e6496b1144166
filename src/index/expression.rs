//! Finds the clients that an expression matches, with the rows of its tags.

use std::borrow::Cow;
use std::cell::{OnceCell, RefCell};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use super::Index;
use super::interner::{InternedName, NameId};
use super::posting_list::{PostingList, intersection_without};
use super::slot_bitmap::sorted;
use super::unions::{self, Found, intersect, len, subtract, union, unite};
use crate::types::{
    ConnectionRef, Expression, Slot, SlotSet, TagCondition, TagTerm, TooExpensive, ValueTest,
    WorkerId,
};

/// Number of row lookups that cost as much as one client of a set operation.
const CHECK_COST: u64 = 4;

/// A condition with the rows that it needs.
enum Plan<'i> {
    /// Clients that are in one of these rows.
    Rows(Vec<&'i PostingList>),
    /// The clients of a term that occurs more than once.
    Repeated(Rc<RepeatedTerm<'i>>),
    /// Clients that all operands of `with` match and none of `without`. `with` is not empty.
    All { with: Vec<Self>, without: Vec<Self> },
    /// Clients that at least one of these operands matches.
    Any(Vec<Self>),
}

/// The rows of a term that occurs more than once and has many. It is evaluated once.
struct RepeatedTerm<'i> {
    rows: Vec<&'i PostingList>,
    found: OnceCell<Found>,
}

/// Returns the clients of a tenant that an expression matches, by worker: workers in ascending order, no set
/// empty.
///
/// An AND starts with its smallest operand. A negation inside an AND is a difference; elsewhere it is the
/// difference from all clients of the tenant that tags reach.
///
/// # Errors
///
/// If the prefixes would scan more values than [`Index::limit_scan`] allows.
pub(super) fn evaluate(
    index: &Index,
    tenant: NameId,
    expression: &Expression,
) -> Result<Vec<(WorkerId, SlotSet)>, TooExpensive> {
    let Some(space) = index.tenants.get(tenant) else { return Ok(Vec::new()) };
    let mut planner =
        Planner { index, tenant, everyone: &space.everyone, repeated: HashMap::new() };
    let values = planner.admit_scan(expression)?;
    Ok(index.meter.measure(values, || {
        planner.find_repeated(expression.root());
        let found = planner.plan(expression.root()).evaluate().into_owned().into_iter();
        found.filter(|(_, it)| !it.is_empty()).map(|(w, it)| (w, SlotSet(it))).collect()
    }))
}

/// Finds the rows of an expression.
struct Planner<'i, 'e> {
    index: &'i Index,
    tenant: NameId,
    /// Returns all clients of the tenant that tags reach.
    everyone: &'i PostingList,
    /// The terms that occur more than once, once they are planned. A term with a single value is not one of
    /// them: its row needs no evaluation.
    repeated: HashMap<&'e TagTerm, RefCell<Option<Rc<RepeatedTerm<'i>>>>>,
}

impl<'i, 'e> Planner<'i, 'e> {
    /// Refuses an expression whose prefixes scan too many values. Each prefix scans all values of
    /// its tag name.
    fn admit_scan(&self, expression: &Expression) -> Result<u64, TooExpensive> {
        let mut values = 0_u64;
        expression.root().walk(&mut |part| {
            if let TagCondition::Term(term) = part
                && matches!(term.test(), ValueTest::Prefix(_))
                && let Some(column) = self.index.columns.find(self.tenant, term.name())
            {
                values = values.saturating_add(u64::try_from(column.len()).unwrap_or(u64::MAX));
            }
        });
        let limit = self.index.scan_max;
        if values > limit { Err(TooExpensive { values, limit }) } else { Ok(values) }
    }

    fn find_repeated(&mut self, root: &'e TagCondition) {
        let mut seen = HashSet::new();
        root.walk(&mut |part| {
            if let TagCondition::Term(term) = part
                && !matches!(term.test(), ValueTest::Is(_))
                && !seen.insert(term)
            {
                self.repeated.entry(term).or_default();
            }
        });
    }

    fn plan(&self, condition: &TagCondition) -> Plan<'i> {
        match condition {
            TagCondition::Term(term) => self.term(term),
            TagCondition::Any(operands) => self.any(operands),
            TagCondition::Not(_) => self.all(std::slice::from_ref(condition)),
            TagCondition::All(operands) => self.all(operands),
        }
    }

    fn term(&self, term: &TagTerm) -> Plan<'i> {
        let Some(repeated) = self.repeated.get(term) else { return Plan::Rows(self.rows(term)) };
        let mut repeated = repeated.borrow_mut();
        let plan = repeated.get_or_insert_with(|| {
            Rc::new(RepeatedTerm { rows: self.rows(term), found: OnceCell::new() })
        });
        Plan::Repeated(Rc::clone(plan))
    }

    /// The terms of an OR are one union.
    fn any(&self, operands: &[TagCondition]) -> Plan<'i> {
        let mut rows = Vec::new();
        let mut others = Vec::new();
        for operand in operands {
            match self.plan(operand) {
                Plan::Rows(own) => rows.extend(own),
                other => others.push(other),
            }
        }
        if others.is_empty() {
            return Plan::Rows(rows);
        }
        others.push(Plan::Rows(rows));
        Plan::Any(others)
    }

    /// The operands of an OR below NOT are subtracted one after another.
    fn all(&self, operands: &[TagCondition]) -> Plan<'i> {
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for operand in operands {
            match operand {
                TagCondition::Not(inner) => match &**inner {
                    TagCondition::Any(some) => without.extend(some.iter().map(|it| self.plan(it))),
                    one => without.push(self.plan(one)),
                },
                other => with.push(self.plan(other)),
            }
        }
        if with.is_empty() {
            with.push(Plan::Rows(vec![self.everyone]));
        }
        Plan::All { with, without }
    }

    /// Returns the rows whose clients pass a test.
    fn rows(&self, term: &TagTerm) -> Vec<&'i PostingList> {
        let rows = &self.index.rows;
        let row = |value: &str| {
            rows.get(rows.find(InternedName::tag_of(self.tenant, term.name(), value))?)
        };
        match term.test() {
            ValueTest::Is(value) => row(value).into_iter().collect(),
            ValueTest::In(values) => values.iter().filter_map(|value| row(value)).collect(),
            ValueTest::Exists | ValueTest::Prefix(_) => {
                let Some(column) = self.index.columns.find(self.tenant, term.name()) else {
                    return Vec::new();
                };
                let all = column.rows();
                match (term.test(), column.clients()) {
                    (ValueTest::Prefix(prefix), _) => {
                        let begins = |row: &NameId| {
                            let name = rows.name_of(*row);
                            name.is_some_and(|it| it.tag_value().starts_with(prefix.as_bytes()))
                        };
                        all.filter(begins).filter_map(|row| rows.get(row)).collect()
                    }
                    (_, Some(clients)) => vec![clients],
                    (_, None) => all.filter_map(|row| rows.get(row)).collect(),
                }
            }
        }
    }
}

impl<'i> Plan<'i> {
    /// Returns the clients that match.
    fn evaluate(&self) -> Cow<'_, Found> {
        match self {
            Self::Rows(rows) => Cow::Owned(of_rows(rows)),
            Self::Repeated(term) => Cow::Borrowed(term.found.get_or_init(|| of_rows(&term.rows))),
            Self::Any(operands) => {
                let mut found = Found::new();
                operands.iter().for_each(|operand| unite(&mut found, operand.evaluate()));
                Cow::Owned(found)
            }
            Self::All { with, without } => Cow::Owned(all(with, without)),
        }
    }

    /// Returns true if the client of a place matches.
    fn contains(&self, place: ConnectionRef) -> bool {
        match self {
            Self::Rows(rows) => rows.iter().any(|row| row.contains(place)),
            Self::Repeated(term) => match term.found.get() {
                Some(found) => unions::contains(found, place),
                None => term.rows.iter().any(|row| row.contains(place)),
            },
            Self::Any(operands) => operands.iter().any(|operand| operand.contains(place)),
            Self::All { with, without } => {
                with.iter().all(|operand| operand.contains(place))
                    && !without.iter().any(|operand| operand.contains(place))
            }
        }
    }

    /// Returns the maximum number of matching clients, which is roughly the cost of an evaluation.
    fn estimate(&self) -> u64 {
        match self {
            Self::Rows(rows) => rows.iter().map(|row| row.len()).sum(),
            Self::Repeated(term) => match term.found.get() {
                Some(found) => len(found),
                None => term.rows.iter().map(|row| row.len()).sum(),
            },
            Self::Any(operands) => operands.iter().map(Self::estimate).sum(),
            Self::All { with, .. } => with.iter().map(Self::estimate).min().unwrap_or(0),
        }
    }

    /// Returns what an evaluation costs, in clients of a set operation. What is evaluated already is combined by
    /// words.
    fn cost(&self) -> u64 {
        match self {
            Self::Repeated(term) => match term.found.get() {
                Some(found) => len(found) / u64::from(u64::BITS),
                None => self.estimate(),
            },
            Self::Any(operands) => operands.iter().map(Self::cost).sum(),
            Self::All { with, .. } => with.iter().map(Self::cost).min().unwrap_or(0),
            Self::Rows(_) => self.estimate(),
        }
    }

    /// Returns the maximum number of rows that [`Self::contains`] looks up.
    fn checks(&self) -> u64 {
        match self {
            Self::Rows(rows) => u64::try_from(rows.len()).unwrap_or(u64::MAX),
            Self::Repeated(term) if term.found.get().is_some() => 1,
            Self::Repeated(term) => u64::try_from(term.rows.len()).unwrap_or(u64::MAX),
            Self::Any(operands) => operands.iter().map(Self::checks).sum(),
            Self::All { with, without } => with.iter().chain(without).map(Self::checks).sum(),
        }
    }

    /// Returns the row, if it is a single one.
    fn single(&self) -> Option<&'i PostingList> {
        match self {
            Self::Rows(rows) => match rows.as_slice() {
                [one] => Some(one),
                _ => None,
            },
            _ => None,
        }
    }
}

/// Returns the clients that all operands of `with` match and none of `without`. The search starts
/// with the smallest operand. Single rows are combined in one step.
fn all<'i>(with: &[Plan<'i>], without: &[Plan<'i>]) -> Found {
    let (mut rows, mut complex) = apart(with);
    let (rows_without, complex_without) = apart(without);
    complex.sort_by_cached_key(|operand| operand.estimate());
    let smallest_row = rows.iter().map(|row| row.len()).min().unwrap_or(u64::MAX);
    let mut complex = complex.into_iter().peekable();
    let first = complex.next_if(|operand| operand.estimate() < smallest_row);
    let mut found = match first {
        Some(first) => first.evaluate().into_owned(),
        None => {
            let rows = std::mem::take(&mut rows);
            unwrapped(intersection_without(rows, &rows_without))
        }
    };
    for row in rows {
        narrow(&mut found, &Plan::Rows(vec![row]));
    }
    complex.for_each(|operand| narrow(&mut found, operand));
    if first.is_some() {
        rows_without.into_iter().for_each(|row| exclude(&mut found, &Plan::Rows(vec![row])));
    }
    complex_without.into_iter().for_each(|operand| exclude(&mut found, operand));
    found
}

/// Separates single rows from other operands.
fn apart<'p, 'i>(operands: &'p [Plan<'i>]) -> (Vec<&'i PostingList>, Vec<&'p Plan<'i>>) {
    let (mut rows, mut complex) = (Vec::new(), Vec::new());
    for operand in operands {
        match operand.single() {
            Some(row) => rows.push(row),
            None => complex.push(operand),
        }
    }
    (rows, complex)
}

/// Keeps the clients that another operand matches too. It looks each of them up or evaluates the
/// operand, whichever costs less.
fn narrow(found: &mut Found, operand: &Plan<'_>) {
    if is_cheaper_one_by_one(found, operand) {
        retain(found, |place| operand.contains(place));
    } else {
        intersect(found, &operand.evaluate());
    }
}

/// Removes the clients that another operand matches.
fn exclude(found: &mut Found, operand: &Plan<'_>) {
    if is_cheaper_one_by_one(found, operand) {
        retain(found, |place| !operand.contains(place));
    } else {
        subtract(found, &operand.evaluate());
    }
}

fn is_cheaper_one_by_one(found: &Found, operand: &Plan<'_>) -> bool {
    let checks = len(found).saturating_mul(operand.checks());
    checks.saturating_mul(CHECK_COST) < operand.cost()
}

fn retain(found: &mut Found, keep: impl Fn(ConnectionRef) -> bool) {
    for (worker, slots) in found {
        let inside = |slot: &u32| keep(ConnectionRef { worker: *worker, slot: Slot(*slot) });
        *slots = sorted(slots.iter().filter(inside));
    }
}

fn of_rows(rows: &[&PostingList]) -> Found {
    match rows {
        [one] => unwrapped(one.sets()),
        many => union(many),
    }
}

fn unwrapped(sets: Vec<(WorkerId, SlotSet)>) -> Found {
    sets.into_iter().map(|(worker, slots)| (worker, slots.0)).collect()
}
