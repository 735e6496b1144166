//! Server-sent events in a real browser: `EventSource` reconnects by itself, with its position.

use crate::browser::{Browser, Page};
use crate::harness::processes::send_signal;
use crate::harness::{Server, Setup};
use rustix::process::Signal;

/// An application that stores publications, and whose secret is needed to publish.
const APPLICATIONS: &str = "applications:
  - key: shop
    secret: secret-of-the-shop-for-this-test-alone
    authorizeOpen: true
    history: 100
";

/// A document without a script and without a policy of its own.
fn bare_page(browser: &Browser, server: &Server) -> Page {
    let mut page = browser.open(&format!("http://127.0.0.1:{}/livez", server.port));
    page.wait_for("location.pathname === '/livez' && document.readyState === 'complete'");
    page
}

/// V149.
pub fn an_event_source_comes_back_with_its_position_after_its_worker_died() {
    let server = Setup::new().workers(1).auth(APPLICATIONS).start();
    let browser = Browser::start();
    let mut page = bare_page(&browser, &server);
    page.value(
        "window.heard = []; window.uuids = []; window.recovered = []; \
         window.events = new EventSource('/sse?key=shop'); \
         events.onmessage = ({ data }) => heard.push(JSON.parse(data)); \
         events.addEventListener('tagcast:welcome', ({ data }) => \
             uuids.push(JSON.parse(data).uuid)); \
         events.addEventListener('tagcast:recovery', ({ data }) => \
             recovered.push(JSON.parse(data).recovered));",
    );
    page.wait_for("uuids.length === 1");
    let secret = ("Authorization", "Bearer secret-of-the-shop-for-this-test-alone");
    let publish = |message: u32| {
        let body = format!(r#"{{"to":"all","message":{message}}}"#);
        assert_eq!(server.post("/v1/apps/shop/publish", secret, &body).status(), 200);
    };
    publish(0);
    page.wait_for("heard.length === 1");
    send_signal(server.workers(1)[0], Signal::KILL);
    (1..=20).for_each(publish);
    page.wait_for("recovered.length === 1 && uuids.length === 2");
    assert_eq!(page.value("recovered[0] && uuids[0] !== uuids[1]"), true);
    publish(21);
    page.wait_for("heard.length === 22");
    assert_eq!(page.value("heard.every((message, place) => message === place)"), true);
}

/// V153: by its standard it gives up.
pub fn an_event_source_with_a_wrong_key_ends() {
    let server = Setup::new().auth(APPLICATIONS).start();
    let browser = Browser::start();
    let mut page = bare_page(&browser, &server);
    page.value("window.events = new EventSource('/sse?key=nobody')");
    page.wait_for("events.readyState === 2");
}
