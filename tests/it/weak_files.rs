//! Weak secrets and files with too many permissions: the warnings of `check` and of the start.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::harness::{Finished, Folder, Open, Server, run_to_end, run_to_end_with};

/// The exit code for a wrong configuration (`EX_CONFIG` of sysexits.h).
const WRONG_CONFIGURATION: i32 = 78;
const LONG: &str = "a long secret that is not guessed soon";

fn folder(address: &str, secret: &str) -> Folder {
    let folder = Folder::new();
    folder.write("websock.ini", &format!("adress = ws://{address}:0\nworkers = 1\n"));
    folder.write("auth.yml", &auth(secret));
    chmod(&folder, "auth.yml", 0o600);
    folder
}

fn auth(secret: &str) -> String {
    format!(
        "applications:\n- key: shop-with-a-long-name\n  secret: '{secret}'\n  authorizeOpen: true\n"
    )
}

fn chmod(folder: &Folder, name: &str, mode: u32) {
    fs::set_permissions(folder.path(name), Permissions::from_mode(mode)).unwrap();
}

#[track_caller]
fn expect(folder: &Folder, code: i32, words: &str) -> String {
    let Finished { code: is, text } = run_to_end(folder, &["check", "-i", "websock.ini"]);
    assert_eq!(is, Some(code), "{text}");
    assert!(text.contains(words), "no {words:?} in\n{text}");
    text
}

#[test]
fn a_weak_secret_is_refused_on_public_servers_and_warned_about() {
    for (secret, why) in [
        ("a", "has fewer than 16 bytes"),
        ("123456789012345", "has fewer than 16 bytes"),
        ("aaaaaaaaaaaaaaaaaaaaaaaa", "repeats a few characters"),
        ("shop-with-a-long-name", "equals the key"),
    ] {
        for address in ["0.0.0.0", "[::]"] {
            let text = expect(&folder(address, secret), WRONG_CONFIGURATION, why);
            assert!(text.contains("websock.ini:1: adress: "), "{text}");
            assert!(secret == "shop-with-a-long-name" || !text.contains(&format!("`{secret}`")));
        }
        let near = folder("127.0.0.1", secret);
        expect(&near, 0, &format!("auth.yml:3: application 1: secret: {why}"));
        let server = Server::run(near, &["serve", "-i", "websock.ini"], &[]);
        server.wait_for_output(why);
    }
    let text = expect(&folder("0.0.0.0", LONG), 0, "the configuration is valid");
    assert!(!text.contains("warning"), "{text}");
}

#[test]
fn a_reload_does_not_bring_a_weak_secret_to_an_address_that_others_reach() {
    let server = Server::run(folder("0.0.0.0", LONG), &["serve", "-i", "websock.ini"], &[]);
    server.folder.write("auth.yml", &auth("short"));
    let Finished { code, text } = run_to_end(&server.folder, &["reload"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("has fewer than 16 bytes"), "{text}");
    Open::at("/web?key=shop-with-a-long-name").ready(server.port);
}

#[test]
fn a_file_that_others_can_read_or_write_is_warned_about() {
    let folder = folder("127.0.0.1", LONG);
    for (mode, words) in [
        (0o644, "auth.yml: every user of this machine can read the secrets in it (mode 644)"),
        (0o660, "auth.yml: other users can write it (mode 660)"),
    ] {
        chmod(&folder, "auth.yml", mode);
        expect(&folder, 0, words);
    }
    chmod(&folder, "auth.yml", 0o640);
    assert!(!expect(&folder, 0, "is valid").contains("warning"));
    fs::create_dir(folder.path("state")).unwrap();
    chmod(&folder, "state", 0o777);
    expect(&folder, 0, "state: other users can write it (mode 777)");
    folder.write("state/uuid.key", &"a".repeat(64));
    chmod(&folder, "state/uuid.key", 0o644);
    expect(&folder, 0, "uuid.key: every user of this machine can read the secrets in it");
    chmod(&folder, "websock.ini", 0o666);
    expect(&folder, 0, "websock.ini: other users can write it (mode 666)");
    let server = Server::run(folder, &["serve", "-i", "websock.ini"], &[]);
    server.wait_for_output("state: other users can write it (mode 777)");
}

#[test]
fn a_configuration_in_the_document_root_of_a_site_is_warned_about() {
    for page in ["index.html", "index.php", "chat.php"] {
        let folder = folder("127.0.0.1", LONG);
        assert!(!expect(&folder, 0, "is valid").contains("site"));
        folder.write(page, "");
        expect(&folder, 0, &format!("auth.yml: is in a folder with `{page}`"));
        let added = run_to_end(&folder, &["app", "add", "blog"]);
        assert_eq!(added.code, Some(0), "{}", added.text);
        assert!(added.text.contains(&format!("is in a folder with `{page}`")), "{}", added.text);
    }
}

#[test]
fn no_file_that_is_named_is_waited_for() {
    let pipe = |folder: &Folder| {
        assert!(Command::new("mkfifo").arg(folder.path("pipe")).status().unwrap().success());
    };
    for (lines, section) in [
        ("authFile = pipe", ""),
        ("uuidKeyFile = pipe", ""),
        ("logfile = pipe", ""),
        ("certFile = pipe\npkFile = pipe\naddress = wss://127.0.0.1:0", ""),
        (
            "workers = 1",
            "[resource /r]\nkind = http\nurl = https://127.0.0.1/\napplication = \
             shop-with-a-long-name\nca = pipe",
        ),
    ] {
        let folder = folder("127.0.0.1", LONG);
        pipe(&folder);
        let address = if lines.contains("address") { "" } else { "address = ws://127.0.0.1:0\n" };
        folder.write("websock.ini", &format!("{address}{lines}\n{section}\n"));
        expect(&folder, WRONG_CONFIGURATION, "regular file");
    }
    let schema = folder("127.0.0.1", LONG);
    pipe(&schema);
    schema.write("auth.yml", &format!("{}  schema: pipe\n", auth(LONG)));
    expect(&schema, WRONG_CONFIGURATION, "regular file");
    let env = folder("127.0.0.1", LONG);
    assert!(Command::new("mkfifo").arg(env.path(".env")).status().unwrap().success());
    expect(&env, WRONG_CONFIGURATION, "regular file");
    let ini = Folder::new();
    assert!(Command::new("mkfifo").arg(ini.path("websock.ini")).status().unwrap().success());
    expect(&ini, WRONG_CONFIGURATION, "regular file");
}

#[test]
fn variables_do_not_make_a_configuration_larger_than_the_memory() {
    let folder = folder("127.0.0.1", LONG);
    folder.write(".env", &format!("A={}\n", "x".repeat(100 * 1024)));
    for line in
        [format!("allowedOrigins = {}", "${A}".repeat(200_000)), "logfile = ${A}".to_owned()]
    {
        folder.write("websock.ini", &format!("adress = ws://127.0.0.1:0\n{line}\n"));
        expect(&folder, WRONG_CONFIGURATION, "becomes too long when its variables are replaced");
    }
    let many: String = (0..60_000).map(|n| format!("K{n}=v\n")).collect();
    folder.write(".env", &many);
    let line: String = (0..30_000).map(|_| "${K59999}").collect();
    folder.write("websock.ini", &format!("adress = ws://127.0.0.1:0\nauthFile = {line}\n"));
    expect(&folder, WRONG_CONFIGURATION, "authFile");
}

#[test]
fn an_application_is_made_by_variables() {
    let folder = Folder::new();
    folder.write("websock.ini", "adress = ws://0.0.0.0:0\nworkers = 1\n");
    let variables =
        [("TAGCAST_APP_KEY", "box"), ("TAGCAST_APP_SECRET", "a long secret of the box\n")];
    let server = Server::run(folder, &["serve", "-i", "websock.ini"], &variables);
    Open::web().ask(server.port).expect_refusal(401);
    Open::at("/web?key=box").ready(server.port);
    let mut script =
        Open::at("/php?key=box&secret=a%20long%20secret%20of%20the%20box").ready(server.port);
    script.text(crate::harness::broadcast("x"));
    script.expect_next();
}

#[test]
fn an_application_of_variables_may_be_in_files_and_is_whole_or_a_finding() {
    let folder = folder("0.0.0.0", LONG);
    folder.write("secret", "a long secret of the box\n");
    let check = |variables: &[(&str, &str)]| run_to_end_with(&folder, &["check"], variables);
    let good = check(&[("TAGCAST_APP_KEY", "box"), ("TAGCAST_APP_SECRET_FILE", "secret")]);
    assert!(good.code == Some(0) && good.text.contains("applications: 2;"), "{}", good.text);
    for (variables, words) in [
        (
            &[("TAGCAST_APP_KEY", "box")][..],
            "TAGCAST_APP_KEY: is set, but TAGCAST_APP_SECRET is not",
        ),
        (&[("TAGCAST_APP_SECRET", "x")], "TAGCAST_APP_SECRET: is set, but TAGCAST_APP_KEY is not"),
        (
            &[("TAGCAST_APP_KEY", "box"), ("TAGCAST_APP_SECRET_FILE", "nowhere")],
            "TAGCAST_APP_SECRET_FILE: `nowhere`: there is no such file",
        ),
        (
            &[
                ("TAGCAST_APP_KEY", "box"),
                ("TAGCAST_APP_SECRET_FILE", "secret"),
                ("TAGCAST_APP_SECRET", "hunter2"),
            ],
            "TAGCAST_APP_SECRET_FILE: is set in addition to TAGCAST_APP_SECRET",
        ),
        (
            &[("TAGCAST_APP_KEY", "shop-with-a-long-name"), ("TAGCAST_APP_SECRET_FILE", "secret")],
            "is the key of an application in the file too",
        ),
        (&[("TAGCAST_APP_KEY", "box"), ("TAGCAST_APP_SECRET", "hunter2")], "fewer than 16 bytes"),
    ] {
        let Finished { code, text } = check(variables);
        assert_eq!(code, Some(WRONG_CONFIGURATION), "{variables:?}: {text}");
        assert!(text.contains(words) && !text.contains("hunter2"), "{variables:?}: {text}");
    }
}
