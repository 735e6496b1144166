//! The page in a real browser: what is published to one page appears in that one only.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "a test may stop at the first surprise"
)]

mod browser;
mod harness;

use browser::{Browser, Page};
use harness::{Folder, Server, require_tool, run_to_end};

fn shows(text: &str) -> String {
    format!("document.getElementById('messages').textContent.includes('{text}')")
}

fn uuid_of(page: &mut Page) -> String {
    page.wait_for("document.getElementById('status').dataset.state === 'open'");
    page.value("document.getElementById('uuid').textContent").as_str().unwrap().to_owned()
}

#[test]
fn what_is_published_to_one_page_appears_in_that_one_only() {
    if !require_tool("chromium", "chromium") {
        return;
    }
    let server = Server::start();
    let browser = Browser::start();
    let url = format!("http://127.0.0.1:{}/", server.port);
    let (mut one, mut two) = (browser.open(&url), browser.open(&url));
    let (first, second) = (uuid_of(&mut one), uuid_of(&mut two));
    assert_ne!(first, second);

    let server_url = format!("ws://127.0.0.1:{}/web", server.port);
    let publish = ["publish", "--url", &server_url];
    let private = [&publish[..], &["--to-uuid", &first, "only for one"]].concat();
    let finished = run_to_end(&Folder::new(), &private);
    assert_eq!(finished.code, Some(0), "{}", finished.text);
    one.wait_for(&shows("only for one"));

    // A later message that both show proves that the earlier one is not merely late.
    let public = [&publish[..], &["--all", "for everyone"]].concat();
    assert_eq!(run_to_end(&Folder::new(), &public).code, Some(0));
    one.wait_for(&shows("for everyone"));
    two.wait_for(&shows("for everyone"));
    assert_eq!(two.value(&shows("only for one")), false);

    one.value("document.getElementById('text').value = 'from page one'");
    one.value("document.getElementById('broadcast').click()");
    two.wait_for(&shows("from page one"));
    one.value(&format!("document.getElementById('to').value = '{second}'"));
    one.value("document.getElementById('text').value = 'from page to page'");
    one.value("document.getElementById('feedback').click()");
    two.wait_for(&shows("from page to page"));
    one.value("document.getElementById('echo').click()");
    one.wait_for(&shows("from page to page"));
    keep(&one.screenshot(), "page.png.base64");
}

/// Types into the page and clicks, as its reader does.
fn publish_to(page: &mut Page, tags: &str, message: &str) {
    page.value(&format!("document.getElementById('query').value = '{tags}'"));
    page.value(&format!("document.getElementById('text').value = '{message}'"));
    page.value("document.getElementById('to-tags').click()");
}

#[test]
fn what_is_published_to_a_group_appears_in_its_pages_only() {
    if !require_tool("chromium", "chromium") {
        return;
    }
    let server = Server::start();
    let browser = Browser::start();
    let url = format!("http://127.0.0.1:{}/", server.port);
    let mut french = browser.open(&format!("{url}?tags=%7B%22language%22%3A%22FR%22%7D"));
    let mut english = browser.open(&url);
    uuid_of(&mut french);
    let before = uuid_of(&mut english);
    english.value("document.querySelector('[data-tag=\"language=EN\"]').click()");
    english.value("document.getElementById('reconnect').click()");
    english.wait_for(&shows("connected with language=EN"));
    assert_ne!(uuid_of(&mut english), before);

    publish_to(&mut english, "language=FR", "Bonjour");
    french.wait_for(&shows("broadcastBonjour"));
    english.wait_for(&shows("“Bonjour” to language=FR: not for me"));
    publish_to(&mut french, "language=FR", "Salut");
    french.wait_for(&shows("“Salut” to language=FR: matches my tags, and arrived"));
    // What goes to both proves that nothing else is still under way to the other one.
    publish_to(&mut french, "", "for both");
    for page in [&mut french, &mut english] {
        page.wait_for(&shows("broadcastfor both"));
    }
    assert_eq!(english.value(&shows("broadcastBonjour")), false);
    assert_eq!(english.value(&shows("Salut")), false);
    let command = "document.getElementById('group-command').textContent";
    let command = french.value(command).as_str().unwrap().to_owned();
    assert!(command.ends_with("/ --tag 'language=FR' 'hello'"), "{command}");
    keep(&french.screenshot(), "group.png.base64");
}

#[test]
fn pages_inside_tls_hear_each_other() {
    if !require_tool("chromium", "chromium") {
        return;
    }
    let folder = Folder::new();
    harness::tls::certificate_in(&folder);
    let ini = "adress = wss://127.0.0.1:0\nworkers = 2\ncertFile = cert.pem\npkFile = key.pem\n";
    folder.write("websock.ini", ini);
    let server = Server::run(folder, &["serve", "-i", "websock.ini"], &[]);
    let browser = Browser::start();
    let url = format!("https://127.0.0.1:{}/", server.port);
    let (mut one, mut two) = (browser.open(&url), browser.open(&url));
    uuid_of(&mut one);
    uuid_of(&mut two);
    one.value("document.getElementById('text').value = 'inside TLS'");
    one.value("document.getElementById('broadcast').click()");
    two.wait_for(&shows("broadcastinside TLS"));
    publish_to(&mut two, "", "to all");
    one.wait_for(&shows("broadcastto all"));
}

/// Leaves a picture for people to look at.
fn keep(picture: &str, name: &str) {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    std::fs::write(folder.join(name), picture).unwrap();
}
