//! The truth table: cases A123 to A162, and the same in the JSON form (A172).

use super::{json_of, tags};
use crate::types::{Expression, Tags};

/// Whether a client without any tag matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    Open,
    Tagged,
}

struct Case {
    number: u32,
    text: &'static str,
    canonical: &'static str,
    /// Returns the digits of the clients that match.
    matches: &'static str,
    reach: Reach,
}

const fn case(
    number: u32,
    text: &'static str,
    canonical: &'static str,
    matches: &'static str,
    reach: Reach,
) -> Case {
    Case { number, text, canonical, matches, reach }
}

/// The clients K0 to K7.
fn clients() -> [Tags; 8] {
    [
        tags(&[]),
        tags(&[("role", "admin"), ("region", "eu")]),
        tags(&[("role", "admin"), ("region", "us-east")]),
        tags(&[("role", "user"), ("region", "eu-west"), ("level", "12")]),
        tags(&[("role", "user"), ("level", "012")]),
        tags(&[("region", ""), ("beta", "1")]),
        tags(&[("Role", "Admin"), ("weird name", "a&b"), ("é", "ü")]),
        tags(&[("role", "ad*"), ("@user", "42")]),
    ]
}

#[rustfmt::skip]
const CASES: [Case; 40] = [
    case(123, "role=admin", "role=admin", "12", Reach::Tagged),
    case(124, r#"role = "admin""#, "role=admin", "12", Reach::Tagged),
    case(125, "Role=Admin", "Role=Admin", "6", Reach::Tagged),
    case(126, "role=Admin", "role=Admin", "", Reach::Tagged),
    case(127, "role=admin & region=eu", "region=eu&role=admin", "1", Reach::Tagged),
    case(128, "role=admin & region=us-east | role=user & region=eu-west", "region=eu-west&role=user|region=us-east&role=admin", "23", Reach::Tagged),
    case(129, "role=admin & (region=us-east | role=user) & region=eu-west", "region=eu-west&(region=us-east|role=user)&role=admin", "", Reach::Tagged),
    case(130, "role=admin | role=user & level=12", "level=12&role=user|role=admin", "123", Reach::Tagged),
    case(131, "!role=admin", "!role=admin", "034567", Reach::Open),
    case(132, "!(role=admin | role=user)", "!(role=admin|role=user)", "0567", Reach::Open),
    case(133, "!role=admin & role?", "!role=admin&role?", "347", Reach::Tagged),
    case(134, "not role=admin and role?", "!role=admin&role?", "347", Reach::Tagged),
    case(135, "role=admin & !(region=eu | region=us-east)", "!(region=eu|region=us-east)&role=admin", "", Reach::Tagged),
    case(136, "role=user & !region=eu-west", "!region=eu-west&role=user", "4", Reach::Tagged),
    case(137, "!!role=admin", "role=admin", "12", Reach::Tagged),
    case(138, "region?", "region?", "1235", Reach::Tagged),
    case(139, "!region?", "!region?", "0467", Reach::Open),
    case(140, r#"region="""#, r#"region="""#, "5", Reach::Tagged),
    case(141, r#"region?&!region="""#, r#"!region=""&region?"#, "123", Reach::Tagged),
    case(142, "region=eu*", "region=eu*", "13", Reach::Tagged),
    case(143, r#"region="eu-"*"#, "region=eu-*", "3", Reach::Tagged),
    case(144, "region=eu* & !region=eu", "!region=eu&region=eu*", "3", Reach::Tagged),
    case(145, "role in (admin,user)", "role in (admin,user)", "1234", Reach::Tagged),
    case(146, r#"role in (admin,"admin")"#, "role=admin", "12", Reach::Tagged),
    case(147, "role in (user,nobody) & level?", "level?&role in (nobody,user)", "34", Reach::Tagged),
    case(148, "!(role in (admin,user))", "!role in (admin,user)", "0567", Reach::Open),
    case(149, "level=12", "level=12", "3", Reach::Tagged),
    case(150, "level=012", "level=012", "4", Reach::Tagged),
    case(151, "level=1*", "level=1*", "3", Reach::Tagged),
    case(152, r#"level in (12,"012")"#, "level in (012,12)", "34", Reach::Tagged),
    case(153, r#""weird name"="a&b""#, r#""weird name"="a&b""#, "6", Reach::Tagged),
    case(154, r#""weird name"=a*"#, r#""weird name"=a*"#, "6", Reach::Tagged),
    case(155, r#""é"="ü""#, r#""é"="ü""#, "6", Reach::Tagged),
    case(156, "@user=42", "@user=42", "7", Reach::Tagged),
    case(157, "role=ad*", "role=ad*", "127", Reach::Tagged),
    case(158, r#"role="ad*""#, r#"role="ad*""#, "7", Reach::Tagged),
    case(159, "beta=1 || beta=2", "beta=1|beta=2", "5", Reach::Tagged),
    case(160, "beta? | !beta?", "!beta?|beta?", "01234567", Reach::Open),
    case(161, "nobody=1", "nobody=1", "", Reach::Tagged),
    case(162, "!nobody=1", "!nobody=1", "01234567", Reach::Open),
];

#[test]
fn every_expression_of_the_table_has_its_form_and_its_clients() {
    let clients = clients();
    for it in &CASES {
        let parsed = Expression::parse(it.text).unwrap();
        let from_json = Expression::from_json(&json_of(parsed.root())).unwrap();
        let again = Expression::parse(it.canonical).unwrap();
        for expression in [&parsed, &from_json, &again] {
            let matching: String = (0..8_u8)
                .zip(&clients)
                .filter(|(_, tags)| expression.matches(tags))
                .map(|(at, _)| char::from(b'0' + at))
                .collect();
            assert_eq!(expression.canonical(), it.canonical, "A{}", it.number);
            assert_eq!(matching, it.matches, "A{}: {}", it.number, it.text);
            let reach = if expression.is_open() { Reach::Open } else { Reach::Tagged };
            assert_eq!(reach, it.reach, "A{}", it.number);
        }
        for tags in &clients {
            assert_eq!(parsed.explain(tags).matches, parsed.matches(tags), "A{}", it.number);
        }
    }
}

#[test]
fn integers_of_the_json_form_are_their_digits() {
    let raw = r#"{"or":[{"tag":"level","is":12},{"tag":"level","in":[-5,"012"]},{"tag":"level","prefix":9}]}"#;
    let expression = Expression::from_json(raw).unwrap();
    assert_eq!(expression.canonical(), "level in (-5,012)|level=12|level=9*");
}
