//! The JSON Schema for the messages of an application. The supervisor reads and compiles it once.

use std::path::Path;

use super::diagnostic::{Problem, visible};
use super::{UnreadFile, read};
use crate::auth::MessageSchema;

const RIGHT: &str = "write a self-contained JSON Schema in one file";

/// Reads a file of at most 1 MiB and compiles it.
pub(super) fn load_schema(path: &Path) -> Result<MessageSchema, Problem> {
    let text = read(path).map_err(|unread| match unread {
        UnreadFile::Absent => {
            let what = format!("the file `{}` does not exist", visible(&path.to_string_lossy()));
            Problem::new(what, "name one that exists; a relative path starts at this file's folder")
        }
        unread => about(path, &format!("cannot be used: {}", unread.fault().what)),
    })?;
    let schema = MessageSchema::new(&text);
    schema.compile().map(|_| ()).map_err(|wrong| about(path, &wrong))?;
    Ok(schema)
}

fn about(path: &Path, wrong: &str) -> Problem {
    Problem::new(format!("the schema `{}` {wrong}", visible(&path.to_string_lossy())), RIGHT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(schema: &str) -> String {
        MessageSchema::new(schema).compile().err().unwrap_or_default()
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        for (schema, expected) in [
            ("{", "is not valid JSON"),
            ("5", "is wrong at its top: 5 is not of types"),
            (r#"{"type":"nubmer"}"#, "is wrong at /type: \"nubmer\""),
            (r#"{"properties":{"a":{"minimum":"x"}}}"#, "is wrong at /properties/a/minimum: \"x\""),
            (r#"{"$schema":"https://a.example/own"}"#, "Unknown meta-schema"),
            (r#"{"pattern":"(a)\\1"}"#, "is wrong at /pattern"),
            (r#"{"pattern":"(?=a)"}"#, "is wrong at /pattern"),
            (r#"{"pattern":"((a{100}){100}){100}"}"#, "is wrong at /pattern"),
            (r#"{"$ref":"https://a.example/x"}"#, "must point into the same file"),
        ] {
            assert!(wrong(schema).contains(expected), "{schema}: {}", wrong(schema));
        }
        for right in [r#"{"type":"object","properties":{"price":{"type":"number"}}}"#, "false"] {
            assert_eq!(wrong(right), "");
        }
    }

    #[test]
    fn a_file_is_bounded_and_named() {
        let folder = std::env::temp_dir().join(format!("tagcast-schema-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("a.json");
        let load = || load_schema(&file).unwrap_err();
        assert!(load().what.contains("a.json` does not exist"), "{}", load().what);
        std::fs::write(&file, " ".repeat(1024 * 1024 + 1)).unwrap();
        assert!(load().what.contains("larger than 1 MiB"), "{}", load().what);
        std::fs::write(&file, "{\"type\":5}").unwrap();
        assert!(load().what.contains("a.json` is wrong at /type"), "{}", load().what);
        std::fs::write(&file, "{}").unwrap();
        assert!(load_schema(&file).is_ok());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
