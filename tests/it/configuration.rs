//! `websock.ini`, variables and flags at the start of a server: cases 90 to 92 of the contract, and the
//! errors for a wrong configuration.

use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicU16, Ordering};

use crate::harness::{Folder, Open, Raw, Server, Setup, broadcast, eventually, run_to_end};

/// The exit code for a wrong configuration (`EX_CONFIG` of sysexits.h).
const WRONG_CONFIGURATION: i32 = 78;

/// Ports below the range that the kernel assigns automatically, so that no other program takes them before
/// the server does.
static NEXT_PORT: AtomicU16 = AtomicU16::new(21_000);

/// Returns a free port.
fn free_port() -> u16 {
    loop {
        let port = NEXT_PORT.fetch_add(1, Ordering::Relaxed);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

/// Starts a server with this text as the whole `websock.ini`.
#[track_caller]
fn start_with(ini: &str) -> Server {
    let folder = Folder::new();
    folder.write("websock.ini", ini);
    Server::run(folder, &["serve", "-i", "websock.ini"], &[])
}

#[test]
fn case_90_a_flat_and_a_sectioned_file_are_the_same() {
    for section in ["", "[websocketserver]\n"] {
        let port = free_port();
        let server = start_with(&format!("{section}adress='ws://localhost:{port}'\nworkers = 2\n"));
        assert_eq!(server.port, port);
        server.open(&Open::web()).expect_silence();
    }
}

#[test]
fn case_90_the_right_spelling_of_address_is_accepted_too() {
    let port = free_port();
    let server = start_with(&format!("Address = tcp://127.0.0.1:{port}\nworkers=1\n"));
    assert_eq!(server.port, port);
    server.open(&Open::web()).expect_silence();
}

/// phpWebSocketServer bound only the first address of the name.
#[test]
fn case_90_localhost_is_every_address_that_the_name_has() {
    let port = free_port();
    let server = start_with(&format!("adress='ws://localhost:{port}'\nworkers = 2\n"));
    for address in ("localhost", server.port).to_socket_addrs().unwrap() {
        let mut client = Raw::over(TcpStream::connect(address).unwrap());
        client.send(Open::web().request());
        client.expect_upgrade();
        client.expect_ready();
    }
}

#[test]
fn several_addresses_can_be_listened_on() {
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        return;
    }
    let (four, six) = (free_port(), free_port());
    let ini = format!("adress = ws://127.0.0.1:{four}, ws://[::1]:{six}\nworkers = 2\n");
    let server = start_with(&ini);
    server.wait_for_output(&format!("[::1]:{six}"));
    server.wait_for_output(&format!("127.0.0.1:{four}"));
    let streams = [
        TcpStream::connect((Ipv4Addr::LOCALHOST, four)).unwrap(),
        TcpStream::connect((Ipv6Addr::LOCALHOST, six)).unwrap(),
    ];
    for stream in streams {
        let mut client = Raw::over(stream);
        client.send(Open::web().request());
        client.expect_upgrade();
        client.expect_ready();
    }
}

/// The test occupies port 80, or neither the test nor the server may bind it. The server must exit and name
/// the address that it tried.
#[test]
fn both_families_are_listened_on_where_both_are_listed() {
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        return;
    }
    let port = free_port();
    let folder = Folder::new();
    let ini = format!("adress = ws://0.0.0.0:{port}, ws://[::]:{port}\nworkers = 1\n");
    folder.write("websock.ini", &ini);
    let variables = [("TAGCAST_APP_KEY", "a"), ("TAGCAST_APP_SECRET", "0123456789abcdef, long")];
    let _server = Server::run(folder, &["serve", "-i", "websock.ini"], &variables);
    let open = Open::at("/web?key=a");
    let streams = [
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap(),
        TcpStream::connect((Ipv6Addr::LOCALHOST, port)).unwrap(),
    ];
    for stream in streams {
        let mut client = Raw::over(stream);
        client.send(open.request());
        client.expect_upgrade();
        client.expect_ready();
    }
}

#[test]
fn case_90_without_a_port_it_is_80() {
    let folder = Folder::new();
    folder.write("websock.ini", "adress = ws://127.0.0.1\nworkers = 1\n");
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 80));
    let finished = run_to_end(&folder, &["serve", "-i", "websock.ini"]);
    drop(taken);
    assert_ne!(finished.code, Some(0), "{}", finished.text);
    let follows = finished.text.split("127.0.0.1:80").nth(1);
    let follows = follows.unwrap_or_else(|| panic!("no port 80 in:\n{}", finished.text));
    assert!(!follows.starts_with(|next: char| next.is_ascii_digit()), "{}", finished.text);
}

#[test]
fn case_91_console_and_ini_both_take_effect() {
    let (expected, decoy) = (free_port(), free_port());
    let folder = Folder::new();
    folder.write("websock.ini", &format!("adress = ws://127.0.0.1:{decoy}\n"));
    let ini = format!("adress = ws://127.0.0.1:{expected}\nconsole = false\nworkers = 1\n");
    folder.write("x.ini", &ini);
    let server = Server::run(folder, &["serve", "-console", "-i", "x.ini"], &[]);
    assert_eq!(server.port, expected);
    server.open(&Open::web()).expect_silence();
}

#[test]
fn case_91_the_old_spelling_of_the_address_flag_wins_over_the_file() {
    let (expected, decoy) = (free_port(), free_port());
    let folder = Folder::new();
    folder.write("websock.ini", &format!("adress = ws://127.0.0.1:{decoy}\nworkers = 1\n"));
    let address = format!("ws://127.0.0.1:{expected}");
    let server = Server::run(folder, &["serve", "-adress", &address, "-i", "websock.ini"], &[]);
    assert_eq!(server.port, expected);
}

#[test]
fn case_92_a_variable_comes_from_dot_env_and_its_first_definition_wins() {
    let folder = Folder::new();
    folder.write(".env", "# where to\nLOG_FILE=\"first.log\"\nLOG_FILE=second.log\n");
    folder.write(
        "websock.ini",
        "adress = ws://127.0.0.1:0\nworkers = 1\nlogfile=${LOG_FILE}\nconsole=true\n",
    );
    let server = Server::run(folder, &["serve", "-i", "websock.ini"], &[]);
    expect_log_in(&server, "first.log");
    assert!(!server.folder.path("second.log").exists());
}

#[test]
fn case_92_the_variable_of_the_process_wins_over_dot_env() {
    let folder = Folder::new();
    folder.write(".env", "LOG_FILE=first.log\n");
    folder.write(
        "websock.ini",
        "adress = ws://127.0.0.1:0\nworkers = 1\nlogfile=${LOG_FILE}\nconsole=true\n",
    );
    let variables = [("LOG_FILE", "process.log")];
    let server = Server::run(folder, &["serve", "-i", "websock.ini"], &variables);
    expect_log_in(&server, "process.log");
    assert!(!server.folder.path("first.log").exists());
}

#[track_caller]
fn expect_log_in(server: &Server, name: &str) {
    let path = server.folder.path(name);
    eventually("a log file that says where the server listens", || {
        let text = std::fs::read_to_string(&path).ok()?;
        text.contains("event=listening").then_some(())
    });
}

#[test]
fn a_flag_wins_over_a_variable_and_a_variable_over_the_file() {
    let limits = |server: &Server, fits: usize, too_big: usize| {
        let mut client = server.open(&Open::web());
        client.text(broadcast(&"x".repeat(fits)));
        client.expect_next();
        client.text(broadcast(&"x".repeat(too_big)));
        client.expect_closed_somehow(1009);
    };
    let setup = Setup::new().workers(1).ini("maxMessage = 1K");
    limits(&setup.start(), 900, 1100);
    let setup = setup.variable("TAGCAST_MAX_MESSAGE", "2K");
    limits(&setup.start(), 1900, 2100);

    let folder = Folder::new();
    folder.write("websock.ini", "adress = ws://127.0.0.1:0\nworkers = 1\nmaxMessage = 1K\n");
    let arguments = ["serve", "-i", "websock.ini", "--set", "maxMessage=3K"];
    let variables = [("TAGCAST_MAX_MESSAGE", "2K")];
    limits(&Server::run(folder, &arguments, &variables), 2900, 3100);
}

#[test]
fn a_server_with_open_access_logs_it() {
    let server = Server::start();
    eventually("a line that says that everything is allowed", || {
        server.output().to_lowercase().contains("open").then_some(())
    });
}

/// Invalid lines, each with a key that the error must name and a word of the expected value.
const WRONG: &str = "\
[websocketserver]
adress = ws://127.0.0.1:99999
wrokers = 2
maxMessage = 5X
pingInterval = -1
console = perhaps
workers = 0
authFile = auth.yml
logLevel = chatty
maxMessage = 5M

[phpws]
uuid = shiny
maxChunks = many

[resource /echo]
kind = ecko

[nonsense]
a = b
";

/// The line number, and the word that the error about this line must contain.
const FINDINGS: [(usize, &str); 12] = [
    (2, "adress"),
    (3, "wrokers"),
    (4, "maxMessage"),
    (5, "pingInterval"),
    (6, "console"),
    (7, "workers"),
    (8, "authFile"),
    (9, "logLevel"),
    (13, "uuid"),
    (14, "maxChunks"),
    (17, "kind"),
    (19, "nonsense"),
];

#[test]
fn a_wrong_file_is_refused_with_all_findings_at_once() {
    let folder = Folder::new();
    folder.write("websock.ini", WRONG);
    for command in ["serve", "check"] {
        let finished = run_to_end(&folder, &[command, "-i", "websock.ini"]);
        assert_eq!(finished.code, Some(WRONG_CONFIGURATION), "{command}:\n{}", finished.text);
        for (line, key) in FINDINGS {
            expect_finding(&finished.text, &format!("websock.ini:{line}:"), key);
        }
        expect_finding(&finished.text, "websock.ini:10:", "maxMessage");
    }
}

/// Expects a line of the output that contains both.
#[track_caller]
fn expect_finding(text: &str, place: &str, key: &str) {
    let named = text.lines().any(|line| line.contains(place) && line.contains(key));
    assert!(named, "nothing about {key} at {place} in:\n{text}");
}

#[test]
fn a_wrong_variable_and_a_wrong_flag_are_findings_too() {
    let folder = Folder::new();
    folder.write("websock.ini", "adress = ws://127.0.0.1:0\n");
    let arguments = ["check", "-i", "websock.ini", "--set", "maxMessage=lots"];
    let finished = run_to_end(&folder, &arguments);
    assert_eq!(finished.code, Some(WRONG_CONFIGURATION), "{}", finished.text);
    assert!(finished.text.contains("maxMessage"), "{}", finished.text);
}

#[test]
fn variables_of_kubernetes_and_docker_are_ignored() {
    let folder = Folder::new();
    folder.write("websock.ini", "adress = ws://127.0.0.1:0\nworkers = 1\n");
    let variables = [
        ("TAGCAST_PORT", "tcp://10.3.104.46:8094"),
        ("TAGCAST_PORT_8094_TCP_ADDR", "10.3.104.46"),
        ("TAGCAST_SERVICE_PORT_HTTP", "8094"),
        ("TAGCAST_NAME", "/web/tagcast"),
        ("TAGCAST_MAXCLIENT", "7"),
    ];
    let server = Server::run(folder, &["serve", "-i", "websock.ini"], &variables);
    server.wait_for_output("TAGCAST_MAXCLIENT: is not a variable of this program");
    assert!(!server.output().contains("10.3.104.46"), "{}", server.output());
    server.open(&Open::web()).expect_silence();
}

#[test]
fn a_misspelt_scheme_is_not_served_in_plain_text() {
    for (scheme, meant) in [("wws", "wss"), ("wsss", "wss"), ("tls", "wss"), ("http", "ws")] {
        let folder = Folder::new();
        folder.write("websock.ini", &format!("workers = 1\nadress = {scheme}://127.0.0.1:0\n"));
        for command in ["serve", "check"] {
            let finished = run_to_end(&folder, &[command, "-i", "websock.ini"]);
            assert_eq!(finished.code, Some(WRONG_CONFIGURATION), "{}", finished.text);
            expect_finding(
                &finished.text,
                "websock.ini:2:",
                &format!("did you mean `{meant}://`?"),
            );
        }
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let folder = Folder::new();
    let finished = run_to_end(&folder, &["serve", "-i", "nowhere.ini"]);
    assert_eq!(finished.code, Some(WRONG_CONFIGURATION), "{}", finished.text);
    assert!(finished.text.contains("nowhere.ini"), "{}", finished.text);
}

/// Without applications the server could not refuse any client, so it listens on loopback only.
#[test]
fn an_open_server_listens_on_loopback_only() {
    let folder = Folder::new();
    folder.write("websock.ini", "adress = ws://0.0.0.0:0\n");
    let finished = run_to_end(&folder, &["serve", "-i", "websock.ini"]);
    assert_eq!(finished.code, Some(WRONG_CONFIGURATION), "{}", finished.text);
    expect_finding(&finished.text, "websock.ini:1:", "adress");
    assert!(finished.text.contains("loopback"), "{}", finished.text);
}

#[test]
fn check_accepts_a_right_file_and_starts_nothing() {
    let folder = Folder::new();
    let ini = "adress = ws://127.0.0.1:0\nworkers = 2\nmaxMessage = 5M\npingInterval = 20s\n\
               [phpws]\nuuid = plain\nframeGap = 5ms\n[resource /echo]\nkind = echo\n";
    folder.write("websock.ini", ini);
    let finished = run_to_end(&folder, &["check", "-i", "websock.ini"]);
    assert_eq!(finished.code, Some(0), "{}", finished.text);
    assert!(!finished.text.contains("event=listening"), "{}", finished.text);
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let folder = Folder::new();
    folder.write("websock.ini", &format!("adress = ws://127.0.0.1:{port}\nworkers = 1\n"));
    let finished = run_to_end(&folder, &["serve", "-i", "websock.ini"]);
    assert_ne!(finished.code, Some(0), "{}", finished.text);
    assert!(finished.text.contains(&format!("127.0.0.1:{port}")), "{}", finished.text);
}
