//! Keywords without rules, and misspelled keywords.

use super::parse::{SchemaDraft, wrong};

/// Known keywords that do not restrict values.
const WORDS: [&str; 18] = [
    "$schema",
    "$id",
    "id",
    "$comment",
    "$anchor",
    "$vocabulary",
    "$dynamicAnchor",
    "$recursiveAnchor",
    "title",
    "description",
    "default",
    "examples",
    "readOnly",
    "writeOnly",
    "deprecated",
    "then",
    "else",
    "example",
];

/// Keywords that restrict values.
const RULES: [&str; 35] = [
    "type",
    "enum",
    "const",
    "maximum",
    "exclusiveMaximum",
    "minimum",
    "exclusiveMinimum",
    "multipleOf",
    "maxLength",
    "minLength",
    "pattern",
    "items",
    "prefixItems",
    "additionalItems",
    "contains",
    "maxItems",
    "minItems",
    "uniqueItems",
    "minContains",
    "maxContains",
    "properties",
    "patternProperties",
    "additionalProperties",
    "propertyNames",
    "required",
    "maxProperties",
    "minProperties",
    "dependencies",
    "dependentRequired",
    "dependentSchemas",
    "allOf",
    "anyOf",
    "oneOf",
    "not",
    "$ref",
];

/// Handles a keyword that is not one of the rules.
///
/// # Errors
///
/// If the keyword has a meaning that is not supported here.
pub(super) fn other(draft: SchemaDraft, name: &str, at: &str) -> Result<(), String> {
    match name {
        "unevaluatedItems" | "unevaluatedProperties" => {
            Err(wrong(at, "it is not supported; use `additionalProperties`, or `items`"))
        }
        // Since draft 2019-09 these keywords are annotations and restrict nothing.
        "format" | "contentEncoding" | "contentMediaType" if draft < SchemaDraft::Of2019 => {
            Err(wrong(
                at,
                "it is not checked here; use `pattern`, or a `$schema` of 2019-09 or later, where it \
             describes and does not check",
            ))
        }
        name if WORDS.contains(&name) => Ok(()),
        // Any other name is an extension of the author, unless it is a misspelled keyword.
        name => match RULES.iter().find(|rule| is_a_slip(name, rule)) {
            Some(rule) => Err(wrong(at, &format!("it is unknown; did you mean `{rule}`?"))),
            None => Ok(()),
        },
    }
}

/// Returns true if the names differ only in case, or in one letter that is missing, added, replaced
/// or swapped with its neighbor.
fn is_a_slip(name: &str, right: &str) -> bool {
    let (name, right) = (name.to_ascii_lowercase(), right.to_ascii_lowercase());
    let front = name.bytes().zip(right.bytes()).take_while(|(one, other)| one == other).count();
    let rest = |text: &str| text.bytes().skip(front).collect::<Vec<u8>>();
    let behind = |rest: &[u8], skip: usize| rest.get(skip..).map(<[u8]>::to_vec);
    match (rest(&name), rest(&right)) {
        (one, other) if one == other => true,
        (one, other) if right.len() > 3 => {
            behind(&one, 1) == behind(&other, 1)
                || behind(&one, 1).as_deref() == Some(&other)
                || behind(&other, 1).as_deref() == Some(&one)
                || (behind(&one, 2) == behind(&other, 2)
                    && one.first() == other.get(1)
                    && one.get(1) == other.first())
        }
        _ => false,
    }
}
