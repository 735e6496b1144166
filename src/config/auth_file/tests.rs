//! Tests with files as people write them.

use std::path::PathBuf;

use super::*;

fn read(text: &str) -> Read {
    check_text(&PathBuf::from("auth.yml"), text)
}

fn shown(findings: &[Diagnostic]) -> Vec<String> {
    findings.iter().map(Diagnostic::to_string).collect()
}

#[test]
fn gomoobs_file_is_read_as_it_is() {
    let text = "applications:\n  - key: application1\n    secret: s1\n    authorizeOpen: true\n  \
                - key: application2\n    secret: s2\n    authorizeOpen: false\n";
    let read = read(text);
    assert_eq!((shown(&read.findings), shown(&read.warnings)), (vec![], vec![]));
    let applications = read.applications.unwrap();
    let [one, two] = applications.list.as_slice() else { panic!("{applications:?}") };
    assert_eq!(
        (one.key.as_str(), one.secrets[0].secret.expose(), one.authorize_open),
        ("application1", "s1", true)
    );
    assert!(!two.authorize_open && !two.client_publish && two.tenant.is_none());
    assert_eq!(applications.anonymous, None);
}

#[test]
fn members_of_ours_are_read_and_numbers_are_warned_about() {
    let text = "anonymous: 7\nversion: 2\napplications:\n  - {key: 7, secret: 8, authorizeOpen: true, \
                clientPublish: true, tenant: shop}\n";
    let read = read(text);
    assert_eq!(shown(&read.findings), [""; 0]);
    assert_eq!(
        shown(&read.warnings),
        [
            "auth.yml:1: anonymous: is a number and is read as a string; put it in quotes",
            "auth.yml:2: version: is not known here; remove it if it was meant for this server",
            "auth.yml:4: application 1: key: is a number and is read as a string; put it in quotes",
            "auth.yml:4: application 1: secret: is a number and is read as a string; put it in quotes",
        ]
    );
    let applications = read.applications.unwrap();
    assert_eq!(applications.list[0].tenant.as_deref(), Some("shop"));
    assert_eq!(
        (applications.list[0].secrets[0].secret.expose(), applications.anonymous),
        ("8", Some(0))
    );
}

#[test]
fn case_120_all_errors_are_reported_at_once() {
    let text = "applications:\n  - key: a\n    authorizeOpen: no\n  - secret: hunter2\n    \
                authorizeOpen: \"false\"\n    tenant: ''\n  - 5\n  - key: a\n    secret: [hunter2]\n    \
                authorizeOpen: true\n    clientPublish: 1\nanonymous: b\n";
    assert_eq!(
        shown(&read(text).findings),
        [
            "auth.yml:2: application 1: No 'secret' property found in application '1' declared in \
             the configuration file !; add `secret: …`",
            "auth.yml:3: application 1: authorizeOpen: is neither true nor false; write true or \
             false, unquoted",
            "auth.yml:4: application 2: No 'key' property found in application '2' declared in the \
             configuration file !; add `key: …`",
            "auth.yml:5: application 2: authorizeOpen: is neither true nor false; write true or \
             false, unquoted",
            "auth.yml:6: application 2: tenant: is empty; leave it out",
            "auth.yml:7: application 3: is not an application; write key, secret and authorizeOpen",
            "auth.yml:8: application 4: key: is the key of application 1 too; give each its own",
            "auth.yml:9: application 4: secret: is not a string; put it in quotes",
            "auth.yml:11: application 4: clientPublish: is neither true nor false; write true or \
             false, unquoted",
            "auth.yml:12: anonymous: `b` is the key of no application; name one of the list",
        ]
    );
}

#[test]
fn a_key_that_is_there_twice_names_both() {
    let text = "applications:\n- {key: a, secret: b, authorizeOpen: true}\n- {key: a, secret: c, \
                authorizeOpen: true}\n";
    let expected =
        "auth.yml:3: application 2: key: is the key of application 1 too; give each its own";
    assert_eq!(shown(&read(text).findings), [expected]);
}

#[test]
fn case_120_an_invalid_file_is_reported_in_gomoobs_words() {
    let no_list = "No 'applications' key found in provided configuration file !";
    for (text, words) in [
        ("", "Invalid configuration provided in configuration file !"),
        ("- a\n", "Invalid configuration provided in configuration file !"),
        ("a: 1\n", no_list),
        ("applications:\n", "is not a list of applications"),
        ("applications: []\n", "is not a list of applications"),
        ("applications: {key: a}\n", "is not a list of applications"),
        ("applications: [\n", "Invalid configuration provided in configuration file !"),
        ("a: b: c\n", "Invalid configuration provided in configuration file !"),
    ] {
        let findings = shown(&read(text).findings);
        assert!(findings.len() == 1 && findings[0].contains(words), "{text}: {findings:?}");
    }
    let deep = format!("applications:\n{}", "[".repeat(100_000));
    assert!(shown(&read(&deep).findings)[0].starts_with("auth.yml:2: Invalid"));
}

#[test]
fn what_ends_too_early_is_wrong_on_its_last_line() {
    for text in ["applications: [\n", "applications: [", "a: 1\napplicationstrue}\na"] {
        let lines = text.lines().count();
        let findings = shown(&read(text).findings);
        assert!(findings[0].starts_with(&format!("auth.yml:{lines}: Invalid")), "{findings:?}");
    }
}

#[test]
fn a_bomb_of_aliases_is_refused_and_costs_nothing() {
    let mut text = "a0: &a0 [x, x]\n".to_owned();
    for n in 1..40 {
        text.push_str(&format!("a{n}: &a{n} [*a{0}, *a{0}, *a{0}, *a{0}]\n", n - 1));
    }
    assert_eq!(read(&text).findings.len(), 1);
}

#[test]
fn no_finding_repeats_a_secret() {
    for text in [
        "applications:\n  - key: a\n    secret: hunter2: x\n",
        "applications:\n  - key: a\n    secret: 'hunter2\n",
        "applications:\n  - key: a\n    secret: {hunter2: 1}\n    authorizeOpen: hunter2\n",
        "applications:\n  - key: a\n    secret: &hunter2 *hunter2\n",
        "applications:\n  - key: a\n    secret: \"\\hunter2\"\n",
        "applications:\n  - key: a\n    secret: hunter2\n    secret: hunter2\n",
        "applications:\n  - key: a\n    secret: !hunter2 x\n",
        "secret: hunter2\n",
    ] {
        let Read { findings, warnings, .. } = read(text);
        let all = [shown(&findings), shown(&warnings)].concat().join("\n");
        assert!(!all.contains("hunter2"), "{text}\n{all}");
    }
}

#[test]
fn many_warnings_hide_no_error() {
    let mut text: String = (0..200).map(|n| format!("odd{n}: 1\n")).collect();
    text.push_str("applications:\n- {key: a, authorizeOpen: true}\n");
    let odd = read(&text);
    assert!(odd.applications.is_none());
    assert!(odd.findings[0].to_string().contains("No 'secret' property"), "{:?}", odd.findings);
    let mut text = "applications:\n".to_owned();
    (0..100).for_each(|_| text.push_str("- {key: a}\n"));
    let wrong = read(&text);
    assert!(wrong.applications.is_none() && wrong.findings.len() == SHOWN_MAX + 1);
    let more = |finding: &Diagnostic| finding.to_string().contains("269 more");
    assert!(wrong.findings.iter().any(more), "{:?}", wrong.findings);
}

#[test]
fn an_ambiguous_number_is_refused_and_others_are_kept_as_written() {
    let text = "anonymous: 16\napplications:\n- {key: 16, secret: -12, authorizeOpen: true}\n";
    let applications = read(text).applications.unwrap();
    assert_eq!((applications.list[0].key.as_str(), applications.anonymous), ("16", Some(0)));
    assert_eq!(applications.list[0].secrets[0].secret.expose(), "-12");
    let text = "applications:\n- {key: 0x10, secret: 1e3, authorizeOpen: true}\n";
    assert_eq!(
        shown(&read(text).findings),
        ["key", "secret"].map(|name| format!(
            "auth.yml:2: application 1: {name}: is a number in YAML, and its digits may change; \
             put it in quotes"
        ))
    );
}

/// Returns a file with one application that has these additional members.
fn with_members(members: &str) -> String {
    let mut text =
        "applications:\n  - key: a\n    secret: hunter2\n    authorizeOpen: true\n".to_owned();
    for line in members.lines() {
        text.push_str(&format!("    {line}\n"));
    }
    text
}

/// Expects exactly this one finding.
#[track_caller]
fn expect_one(text: &str, finding: &str) {
    let read = read(text);
    assert_eq!(shown(&read.findings), [finding], "{text}");
    assert!(read.applications.is_none());
}

#[test]
fn a_member_that_is_not_known_is_refused_with_the_one_that_was_meant() {
    for (member, meant) in [
        ("tenent: one", "did you mean `tenant`?"),
        ("Tenant: one", "did you mean `tenant`?"),
        ("tenant_id: one", "did you mean `tenant`?"),
        ("\"tenant \": one", "did you mean `tenant`?"),
        ("ten\u{430}nt: one", "did you mean `tenant`?"),
        ("client_publish: false", "did you mean `clientPublish`?"),
        ("shema: x", "did you mean `schema`?"),
        ("color: red", "remove it: the members are key, secret, secrets, authorizeOpen"),
        ("7: red", "remove it: the members are"),
        ("~: red", "remove it: the members are"),
        ("extras:\n  tenant: one", "remove it: the members are"),
    ] {
        let findings = shown(&read(&with_members(member)).findings);
        let name = member.split(':').next().unwrap().trim_matches('"');
        let start = format!("auth.yml:5: application 1: {name}: is not known here; {meant}");
        assert!(findings.len() == 1 && findings[0].starts_with(&start), "{findings:?}");
    }
}

#[test]
fn a_slip_at_the_top_is_refused_and_what_belongs_to_others_is_not() {
    let application = "applications:\n- {key: a, secret: hunter2, authorizeOpen: true}\n";
    for (member, right) in [
        ("anonymus: a", "did you mean `anonymous`?"),
        ("tenant: one", "`tenant` belongs in each application"),
        ("<<: {tenant: one}", "write out the keys"),
    ] {
        let findings = shown(&read(&format!("{application}{member}\n")).findings);
        assert!(findings.len() == 1 && findings[0].ends_with(right), "{member}: {findings:?}");
        assert!(findings[0].starts_with("auth.yml:3: "), "{member}: {findings:?}");
    }
    let read = read(&format!("x-ours: &d {{a: 1}}\nother: *d\n{application}"));
    assert_eq!((read.findings.len(), read.warnings.len()), (0, 2));
}

#[test]
fn a_member_without_a_value_is_refused() {
    for value in ["", "~", "null", "NULL", "# nothing"] {
        let about = "auth.yml:5: application 1: tenant: has no value; give it one, or leave it out";
        expect_one(&with_members(&format!("tenant: {value}")), about);
    }
    expect_one(
        &with_members("clientPublish:"),
        "auth.yml:5: application 1: clientPublish: has no value; write true or false, or leave it out",
    );
}

#[test]
fn constructs_of_yaml_that_readers_carry_out_differently_are_refused() {
    let base = "applications:\n- &base\n  key: a\n  secret: hunter2\n  authorizeOpen: true\n  tenant: \
                one\n";
    let what = |text: &str| shown(&read(text).findings).join("\n");
    for (added, line, words) in [
        ("- <<: *base\n  key: b\n", 7, "merge key"),
        ("- *base\n", 7, "alias"),
        ("- {<<: [*base], key: b}\n", 7, "merge key"),
        ("- key: b\n  secret: x\n  authorizeOpen: true\n  tenant: &t one\n", 10, "anchor"),
        ("- key: b\n  secret: !!str x\n  authorizeOpen: true\n", 8, "tag"),
        ("- !php/object 'O:1'\n", 7, "tag"),
        ("- key: b\n  secret: x\n  authorizeOpen: !!bool true\n", 9, "tag"),
        ("- key: b\n  secret: x\n  !!str tenant: one\n  authorizeOpen: true\n", 9, "tag"),
        (
            "- key: b\n  secret: x\n  ? [tenant]\n  : one\n  authorizeOpen: true\n",
            9,
            "not a string",
        ),
        (
            "- key: b\n  secret: x\n  tenant: one\n  tenant: two\n  authorizeOpen: true\n",
            10,
            "twice",
        ),
        ("- key: b\n  secret: x\n  key: c\n  authorizeOpen: true\n", 9, "twice"),
        ("applications: []\n", 7, "twice"),
        ("---\napplications: []\n", 7, "second document"),
        ("...\n---\nother: 1\n", 8, "second document"),
    ] {
        let text = format!("{base}{added}");
        let findings = what(&text);
        let is_there = |finding: &str| {
            finding.starts_with(&format!("auth.yml:{line}: ")) && finding.contains(words)
        };
        assert!(findings.lines().any(is_there), "{added}{findings}");
        assert!(read(&text).applications.is_none() && !findings.contains("hunter2"));
    }
    let tagged = "applications: !list\n- {key: a, secret: hunter2, authorizeOpen: true}\n";
    assert!(what(tagged).contains("applications: has a tag"), "{}", what(tagged));
    let anonymous =
        "x: &k a\napplications:\n- {key: a, secret: b, authorizeOpen: true}\nanonymous: *k\n";
    assert!(
        what(anonymous).starts_with("auth.yml:4: anonymous: is an alias"),
        "{}",
        what(anonymous)
    );
}

#[test]
fn an_unquoted_text_that_yaml_readers_disagree_about_is_refused() {
    for value in ["yes", "No", "on", "off", "n", "0755", "1_000", "1e3", "12:30", "2026-11-28"] {
        for member in ["key", "secret", "tenant", "schema"] {
            let others = ["key", "secret"].into_iter().filter(|other| *other != member);
            let mut text = "applications:\n- authorizeOpen: true\n".to_owned();
            others.for_each(|other| text.push_str(&format!("  {other}: a\n")));
            let findings = shown(&read(&format!("{text}  {member}: {value}\n")).findings);
            let about = format!("application 1: {member}: is a ");
            assert!(findings.len() == 1 && findings[0].contains(&about), "{findings:?}");
            assert!(findings[0].ends_with("put it in quotes"), "{findings:?}");
            let quoted = read(&format!("{text}  {member}: '{value}'\n"));
            assert!(quoted.findings.is_empty(), "{:?}", quoted.findings);
        }
        let text = format!("applications:\n- key: a\n  secret: b\n  authorizeOpen: {value}\n");
        let findings = shown(&read(&text).findings);
        assert!(findings[0].contains("is neither true nor false"), "{value}: {findings:?}");
    }
}

#[test]
fn a_text_is_on_one_line() {
    for value in ["one\n  two", "'one\n\n  two'", "\"one\n  two\"", ">\n  one\n  two"] {
        let text = with_members(&format!("tenant: {value}"));
        let findings = shown(&read(&text).findings);
        assert!(
            findings.len() == 1 && findings[0].contains("several lines"),
            "{value}: {findings:?}"
        );
    }
    let literal = read(&with_members("tenant: |\n  one"));
    assert_eq!(literal.applications.unwrap().list[0].tenant.as_deref(), Some("one\n"));
    assert!(literal.warnings[0].to_string().contains("control characters"));
    for value in ["' one'", "\"one\\t\"", "\"o\\u0000ne\""] {
        assert_eq!(read(&with_members(&format!("tenant: {value}"))).warnings.len(), 1, "{value}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_panics_and_every_finding_has_a_line_that_is_there(
        text in "(applications:|anonymous:|key:|secret:|tenant:|<<:|- |\\? |: |\\[|\\]|\\{|\\}|,|&a|\\*a|!!str |!|\\||>|\"|'|#|%|---|\\.\\.\\.|\n|\n  |\n    |\t|a|1|\u{feff}|\u{e9}|\\\\|`|@|~|\r|\0|\u{85}|\u{2028}){0,40}",
    ) {
        let Read { findings, warnings, applications, .. } = read(&text);
        let last = text.lines().count().max(1);
        for finding in findings.iter().chain(&warnings) {
            proptest::prop_assert!(finding.place.line() <= last, "{}", finding);
        }
        proptest::prop_assert_eq!(findings.is_empty(), applications.is_some());
    }
}
