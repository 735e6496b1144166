//! The examples for backends in the README and in `docs/api.md` publish, in each of their
//! languages.

use std::process::Command;

use crate::harness::api::{self, SHOP_SECRET};
use crate::harness::{Open, Server, Setup};

/// The address in the documents.
const DOCUMENTED: &str = "http://127.0.0.1:8094";

/// Returns the fenced blocks of a language that publish.
fn publishing_blocks(document: &str, language: &str) -> Vec<String> {
    blocks(document, language, "/publish")
}

/// Returns the fenced blocks of a language that have this text.
fn blocks(document: &str, language: &str, with: &str) -> Vec<String> {
    let text = std::fs::read_to_string(document).unwrap();
    let fence = format!("```{language}\n");
    text.split(&fence)
        .skip(1)
        .map(|rest| rest.split("\n```").next().unwrap().to_owned())
        .filter(|block| block.contains(with))
        .collect()
}

/// Runs a script against this server and returns what it prints.
#[track_caller]
fn run(server: &Server, command: &[&str], script: &str) -> String {
    let script = script.replace(DOCUMENTED, &format!("http://127.0.0.1:{}", server.port));
    let mut process = Command::new(command[0]);
    let output = process.args(&command[1..]).arg(&script).env("SECRET", SHOP_SECRET).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// How a language runs a block, and what comes before and after it.
struct Runner {
    command: &'static [&'static str],
    language: &'static str,
    before: &'static str,
    after: &'static str,
}

const CURL: Runner = Runner { command: &["sh", "-c"], language: "sh", before: "", after: "" };
const PHP: Runner = Runner {
    command: &["php", "-r"],
    language: "php",
    before: "$secret = getenv('SECRET');",
    after: "echo $answer;",
};
const NODE: Runner = Runner {
    command: &["node", "--input-type=module", "--eval"],
    language: "js",
    before: "const secret = process.env.SECRET;",
    after: "console.log(await answer.text());",
};
const PYTHON: Runner = Runner {
    command: &["python3", "-c"],
    language: "python",
    before: "import os\nsecret = os.environ['SECRET']",
    after: "print(answer.decode())",
};

impl Runner {
    /// Runs the first block in `docs/api.md` that names a room; a page in this room receives it.
    #[track_caller]
    fn publishes_to_a_room(&self) {
        let server = api::setup().start();
        let mut page = server.open(&Open::at(r#"/web?key=shop&tags={"room":"1"}"#));
        let blocks = publishing_blocks("docs/api.md", self.language);
        let block = blocks.iter().find(|block| block.contains("room")).unwrap();
        let printed = run(&server, self.command, &self.script(block));
        assert_eq!(printed.trim(), r#"{"matched":1,"workers":1}"#);
        let received = page.frame().as_text().to_owned();
        let received: serde_json::Value = serde_json::from_str(&received).unwrap();
        assert_eq!(
            received,
            serde_json::json!({"opcode": "broadcast", "message": {"text": "hello"}})
        );
    }

    fn script(&self, block: &str) -> String {
        format!("{}\n{block}\n{}", self.before, self.after)
    }

    /// Runs the block of `docs/api.md` that lists connections: it shows the one client in the room.
    #[track_caller]
    fn lists_a_room(&self) {
        let server = api::setup().start();
        let page = server.open(&Open::at(r#"/web?key=shop&tags={"room":"1"}"#));
        let _muted = server.open(&Open::at(r#"/web?key=shop&tags={"room":"1","muted":"1"}"#));
        let block = blocks("docs/api.md", self.language, "/connections?").into_iter();
        let block = block.chain(blocks("docs/api.md", self.language, "/connections -H")).next();
        let printed = run(&server, self.command, &self.script(&block.unwrap()));
        let printed: serde_json::Value = serde_json::from_str(printed.trim()).unwrap();
        assert_eq!(printed["matched"], 1, "{printed}");
        assert_eq!(printed["connections"][0]["uuid"], page.uuid.as_str());
    }
}

impl Runner {
    /// Runs the block of `docs/api.md` that changes tags: its client has the new ones.
    #[track_caller]
    fn changes_tags(&self) {
        let server = api::setup().start();
        let target = r#"/web?key=shop&tags={"language":"FR","muted":"1"}"#;
        let page = server.open(&Open::at(target));
        let block = blocks("docs/api.md", self.language, "uuid/tags").into_iter();
        let block = block.chain(blocks("docs/api.md", self.language, "uuid}/tags"));
        let block = block.chain(blocks("docs/api.md", self.language, "$UUID/tags")).next();
        let before = self.before.replace("$secret", &format!("$uuid = '{}'; $secret", page.uuid));
        let uuid = match self.language {
            "sh" => format!("UUID={}", page.uuid),
            "js" => format!("const uuid = '{}';", page.uuid),
            "python" => format!("uuid = '{}'", page.uuid),
            _ => String::new(),
        };
        let script = format!("{uuid}\n{before}\n{}\n{}", block.unwrap(), self.after);
        let printed = run(&server, self.command, &script);
        let printed: serde_json::Value = serde_json::from_str(printed.trim()).unwrap();
        assert_eq!(printed["tags"], serde_json::json!({"language": "FR", "room": "2"}));
        assert!(printed["version"].is_u64(), "{printed}");
    }
}

impl Runner {
    /// Runs the block of `docs/api.md` that closes connections.
    #[track_caller]
    fn closes_a_room(&self) {
        let server = api::setup().start();
        let mut page = server.open(&Open::at(r#"/web?key=shop&tags={"room":"1"}"#));
        let other = server.open(&Open::at("/web?key=shop"));
        let block = blocks("docs/api.md", self.language, "connections:disconnect").remove(0);
        let uuid = match self.language {
            "sh" => format!("UUID={}\n", other.uuid),
            _ => String::new(),
        };
        let printed = run(&server, self.command, &format!("{uuid}{}", self.script(&block)));
        assert!(printed.contains(r#"{"matched":1,"workers":1}"#), "{printed}");
        page.expect_closed(4002);
    }
}

pub fn the_lines_for_curl_disconnect() {
    CURL.closes_a_room();
}

pub fn the_lines_for_php_disconnect() {
    PHP.closes_a_room();
}

pub fn the_lines_for_node_disconnect() {
    NODE.closes_a_room();
}

pub fn the_lines_for_python_disconnect() {
    PYTHON.closes_a_room();
}

pub fn the_lines_for_curl_change_tags() {
    CURL.changes_tags();
}

pub fn the_lines_for_php_change_tags() {
    PHP.changes_tags();
}

pub fn the_lines_for_node_change_tags() {
    NODE.changes_tags();
}

pub fn the_lines_for_python_change_tags() {
    PYTHON.changes_tags();
}

pub fn the_lines_for_curl_list() {
    CURL.lists_a_room();
}

pub fn the_lines_for_php_list() {
    PHP.lists_a_room();
}

pub fn the_lines_for_node_list() {
    NODE.lists_a_room();
}

pub fn the_lines_for_python_list() {
    PYTHON.lists_a_room();
}

pub fn the_first_line_of_the_readme_publishes_with_the_shipped_files() {
    let server = Setup::new().auth(&std::fs::read_to_string("auth.yml").unwrap()).start();
    let mut page = server.open(&Open::web());
    let block = publishing_blocks("README.md", "sh").remove(0);
    assert_eq!(run(&server, &["sh", "-c"], &block).trim(), r#"{"matched":1,"workers":1}"#);
    page.expect_text(r#"{"opcode":"broadcast","message":"hello"}"#);
}

pub fn the_lines_for_curl_publish() {
    CURL.publishes_to_a_room();
}

/// Returns the shell lines of `docs/api.md` that contain this text.
fn shell_lines(text: &str) -> String {
    let document = std::fs::read_to_string("docs/api.md").unwrap();
    let blocks = document.split("```sh\n").skip(1).map(|rest| rest.split("\n```").next().unwrap());
    blocks.filter(|block| block.contains(text)).collect::<Vec<_>>().join("\n")
}

pub fn the_lines_for_a_report_count_the_sockets() {
    let server = api::setup().start();
    let mut page = server.open(&Open::at(r#"/web?key=shop&tags={"news":"1"}"#));
    let printed = run(&server, &["sh", "-c"], &shell_lines(r#""ack":"written""#));
    let counts = r#"{"matched":1,"workers":1,"written":1,"slow":0,"closed":0,"waiting":0}"#;
    assert_eq!(printed.trim(), counts);
    page.expect_text(r#"{"opcode":"broadcast","message":"hello"}"#);
}

pub fn the_lines_that_ask_print_the_answer_of_the_page() {
    let server = api::setup().start();
    let mut page = server.open(&Open::at("/web?key=shop"));
    let script = format!("UUID={}\n{}", page.uuid, shell_lines("/ask"));
    let printed = std::thread::scope(|scope| {
        let backend = scope.spawn(|| run(&server, &["sh", "-c"], &script));
        let question: serde_json::Value = serde_json::from_str(page.frame().as_text()).unwrap();
        assert_eq!(question["message"], serde_json::json!({"question": "Delete it?"}));
        let number = &question["ask"];
        page.text(format!(r#"{{"opcode":"answer","ask":{number},"message":{{"yes":true}}}}"#));
        backend.join().unwrap()
    });
    assert!(printed.starts_with(r#"{"answer":{"yes":true},"took_ms":"#), "{printed}");
}

pub fn the_lines_for_php_publish() {
    PHP.publishes_to_a_room();
}

pub fn the_lines_for_node_publish() {
    NODE.publishes_to_a_room();
}

pub fn the_lines_for_python_publish() {
    PYTHON.publishes_to_a_room();
}
