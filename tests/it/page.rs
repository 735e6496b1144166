//! The page in a real browser: a message that is published to one page appears only there.

use crate::browser::{Browser, Page};
use crate::harness::{Folder, Server, Setup, tokens};

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

    server.publish_well(&["--to-uuid", &first, "only for one"]);
    one.wait_for(&shows("only for one"));

    // A later message that both pages show proves that the earlier one is not merely late.
    server.publish_well(&["--all", "for everyone"]);
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

/// Fills in the form of the page and clicks, as a user does.
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
    english.wait_for(&shows("with language=EN"));
    assert_ne!(uuid_of(&mut english), before);

    publish_to(&mut english, "language=FR", "Bonjour");
    french.wait_for(&shows("broadcastBonjour"));
    english.wait_for(&shows("“Bonjour” to language=FR: does not match this page"));
    publish_to(&mut french, "language=FR", "Salut");
    french.wait_for(&shows("“Salut” to language=FR: matches this page, arrived"));
    // A message to both pages proves that nothing else is still under way to the other page.
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

/// One application for all clients, and one whose key opens connections but whose secret is needed to
/// publish.
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

pub fn refusals_of_the_server_are_explained_on_the_page() {
    let server = Setup::new().auth(APPLICATIONS).start();
    let browser = Browser::start();
    let url = format!("http://127.0.0.1:{}/", server.port);
    let mut page = browser.open(&format!("{url}?tags=%7B%22language%22%3A%22FR%22%7D"));
    uuid_of(&mut page);
    page.value("document.getElementById('key').value = 'shop'");
    publish_to(&mut page, "language=FR", "Bonjour");
    page.wait_for(&shows("“Bonjour” to language=FR: not delivered"));
    page.wait_for(&shows("not allowed (1008): Message sending is not authorized !"));
    page.value(
        "document.getElementById('secret').value = 'secret-of-the-shop-for-this-test-alone'",
    );
    publish_to(&mut page, "language=FR", "Salut");
    page.wait_for(&shows("“Salut” to language=FR: matches this page, arrived"));
    publish_to(&mut page, "FR", "to no tag");
    page.wait_for(&shows("“FR” is not a tag"));
    assert_eq!(page.value("location.href.includes('shop')"), false);

    let mut unreadable = browser.open(&format!("{url}?tags=FR"));
    unreadable.wait_for(&shows("the tags in the URL are not a JSON object"));
    uuid_of(&mut unreadable);
    let mut refused = browser.open(&format!("{url}?tags=%7B%22language%22%3A%5B1%5D%7D"));
    refused.wait_for(&shows("tag is not an integer or a string !"));
}

pub fn the_command_for_a_group_is_one_command_whatever_its_tags_hold() {
    let server = Server::start();
    let browser = Browser::start();
    let url = format!("http://127.0.0.1:{}/?tags=", server.port);
    // Decoded: {"a":"x'; touch trap; '$(touch trap)"}
    let link = format!("{url}%7B%22a%22%3A%22x'%3B%20touch%20trap%3B%20'%24(touch%20trap)%22%7D");
    let mut page = browser.open(&link);
    uuid_of(&mut page);
    let of_group = "document.getElementById('group-command').textContent";
    let command = page.value(of_group).as_str().unwrap().to_owned();
    let folder = Folder::new();
    let status = std::process::Command::new("sh")
        .args(["-c", &command])
        .current_dir(folder.root())
        .status()
        .unwrap();
    assert!(status.success(), "{command}");
    page.wait_for(&shows("broadcasthello"));
    assert!(!folder.path("trap").exists(), "{command}");

    // Decoded: {"a":"\u001b[201~"}, which a terminal reads as the end of a paste.
    let mut escape = browser.open(&format!("{url}%7B%22a%22%3A%22%5Cu001b%5B201~%22%7D"));
    uuid_of(&mut escape);
    escape.wait_for(&format!("{of_group}.startsWith('# ')"));
}

pub fn pages_inside_tls_reach_each_other() {
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

/// Clicks the tab of this name. Returns its text.
fn sample(page: &mut Page, id: &str) -> String {
    page.value(&format!("document.getElementById('tab-{id}').click()"));
    page.value("document.getElementById('code').textContent").as_str().unwrap().to_owned()
}

pub fn the_command_on_the_page_works_as_pasted() {
    let server = Server::start();
    let browser = Browser::start();
    let mut page = browser.open(&format!("http://127.0.0.1:{}/", server.port));
    uuid_of(&mut page);
    let command = sample(&mut page, "cli");
    let elsewhere = Folder::new();
    let output = std::process::Command::new("sh")
        .args(["-c", &command])
        .current_dir(elsewhere.root())
        .env("PATH", "/usr/bin:/bin")
        .output()
        .unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(printed.contains("reached 1 client"), "{printed}");
    page.wait_for(&shows("feedbackhalf done"));
    // "Next to" means in the same row of a wide page, and directly below in a narrow one.
    let boxes = "(() => { const a = document.getElementById('code').getBoundingClientRect(), \
                 b = document.getElementById('messages').getBoundingClientRect(); return ";
    page.set_size(1280, 900);
    page.wait_for(&format!(
        "{boxes} b.left >= a.right && b.top < a.bottom && b.bottom < 900 }})()"
    ));
    keep(&page.screenshot(), "page-1280.png.base64");
    page.set_size(375, 812);
    page.wait_for(&format!("{boxes} b.top >= a.bottom && b.top < 812 }})()"));
    page.wait_for("document.documentElement.scrollWidth <= 375");
    keep(&page.screenshot(), "page-375.png.base64");
    page.set_dark();
    keep(&page.screenshot(), "page-375-dark.png.base64");
    page.set_size(1280, 900);
    keep(&page.screenshot(), "page-1280-dark.png.base64");
}

pub fn the_php_of_the_page_reaches_it_with_nothing_but_php() {
    for ini in ["", "[phpws]\nuuid = plain"] {
        let server = Setup::new().ini(ini).start();
        let browser = Browser::start();
        let mut page = browser.open(&format!("http://127.0.0.1:{}/", server.port));
        uuid_of(&mut page);
        let folder = Folder::new();
        folder.write("sample.php", &sample(&mut page, "php"));
        let mut php = std::process::Command::new("php");
        let output = php.arg("sample.php").current_dir(folder.root()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        page.wait_for(&shows("feedbackhalf done"));
    }
}

pub fn the_javascript_of_the_page_reaches_it_from_another_page() {
    let server = Server::start();
    let browser = Browser::start();
    let url = format!("http://127.0.0.1:{}/", server.port);
    let (mut page, mut other) = (browser.open(&url), browser.open(&url));
    uuid_of(&mut page);
    uuid_of(&mut other);
    let code = sample(&mut page, "js");
    other.value(&format!("(() => {{ {code} }})()"));
    page.wait_for(&shows("feedbackhalf done"));
}

pub fn tabs_are_chosen_by_keys_too() {
    let server = Server::start();
    let browser = Browser::start();
    let mut page = browser.open(&format!("http://127.0.0.1:{}/", server.port));
    uuid_of(&mut page);
    let selected = "[...document.querySelectorAll('[role=tab][aria-selected=true]')]\
                    .map(tab => tab.textContent).join()";
    let mut press = |key: &str| {
        page.value(&format!(
            "document.activeElement.dispatchEvent(new KeyboardEvent('keydown', \
             {{ key: '{key}', bubbles: true, cancelable: true }}))"
        ));
        page.value(selected).as_str().unwrap().to_owned()
    };
    assert_eq!(press("Escape"), "Command line");
    page.value("document.getElementById('tab-cli').focus()");
    let mut press = |key: &str| {
        page.value(&format!(
            "document.activeElement.dispatchEvent(new KeyboardEvent('keydown', \
             {{ key: '{key}', bubbles: true, cancelable: true }}))"
        ));
        let focused = page.value("document.activeElement.textContent");
        assert_eq!(focused, page.value(selected), "the focus goes with the choice");
        focused.as_str().unwrap().to_owned()
    };
    for (key, chosen) in [
        ("ArrowRight", "JavaScript"),
        ("ArrowRight", "PHP"),
        ("End", "Python"),
        ("ArrowRight", "Command line"),
        ("ArrowLeft", "Python"),
        ("Home", "Command line"),
    ] {
        assert_eq!(press(key), chosen);
    }
    let reachable =
        "[...document.querySelectorAll('[role=tab]')].filter(tab => tab.tabIndex === 0).length";
    assert_eq!(page.value(reachable), 1);
    let panel = "document.getElementById('sample').getAttribute('aria-labelledby')";
    assert_eq!(page.value(panel), "tab-cli");
}

pub fn a_message_that_looks_like_a_greeting_changes_nothing_on_the_page() {
    let server = Setup::new().ini("[phpws]\nbroadcastWithoutOpcode = on").start();
    let browser = Browser::start();
    let mut page = browser.open(&format!("http://127.0.0.1:{}/", server.port));
    let uuid = uuid_of(&mut page);
    let before = sample(&mut page, "cli");
    let mut hostile = server.open(&crate::harness::Open::web());
    let other = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";
    for forged in ["x; id #", "$(id)", "'; id; '", other] {
        hostile.text(serde_json::json!({"opcode": "ready", "uuid": forged}).to_string());
        hostile.expect_next();
    }
    hostile.text(crate::harness::broadcast("the last one"));
    page.wait_for(&shows("the last one"));
    assert_eq!(sample(&mut page, "cli"), before);
    assert_eq!(page.value("document.getElementById('uuid').textContent"), uuid);
    // Markup from other clients is shown as text, and the policy prevents any other script from running.
    hostile.text(crate::harness::broadcast("<img src=x onerror=document.title=1>"));
    page.wait_for(&shows("<img src=x"));
    assert_eq!(page.value("document.querySelectorAll('#messages img').length"), 0);
}

pub fn the_page_finds_its_server_below_the_path_of_a_proxy() {
    let server = Server::start();
    let (port, browser) = (proxy(server.port, "/live"), Browser::start());
    for path in ["/live/", "/live"] {
        let mut page = browser.open(&format!("http://127.0.0.1:{port}{path}"));
        uuid_of(&mut page);
        let command = sample(&mut page, "cli");
        assert!(command.contains(&format!("ws://127.0.0.1:{port}/live/web")), "{command}");
        // A client that connects through a proxy is not on this machine.
        assert!(command.starts_with("tagcast publish "), "{command}");
        publish_to(&mut page, "", "through the proxy");
        page.wait_for(&shows("broadcastthrough the proxy"));
    }
}

/// A proxy like nginx with `location /live/ { proxy_pass http://…/; }`, which removes the prefix from the
/// target.
fn proxy(server: u16, prefix: &'static str) -> u16 {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let (mut client, mut head) = (client, Vec::new());
                while !head.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    match client.read(&mut byte) {
                        Ok(1) => head.push(byte[0]),
                        _ => return,
                    }
                }
                let head = String::from_utf8(head).unwrap();
                let head = head.replacen(&format!(" {prefix}/"), " /", 1);
                let head = head.replacen(&format!(" {prefix} "), " / ", 1);
                let head = head.replacen("\r\n", "\r\nX-Forwarded-For: 192.0.2.7\r\n", 1);
                let mut upstream = TcpStream::connect(("127.0.0.1", server)).unwrap();
                upstream.write_all(head.as_bytes()).unwrap();
                let (mut from, mut to) =
                    (upstream.try_clone().unwrap(), client.try_clone().unwrap());
                std::thread::spawn(move || {
                    let _ended = std::io::copy(&mut from, &mut to);
                    let _gone = to.shutdown(std::net::Shutdown::Write);
                });
                let _ended = std::io::copy(&mut client, &mut upstream);
                let _gone = upstream.shutdown(std::net::Shutdown::Write);
            });
        }
    });
    port
}

/// Saves a screenshot for people to look at.
fn keep(picture: &str, name: &str) {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    std::fs::write(folder.join(name), picture).unwrap();
}

/// Case A204, from a page.
pub fn a_page_shows_a_token_as_a_subprotocol() {
    let server = Setup::new().auth(&tokens::auth("")).start();
    let browser = Browser::start();
    let mut page = browser.open(&format!("http://127.0.0.1:{}/", server.port));
    page.wait_for("document.getElementById('status') !== null");
    let token = tokens::token(&serde_json::json!({"sub": "42"}));
    let mut open = |protocols: &str| {
        page.value(&format!(
            "window.tokenOutcome = ''; \
             window.tokenSocket = new WebSocket('ws://127.0.0.1:{}/web', {protocols}); \
             tokenSocket.onmessage = (event) => {{ tokenOutcome = tokenSocket.protocol + ' ' + JSON.parse(event.data).opcode; }}; \
             tokenSocket.onclose = () => {{ tokenOutcome = tokenOutcome || 'closed'; }};",
            server.port
        ));
        page.wait_for("tokenOutcome !== ''");
        page.value("tokenOutcome").as_str().unwrap().to_owned()
    };
    assert_eq!(open(&format!("['tagcast', 'tagcast-token.{token}']")), "tagcast ready");
    // A browser ends a connection if it has offered names and none was chosen.
    assert_eq!(open(&format!("['tagcast-token.{token}']")), "closed");
    assert_eq!(open("['tagcast', 'tagcast-token.x']"), "closed");
}
