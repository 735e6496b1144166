//! Tests of the member `secrets`: what is accepted, and what is said about the rest.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::auth::{ApiPermission, ApplicationSecret};

const NOW: u64 = 1_795_910_400;

struct AuthFolder(PathBuf);

impl AuthFolder {
    fn new(name: &str) -> Self {
        let name = format!("tagcast-secrets-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn write(&self, name: &str, text: &str, mode: u32) {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Reads a file with one application, whose further members these are.
    fn load(&self, members: &str) -> Read {
        let text = format!("applications:\n- key: shop\n  authorizeOpen: true\n{members}");
        self.write("auth.yml", &text, 0o600);
        let variable = |name: &str| Some("the secret of the box").filter(|_| name == "BOX");
        let with = SecretReading { variable: &variable, now: NOW };
        load(&self.0.join("auth.yml"), FileNeed::Named, with)
    }

    fn findings(&self, members: &str) -> Vec<String> {
        self.without_folder(&self.load(members).findings)
    }

    fn warnings(&self, members: &str) -> Vec<String> {
        self.without_folder(&self.load(members).warnings)
    }

    fn without_folder(&self, findings: &[Diagnostic]) -> Vec<String> {
        let folder = format!("{}/", self.0.display());
        findings.iter().map(|it| it.to_string().replace(&folder, "")).collect()
    }
}

impl Drop for AuthFolder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn secrets(read: &Read) -> &[ApplicationSecret] {
    let all = read.applications.as_ref().unwrap_or_else(|| panic!("{:?}", read.findings));
    &all.list[0].secrets
}

#[test]
fn secrets_come_from_the_file_another_file_and_a_variable() {
    let folder = AuthFolder::new("sources");
    folder.write("ci.secret", "the secret of the ci\r\n", 0o600);
    let read = folder.load(
        "  secret: the secret of the shop\n  secrets:\n  - { id: 2026-11, value: one more secret text }\n  \
         - id: ci\n    file: ci.secret\n    permissions: [publish]\n    expires: 2026-12-31\n  \
         - { id: \"box\", env: BOX }\n",
    );
    assert_eq!(folder.without_folder(&read.warnings), [""; 0]);
    let all: Vec<_> = secrets(&read).iter().map(|it| (&*it.id, it.secret.expose())).collect();
    let expected = [
        ("own", "the secret of the shop"),
        ("2026-11", "one more secret text"),
        ("ci", "the secret of the ci"),
        ("box", "the secret of the box"),
    ];
    assert_eq!(all, expected);
    let [own, _, ci, _] = secrets(&read) else { panic!() };
    assert_eq!((own.expires, ci.expires), (None, Some(1_798_761_600)));
    assert!(own.permissions.has(ApiPermission::BROADCAST));
    assert!(ci.permissions.has(ApiPermission::PUBLISH));
    assert!(!ci.permissions.has(ApiPermission::BROADCAST));
    assert_eq!(named_files(&folder.0.join("auth.yml")), [folder.0.join("ci.secret")]);
}

#[test]
fn the_own_secret_may_be_left_out_where_there_are_others() {
    let folder = AuthFolder::new("own");
    let read = folder.load("  secrets: [{ id: a, value: a secret that is long enough }]\n");
    assert_eq!(secrets(&read).iter().map(|it| &*it.id).collect::<Vec<_>>(), ["a"]);
    let findings = folder.findings("  tenant: a\n");
    assert!(findings[0].contains("No 'secret' property found"), "{findings:?}");
}

#[test]
fn errors_in_a_secret_name_its_place() {
    let folder = AuthFolder::new("wrong");
    let here = "auth.yml:5: application 1: secrets";
    for (list, expected) in [
        ("[]", ": is not a list of secrets"),
        ("{ id: a, value: b }", ": is not a list of secrets"),
        ("[a]", " 1: is not a secret; write `id`"),
        ("[{ value: b }]", " 1: has no `id`"),
        ("[{ id: a b, value: c }]", " 1: id: is not an id; use 1 to 64"),
        ("[{ id: own, value: c }]", " 1: id: `own` is the id of the secret in the member"),
        ("[{ id: a }]", " 1: has no value; write one of"),
        ("[{ id: a, value: b, env: BOX }]", " 1: has more than one value"),
        ("[{ id: a, value: '' }]", " 1: value: is empty"),
        (
            "[{ id: a, value: b, expire: 2026-12-31 }]",
            " 1: expire: is not known here; did you mean",
        ),
        ("[{ id: a, value: b, expires: tomorrow }]", " 1: expires: is not a day"),
        ("[{ id: a, value: b, permissions: [all] }]", " 1: permissions: holds `all`"),
        ("[{ id: a, value: b }, { id: a, value: c }]", " 2: id: `a` is the id of another secret"),
        (
            "[{ id: a, value: bc }, { id: b, value: bc }]",
            " 2: value: has the value of the secret `a`",
        ),
        ("[{ id: a, value: s }]", " 1: value: has the value of the secret `own`"),
        ("[{ id: a, env: NONE }]", " 1: env: names the variable NONE, which is not set"),
        ("[{ id: a, file: none }]", " 1: file: the file `none` does not exist"),
        ("[{ id: a, id: b, value: c }]", " 1: id: occurs twice"),
        ("[{ id: a, value: &x b }]", " 1: value: has an anchor"),
    ] {
        let findings = folder.findings(&format!("  secret: s\n  secrets: {list}\n"));
        assert!(findings[0].starts_with(&format!("{here}{expected}")), "{list}: {findings:?}");
    }
    let eight: Vec<String> = (0..8).map(|at| format!("{{ id: a{at}, value: b{at} }}")).collect();
    let findings = folder.findings(&format!("  secret: s\n  secrets: [{}]\n", eight.join(", ")));
    assert!(findings[0].contains("has 8 secrets; use 7 at most"), "{findings:?}");
    folder.write("empty", "\n", 0o600);
    folder.write("lines", "a\nb\n", 0o600);
    for (file, words) in [("empty", "`empty` is empty"), ("lines", "more than one line")] {
        let findings = folder.findings(&format!("  secrets: [{{ id: a, file: {file} }}]\n"));
        assert!(findings[0].contains(words), "{findings:?}");
    }
}

#[test]
fn weak_and_expired_secrets_and_open_files_are_warned_about() {
    let folder = AuthFolder::new("weak");
    let warnings = folder.warnings(
        "  secrets:\n  - { id: a, value: short }\n  - { id: b, env: BOX, expires: 2026-11-28 }\n",
    );
    let expected = [
        "auth.yml:5: application 1: secrets 1: value: has fewer than 16 bytes and is easy to guess; \
         use a long random one: tagcast app rotate",
        "auth.yml:6: application 1: secrets 2: env: has expired and is not accepted; remove it, or give \
         it a later day",
    ];
    assert_eq!(warnings, expected);
    folder.write("open", "the secret of all users", 0o646);
    let warnings = folder.warnings("  secrets: [{ id: a, file: open }]\n");
    let [write, read] = warnings.as_slice() else { panic!("{warnings:?}") };
    assert!(write.starts_with("open: other users can write it (mode 646)"), "{warnings:?}");
    assert!(read.starts_with("open: every user of this machine can read the secrets"), "{read}");
}
