//! The two chats of `examples/`: runs their interpreters and checks what their pages show.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::browser::{Browser, Page};
use crate::harness::{Server, Setup, eventually};

const SECRET: &str = "secret-of-the-chat-for-this-test-alone";

const APPLICATIONS: &str = "applications:
  - key: chat
    secret: secret-of-the-chat-for-this-test-alone
    authorizeOpen: true
";

/// Returns the path of a file of an example.
pub fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(path)
}

/// A running interpreter that listens on a port.
pub struct Backend(Child);

impl Backend {
    /// Starts the interpreter and waits until it listens.
    pub fn start(command: &mut Command, port: u16) -> Self {
        let child = command
            .env("CHAT_SECRET", SECRET)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let backend = Self(child);
        eventually("a backend that listens", || TcpStream::connect(("127.0.0.1", port)).ok());
        backend
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Returns a port on which no program listens.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// Starts a server whose `/chat` is bound to this backend.
pub fn server(url: &str) -> Server {
    let ini =
        format!("[resource /chat]\nkind = http\nurl = {url}\napplication = chat\ndeadline = 20s");
    Setup::new().ini(&ini).auth(APPLICATIONS).start()
}

fn page(browser: &Browser, (server, port): (&Server, u16), name: &str) -> Page {
    let address = format!("127.0.0.1:{}", server.port);
    browser.open(&format!("http://127.0.0.1:{port}/?name={name}&server={address}"))
}

fn state(word: &str) -> String {
    format!("document.getElementById('state')?.textContent === '{word}'")
}

fn shows(text: &str) -> String {
    format!("document.getElementById('said').textContent.includes('{text}')")
}

fn send_chat(page: &mut Page, text: &str) {
    page.value(&format!("document.getElementById('text').value = '{text}'"));
    page.value("document.getElementById('form').requestSubmit()");
}

/// Two pages chat, and a third page is refused. Then the backend is killed and restarted while the pages stay
/// connected.
pub fn two_chat_and_a_third_is_refused(
    start: impl Fn(u16) -> Backend,
    (server, port): (&Server, u16),
) {
    let backend = start(port);
    let browser = Browser::start();
    let place = (server, port);
    let mut anna = page(&browser, place, "anna");
    anna.wait_for(&state("connected"));
    let mut bert = page(&browser, place, "bert");
    anna.wait_for(&shows("bert: has come"));
    let mut carl = page(&browser, place, "carl");
    carl.wait_for(&state("closed"));
    server.wait_for_output("you are not on the list");
    send_chat(&mut anna, "hello");
    for page in [&mut anna, &mut bert] {
        page.wait_for(&shows("anna: hello"));
    }

    drop(backend);
    send_chat(&mut bert, "is anybody there?");
    let _backend = start(port);
    for page in [&mut anna, &mut bert] {
        page.wait_for(&shows("bert: is anybody there?"));
    }
    send_chat(&mut anna, "yes");
    for page in [&mut anna, &mut bert] {
        page.wait_for(&shows("anna: yes"));
        assert_eq!(page.value(&state("connected")), true);
    }
    let counts = server.counts();
    assert_eq!((counts.opened, counts.open), (2, 2), "a connection was lost");
    bert.value("socket.close()");
    anna.wait_for(&shows("bert: has left"));
}
