//! `docs/from-a-backend.md`: its page starts a job at each of its backends, and gets the progress.

use std::process::Command;

use crate::browser::Browser;
use crate::chat::{Backend, free_port};
use crate::harness::api::{self, SHOP_SECRET};
use crate::harness::{Folder, Open, Server};

/// The ports in the page.
const SERVER: &str = "127.0.0.1:8094";
const BACKEND: &str = "8000";

/// The first block of a language, for a server and a backend on these ports.
fn block(language: &str, server: u16, backend: u16) -> String {
    let page = std::fs::read_to_string("docs/from-a-backend.md").unwrap();
    let rest = page.split(&format!("```{language}\n")).nth(1).unwrap();
    rest.split("\n```")
        .next()
        .unwrap()
        .replace(SERVER, &format!("127.0.0.1:{server}"))
        .replace(BACKEND, &backend.to_string())
}

fn server() -> Server {
    api::setup().start()
}

/// Two pages are open; the one whose button is pressed gets the progress and the answer.
#[track_caller]
fn reports_to_the_page_that_asks(language: &str, file: &str, command: &[&str]) {
    let (server, port) = (server(), free_port());
    let folder = Folder::new();
    folder.write("index.html", &block("html", server.port, port));
    folder.write(file, &block(language, server.port, port));
    let listens = format!("127.0.0.1:{port}");
    let arguments = command[1..].iter().map(|it| it.replace("ADDRESS", &listens));
    let _backend = Backend::start(
        Command::new(command[0])
            .args(arguments)
            .current_dir(folder.root())
            .env("SECRET", SHOP_SECRET),
        port,
    );
    let browser = Browser::start();
    let [mut page, mut other] = [(); 2].map(|()| browser.open(&format!("http://{listens}/")));
    for page in [&mut page, &mut other] {
        page.wait_for("document.getElementById('start')?.disabled === false");
    }
    page.value("document.getElementById('start').click()");
    page.wait_for("document.getElementById('line').textContent === 'done'");
    page.wait_for("document.getElementById('bar').value === 100");
    assert_eq!(other.value("document.getElementById('bar').value"), 0);
}

pub fn the_php_backend_reports_to_the_page() {
    reports_to_the_page_that_asks("php", "job.php", &["php", "-S", "ADDRESS", "job.php"]);
}

pub fn the_node_backend_reports_to_the_page() {
    reports_to_the_page_that_asks("js", "job.mjs", &["node", "job.mjs"]);
}

pub fn the_python_backend_reports_to_the_page() {
    reports_to_the_page_that_asks("python", "job.py", &["python3", "job.py"]);
}

pub fn the_shell_reports_to_the_page() {
    let server = server();
    let mut page = server.open(&Open::at("/web?key=shop"));
    let script = block("sh", server.port, 0);
    let mut shell = Command::new("sh");
    let output = shell
        .args(["-ec", &script])
        .env("SECRET", SHOP_SECRET)
        .env("UUID", &page.uuid)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for percent in [0, 25, 50, 75, 100] {
        page.expect_text(&format!(r#"{{"opcode":"feedback","message":{{"percent":{percent}}}}}"#));
    }
}
