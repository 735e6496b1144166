//! `examples/groups.html` in a real browser, opened as a file.

use crate::browser::{Browser, Page};
use crate::harness::Server;

fn publish(server: &Server, language: &str, message: &str) {
    server.publish_well(&["--tag", &format!("language={language}"), message]);
}

fn connected(page: &mut Page) {
    page.wait_for("document.getElementById('state')?.textContent === 'connected'");
}

fn shows(text: &str) -> String {
    format!("document.getElementById('news').textContent.includes('{text}')")
}

pub fn a_page_gets_only_publications_in_its_language() {
    let server = Server::start();
    let browser = Browser::start();
    let file = format!("file://{}/examples/groups.html", env!("CARGO_MANIFEST_DIR"));
    let mut page = browser.open(&format!("{file}?server=127.0.0.1:{}", server.port));
    connected(&mut page);
    publish(&server, "EN", "Good morning");
    publish(&server, "FR", "Bonjour");
    page.wait_for(&shows("Bonjour"));
    assert_eq!(page.value(&shows("Good morning")), false);
    page.value("document.getElementById('language').value = 'EN'");
    page.value("document.getElementById('language').onchange()");
    connected(&mut page);
    publish(&server, "FR", "Bonsoir");
    publish(&server, "EN", "Good evening");
    page.wait_for(&shows("Good evening"));
    assert_eq!(page.value(&shows("Bonsoir")), false);
}
