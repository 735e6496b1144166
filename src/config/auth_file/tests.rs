//! Files as people write them.

use std::path::PathBuf;

use super::*;

fn read(text: &str) -> Read {
    check_text(&PathBuf::from("auth.yml"), text)
}

fn shown(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(Finding::to_string).collect()
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
        (one.key.as_str(), one.secret.expose(), one.authorize_open),
        ("application1", "s1", true)
    );
    assert!(!two.authorize_open && !two.client_publish && two.tenant.is_none());
    assert_eq!(applications.anonymous, None);
}

#[test]
fn our_members_are_read_and_unknown_ones_are_odd() {
    let text = "anonymous: 7\nversion: 2\napplications:\n  - {key: 7, secret: 8, authorizeOpen: true, \
                clientPublish: true, tenant: shop, color: red}\n";
    let read = read(text);
    assert_eq!(shown(&read.findings), [""; 0]);
    assert_eq!(
        shown(&read.warnings),
        [
            "auth.yml:2: version: is not known here; remove it, if it was meant for this server",
            "auth.yml:4: application 1: color: is not known here; remove it, if it was meant for \
             this server",
            "auth.yml:4: application 1: key: is a number, and taken as a text; put it into quotes",
            "auth.yml:4: application 1: secret: is a number, and taken as a text; put it into quotes",
        ]
    );
    let applications = read.applications.unwrap();
    assert_eq!(applications.list[0].tenant.as_deref(), Some("shop"));
    assert_eq!((applications.list[0].secret.expose(), applications.anonymous), ("8", Some(0)));
}

#[test]
fn case_120_everything_that_is_wrong_is_said_at_once() {
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
            "auth.yml:7: application 3: is no application; write key, secret and authorizeOpen",
            "auth.yml:8: application 4: key: is the key of application 1 too; give each its own",
            "auth.yml:9: application 4: secret: is no text; put it into quotes",
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
fn case_120_what_is_no_such_file_is_said_in_gomoobs_words() {
    let no_list = "No 'applications' key found in provided configuration file !";
    for (text, words) in [
        ("", "Invalid configuration provided in configuration file !"),
        ("- a\n", "Invalid configuration provided in configuration file !"),
        ("a: 1\n", no_list),
        ("applications:\n", "is no list of applications"),
        ("applications: []\n", "is no list of applications"),
        ("applications: {key: a}\n", "is no list of applications"),
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
fn however_many_oddities_there_are_no_error_gets_lost() {
    let mut text: String = (0..200).map(|n| format!("odd{n}: 1\n")).collect();
    text.push_str("applications:\n- {key: a, authorizeOpen: true}\n");
    let odd = read(&text);
    assert!(odd.applications.is_none());
    assert!(odd.findings[0].to_string().contains("No 'secret' property"), "{:?}", odd.findings);
    let mut text = "applications:\n".to_owned();
    (0..100).for_each(|_| text.push_str("- {key: a}\n"));
    let wrong = read(&text);
    assert!(wrong.applications.is_none() && wrong.findings.len() == SHOWN_MAX + 1);
    let more = |finding: &Finding| finding.to_string().contains("269 more");
    assert!(wrong.findings.iter().any(more), "{:?}", wrong.findings);
}

#[test]
fn a_number_is_taken_as_it_is_written() {
    let text = "anonymous: 0x10\napplications:\n- {key: 0x10, secret: 1e3, authorizeOpen: true}\n";
    let applications = read(text).applications.unwrap();
    assert_eq!((applications.list[0].key.as_str(), applications.anonymous), ("0x10", Some(0)));
    assert_eq!(applications.list[0].secret.expose(), "1e3");
}
