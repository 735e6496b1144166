//! The page in a real browser: what is published to one page appears in that one only.

use crate::browser::{Browser, Page};
use crate::harness::{Folder, Server, Setup, run_to_end};

fn shows(text: &str) -> String {
    format!("document.getElementById('messages').textContent.includes('{text}')")
}

fn uuid_of(page: &mut Page) -> String {
    page.wait_for("document.getElementById('status').dataset.state === 'open'");
    page.value("document.getElementById('uuid').textContent").as_str().unwrap().to_owned()
}

pub fn what_is_published_to_one_page_appears_in_that_one_only() {
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

pub fn what_is_published_to_a_group_appears_in_its_pages_only() {
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

/// One that everybody may use, and one that opens by its key alone but publishes with its secret only.
const APPLICATIONS: &str = "anonymous: pages
applications:
  - key: pages
    secret: secret-of-the-pages-for-this-test-alone
    authorizeOpen: true
    clientPublish: true
  - key: shop
    secret: secret-of-the-shop-for-this-test-alone
    authorizeOpen: true
";

pub fn what_the_server_refuses_is_said_in_words() {
    let server = Setup::new().auth(APPLICATIONS).start();
    let browser = Browser::start();
    let url = format!("http://127.0.0.1:{}/", server.port);
    let mut page = browser.open(&format!("{url}?tags=%7B%22language%22%3A%22FR%22%7D"));
    uuid_of(&mut page);
    page.value("document.getElementById('key').value = 'shop'");
    publish_to(&mut page, "language=FR", "Bonjour");
    page.wait_for(&shows("“Bonjour” to language=FR: reached nobody"));
    page.wait_for(&shows("not allowed (1008): Message sending is not authorized !"));
    page.value(
        "document.getElementById('secret').value = 'secret-of-the-shop-for-this-test-alone'",
    );
    publish_to(&mut page, "language=FR", "Salut");
    page.wait_for(&shows("“Salut” to language=FR: matches my tags, and arrived"));
    publish_to(&mut page, "FR", "to no tag");
    page.wait_for(&shows("“FR” is no tag"));
    assert_eq!(page.value("location.href.includes('shop')"), false);

    let mut unreadable = browser.open(&format!("{url}?tags=FR"));
    unreadable.wait_for(&shows("the tags in the address are no JSON object"));
    uuid_of(&mut unreadable);
    let mut refused = browser.open(&format!("{url}?tags=%7B%22language%22%3A%5B1%5D%7D"));
    refused.wait_for(&shows("tag is not an integer or a string !"));
}

pub fn the_command_for_a_group_is_one_command_whatever_its_tags_hold() {
    let server = Server::start();
    let browser = Browser::start();
    let url = format!("http://127.0.0.1:{}/?tags=", server.port);
    // {"a":"x'; touch trap; '$(touch trap)"}
    let link = format!("{url}%7B%22a%22%3A%22x'%3B%20touch%20trap%3B%20'%24(touch%20trap)%22%7D");
    let mut page = browser.open(&link);
    uuid_of(&mut page);
    let of_group = "document.getElementById('group-command').textContent";
    let command = page.value(of_group).as_str().unwrap().to_owned();
    let arguments = command.strip_prefix("tagcast ").unwrap();
    let folder = Folder::new();
    let status = std::process::Command::new("sh")
        .args(["-c", &format!("'{}' {arguments}", env!("CARGO_BIN_EXE_tagcast"))])
        .current_dir(folder.root())
        .status()
        .unwrap();
    assert!(status.success(), "{command}");
    page.wait_for(&shows("broadcasthello"));
    assert!(!folder.path("trap").exists(), "{command}");

    // {"a":"\u001b[201~"}: the end of a paste, for a terminal.
    let mut escape = browser.open(&format!("{url}%7B%22a%22%3A%22%5Cu001b%5B201~%22%7D"));
    uuid_of(&mut escape);
    escape.wait_for(&format!("{of_group}.startsWith('# ')"));
}

pub fn pages_inside_tls_hear_each_other() {
    let folder = Folder::new();
    crate::harness::tls::certificate_in(&folder);
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
