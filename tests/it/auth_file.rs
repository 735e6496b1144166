//! `auth.yml` as an operator uses it: errors in it, the rights of the shipped file, and `tagcast app add`.

use crate::harness::{Finished, Folder, Open, Server, broadcast, run_to_end};

/// The exit code for a wrong configuration (`EX_CONFIG` of sysexits.h).
const WRONG_CONFIGURATION: i32 = 78;
const SHIPPED: &str = include_str!("../../auth.yml");
const INI: &str = "adress = ws://127.0.0.1:0\nworkers = 1\n";

fn folder(ini: &str, auth: Option<&str>) -> Folder {
    let folder = Folder::new();
    folder.write("websock.ini", ini);
    if let Some(auth) = auth {
        folder.write("auth.yml", auth);
    }
    folder
}

/// Expects that both commands report these errors and exit with 78.
#[track_caller]
fn expect_findings(ini: &str, auth: Option<&str>, expected: &[&str]) {
    let folder = folder(ini, auth);
    for command in ["check", "serve"] {
        let Finished { code, text } = run_to_end(&folder, &[command, "-i", "websock.ini"]);
        assert_eq!(code, Some(WRONG_CONFIGURATION), "{command}:\n{text}");
        for words in expected {
            assert!(text.contains(words), "{command}: no {words:?} in\n{text}");
        }
        let count = format!("tagcast: {} error", expected.len());
        assert!(text.contains(&count), "{command}: not {count:?} but\n{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}

/// What a client gets again must fit into its outbox.
#[test]
fn stored_publications_must_fit_into_an_outbox() {
    let auth = "applications:\n  - { key: a, secret: s3cret-for-tests-0123456789, authorizeOpen: true, history: 5, historyBytes: 4M }\n";
    let expected = ["application 1: historyBytes", "use 3145728 or less"];
    let folder = folder(INI, Some(auth));
    let Finished { code, text } = run_to_end(&folder, &["check", "-i", "websock.ini"]);
    assert_eq!(code, Some(WRONG_CONFIGURATION), "{text}");
    expected.iter().for_each(|words| assert!(text.contains(words), "no {words:?} in\n{text}"));
    folder.write("websock.ini", &format!("{INI}outboxLimit = 8M\n"));
    let Finished { code, text } = run_to_end(&folder, &["check", "-i", "websock.ini"]);
    assert_eq!(code, Some(0), "{text}");
}

#[test]
fn a_file_that_is_named_must_be_there() {
    let expected =
        ["websock.ini:3: authFile: The configuration file '", "no.yml' does not exist !"];
    let ini = format!("{INI}authFile = no.yml\n");
    let folder = folder(&ini, Some(SHIPPED));
    let text = run_to_end(&folder, &["check", "-i", "websock.ini"]).text;
    expected.iter().for_each(|words| assert!(text.contains(words), "{text}"));
    expect_findings(&format!("{INI}authFile = .\n"), None, &["is not a valid file !"]);
}

#[test]
fn all_errors_of_both_files_are_reported_at_once_without_secrets() {
    expect_findings(
        "adress = ws://127.0.0.1:0\nworkers = none\nmaxPerIP = -1\nallowedIP = here\n",
        Some(
            "anonymous: c\napplications:\n  - key: a\n    secret: hunter2\n  - secret: [hunter2]\n    \
             authorizeOpen: hunter2\n",
        ),
        &[
            "websock.ini:2: workers: ",
            "websock.ini:3: maxPerIP: ",
            "websock.ini:4: allowedIP: `here` holds `here`, which is not an address; use addresses",
            "auth.yml:1: anonymous: `c` is the key of no application",
            "auth.yml:3: application 1: No 'authorizeOpen' property found in application '1'",
            "auth.yml:5: application 2: No 'key' property found in application '2'",
            "auth.yml:5: application 2: secret: is not a string",
            "auth.yml:6: application 2: authorizeOpen: is neither true nor false",
        ],
    );
}

#[test]
fn case_120_an_invalid_auth_file_is_reported_in_gomoobs_words() {
    let no_list = "No 'applications' key found in provided configuration file !";
    let invalid = "Invalid configuration provided in configuration file !";
    expect_findings(INI, Some("apps: []\n"), &[no_list]);
    expect_findings(INI, Some(""), &[invalid]);
    expect_findings(INI, Some("applications: [\n  secret: hunter2\n"), &[invalid]);
    expect_findings(INI, Some(&"[".repeat(5000)), &["auth.yml:1: Invalid"]);
    expect_findings(INI, Some("applications: []\n"), &["auth.yml:1: applications: is not a list"]);
    expect_findings(INI, Some(&"# x\n".repeat(300_000)), &["the file is larger than 1 MiB"]);
}

#[test]
fn what_is_not_understood_of_an_application_is_refused() {
    let application = |more: &str| {
        format!("applications:\n- key: a\n  secret: hunter2\n  authorizeOpen: true\n{more}\n")
    };
    expect_findings(
        INI,
        Some(&application("  tenent: one")),
        &["auth.yml:5: application 1: tenent: is not known here; did you mean `tenant`?"],
    );
    expect_findings(
        INI,
        Some(&application("  colour: red\n  tenant:")),
        &[
            "auth.yml:5: application 1: colour: is not known here; remove it",
            "auth.yml:6: application 1: tenant: has no value",
        ],
    );
    expect_findings(
        INI,
        Some(&application(
            "  tenant: one\n- <<: {tenant: one}\n  key: b\n  secret: 0755\n  authorizeOpen: on",
        )),
        &[
            "auth.yml:6: application 2: <<: is a merge key",
            "auth.yml:8: application 2: secret: is a number in YAML",
            "auth.yml:9: application 2: authorizeOpen: is neither true nor false",
        ],
    );
    expect_findings(
        INI,
        Some(&application(
            "  tenant: &t one\n- &b {key: b, secret: !!str x, authorizeOpen: true, tenant: *t}",
        )),
        &[
            "auth.yml:5: application 1: tenant: has an anchor",
            "auth.yml:6: application 2: has an anchor",
            "auth.yml:6: application 2: secret: has a tag",
            "auth.yml:6: application 2: tenant: is an alias",
        ],
    );
    expect_findings(
        INI,
        Some(&application("  tenant: one\n  tenant: two")),
        &["auth.yml:6: application 1: tenant: occurs twice; keep one of the two"],
    );
}

#[test]
fn well_known_secrets_are_refused_beyond_this_machine() {
    let ini = "adress = ws://127.0.0.1:0, ws://0.0.0.0:0\n";
    let words = "the secret of the application `demo` is the public secret of the example";
    expect_findings(ini, Some(SHIPPED), &[words]);
    let renamed = "applications:\n- {key: mine, secret: B4ajW3P7jfWEYPZsQV8mnteHg97G67uW, \
                   authorizeOpen: true}\n";
    expect_findings(ini, Some(renamed), &["the secret of the application `mine`"]);
    expect_findings(ini, None, &["there are no applications"]);
}

#[test]
fn with_a_secret_of_ones_own_the_server_may_listen_anywhere() {
    let folder = folder("adress = ws://0.0.0.0:0\nworkers = 1\n", None);
    let added = run_to_end(&folder, &["app", "add", "shop", "--tenant", "shop"]);
    assert_eq!(added.code, Some(0), "{}", added.text);
    let server = Server::run(folder, &["serve", "-i", "websock.ini"], &[]);
    assert!(!server.output().contains("OPEN"), "{}", server.output());
    Open::web().ask(server.port).expect_refusal(401);
    let mut page = Open::at("/web?key=shop").ready(server.port);
    page.text(broadcast("x"));
    page.expect_next();
    page.expect_text(r#"{"opcode":"error","error":"Message sending is not authorized !"}"#);
}

#[test]
fn the_shipped_file_lets_pages_and_scripts_try_things_out() {
    let folder = folder(INI, Some(SHIPPED));
    let server = Server::run(folder, &["serve", "-i", "websock.ini"], &[]);
    assert!(server.output().contains("for testing only"), "{}", server.output());
    let (mut page, mut script) = (server.open(&Open::web()), server.open(&Open::php()));
    script.text(broadcast("from the script"));
    script.expect_next();
    page.expect_text(&broadcast("from the script"));
    let mut gomoob = Open::at("/?tags={}").upgrade(server.port);
    gomoob.text(r#"{"message":"to all","tags":{}}"#);
    page.expect_text(r#"{"opcode":"broadcast","message":"to all"}"#);
    gomoob.expect_text(r#""to all""#);
    let proof = r#"{"key":"application2","secret":"Kmrw5apmzmQMseAttckp6e7APeCDVtL58QzSPaKqqdHUF469hfhWyue3ns363kn5"}"#;
    gomoob.text(format!(r#"{{"message":1,"metadata":{proof}}}"#));
    gomoob.expect_text("1");
}

#[test]
fn an_application_goes_into_the_file_that_the_configuration_names() {
    let folder = folder(&format!("{INI}authFile = my.yml\n"), Some(SHIPPED));
    let added = run_to_end(&folder, &["app", "add", "shop", "-i", "websock.ini"]);
    assert_eq!(added.code, Some(0), "{}", added.text);
    assert!(std::fs::read_to_string(folder.root().join("my.yml")).unwrap().contains("shop"));
    assert_eq!(std::fs::read_to_string(folder.root().join("auth.yml")).unwrap(), SHIPPED);
    folder.write("my.yml", "apps: 1\n");
    let text = run_to_end(&folder, &["check", "-i", "websock.ini"]).text;
    assert!(text.contains("my.yml: No 'applications' key found"), "{text}");
}

#[test]
fn adding_an_application_keeps_other_bytes_and_prints_its_secret() {
    let folder = folder(INI, Some(SHIPPED));
    let add = |name: &str| run_to_end(&folder, &["app", "add", name, "--client-publish"]);
    let Finished { code, text } = add("shop");
    assert_eq!(code, Some(0), "{text}");
    let written = std::fs::read_to_string(folder.root().join("auth.yml")).unwrap();
    let added = written.strip_prefix(SHIPPED).unwrap();
    let secret = text.lines().find_map(|line| line.strip_prefix("secret: ")).unwrap();
    assert!(secret.len() == 64 && added.contains(secret), "{added}");
    for name in ["shop", "demo", "no name", ""] {
        let again = add(name);
        assert_eq!(again.code, Some(WRONG_CONFIGURATION), "{name}: {}", again.text);
    }
    assert_eq!(std::fs::read_to_string(folder.root().join("auth.yml")).unwrap(), written);
    let checked = run_to_end(&folder, &["check", "-i", "websock.ini"]);
    assert!(checked.text.contains("applications: 4; "), "{}", checked.text);
}
