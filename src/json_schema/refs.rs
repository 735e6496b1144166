//! References of a schema. They must point into the same schema and must not form a cycle.
//!
//! With a cycle, an unfortunate schema would take twice as long for each nesting level of a
//! message. Clients choose the nesting, and fifty levels would block a worker.

use std::collections::HashMap;

use serde_json::Value;

use super::parse::visible;

/// Maximum references in one schema.
const REFERENCES_MAX: usize = 1000;
/// Maximum references that the check of one message may follow. A reference counts each time it is
/// followed.
const STEPS_MAX: u64 = 10_000;

/// A reference: its JSON pointer and the pointer of the subschema that it names.
struct Reference {
    at: String,
    to: String,
}

/// Checks all references of a schema.
///
/// # Errors
///
/// Says what is wrong and where.
pub(super) fn check(schema: &Value) -> Result<(), String> {
    let version = schema.get("$schema").and_then(Value::as_str).unwrap_or_default();
    let id = if version.contains("draft-04") { "id" } else { "$id" };
    let mut references = Vec::new();
    collect(schema, id, &mut String::new(), &mut references)?;
    if references.len() > REFERENCES_MAX {
        return Err(format!(
            "has {} references, at most {REFERENCES_MAX} are allowed",
            references.len()
        ));
    }
    for Reference { at, to } in &references {
        if schema.pointer(to).is_none() {
            return Err(format!("is wrong at {}: there is no `#{}`", shown(at), visible(to)));
        }
    }
    Graph { references: &references, steps: HashMap::new() }.steps("").map(|_| ())
}

/// Collects all references below a JSON pointer.
fn collect(
    value: &Value,
    id: &str,
    at: &mut String,
    found: &mut Vec<Reference>,
) -> Result<(), String> {
    let length = at.len();
    match value {
        Value::Array(items) => {
            for (place, item) in items.iter().enumerate() {
                at.push_str(&format!("/{place}"));
                collect(item, id, at, found)?;
                at.truncate(length);
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                if let Some(text) = member.as_str() {
                    found.extend(reference(name, id, text, at)?);
                }
                at.push('/');
                at.push_str(&name.replace('~', "~0").replace('/', "~1"));
                collect(member, id, at, found)?;
                at.truncate(length);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    Ok(())
}

/// Returns the reference if this member is one.
fn reference(name: &str, id: &str, text: &str, at: &str) -> Result<Option<Reference>, String> {
    let wrong = |why: &str| {
        Err(format!("is wrong at {}: `{name}` is `{}`: {why}", shown(at), visible(text)))
    };
    match name {
        "$ref" => {}
        "$dynamicRef" | "$recursiveRef" => return wrong("use `$ref`"),
        _ if name == id && !at.is_empty() => return wrong("only the whole schema may have a name"),
        _ => return Ok(None),
    }
    match text.strip_prefix('#') {
        Some(to) if (to.is_empty() || to.starts_with('/')) && !to.contains('%') => {
            Ok(Some(Reference { at: at.to_owned(), to: to.to_owned() }))
        }
        _ => wrong("a reference must point into the same file, like `#/$defs/name`"),
    }
}

struct Graph<'a> {
    references: &'a [Reference],
    /// Number of references that a subschema leads through. None while it is being counted.
    steps: HashMap<&'a str, Option<u64>>,
}

impl<'a> Graph<'a> {
    fn steps(&mut self, part: &'a str) -> Result<u64, String> {
        self.steps.insert(part, None);
        let mut sum: u64 = 0;
        for Reference { at, to } in self.references {
            let rest = at.strip_prefix(part);
            if !rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
                continue;
            }
            let steps = match self.steps.get(to.as_str()) {
                Some(Some(known)) => *known,
                Some(None) => {
                    let at = shown(at);
                    return Err(format!(
                        "is wrong at {at}: it refers to a schema that contains it"
                    ));
                }
                None => self.steps(to)?,
            };
            sum = sum.saturating_add(steps).saturating_add(1);
        }
        if sum > STEPS_MAX {
            let at = shown(part);
            return Err(format!(
                "is wrong at {at}: it passes through more than {STEPS_MAX} references"
            ));
        }
        self.steps.insert(part, Some(sum));
        Ok(sum)
    }
}

fn shown(at: &str) -> String {
    if at.is_empty() { "its top".to_owned() } else { visible(at) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(schema: &str) -> String {
        check(&serde_json::from_str(schema).unwrap()).err().unwrap_or_default()
    }

    #[test]
    fn references_within_the_same_file_are_resolved() {
        for schema in [
            r##"{"$id":"https://a.example","properties":{"a":{"$ref":"#/$defs/x~1y"}},"$defs":{"x/y":{"type":"string"}}}"##,
            r##"{"allOf":[{"type":"object"},{"$ref":"#/allOf/0"}]}"##,
            r##"{"properties":{"$ref":{"type":"string"},"id":{"type":"string"}},"const":{"id":"x"}}"##,
            "true",
        ] {
            assert_eq!(wrong(schema), "", "{schema}");
        }
        for (schema, expected) in [
            (r#"{"$ref":"https://a.example/x"}"#, "at its top: `$ref` is `https://a.example/x`"),
            (
                r#"{"items":{"$ref":"file:///etc/passwd"}}"#,
                "at /items: `$ref` is `file:///etc/passwd`",
            ),
            (r#"{"items":{"$ref":"other.json#/a"}}"#, "must point into the same file"),
            (r##"{"items":{"$ref":"#name"}}"##, "must point into the same file"),
            (r##"{"items":{"$ref":"#/%61"}}"##, "must point into the same file"),
            (r##"{"items":{"$dynamicRef":"#/a"}}"##, "use `$ref`"),
            (r##"{"$defs":{"a":{"$id":"b"}}}"##, "only the whole schema may have a name"),
            (
                r##"{"allOf":[{"type":"object"},{"$ref":"#/allOf/00"}]}"##,
                "there is no `#/allOf/00`",
            ),
            (r##"{"$ref":"#/nowhere"}"##, "there is no `#/nowhere`"),
        ] {
            assert!(wrong(schema).contains(expected), "{schema}: {}", wrong(schema));
        }
        let old = r#"{"$schema":"http://json-schema.org/draft-04/schema#","items":{"id":"b"}}"#;
        assert!(wrong(old).contains("only the whole schema"), "{}", wrong(old));
    }

    #[test]
    fn cyclic_and_unbounded_schemas_are_refused() {
        for round in [
            r##"{"$ref":"#"}"##,
            r##"{"anyOf":[{"properties":{"a":{"$ref":"#"}}},{"properties":{"a":{"$ref":"#"}}}]}"##,
            r##"{"$ref":"#/$defs/a","$defs":{"a":{"items":{"$ref":"#/$defs/b"}},"b":{"not":{"$ref":"#/$defs/a"}}}}"##,
            r##"{"properties":{"a":{"properties":{"b":{"$ref":"#/properties/a"}}}}}"##,
        ] {
            assert!(
                wrong(round).contains("refers to a schema that contains it"),
                "{}",
                wrong(round)
            );
        }
        let doubling: String = (0..20)
            .map(|it| format!(r##""d{it}":{{"anyOf":[{{"$ref":"#/$defs/d{n}"}},{{"$ref":"#/$defs/d{n}"}}]}},"##, n = it + 1))
            .collect();
        let schema = format!(r##"{{"$ref":"#/$defs/d0","$defs":{{{doubling}"d20":true}}}}"##);
        assert!(wrong(&schema).contains("more than 10000 references"), "{}", wrong(&schema));
        let many = vec![r##"{"$ref":"#/$defs/a"}"##; 1001].join(",");
        let schema = format!(r##"{{"allOf":[{many}],"$defs":{{"a":true}}}}"##);
        assert!(wrong(&schema).contains("has 1001 references"), "{}", wrong(&schema));
        let chain: String =
            (0..130).map(|it| format!(r##""d{it}":{{"$ref":"#/$defs/d{}"}},"##, it + 1)).collect();
        assert_eq!(
            wrong(&format!(r##"{{"$ref":"#/$defs/d0","$defs":{{{chain}"d130":true}}}}"##)),
            ""
        );
    }
}
