//! Generates addresses over the clients of the model.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::model::{any_alias, any_ident, any_tags, any_uuid};
use crate::types::{
    Address, Expression, MatchOptions, NamedClient, Recipients, Tag, TagCondition, TagTerm,
    ValueTest,
};

/// More values than a column without a list of its own has, so that it gets and loses one.
pub(super) const VALUES: [&str; 8] = ["1", "1", "2", "2", "12", "13", "21", "3"];

/// Generates conditions over the tags of the model.
pub(super) fn any_condition() -> impl Strategy<Value = TagCondition> {
    let value = || select(&VALUES[..]).prop_map(Box::from);
    let test = prop_oneof![
        4 => value().prop_map(ValueTest::Is),
        2 => vec(value(), 1..4).prop_map(|values| ValueTest::In(values.into())),
        2 => value().prop_map(ValueTest::Prefix),
        2 => Just(ValueTest::Exists),
    ];
    let term = (select(&["a", "b", "c", "none"][..]), test)
        .prop_map(|(name, test)| TagCondition::Term(TagTerm::new(name, test).unwrap()));
    term.prop_recursive(4, 16, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|it| TagCondition::Not(Box::new(it))),
            vec(inner.clone(), 1..4).prop_map(|it| TagCondition::All(it.into())),
            vec(inner, 1..4).prop_map(|it| TagCondition::Any(it.into())),
        ]
    })
}

fn any_named() -> impl Strategy<Value = NamedClient> {
    let options = (0..16_u8).prop_map(|bits| {
        MatchOptions::from_bits(bits & !MatchOptions::SAME_NUMBER.bits()).unwrap()
    });
    (prop::option::of(any_uuid()), prop::option::of(any_alias()), any_ident(), options)
        .prop_map(|(uuid, alias, ident, options)| NamedClient { uuid, alias, ident, options })
}

fn any_order_of_tags() -> impl Strategy<Value = Box<[Tag]>> {
    let tag = (select(&["a", "b", "c"][..]), select(&["1", "2"][..]));
    vec(tag.prop_map(|(name, value)| Tag::new(name, value).unwrap()), 0..4).prop_map(Into::into)
}

pub(super) fn any_address() -> impl Strategy<Value = Address> {
    let recipients = prop_oneof![
        (prop::option::of(any_uuid()), any_ident())
            .prop_map(|(uuid, ident)| Recipients::First { uuid, ident }),
        any_tags().prop_map(Recipients::Matching),
        any_named().prop_map(|named| Recipients::Named(Box::new(named))),
        any_order_of_tags().prop_map(Recipients::TagSequence),
        any_condition().prop_map(|it| Recipients::Expression(Expression::new(it).unwrap())),
    ];
    let among = prop::option::of(any_condition());
    (recipients, prop::option::of(any_uuid()), vec(any_uuid(), 0..5), among).prop_map(
        |(recipients, except, several, among)| {
            let address = match several.len() {
                0..3 => Address { recipients, except },
                _ => Address { recipients, except }.without(&several),
            };
            match among {
                Some(among) => address.among(Expression::new(among).unwrap()),
                None => address,
            }
        },
    )
}
