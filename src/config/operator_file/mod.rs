//! `operators.yml`: the people and programs that look after the server.

mod check;
pub(super) mod edit;
pub(super) mod password;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use self::check::OperatorFileCheck;
use super::diagnostic::{Diagnostic, Problem, ValueLocation};
use super::read;
use crate::auth::Operators;

/// Rights of the group and of other users, of which the file may have none.
const OTHERS: u32 = 0o077;

/// The result of reading a file.
#[derive(Debug, Default)]
pub(super) struct ReadOperators {
    /// The operators. `None` if the file has errors.
    pub(super) operators: Option<Operators>,
    pub(super) findings: Vec<Diagnostic>,
    pub(super) warnings: Vec<Diagnostic>,
}

/// Reads and checks a file. `applications` are the keys that operators can be narrowed to.
pub(super) fn load(path: &Path, applications: Option<&[&str]>) -> ReadOperators {
    let alone = |fault: Problem| {
        let finding = Diagnostic::new(ValueLocation::File(path.to_owned()), "", fault);
        ReadOperators { findings: vec![finding], ..ReadOperators::default() }
    };
    let text = match read(path) {
        Ok(text) => text,
        Err(unread) => return alone(unread.fault()),
    };
    let mode = std::fs::metadata(path).map_or(0, |file| file.permissions().mode() & 0o777);
    if mode & OTHERS != 0 {
        let what = format!("other users of this machine have access to it (mode {mode:o})");
        return alone(Problem::new(what, format!("chmod 600 {}", path.display())));
    }
    check_text(path, &text, applications)
}

/// Checks the text of a file.
pub(super) fn check_text(path: &Path, text: &str, applications: Option<&[&str]>) -> ReadOperators {
    OperatorFileCheck::of(path, text, applications).result()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

    fn check(text: &str) -> ReadOperators {
        check_text(Path::new("operators.yml"), text, Some(&["shop"]))
    }

    #[test]
    fn operators_have_a_role_and_a_password_or_a_token() {
        let digest = "0f".repeat(32);
        let text = format!(
            "# who\noperators:\n  - {{ name: anna, role: operator, password: \"{HASH}\" }}\n  - name: ci\n    \
             role: viewer\n    token: sha256:{digest}\n    applications: [shop]\n    payloads: true\n"
        );
        let read = check(&text);
        assert!(read.findings.is_empty() && read.warnings.is_empty(), "{read:?}");
        let operators = read.operators.unwrap();
        let [anna, ci] = &operators.list[..] else { panic!("{operators:?}") };
        assert!(anna.password.is_some() && anna.token.is_none() && anna.sees_all());
        assert_eq!(ci.token.unwrap().bytes(), &[0x0f; 32]);
        assert!(ci.payloads && ci.sees("shop") && !ci.sees("other"));
        assert_eq!(check("operators: []\n").operators.unwrap().list.len(), 0);
    }

    #[test]
    fn each_error_has_its_line_and_names_what_is_right() {
        let token = format!("token: sha256:{}", "0f".repeat(32));
        for (text, words) in [
            ("", "has no list `operators`"),
            ("operators: 7\n", ":1: operators: is not a list"),
            ("operators:\n- name: a\n  role: viewer\n", ":2: operator 1: has neither"),
            (&*format!("operators:\n- role: viewer\n  {token}\n"), "operator 1: has no `name`"),
            (&*format!("operators:\n- name: a\n  {token}\n"), "operator 1: has no `role`"),
            (
                &*format!("operators:\n- name: a\n  role: admin\n  {token}\n"),
                ":3: operator 1: role: `admin` is unknown; use viewer or operator",
            ),
            (
                &*format!("operators:\n- name: \"a b\"\n  role: viewer\n  {token}\n"),
                "operator 1: name: has other characters",
            ),
            (
                "operators:\n- name: a\n  role: viewer\n  password: hunter2\n",
                ":4: operator 1: password",
            ),
            (
                "operators:\n- name: a\n  role: viewer\n  token: tco_x\n",
                ":4: operator 1: token: is not",
            ),
            (
                &*format!("operators:\n- name: a\n  role: viewer\n  {token}\n  payload: true\n"),
                "operator 1: payload: is unknown; did you mean `payloads`?",
            ),
            (
                &*format!(
                    "operators:\n- {{name: a, role: viewer, {token}}}\n- {{name: a, role: viewer, {token}}}\n"
                ),
                ":3: operator 2: name: `a` occurs twice",
            ),
            ("operators: &x []\n", "anchors, aliases and tags"),
            ("operators:\n- [\n", "operators.yml:"),
        ] {
            let read = check(text);
            assert!(read.operators.is_none(), "{text}");
            let shown =
                read.findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
            assert!(shown.contains(words), "{text}\n{shown}");
            assert!(!shown.contains("hunter2") && !shown.contains("0f0f"), "{shown}");
        }
    }

    #[test]
    fn an_application_that_does_not_exist_is_a_warning() {
        let digest = "0f".repeat(32);
        let text = format!(
            "operators:\n- {{name: a, role: viewer, token: sha256:{digest}, applications: [shp]}}\n"
        );
        let read = check(&text);
        assert!(read.operators.is_some());
        assert!(read.warnings[0].to_string().contains("`shp`"), "{:?}", read.warnings);
    }

    #[test]
    fn a_hash_that_takes_too_much_memory_is_refused() {
        for hash in [
            HASH.replace("m=19456", "m=4194304"),
            HASH.replace("t=2", "t=1000"),
            HASH.replace("argon2id", "argon2i"),
        ] {
            let text = format!("operators:\n- {{name: a, role: viewer, password: \"{hash}\"}}\n");
            let read = check(&text);
            assert!(read.operators.is_none() && read.findings.len() == 1, "{hash}: {read:?}");
        }
    }
}
