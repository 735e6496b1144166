//! The truth table of expressions in `docs/cases.md`, row by row, over sockets.

use serde_json::{Value, json};

use crate::harness::api::{PUBLISH, SHOP, post, setup};
use crate::harness::tokens::{auth, token};
use crate::harness::{Open, Raw, Server};

/// One row of the table.
struct TruthRow {
    case: u32,
    expression: String,
    canonical: String,
    is_open: bool,
    /// The numbers of the clients that match.
    clients: Vec<usize>,
}

/// The rows A123 to A162: the expression, and its canonical form with the clients that match.
fn rows() -> Vec<TruthRow> {
    let page = std::fs::read_to_string("docs/cases.md").unwrap();
    let unescaped = |text: &str| text.replace("\\|", "|");
    let rows = page.lines().filter_map(|line| {
        let cells: Vec<&str> = line.strip_prefix("| A")?.split(" | ").collect();
        let case = cells[0].parse().ok().filter(|case| (123..=162).contains(case))?;
        let expression = cells[1].trim_matches('`');
        let (canonical, clients) = cells[2].strip_prefix('`')?.rsplit_once("`: ")?;
        let (clients, is_open) = match clients.strip_suffix("; open") {
            Some(clients) => (clients, true),
            None => (clients, false),
        };
        let numbers = clients.split(' ').filter_map(|word| word.strip_prefix('K')?.parse().ok());
        let clients = match clients {
            "all eight" => (0..8).collect(),
            _ => numbers.collect(),
        };
        let (expression, canonical) = (unescaped(expression), unescaped(canonical));
        Some(TruthRow { case, expression, canonical, is_open, clients })
    });
    rows.collect()
}

/// The clients K0 to K7.
fn clients(server: &Server) -> Vec<Raw> {
    let tags = [
        json!({}),
        json!({"role": "admin", "region": "eu"}),
        json!({"role": "admin", "region": "us-east"}),
        json!({"role": "user", "region": "eu-west", "level": 12}),
        json!({"role": "user", "level": "012"}),
        json!({"region": "", "beta": 1}),
        json!({"Role": "Admin", "weird name": "a&b", "é": "ü"}),
    ];
    let encoded =
        |tags: &Value| tags.to_string().bytes().map(|byte| format!("%{byte:02x}")).collect();
    let open = |tags: &Value| {
        let tags: String = encoded(tags);
        server.open(&Open::at(&format!("/web?key=shop&tags={tags}")))
    };
    let mut clients: Vec<Raw> = tags.iter().map(open).collect();
    let claims = json!({"sub": "42", "tags": {"role": "ad*"}});
    clients.push(server.open(&Open::at(&format!("/web?token={}", token(&claims)))));
    clients
}

/// A123 to A162.
#[test]
fn each_row_of_the_truth_table_is_true_of_sockets_counts_and_explanations() {
    let server = setup().auth(&auth("")).start();
    let mut clients = clients(&server);
    let mut backend = Raw::connect(server.port);
    let mut ask = |target: &str, body: &Value| {
        let answer = backend.request(post(target, &[SHOP], &body.to_string()));
        assert_eq!(answer.status(), 200, "{body}: {}", answer.body);
        answer.json()
    };
    let rows = rows();
    assert_eq!(rows.len(), 40);
    for TruthRow { case, expression, canonical, is_open, clients: matching } in &rows {
        let body = json!({"to": {"expr": expression}, "message": case});
        assert_eq!(ask(PUBLISH, &body)["matched"], matching.len(), "A{case}");
        for (number, client) in clients.iter().enumerate() {
            let body = json!({"expr": expression, "uuid": client.uuid});
            let why = ask("/v1/apps/shop/explain", &body);
            assert_eq!(
                (&why["canonical"], &why["open"]),
                (&json!(canonical), &json!(is_open)),
                "A{case}"
            );
            let is_match = matching.contains(&number);
            assert_eq!(why["connection"]["matches"], is_match, "A{case}: K{number}");
        }
    }
    ask(PUBLISH, &json!({"to": "all", "message": "last"}));
    for (number, client) in clients.iter_mut().enumerate() {
        for row in rows.iter().filter(|row| row.clients.contains(&number)) {
            client.expect_text(&format!(r#"{{"opcode":"broadcast","message":{}}}"#, row.case));
        }
        client.expect_text(r#"{"opcode":"broadcast","message":"last"}"#);
    }
}
