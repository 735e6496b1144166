//! The console in a real browser, with real connections.

use crate::browser::{Browser, Page};
use crate::harness::api::{Clients, PUBLISH, SHOP, post};
use crate::harness::{Raw, Server, eventually};
use crate::operators::operated;

const SCREENS: [&str; 7] =
    ["overview", "connections", "expressions", "live", "events", "applications", "configuration"];

fn keep(picture: &str, name: &str) {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    std::fs::write(folder.join(name), picture).unwrap();
}

fn click(page: &mut Page, id: &str) {
    page.value(&format!("document.getElementById('{id}').click()"));
}

/// Writes into a field as a user does.
fn write(page: &mut Page, id: &str, text: &str) {
    page.value(&format!(
        "(field => {{ field.value = '{text}'; field.dispatchEvent(new Event('input')); }})(document.getElementById('{id}'))"
    ));
}

fn go_to(page: &mut Page, screen: &str) {
    page.value(&format!("location.hash = '{screen}'"));
    page.wait_for(&format!(
        "document.getElementById('main').dataset.screen === '{screen}' && document.getElementById('main').children.length > 0"
    ));
}

fn log_in_with_token(page: &mut Page) {
    page.wait_for("document.getElementById('enter') !== null");
    write(page, "token", crate::operators::EVE);
    click(page, "enter");
    page.wait_for("document.querySelectorAll('.tile').length === 9");
}

fn log_in(page: &mut Page) {
    page.wait_for("document.getElementById('enter') !== null");
    write(page, "name", "anna");
    write(page, "password", crate::operators::PASSWORD);
    click(page, "enter");
    page.wait_for("document.querySelectorAll('.tile').length === 9");
}

pub fn an_operator_finds_explains_and_closes_connections() {
    let server = operated("consolePage = on\n");
    let mut clients = Clients::open(&server);
    let browser = Browser::start();
    let mut page = browser.open(&format!("http://127.0.0.1:{}/console", server.api_port("http")));
    log_in(&mut page);
    page.wait_for("document.getElementById('state').dataset.state === 'serving'");
    page.wait_for("document.querySelector('svg path').getAttribute('d').includes('L')");

    go_to(&mut page, "connections");
    page.value("(s => { s.value = 'shop'; s.dispatchEvent(new Event('change')); })(document.getElementById('application'))");
    page.wait_for("document.getElementById('matched').textContent === '3 matching'");
    write(&mut page, "expression", "language=FR");
    click(&mut page, "find");
    page.wait_for("document.getElementById('matched').textContent === '1 matching'");
    page.value(&format!("document.querySelector('[data-uuid=\"{}\"]').click()", clients.f.uuid));
    page.wait_for("document.getElementById('main').textContent.includes('web, phpws')");
    page.value("[...document.querySelectorAll('button')].find(b => b.textContent === 'Disconnect').click()");
    click(&mut page, "ask-yes");
    page.wait_for("document.getElementById('ask-failure').textContent === 'Write a reason.'");
    write(&mut page, "ask-reason", "a test of the console");
    click(&mut page, "ask-yes");
    clients.f.expect_closed(1000);
    server.wait_for_output("a test of the console");

    go_to(&mut page, "expressions");
    write(&mut page, "expression", "room=1");
    click(&mut page, "lab-count");
    page.wait_for("document.getElementById('result').textContent.includes('\"matched\": 1')");
    write(&mut page, "lab-uuid", &clients.n.uuid);
    click(&mut page, "lab-explain");
    page.wait_for("document.getElementById('result').textContent.includes('canonical')");
    click(&mut page, "lab-dry");
    page.wait_for("document.getElementById('result').textContent.includes('dry_run')");

    click(&mut page, "logout");
    page.wait_for("document.getElementById('enter') !== null && sessionStorage.length === 0");
}

/// Publishes to all clients of `shop`, as a backend does.
fn publish(server: &Server, message: &str) {
    let body = format!(r#"{{"to":"all","message":{message}}}"#);
    let request = post(PUBLISH, &[SHOP], &body);
    let answer = Raw::connect(server.api_port("http")).request(request);
    assert_eq!(answer.status(), 200, "{}", answer.body);
}

pub fn publications_are_shown_while_they_are_made() {
    let server = operated("consolePage = on\n");
    let _clients = Clients::open(&server);
    let browser = Browser::start();
    let mut page = browser.open(&format!("http://127.0.0.1:{}/console", server.api_port("http")));
    log_in_with_token(&mut page);
    go_to(&mut page, "live");
    click(&mut page, "live-payloads");
    click(&mut page, "live-start");
    page.wait_for(
        "document.getElementById('live-note').textContent === 'Waiting for a publication.'",
    );
    // The stream is open once a publication arrives.
    eventually("a publication on the page", || {
        publish(&server, "\"<b>bold</b>\"");
        let text = page.value("document.querySelector('tbody').textContent");
        text.as_str().unwrap().contains("\"<b>bold</b>\"").then_some(())
    });
    assert_eq!(page.value("document.querySelectorAll('tbody b').length"), 0, "text, not HTML");
    keep(&page.screenshot(), "console-live-rows.png.base64");
    click(&mut page, "live-start");
    page.wait_for("document.getElementById('live-start').textContent === 'Start'");
    click(&mut page, "live-start");
    go_to(&mut page, "overview");
    assert_eq!(page.value("document.getElementById('failure').hidden"), true);
}

pub fn events_are_shown_when_they_happen() {
    let server = operated("consolePage = on\n");
    let browser = Browser::start();
    let mut page = browser.open(&format!("http://127.0.0.1:{}/console", server.api_port("http")));
    log_in_with_token(&mut page);
    go_to(&mut page, "events");
    page.wait_for("document.querySelector('tr[data-kind=ready]') !== null");
    server.kill_broker();
    page.wait_for(
        "(row => row !== null && row.textContent.includes('broker'))(document.querySelector('tr[data-kind=process_exit]'))",
    );
    keep(&page.screenshot(), "console-event-rows.png.base64");
    page.value("(s => { s.value = 'reload'; s.dispatchEvent(new Event('change')); })(document.getElementById('event-kind'))");
    page.wait_for("document.querySelectorAll('tbody tr').length === 0");
    go_to(&mut page, "overview");
    assert_eq!(page.value("document.getElementById('failure').hidden"), true);
}

pub fn every_screen_fits_a_telephone_and_has_nothing_to_report() {
    let server = operated("consolePage = on\nmaxMessage = 1M\n");
    let _clients = Clients::open(&server);
    let browser = Browser::start();
    let mut page = browser.open(&format!("http://127.0.0.1:{}/console", server.api_port("http")));
    page.set_size(1280, 900);
    log_in(&mut page);
    page.wait_for(
        "(document.querySelector('svg path').getAttribute('d').match(/L/g) || []).length >= 4",
    );
    for theme in ["light", "dark"] {
        for (width, height) in [(1280, 900), (375, 800)] {
            page.set_size(width, height);
            for screen in SCREENS {
                go_to(&mut page, screen);
                if screen == "connections" {
                    page.wait_for("document.querySelector('[data-uuid]') !== null");
                    page.value("document.querySelector('[data-uuid]').click()");
                    page.wait_for("document.getElementById('main').textContent.includes('Outbox')");
                }
                if screen == "applications" {
                    page.value("document.querySelector('td button').click()");
                    page.wait_for(
                        "document.getElementById('main').textContent.includes('Tag names')",
                    );
                }
                let wide = page.value("document.documentElement.scrollWidth");
                assert!(wide.as_u64().unwrap() <= u64::from(width), "{screen} at {width}: {wide}");
                let failure = page.value("document.getElementById('failure').hidden");
                assert_eq!(failure, true, "{screen}");
                keep(&page.screenshot(), &format!("console-{screen}-{width}-{theme}.png.base64"));
            }
        }
        page.set_dark();
    }
}
