//! Hostile files: faults 29 and 30 of `docs/faults.md`. The server exits with 78 before it binds any address.
//! It names file, line and key, and reports all errors at once.

use std::fmt::Write as _;
use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;

use crate::harness::{Finished, Folder, Open, Server, run_to_end};

/// The exit code for a wrong configuration (`EX_CONFIG` of sysexits.h).
const WRONG_CONFIGURATION: i32 = 78;
const RIGHT_AUTH: &str = "applications:\n  - {key: shop, secret: s, authorizeOpen: true}\n";

/// Returns a `websock.ini` for a free port, and that port.
fn ini(more: &str) -> (String, u16) {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = free.local_addr().unwrap().port();
    (format!("adress = ws://127.0.0.1:{port}\nworkers = 1\n{more}"), port)
}

/// Expects that both commands refuse the folder. Returns their output.
#[track_caller]
fn refused(folder: &Folder, expected: &[&str]) -> String {
    let mut last = String::new();
    for command in ["check", "serve"] {
        let Finished { code, text } = run_to_end(folder, &[command, "-i", "websock.ini"]);
        assert_eq!(code, Some(WRONG_CONFIGURATION), "{command}:\n{text}");
        for words in expected {
            assert!(text.contains(words), "{command}: no {words:?} in\n{text}");
        }
        assert!(
            !text.contains("event=listening") && !text.contains("event=child_started"),
            "{text}"
        );
        assert!(!text.contains("panicked"), "{text}");
        assert!(text.len() < 20_000, "{} bytes of findings", text.len());
        last = text;
    }
    last
}

/// Expects that `auth.yml` with these bytes is refused with these words, and that its port stays free.
#[track_caller]
fn auth_refused(bytes: impl AsRef<[u8]>, expected: &[&str]) {
    let folder = Folder::new();
    let (ini, port) = ini("");
    folder.write("websock.ini", &ini);
    std::fs::write(folder.path("auth.yml"), bytes).unwrap();
    refused(&folder, expected);
    drop(TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap());
}

/// Returns aliases that contain ten aliases each, nine levels deep.
fn alias_bomb() -> String {
    let mut bomb = "a0: &a0 [x]\n".to_owned();
    for level in 1..10 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        writeln!(bomb, "a{level}: &a{level} [{aliases}]").unwrap();
    }
    bomb + "applications: *a9\n"
}

#[test]
fn fault_29_a_hostile_auth_file_is_refused_with_place_and_reason() {
    let stairs: String = (0..1200).map(|n| format!("{}a:\n", " ".repeat(n))).collect();
    let twice = "applications:\n  - {key: a, secret: s, authorizeOpen: true}\n  - {key: a, secret: \
                 t, authorizeOpen: true}\n";
    auth_refused(alias_bomb(), &["auth.yml"]);
    auth_refused("a: &a [*a]\napplications: *a\n", &["auth.yml:"]);
    auth_refused("a: &a {<<: *a}\n", &["auth.yml"]);
    auth_refused("[".repeat(10_000), &["auth.yml:1:", "nested too deeply"]);
    auth_refused("- ".repeat(10_000), &["auth.yml:1:", "nested too deeply"]);
    auth_refused(format!("a: {}", "{a: ".repeat(10_000)), &["auth.yml:1:", "nested too deeply"]);
    auth_refused(stairs, &["auth.yml:", "nested too deeply"]);
    auth_refused(twice, &["auth.yml:3:", "key"]);
    auth_refused("applications: []\napplications: []\n", &["auth.yml:"]);
    auth_refused(b"applications: \xff\xfe\n", &["auth.yml", "not UTF-8"]);
    auth_refused(b"\x00\x00\x00\x00", &["auth.yml"]);
    auth_refused("applications: {a: b}\n", &["auth.yml:1:", "applications"]);
    auth_refused("- a\n- b\n", &["auth.yml"]);
    auth_refused("!!binary aGk=\n", &["auth.yml"]);
    auth_refused(
        "applications:\n- 1\n- null\n- [x]\n",
        &["auth.yml:2:", "auth.yml:3:", "auth.yml:4:"],
    );
    auth_refused(
        "applications:\n- {key: [], secret: {}, authorizeOpen: 7, clientPublish: so}\n",
        &["auth.yml:2:", "key", "secret", "authorizeOpen", "clientPublish"],
    );
}

/// A file of a gigabyte is read only as far as is needed to see that it is too large.
#[test]
fn fault_29_devices_and_oversized_files_are_not_read() {
    let folder = Folder::new();
    folder.write("websock.ini", &ini("").0);
    let huge = File::create(folder.path("auth.yml")).unwrap();
    huge.set_len(1 << 30).unwrap();
    refused(&folder, &["auth.yml", "larger than 1 MiB"]);
    std::fs::remove_file(folder.path("auth.yml")).unwrap();
    std::fs::create_dir(folder.path("auth.yml")).unwrap();
    refused(&folder, &["auth.yml", "is not a valid file"]);
    std::fs::remove_dir(folder.path("auth.yml")).unwrap();
    // A device without an end.
    std::os::unix::fs::symlink("/dev/zero", folder.path("auth.yml")).unwrap();
    refused(&folder, &["auth.yml", "not a regular file"]);
    std::fs::remove_file(folder.path("auth.yml")).unwrap();
    std::os::unix::fs::symlink("auth.yml", folder.path("auth.yml")).unwrap();
    refused(&folder, &["auth.yml"]);
}

#[test]
fn fault_29_a_file_that_others_can_write_is_served_with_a_warning() {
    let folder = Folder::new();
    folder.write("websock.ini", &ini("").0);
    folder.write("auth.yml", RIGHT_AUTH);
    let mode = std::fs::Permissions::from_mode(0o660);
    std::fs::set_permissions(folder.path("auth.yml"), mode).unwrap();
    let server = Server::run(folder, &["serve", "-i", "websock.ini"], &[]);
    let printed = server.output();
    assert!(
        printed.contains("auth.yml: can be written by others") || printed.contains("chmod"),
        "{printed}"
    );
    server.open(&Open::web().target("/web?key=shop"));
}

/// Invalid lines, each with a word that its error must contain.
const WRONG: &[(&str, &str)] = &[
    ("maxMessage = -5", "maxMessage"),
    ("outboxLimit = 99999999999999999999G", "outboxLimit"),
    ("pingInterval = 5 parsecs", "pingInterval"),
    ("drainTime = 1e999s", "drainTime"),
    ("handshakeTimeout = 0", "handshakeTimeout"),
    ("maxClients = 4294967296", "maxClients"),
    ("maxPerIP = 0x10", "maxPerIP"),
    ("allowedIP = 10.0.0.0/33, ::1/129", "allowedIP"),
    ("trustedProxies = localhost", "trustedProxies"),
    ("allowedOrigins = ://", "allowedOrigins"),
    ("logFiles = many", "logFiles"),
    ("logMaxSize = 1", "logMaxSize"),
    ("uuidKey = zz", "uuidKey"),
    ("tls = perhaps", "tls"),
    ("refuse = never", "refuse"),
    ("page = 2", "page"),
    ("noSuchKey = 1", "noSuchKey"),
    ("maxMessage = 1M", "maxMessage"),
    ("a line without any sign", "write `key = value`"),
    ("= a value without a key", "write `key = value`"),
    ("[unclosed", ""),
];

#[test]
fn fault_30_a_hostile_websock_ini_is_refused_with_all_findings_at_once() {
    let folder = Folder::new();
    let (mut text, port) = ini("");
    let lines_before = text.lines().count();
    for (line, _) in WRONG {
        writeln!(text, "{line}").unwrap();
    }
    folder.write("websock.ini", &text);
    let printed = refused(&folder, &[]);
    for ((line, word), number) in WRONG.iter().zip(lines_before + 1..) {
        let place = format!("websock.ini:{number}: ");
        let finding = printed.lines().find(|finding| finding.contains(&place));
        let finding = finding.unwrap_or_else(|| panic!("nothing about {line:?} in\n{printed}"));
        assert!(finding.contains(word), "not about {word:?}: {finding}");
        // An error names the problem and then the expected value.
        assert!(finding.contains("; "), "{finding}");
    }
    drop(TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap());
}

#[test]
fn fault_30_limits_that_contradict_each_other_are_refused() {
    for (lines, word) in [
        ("maxMessage = 2M\noutboxLimit = 1M\n", "is below maxMessage"),
        (
            "uuidKey = 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\nuuidKeyFile = k\n",
            "is set in addition to uuidKey",
        ),
        ("pingInterval = 1s\nPing_Interval = 2s\n", "was already set"),
    ] {
        let folder = Folder::new();
        folder.write("websock.ini", &ini(lines).0);
        let printed = refused(&folder, &["websock.ini:4:"]);
        assert!(printed.contains(word), "no {word:?} in\n{printed}");
    }
}

#[test]
fn fault_30_bytes_that_are_not_text_are_refused() {
    let cases: [(&[u8], &str); 4] = [
        (b"adress = ws://127.0.0.1:0\nlogfile = \xff\xfe\n", "not UTF-8"),
        (b"a\0d\0r\0e\0s\0s\0", "websock.ini:1:"),
        (&[b'#'; 2 * 1024 * 1024], "larger than 1 MiB"),
        (b"adress = ws://127.0.0.1:0\r\x00\nworkers = \x1b[31m1\n", "websock.ini:"),
    ];
    for (bytes, word) in cases {
        let folder = Folder::new();
        std::fs::write(folder.path("websock.ini"), bytes).unwrap();
        let printed = refused(&folder, &["websock.ini", word]);
        assert!(
            !printed.contains('\x1b') && !printed.contains('\0'),
            "control characters are shown"
        );
    }
}

/// A byte order mark and line ends of other systems are not errors.
#[test]
fn fault_30_a_byte_order_mark_and_ends_of_lines_of_other_systems_are_read() {
    let folder = Folder::new();
    let (text, port) = ini("maxClients = 1\n");
    folder.write("websock.ini", &format!("\u{feff}{}", text.replace('\n', "\r\n")));
    folder.write("auth.yml", &format!("\u{feff}{}", RIGHT_AUTH.replace('\n', "\r\n")));
    let server = Server::run(folder, &["serve", "-i", "websock.ini"], &[]);
    assert_eq!(server.port, port);
    let open = Open::web().target("/web?key=shop");
    let _only = server.open(&open);
    assert!(open.upgrade(port).frame().as_text().contains("Too many connections"));
}

#[test]
fn fault_30_a_port_in_use_and_an_address_that_is_not_ours_are_named() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    for (address, word) in [
        (format!("127.0.0.1:{port}"), "another program already does"),
        // RFC 5737: an address for documentation, which no machine has.
        ("192.0.2.1:8094".to_owned(), "192.0.2.1:8094"),
    ] {
        let folder = Folder::new();
        folder.write("auth.yml", RIGHT_AUTH);
        folder.write("websock.ini", &format!("adress = ws://127.0.0.1:0, ws://{address}\n"));
        let finished = run_to_end(&folder, &["serve", "-i", "websock.ini"]);
        assert_eq!(finished.code, Some(WRONG_CONFIGURATION), "{}", finished.text);
        for words in [&address, word] {
            assert!(finished.text.contains(words), "no {words:?} in {}", finished.text);
        }
        assert!(!finished.text.contains("event=listening"), "{}", finished.text);
    }
}
