//! The session cookie (`[jsauth]`): cases 71 to 76 of the contract.

use std::process::Command;

use crate::harness::{Folder, Open, Raw, Server, Setup, run_to_end};

/// Creates the folder of PHP's sessions with these files.
fn sessions(of: &[(&str, &str)]) -> Folder {
    let folder = Folder::new();
    for (id, session) in of {
        folder.write(&format!("sess_{id}"), session);
    }
    folder
}

fn jsauth(sessions: &Folder) -> String {
    let folder = sessions.root().display();
    format!("[jsauth]\nrequire = true\nssp = {folder}\nkey = allowconnect\n")
}

/// Starts a server that requires a session, with additional lines before that section and within it.
fn server(sessions: &Folder, (above, within): (&str, &str)) -> Server {
    Setup::new().ini(&format!("{above}\n{}{within}", jsauth(sessions))).start()
}

fn with(cookie: &str) -> Open {
    Open::web().header("Cookie", cookie)
}

fn id(id: &str) -> Open {
    with(&format!("PHPSESSID={id}"))
}

/// Expects 401 before the upgrade, with short JSON.
#[track_caller]
fn is_refused(server: &Server, open: &Open) {
    let mut client = open.ask(server.port);
    let head = client.read_head();
    assert_eq!(head.status(), 401, "{}{}", open.request(), head.text);
    let length: usize = head.header("Content-Length").unwrap().parse().unwrap();
    let body = client.read_exactly(length);
    let expected: &[u8] = br#"{"error":"no session of this site lets this page in"}"#;
    assert_eq!(body, expected, "{}", String::from_utf8_lossy(&body));
    client.expect_end();
}

#[test]
fn cases_71_and_72_a_page_needs_a_session_with_a_true_entry() {
    let sessions = sessions(&[
        ("ok1", "allowconnect|b:1;"),
        ("ok2", "user|s:3:\"bob\";allowconnect|b:1;n|i:5;"),
        ("pipe", "a|a:1:{s:3:\"x|y\";s:1:\"|\";}allowconnect|b:1;"),
        ("obj", "o|O:8:\"stdClass\":1:{s:1:\"a\";i:1;}allowconnect|b:1;"),
        ("cut", "allowconnect|b:1;rubbish"),
        ("no", "allowconnect|b:0;"),
        ("other", "other|b:1;"),
        ("empty", ""),
        ("late", "x|rubbish;allowconnect|b:1;"),
    ]);
    let server = server(&sessions, ("", ""));
    server.open(&with("a=b; PHPSESSID=ok1; c=d"));
    for good in ["ok1", "ok2", "pipe", "obj", "cut"] {
        server.open(&id(good));
    }
    for bad in ["no", "other", "empty", "late", "missing"] {
        is_refused(&server, &id(bad));
    }
    is_refused(&server, &Open::web());
}

#[test]
fn case_73_truthy_values_admit_a_client_unless_strict() {
    let values = [("int", "i:1;"), ("str", "s:3:\"yes\";"), ("strno", "s:2:\"no\";")];
    let written = values.map(|(name, value)| (name, format!("allowconnect|{value}")));
    let mut all: Vec<(&str, &str)> =
        written.iter().map(|(name, session)| (*name, session.as_str())).collect();
    all.extend([("strempty", "allowconnect|s:0:\"\";"), ("ok", "allowconnect|b:1;")]);
    let sessions = sessions(&all);
    let php = server(&sessions, ("", ""));
    let strict = server(&sessions, ("", "truth = strict"));
    for (name, _) in values {
        php.open(&id(name));
        is_refused(&strict, &id(name));
    }
    strict.open(&id("ok"));
    is_refused(&php, &id("strempty"));
}

#[test]
fn case_74_only_the_cookie_of_that_name_counts() {
    let sessions = sessions(&[("ok1", "allowconnect|b:1;")]);
    let server = server(&sessions, ("", ""));
    is_refused(&server, &Open::web().header("X-Any", "PHPSESSID=ok1"));
    is_refused(&server, &with("my-PHPSESSID=ok1"));
    is_refused(&server, &Open::at("/web?PHPSESSID=ok1"));
    let named = Setup::new().ini(&format!("{}cookie_name = SITE", jsauth(&sessions))).start();
    named.open(&with("SITE=ok1"));
    is_refused(&named, &id("ok1"));
}

/// PHP writes ids of `session.sid_bits_per_character = 6` with commas, and encodes them in the cookie.
#[test]
fn the_id_of_a_cookie_is_decoded_as_php_decodes_it() {
    let flag = "allowconnect|b:1;";
    let sessions = sessions(&[("ab,cd-EF12", flag), ("ok1", flag), ("%6fk2", flag)]);
    sessions.write("a/sess_b", flag);
    let server = server(&sessions, ("", ""));
    for good in ["ab%2Ccd-EF12", "ab%2ccd%2DEF12", "ab,cd-EF12", "%6Fk%31"] {
        server.open(&id(good));
    }
    for bad in ["ab%252Ccd-EF12", "..%2Fsess_ok1", "%00", "ok1%00", "%6fk2", "ok1%ff", "ok1%20"] {
        is_refused(&server, &id(bad));
    }
}

#[test]
fn case_75_scripts_need_no_cookie_and_allowed_ip_holds() {
    let sessions = sessions(&[]);
    let server = server(&sessions, ("", ""));
    server.open(&Open::php());
    let mut from_elsewhere = Raw::connect_from("127.0.0.5", server.port);
    from_elsewhere.send(Open::php().request());
    from_elsewhere.expect_upgrade();
    from_elsewhere.expect_closed(1008);
}

#[test]
fn case_76_an_id_never_leads_out_of_the_folder_and_no_link_is_followed() {
    let sessions = sessions(&[]);
    // Files that a carelessly built path would find.
    sessions.write("sess_a/b", "allowconnect|b:1;");
    sessions.write("secret", "allowconnect|b:1;");
    std::os::unix::fs::symlink(sessions.path("secret"), sessions.path("sess_link")).unwrap();
    std::fs::create_dir(sessions.path("sess_folder")).unwrap();
    let large = format!("allowconnect|b:1;x|s:1048576:\"{}\";", "x".repeat(1_048_576));
    sessions.write("sess_large", &large);
    // No process writes to this pipe, so opening it for reading would block.
    let pipe = sessions.path("sess_pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    let server = server(&sessions, ("", ""));
    let long = "a".repeat(257);
    for bad in
        ["a/b", "../secret", "..", "a%2fb", "é", "", &long, "link", "folder", "large", "pipe"]
    {
        is_refused(&server, &id(bad));
    }
    sessions.write(&format!("sess_{}", "a".repeat(200)), "allowconnect|b:1;");
    server.open(&id(&"a".repeat(200)));
}

#[test]
fn no_dialect_and_no_path_bypasses_the_session_check() {
    let sessions = sessions(&[("ok1", "allowconnect|b:1;")]);
    let server = server(&sessions, ("unknownPath = echo\n[resource /echo]\nkind = echo", ""));
    let gomoob_php = Open::at("/").without("Origin").header("User-Agent", "websocket-client-php");
    for open in [
        Open::at("/"),
        Open::tags("{\"a\":\"b\"}"),
        Open::at("/web?tags={}"),
        Open::at("/echo"),
        Open::at("/anything"),
        Open::php().target("/echo"),
        Open::php().header("Client-Type", "js").header("User-Agent", "x"),
        gomoob_php,
    ] {
        is_refused(&server, &open);
        open.clone().header("Cookie", "PHPSESSID=ok1").upgrade(server.port);
    }
}

#[test]
fn an_opening_with_credentials_needs_no_cookie() {
    let auth = "applications:\n  - key: shop\n    secret: shop-secret-1\n    authorizeOpen: true\n";
    let sessions = sessions(&[("ok1", "allowconnect|b:1;")]);
    let server = Setup::new().ini(&jsauth(&sessions)).auth(auth).start();
    server.open(&Open::at("/web?key=shop&secret=shop-secret-1"));
    Open::at("/?key=shop&secret=shop-secret-1").upgrade(server.port);
    is_refused(&server, &Open::at("/web?key=shop"));
    is_refused(&server, &Open::at("/web?key=shop&secret=wrong"));
    server.open(&Open::at("/web?key=shop").header("Cookie", "PHPSESSID=ok1"));
    // A session admits clients to an application, but it does not replace the application's key.
    with("PHPSESSID=ok1").ask(server.port).expect_refusal(401);
}

#[test]
fn a_refusal_may_follow_the_upgrade() {
    let sessions = sessions(&[]);
    let server = server(&sessions, ("refuse = afterUpgrade", ""));
    let mut client = Open::web().upgrade(server.port);
    let close = client.expect_closed(1008);
    assert_eq!(&close.payload[2..], b"no session of this site lets this page in");
}

#[test]
fn a_reload_switches_the_session_check_and_keeps_connections() {
    let sessions = sessions(&[("ok1", "allowconnect|b:1;")]);
    let server = Setup::new().start();
    let mut open = server.open(&Open::web());
    let head = "[websocketserver]\nadress = ws://127.0.0.1:0\nworkers = 2\n";
    server.folder.write("websock.ini", &format!("{head}{}", jsauth(&sessions)));
    let printed = server.command(&["reload"]);
    assert_eq!(printed.code, Some(0), "{}", printed.text);
    assert!(printed.text.contains("changed: jsauth.require: off -> true"), "{}", printed.text);
    is_refused(&server, &Open::web());
    open.text("{\"opcode\":\"echo\"}");
    open.expect_next();
    // `require` without a key is an error, so the reload changes nothing.
    server.folder.write("websock.ini", &format!("{head}[jsauth]\nrequire = on\n"));
    let printed = server.command(&["reload"]);
    assert_eq!(printed.code, Some(1), "{}", printed.text);
    server.open(&id("ok1"));
}

#[test]
fn a_lock_without_a_key_does_not_start() {
    let folder = Folder::new();
    folder.write("websock.ini", "[jsauth]\nrequire = on\nssp = __SESSIONSAVEPATH__\nkey = a\n");
    let check = run_to_end(&folder, &["check"]);
    assert_eq!(check.code, Some(78), "{}", check.text);
    assert!(check.text.contains("is a placeholder that has not been filled in"), "{}", check.text);
}

/// Starts a session with this id in PHP and sets the entry, as a site does.
fn write_by_php(sessions: &Folder, id: &str, code: &str) {
    let script = format!(
        "session_save_path($argv[1]); session_id($argv[2]); session_start(); {code} \
         session_write_close();"
    );
    let output = Command::new("php")
        .args(["-d", "session.use_strict_mode=0", "-d", "session.serialize_handler=php", "-r"])
        .args([&script, "--"])
        .arg(sessions.root())
        .arg(id)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

pub fn sessions_that_php_has_written_are_read() {
    let sessions = sessions(&[]);
    let everything = "$_SESSION['user'] = ['name' => 'é|ü', 'id' => -7, 'rate' => 0.1, 'no' => null]; \
        $o = new stdClass; $o->self = $o; $o->list = [1.5e30, INF, [true, []]]; \
        $_SESSION['object'] = $o; $_SESSION['again'] = $o; $_SESSION['when'] = new DateTime('@0'); \
        $_SESSION['splice'] = new SplObjectStorage; $_SESSION['array'] = new ArrayObject([1, 2]); \
        enum Suit: string { case Hearts = 'H'; } $_SESSION['suit'] = Suit::Hearts; ";
    for (id, code) in [
        ("yes", "$_SESSION['allowconnect'] = true;".to_owned()),
        ("mixed", format!("{everything} $_SESSION['allowconnect'] = true;")),
        (
            "referred",
            format!(
                "{everything} $_SESSION['allowconnect'] = 1; $_SESSION['x'] = &$_SESSION['allowconnect'];"
            ),
        ),
        (
            "reference",
            format!(
                "{everything} $_SESSION['x'] = true; $_SESSION['allowconnect'] = &$_SESSION['x'];"
            ),
        ),
        ("yes-object", "$_SESSION['allowconnect'] = new stdClass;".to_owned()),
    ] {
        write_by_php(&sessions, id, &code);
    }
    for (id, value) in
        [("no", "false"), ("zero", "'0'"), ("null", "null"), ("list", "[]"), ("minus", "-0.0")]
    {
        write_by_php(&sessions, id, &format!("{everything} $_SESSION['allowconnect'] = {value};"));
    }
    write_by_php(
        &sessions,
        "no-reference",
        &format!("{everything} $_SESSION['x'] = 0; $_SESSION['allowconnect'] = &$_SESSION['x'];"),
    );
    let server = server(&sessions, ("", ""));
    for good in ["yes", "mixed", "referred", "reference", "yes-object"] {
        server.open(&id(good));
    }
    for bad in ["no", "zero", "null", "list", "minus", "no-reference"] {
        is_refused(&server, &id(bad));
    }
}
