//! Guessed credentials and unknown clients: faults 6 and 27 of `docs/faults.md`. During each attack a
//! bystander must be served normally, and nothing may be left afterwards.

use crate::harness::processes::send_signal;
use crate::harness::watch::{cpu_time_of_workers, resident_of_workers, with_bystander_opened_by};
use crate::harness::{Bystander, NEXT, Open, Raw, Server, Setup, eventually};
use rustix::process::Signal;

const AUTH: &str = "
applications:
  - {key: shop, secret: the-right-secret-of-shop, authorizeOpen: true, clientPublish: true}
  - {key: bank, secret: the-right-secret-of-bank, authorizeOpen: false}
";
const DENIED: &str = r#"{"opcode":"error","error":"Message sending is not authorized !"}"#;

fn server() -> Server {
    Setup::new().ini("logLevel = trace\nlogfile = all.log").auth(AUTH).start()
}

/// Opens a bystander pair with a key.
fn bystander(server: &Server) -> Bystander {
    let open = Open::web().target("/web?key=shop");
    let (one, other) = server.open_apart(&open, &open);
    Bystander::between(one, other)
}

/// A broker that does not answer admits no client, so a client that is refused meanwhile was refused without
/// the broker.
#[test]
fn fault_6_and_27_wrong_origins_are_refused_before_the_backend_is_asked() {
    let server = Setup::new().ini("allowedOrigins = http://ok.example").auth(AUTH).start();
    let foreign = |origin: &str| {
        let open = Open::web().target("/web?key=shop").header("Origin", origin);
        open.header("Cookie", "PHPSESSID=a-valid-one")
    };
    let broker = server.broker();
    send_signal(broker, Signal::STOP);
    for origin in ["http://evil.example", "null", "http://ok.example.evil.example", "file://"] {
        foreign(origin).ask(server.port).expect_refusal(403);
    }
    for target in ["/web", "/web?key=shop2", "/web?key=bank&secret=guessed", "/web?secret=x"] {
        let open = Open::web().without("Origin").target(target);
        open.ask(server.port).expect_refusal(401);
    }
    let mut admitted = Open::web().without("Origin").target("/web?key=shop").ask(server.port);
    let mut same = foreign("http://OK.example").ask(server.port);
    send_signal(broker, Signal::CONT);
    for client in [&mut admitted, &mut same] {
        client.expect_upgrade();
        client.expect_ready();
    }
}

/// A token of a megabyte is refused by the limit on the head.
#[test]
fn fault_27_missing_wrong_and_huge_tokens_are_refused() {
    let server = server();
    with_bystander_opened_by(&server, bystander, |bystander| {
        let before = resident_of_workers(&server);
        let (long, huge) = ("s".repeat(7000), "s".repeat(1024 * 1024));
        for (secret, status) in [
            ("", 401),
            ("wrong-guess", 401),
            ("the-right-secret-of-ban", 401),
            ("the-right-secret-of-bank%00", 401),
            ("the-right-secret-of-bankx", 401),
            ("THE-RIGHT-SECRET-OF-BANK", 401),
            ("%ff%fe%zz", 401),
            (&long, 401),
            (&huge, 431),
        ] {
            let target = format!("/web?key=bank&secret={secret}");
            let mut client = Raw::connect(server.port);
            // A server that has refused the request need not read the rest.
            client.try_send(Open::at(&target).request()).ok();
            let head = client.read_head();
            assert_eq!(head.status(), status, "{}", head.text);
            client.wait_for_end();
            bystander.is_served();
        }
        let grown = resident_of_workers(&server).saturating_sub(before);
        assert!(grown < 4 * 1024 * 1024, "{grown} bytes for guesses");
    });
}

#[test]
fn fault_27_ten_thousand_guesses_are_denied_and_not_logged() {
    const GUESSES: usize = 5_000;
    let server = server();
    with_bystander_opened_by(&server, bystander, |bystander| {
        let mut guesser = Open::web().target("/web?key=shop").ready(server.port);
        for number in 0..GUESSES {
            let open = Open::at(&format!("/web?key=bank&secret=gue55-{number}"));
            let mut client = open.ask(server.port);
            assert_eq!(client.read_head().status(), 401);
            // A key and secret on a message must be right, whatever rights the connection has.
            guesser.text(format!(
                r#"{{"opcode":"broadcast","message":1,"key":"bank","secret":"gue55-{number}"}}"#
            ));
            guesser.expect_text(NEXT);
            guesser.expect_text(DENIED);
            if number % 100 == 0 {
                bystander.is_served();
            }
        }
        let mut right =
            Open::at("/web?key=bank&secret=the-right-secret-of-bank").ready(server.port);
        right.expect_silence();
    });
    let log = std::fs::read_to_string(server.folder.root().join("all.log")).unwrap();
    for text in [&log, &server.output()] {
        assert!(!text.contains("gue55") && !text.contains("the-right-secret"));
    }
    // The guesses themselves are logged: some with a line each, the others counted after their second is
    // over.
    eventually("a line or a count of each guess", || {
        let log = std::fs::read_to_string(server.folder.root().join("all.log")).unwrap();
        let counts = log.split("event=more_handshakes_refused unshown=").skip(1);
        let unshown =
            counts.filter_map(|rest| rest.split_whitespace().next()?.parse::<usize>().ok());
        let logged = log.matches(" event=handshake_refused ").count() + unshown.sum::<usize>();
        (logged >= GUESSES).then_some(())
    });
}

/// Secrets are compared as digests in constant time (`auth/access/mod.rs`). From outside, a test can only
/// show that no kind of guess is clearly cheaper than another.
#[test]
fn fault_27_a_nearly_right_guess_costs_what_a_wrong_one_costs() {
    let server = Setup::new().auth(AUTH).start();
    with_bystander_opened_by(&server, bystander, |_| {
        let cost_of = |credentials: &str| {
            let request = Open::at(&format!("/web?{credentials}")).request();
            let before = cpu_time_of_workers(&server);
            for _ in 0..300 {
                let mut client = Raw::connect(server.port);
                client.send(&request);
                assert_eq!(client.read_head().status(), 401);
            }
            cpu_time_of_workers(&server) - before
        };
        cost_of("key=bank&secret=warming-up");
        let wrong = cost_of("key=bank&secret=xxxxxxxxxxxxxxxxxxxxxxxx");
        let nearly = cost_of("key=bank&secret=the-right-secret-of-banx");
        let no_key = cost_of("key=bonk&secret=the-right-secret-of-bank");
        for other in [nearly, no_key] {
            assert!(other < wrong * 3 && wrong < other * 3, "{wrong:?}, {nearly:?}, {no_key:?}");
        }
    });
}
