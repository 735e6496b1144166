//! `tagcast app`: listing, removing and changing applications. All other bytes of the file must stay the
//! same.

use crate::harness::{Finished, Folder, Open, Server, run_to_end};

/// The exit code for a wrong configuration (`EX_CONFIG` of sysexits.h).
const WRONG_CONFIGURATION: i32 = 78;
const AUTH: &str = "# who may use it\napplications:\n  - key: shop # the first\n    secret: 'the secret of the \
                    shop'\n    authorizeOpen: true\n    tenant: shop\n\n  # for the bank\n  - key: bank\n    \
                    secret: the secret of the bank\n    authorizeOpen: false\n    clientPublish: true\n# end\n";

fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("websock.ini", "adress = ws://127.0.0.1:21600\nworkers = 1\n");
    folder.write("auth.yml", AUTH);
    folder
}

fn text(folder: &Folder) -> String {
    std::fs::read_to_string(folder.path("auth.yml")).unwrap()
}

#[track_caller]
fn done(folder: &Folder, arguments: &[&str]) -> String {
    let Finished { code, text } = run_to_end(folder, arguments);
    assert_eq!(code, Some(0), "{text}");
    text
}

#[track_caller]
fn refused(folder: &Folder, arguments: &[&str], words: &str) {
    let before = text(folder);
    let Finished { code, text: output } = run_to_end(folder, arguments);
    assert_eq!(code, Some(WRONG_CONFIGURATION), "{output}");
    assert!(output.contains(words), "no {words:?} in\n{output}");
    assert_eq!(text(folder), before);
}

#[test]
fn the_list_shows_what_each_application_may_and_no_secret() {
    let folder = folder();
    let output = done(&folder, &["app", "list"]);
    let line = |key: &str| output.lines().find(|line| line.starts_with(key)).unwrap().to_owned();
    let words = |key: &str| line(key).split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words("shop"), ["shop", "key", "the", "secret", "shop", "own"]);
    assert_eq!(words("bank"), ["bank", "secret", "its", "clients", "-", "own"]);
    assert!(!output.contains("the secret of"), "{output}");
}

#[test]
fn only_the_lines_of_a_removed_application_are_deleted() {
    let folder = folder();
    done(&folder, &["app", "remove", "shop"]);
    let left = text(&folder);
    assert!(
        left.starts_with("# who may use it\napplications:\n\n  # for the bank\n  - key: bank\n")
    );
    assert!(left.ends_with("    clientPublish: true\n# end\n"), "{left}");
    refused(&folder, &["app", "remove", "shop"], "no application has this key");
    refused(&folder, &["app", "remove", "bank"], "it is the only application");
}

#[test]
fn the_application_without_a_key_is_not_removed_by_accident() {
    let folder = folder();
    let output = done(&folder, &["app", "add", "guests", "--anonymous"]);
    assert!(
        text(&folder).contains("\nanonymous: \"guests\"\napplications:\n"),
        "{}",
        text(&folder)
    );
    assert!(output.contains("key:    guests"), "{output}");
    assert!(done(&folder, &["check"]).contains("a client without a key counts as `guests`"));
    assert!(done(&folder, &["app", "list"]).contains("(without a key)"));
    refused(&folder, &["app", "remove", "guests"], "`anonymous` names an application");
    refused(&folder, &["app", "add", "more", "--anonymous"], "`anonymous` names an application");
}

#[test]
fn another_secret_takes_the_place_of_the_former_one_if_it_is_to() {
    let folder = folder();
    for (name, former) in [("shop", "'the secret of the shop'"), ("bank", "the secret of the bank")]
    {
        let before = text(&folder);
        let output = done(&folder, &["app", "rotate", name, "--replace"]);
        let secret = secret_of(&output);
        assert_eq!(text(&folder), before.replace(former, &format!("\"{secret}\"")));
    }
    refused(&folder, &["app", "rotate", "nobody"], "no application has this key");
    folder.write("auth.yml", &AUTH.replace("'the secret of the shop'", "|\n      block"));
    refused(&folder, &["app", "rotate", "shop", "--replace"], "change it by hand");
}

#[track_caller]
fn secret_of(output: &str) -> String {
    let secret = output.lines().find_map(|line| line.strip_prefix("secret: ")).unwrap();
    assert_eq!(secret.len(), 64);
    secret.to_owned()
}

#[test]
fn rotating_adds_a_secret_and_revoking_removes_one() {
    let folder = folder();
    let output = done(&folder, &["app", "rotate", "shop", "--id", "new"]);
    let item = |secret: &str| format!("      - {{ id: \"new\", value: \"{secret}\" }}\n");
    let first = item(&secret_of(&output));
    let expected =
        AUTH.replace("    tenant: shop\n", &format!("    tenant: shop\n    secrets:\n{first}"));
    assert_eq!(text(&folder), expected);
    let output = done(&folder, &["app", "rotate", "shop", "--id", "new"]);
    assert!(output.contains("id:     new-2\n"), "{output}");
    let second = item(&secret_of(&output)).replace("\"new\"", "\"new-2\"");
    assert_eq!(text(&folder), expected.replace(&first, &format!("{first}{second}")));
    let output = done(&folder, &["app", "list"]);
    assert!(output.contains("own, new, new-2"), "{output}");
    done(&folder, &["app", "revoke", "shop", "own"]);
    done(&folder, &["app", "revoke", "shop", "new"]);
    let left = expected.replace("    secret: 'the secret of the shop'\n", "");
    assert_eq!(text(&folder), left.replace(&first, &second));
    refused(&folder, &["app", "revoke", "shop", "new"], "has no such secret");
    refused(&folder, &["app", "revoke", "shop", "new-2"], "the only secret of the application");
    refused(&folder, &["app", "rotate", "shop", "--replace"], "has no such secret");
    refused(&folder, &["app", "rotate", "shop", "--id", "a b"], "a name must have 1 to 64");
    for _ in 0..7 {
        done(&folder, &["app", "rotate", "bank"]);
    }
    refused(&folder, &["app", "rotate", "bank"], "has 8 secrets already");
}

#[test]
fn a_new_application_is_shown_with_the_address_of_its_server() {
    let folder = folder();
    let output = done(&folder, &["app", "add", "blog"]);
    assert!(output.contains("ws://127.0.0.1:21600/web?key=blog"), "{output}");
    assert!(output.contains("publish --url ws://127.0.0.1:21600/ --key blog"), "{output}");
    folder.write("other.ini", "adress = ws://0.0.0.0:21601\n");
    let output = done(&folder, &["app", "add", "news", "-i", "other.ini"]);
    assert!(output.contains("ws://127.0.0.1:21601/web?key=news"), "{output}");
}

#[test]
fn a_rotated_secret_holds_after_a_reload_and_the_former_one_no_more() {
    let folder = folder();
    folder.write("websock.ini", "adress = ws://127.0.0.1:0\nworkers = 1\n");
    let server = Server::run(folder, &["serve", "-i", "websock.ini"], &[]);
    let path = "/web?key=bank&secret=the%20secret%20of%20the%20bank";
    let mut before = Open::at(path).ready(server.port);
    let secret = secret_of(&done(&server.folder, &["app", "rotate", "bank", "--replace"]));
    done(&server.folder, &["reload"]);
    before.expect_close(1008);
    Open::at(path).ask(server.port).expect_refusal(401);
    Open::at(&format!("/web?key=bank&secret={secret}")).ready(server.port);
}
