//! Random expressions over random clients, compared with a reader that looks at each client.

use std::collections::BTreeMap;

use super::super::Index;
use super::{place, places, tags, web};
use crate::types::{Address, Client, ClientUuid, ConnectionRef, Expression, JoinNumber, Tenant};

const NAMES: [&str; 3] = ["a", "b", "cc"];
const VALUES: [&str; 5] = ["1", "12", "13", "2", "21"];
const ROUNDS: usize = 100;
const EXPRESSIONS: usize = 100;
const SLOTS: u32 = 150;

/// Deterministic pseudo-random numbers (SplitMix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ mixed >> 31) % u64::try_from(end).unwrap()).unwrap()
    }

    fn of<'a>(&mut self, texts: &[&'a str]) -> &'a str {
        texts[self.below(texts.len())]
    }

    fn tags(&mut self) -> BTreeMap<&'static str, &'static str> {
        let names: Vec<_> = NAMES.into_iter().filter(|_| self.below(3) > 0).collect();
        names.into_iter().map(|name| (name, self.of(&VALUES))).collect()
    }
}

/// A condition with its meaning for one client.
enum Naive {
    /// The tag with this name has one of these values, in full or as a prefix.
    Tag {
        name: &'static str,
        values: Vec<&'static str>,
        is_prefix: bool,
    },
    Exists(&'static str),
    Not(Box<Self>),
    And(Vec<Self>),
    Or(Vec<Self>),
}

impl Naive {
    fn random(chance: &mut Chance, depth: usize) -> Self {
        let name = chance.of(&NAMES);
        let operands = |chance: &mut Chance| {
            let count = 1 + chance.below(4);
            (0..count).map(|_| Self::random(chance, depth - 1)).collect()
        };
        match chance.below(if depth == 0 { 4 } else { 8 }) {
            0 => Self::Exists(name),
            1 => {
                let values = (0..2 + chance.below(4)).map(|_| chance.of(&VALUES)).collect();
                Self::Tag { name, values, is_prefix: false }
            }
            2 => Self::Tag { name, values: vec![chance.of(&["1", "2"])], is_prefix: true },
            3 => Self::Tag { name, values: vec![chance.of(&VALUES)], is_prefix: false },
            4 => Self::Not(Box::new(Self::random(chance, depth - 1))),
            5 | 6 => Self::And(operands(chance)),
            _ => Self::Or(operands(chance)),
        }
    }

    fn holds(&self, own: &BTreeMap<&str, &str>) -> bool {
        match self {
            Self::Tag { name, values, is_prefix } => own.get(name).is_some_and(|value| {
                values.iter().any(|it| if *is_prefix { value.starts_with(it) } else { value == it })
            }),
            Self::Exists(name) => own.contains_key(name),
            Self::Not(operand) => !operand.holds(own),
            Self::And(operands) => operands.iter().all(|it| it.holds(own)),
            Self::Or(operands) => operands.iter().any(|it| it.holds(own)),
        }
    }

    fn text(&self) -> String {
        let joined = |operands: &[Self], sign: &str| {
            let each: Vec<_> = operands.iter().map(|it| format!("({})", it.text())).collect();
            each.join(sign)
        };
        match self {
            Self::Tag { name, values, is_prefix: true } => format!("{name}={}*", values.join("")),
            Self::Tag { name, values, .. } => format!("{name} in ({})", values.join(",")),
            Self::Exists(name) => format!("{name}?"),
            Self::Not(operand) => format!("!({})", operand.text()),
            Self::And(operands) => joined(operands, "&"),
            Self::Or(operands) => joined(operands, "|"),
        }
    }
}

/// The index, and the same clients in a plain map.
#[derive(Default)]
struct Both {
    index: Index,
    clients: BTreeMap<ConnectionRef, BTreeMap<&'static str, &'static str>>,
    joins: u32,
}

impl Both {
    /// A client comes, goes or changes its tags.
    fn change(&mut self, chance: &mut Chance) {
        let number = u32::try_from(chance.below(SLOTS.try_into().unwrap())).unwrap();
        let place = place(u16::from(number.is_multiple_of(3)), number);
        let own = chance.tags();
        let pairs: Vec<_> = own.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let new = tags(&pairs.join(" "));
        if !self.clients.contains_key(&place) {
            self.joins += 1;
            let uuid = ClientUuid(u128::from(self.joins).to_le_bytes());
            let client = Client { uuid, tags: new, ..web(0, "") };
            self.index.join(place, JoinNumber(self.joins.into()), &client).unwrap();
            self.clients.insert(place, own);
        } else if chance.below(2) == 0 {
            self.index.leave(place).unwrap();
            self.clients.remove(&place);
        } else {
            assert!(self.index.retag(place, &new));
            self.clients.insert(place, own);
        }
    }
}

/// Case A175, without sockets.
#[test]
fn random_expressions_reach_what_a_naive_reader_finds() {
    let (mut both, mut chance) = (Both::default(), Chance(175));
    for _ in 0..ROUNDS {
        (0..40).for_each(|_| both.change(&mut chance));
        for _ in 0..EXPRESSIONS {
            let naive = Naive::random(&mut chance, 3);
            let Ok(expression) = Expression::parse(&naive.text()) else { continue };
            let matching = both.clients.iter().filter(|(_, own)| naive.holds(own));
            let expected: Vec<_> = matching.map(|(place, _)| *place).collect();
            let found = both.index.resolve(&Tenant::shared(), &Address::expr(expression));
            assert_eq!(places(&found), expected, "{}", naive.text());
            assert!(found.sets.iter().all(|(_, slots)| !slots.is_empty()));
        }
        both.index.is_consistent().unwrap();
    }
}

#[test]
fn a_term_that_occurs_often_means_the_same_everywhere() {
    let (mut both, mut chance) = (Both::default(), Chance(4));
    (0..400).for_each(|_| both.change(&mut chance));
    for text in [
        "a? & b=1 | a? & b=2 | !a?",
        "(a? | b=1) & (a? | b=2) & !(a? & cc?)",
        "a in (1,12) & (b? | !a in (1,12))",
        "a=1* & !a=12 | !(a=1*)",
        "!(a? | b?) | !(a? | cc?) | a? & b? & cc?",
    ] {
        let expression = Expression::parse(text).unwrap();
        let holds = |own: &BTreeMap<&str, &str>| {
            let pairs: Vec<_> = own.iter().map(|(name, value)| format!("{name}={value}")).collect();
            expression.matches(&tags(&pairs.join(" ")))
        };
        let expected: Vec<_> =
            both.clients.iter().filter(|(_, own)| holds(own)).map(|(place, _)| *place).collect();
        let found = both.index.resolve(&Tenant::shared(), &Address::expr(expression.clone()));
        assert_eq!(places(&found), expected, "{text}");
    }
}
