//! The PHP client (`clients/php`): its own tests against a real server, and the lines of its README.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use crate::harness::api::{self, SHOP_SECRET};
use crate::harness::tls::certificate_in;
use crate::harness::{Folder, Open, Server};

const CLIENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/php");
/// The address in the README.
const DOCUMENTED: &str = "http://127.0.0.1:8094";

/// What a script of the README may begin with.
const PRELUDE: &str = "<?php\ndeclare(strict_types=1);\nrequire getenv('AUTOLOAD');\n\
    $_POST['uuid'] = getenv('UUID');\n";

/// A server on one `wss://` address, with the applications of the tests.
fn tls_server() -> Server {
    let folder = Folder::new();
    certificate_in(&folder);
    let ini = format!(
        "[websocketserver]\naddress = wss://127.0.0.1:0\nworkers = 2\npingInterval = 0\n\
         certFile = cert.pem\npkFile = key.pem\nuuidKey = {}\n",
        "01".repeat(32)
    );
    folder.write("websock.ini", &ini);
    folder.write("auth.yml", api::AUTH);
    Server::run(folder, &["serve", "-i", "websock.ini"], &[])
}

/// Runs a command to its end and returns what it prints.
#[track_caller]
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
    printed
}

pub fn its_tests_pass_against_a_server() {
    let plain = api::setup().ini("authorizeOpen = all").start();
    let tls = tls_server();
    let unix = api::setup().ini("apiAddress = unix:api.sock").start();
    let printed = run(Command::new("phpunit")
        .args(["--colors=never", "--fail-on-skipped"])
        .current_dir(CLIENT)
        .env("TAGCAST_URL", format!("http://127.0.0.1:{}", plain.port))
        .env("TAGCAST_SECRET", SHOP_SECRET)
        .env("TAGCAST_UUID_KEY", "01".repeat(32))
        .env("TAGCAST_TLS_URL", format!("https://localhost:{}", tls.port))
        .env("TAGCAST_CA", tls.folder.path("cert.pem"))
        .env("TAGCAST_UNIX_URL", format!("unix:{}", unix.folder.path("api.sock").display()))
        .env("TAGCAST_UNIX_PAGES", format!("http://127.0.0.1:{}", unix.port)));
    assert!(printed.contains("\nOK ("), "{printed}");
}

/// The PHP blocks of the README as one script, which is what a reader makes of them.
fn readme_script(port: u16) -> String {
    let text = std::fs::read_to_string(format!("{CLIENT}/README.md")).unwrap();
    let blocks = text.split("```php\n").skip(1).map(|rest| rest.split("\n```").next().unwrap());
    let mut script = PRELUDE.to_owned();
    for line in blocks.flat_map(str::lines).filter(|line| !line.starts_with("require ")) {
        // Each block names the classes that it uses; a script may name each once.
        if !(line.starts_with("use ") && script.contains(line)) {
            script += &line.replace(DOCUMENTED, &format!("http://127.0.0.1:{port}"));
            script.push('\n');
        }
    }
    script
}

pub fn the_lines_of_its_readme_publish() {
    let server = api::setup().start();
    let mut page = server.open(&Open::at(r#"/web?key=shop&tags={"room":"1","language":"FR"}"#));
    let script = server.folder.write("script.php", &readme_script(server.port));
    let printed = run(Command::new("php")
        .args(["-d", "display_errors=stderr", "-d", "error_reporting=-1"])
        .arg(&script)
        .env("AUTOLOAD", format!("{CLIENT}/autoload.php"))
        .env("SECRET", SHOP_SECRET)
        .env("UUID", &page.uuid));
    assert_eq!(printed, "1 clients\n1 request\n");
    for message in [r#"{"text":"hello"}"#, r#""to all clients""#, r#""to at most 100""#] {
        page.expect_text(&format!(r#"{{"opcode":"broadcast","message":{message}}}"#));
    }
    for percent in [0, 50, 100] {
        page.expect_text(&format!(r#"{{"opcode":"feedback","message":{{"percent":{percent}}}}}"#));
    }
    page.expect_text(r#"{"opcode":"broadcast","message":"hello"}"#);
    page.expect_text(r#"{"opcode":"broadcast","message":"Bonjour"}"#);
    // All blocks use one connection, but for Gomoob's client, which has its own.
    assert_eq!(server.counts().handed_over, 2);
}

/// The client keeps its connection, and the server that it leads to is replaced between two calls.
pub fn it_publishes_before_and_after_a_restart() {
    let folder = Folder::new();
    let address = folder.path("api.sock").display().to_string();
    let start = || api::setup().ini(&format!("apiAddress = unix:{address}")).start();
    let server = start();
    let script = format!(
        "require '{CLIENT}/autoload.php';
         $client = new Tagcast\\Client\\HttpClient(
             new Tagcast\\Client\\Config('unix:{address}', 'shop', '{SHOP_SECRET}'));
         do {{
             echo $client->broadcast('again')->matched, \"\\n\";
         }} while (fgets(STDIN) !== false);"
    );
    let mut php = Command::new("php")
        .args(["-r", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(php.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "0");
    drop(server);
    let server = start();
    let mut page = server.open(&Open::at("/web?key=shop"));
    let mut input = php.stdin.take().unwrap();
    input.write_all(b"\n").unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "1");
    page.expect_text(r#"{"opcode":"broadcast","message":"again"}"#);
    drop(input);
    assert!(php.wait().unwrap().success());
}
