//! Messages with a type, as the parser of Gomoob's documentation reads them and writes them again.

use super::NoRequest;
use crate::dialect::php::{Objects, Tree};

/// The text that goes on for a message that is an object: its `type` and its `metadata`, written
/// as PHP writes them.
///
/// # Errors
///
/// The first of the parser's checks that it does not pass.
pub fn rebuilt(message: &str) -> Result<String, NoRequest> {
    let tree: Tree = serde_json::from_str(message).map_err(|_| invalid(""))?;
    check(&tree)?;
    let mut parts = Vec::new();
    if let Some(kind) = tree.member("type").filter(|kind| is_truthy(kind)) {
        parts.push(format!(r#""type":{}"#, written(kind)?));
    }
    let metadata = match tree.member("metadata") {
        Some(metadata) if is_truthy(metadata) => written(metadata)?,
        _ => "{}".to_owned(),
    };
    parts.push(format!(r#""metadata":{metadata}"#));
    Ok(format!("{{{}}}", parts.join(",")))
}

fn check(tree: &Tree) -> Result<(), NoRequest> {
    let members = match tree {
        Tree::Object(members) => members,
        // To PHP an array whose first key is 0.
        Tree::List(items) if !items.is_empty() => return Err(invalid("Unexpected property '0' !")),
        Tree::List(_) => return Err(invalid(NO_TYPE)),
        _ => return Err(invalid("")),
    };
    let known = ["type", "metadata", "creationDate"];
    if let Some((name, _)) = members.iter().find(|(name, _)| !known.contains(&name.as_str())) {
        return Err(invalid(&format!("Unexpected property '{name}' !")));
    }
    if tree.member("type").is_none() {
        return Err(invalid(NO_TYPE));
    }
    match tree.member("metadata") {
        None | Some(Tree::Null | Tree::Object(_) | Tree::List(_)) => Ok(()),
        Some(_) => Err(invalid("The 'metadata' property is not an array !")),
    }
}

const NO_TYPE: &str = "No 'type' property found !";

fn invalid(why: &str) -> NoRequest {
    NoRequest(format!("Invalid 'message' property ! {why}").trim_end().to_owned().into())
}

fn written(tree: &Tree) -> Result<String, NoRequest> {
    tree.encoded(Objects::Arrays).map_err(|_| invalid(""))
}

/// Whether PHP takes a value for true.
fn is_truthy(value: &Tree) -> bool {
    match value {
        Tree::Null => false,
        Tree::Bool(value) => *value,
        Tree::Integer(number) => *number != 0,
        Tree::Float(number) => *number != 0.0,
        Tree::Text(text) => !matches!(text.as_str(), "" | "0"),
        Tree::List(items) => !items.is_empty(),
        Tree::Object(members) => !members.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_messages_come_out_as_recorded() {
        for (message, sent) in [
            (r#"{"type":"MY"}"#, r#"{"type":"MY","metadata":{}}"#),
            (
                r#"{"type":"MY","metadata":{"b":2,"a":[1,{"z":null}]},"creationDate":"2016"}"#,
                r#"{"type":"MY","metadata":{"b":2,"a":[1,{"z":null}]}}"#,
            ),
            (r#"{"type":"MY","metadata":null}"#, r#"{"type":"MY","metadata":{}}"#),
            (r#"{"type":"MY","metadata":[]}"#, r#"{"type":"MY","metadata":{}}"#),
            (r#"{"type":"MY","metadata":{"a":{}}}"#, r#"{"type":"MY","metadata":{"a":[]}}"#),
            (r#"{"type":5}"#, r#"{"type":5,"metadata":{}}"#),
            (r#"{"type":""}"#, r#"{"metadata":{}}"#),
            (r#"{"type":null}"#, r#"{"metadata":{}}"#),
            (r#"{"type":"é/x"}"#, r#"{"type":"\u00e9\/x","metadata":{}}"#),
        ] {
            assert_eq!(rebuilt(message).as_deref(), Ok(sent), "{message}");
        }
    }

    #[test]
    fn what_the_parser_does_not_take_is_refused_in_its_words() {
        for (message, why) in [
            (r#"{"metadata":{}}"#, "Invalid 'message' property ! No 'type' property found !"),
            (r#"{"type":"MY","x":1}"#, "Invalid 'message' property ! Unexpected property 'x' !"),
            (r#"["a"]"#, "Invalid 'message' property ! Unexpected property '0' !"),
            ("[]", "Invalid 'message' property ! No 'type' property found !"),
            (
                r#"{"type":"MY","metadata":"s"}"#,
                "Invalid 'message' property ! The 'metadata' property is not an array !",
            ),
            ("5", "Invalid 'message' property !"),
            ("null", "Invalid 'message' property !"),
        ] {
            assert_eq!(rebuilt(message).unwrap_err().0, why, "{message}");
        }
    }
}
