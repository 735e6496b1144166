//! The memory of a new worker and of the broker: it contains secrets only as digests, and no part of the text
//! that contained them. The tests need root, because other users cannot read the memory of these processes.

use std::fs::{self, File};
use std::io::BufRead;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;

use crate::harness::tls::certificate_in;
use crate::harness::{Folder, Server, eventually, run_to_end};

/// Bytes of one read. The largest needle fits in the overlap of two reads.
const CHUNK_BYTES: usize = 1024 * 1024;
const OVERLAP_BYTES: usize = 4096;

const SHOP: &str = "~shop's \"secret\" with \\escapes\\ in it";
const BANK: &str = "~bank: 8d0f41c5a96e77b2";
const NEXT: &str = "~the next secret of the shop, after a reload";

/// A byte string to search for, and its name for failure messages.
struct Needle(&'static str, Vec<u8>);

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn auth(shop: &str) -> String {
    let shop = serde_json::Value::from(shop);
    format!(
        "applications:\n- {{key: shop, secret: {shop}, authorizeOpen: true}}\n- {{key: bank, secret: \
         '{BANK}', authorizeOpen: true, tenant: bank}}\n"
    )
}

fn start(more: &str) -> Server {
    let folder = Folder::new();
    certificate_in(&folder);
    folder.write("auth.yml", &auth(SHOP));
    let ini = "adress = wss://127.0.0.1:0\nworkers = 2\ncertFile = cert.pem\npkFile = key.pem\n";
    folder.write("websock.ini", &format!("{ini}{more}"));
    Server::run(folder, &["serve", "-i", "websock.ini"], &[])
}

fn needles(folder: &Path) -> Vec<Needle> {
    let uuid_key = fs::read_to_string(folder.join("state/uuid.key")).unwrap();
    let pem = fs::read_to_string(folder.join("key.pem")).unwrap();
    let line = pem.lines().nth(1).unwrap();
    let der = PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap();
    let hexadecimal = |bytes: &[u8]| bytes.iter().map(|it| format!("{it:02x}")).collect::<String>();
    vec![
        Needle("the secret of shop", SHOP.as_bytes().to_vec()),
        Needle("the escaped secret of shop", br#"~shop's \"secret\" with"#.to_vec()),
        Needle("the secret of shop in hexadecimal", hexadecimal(SHOP.as_bytes()).into_bytes()),
        Needle("the secret of bank", BANK.as_bytes().to_vec()),
        Needle("the secret of bank in hexadecimal", hexadecimal(BANK.as_bytes()).into_bytes()),
        Needle("the next secret", NEXT.as_bytes().to_vec()),
        Needle("the next secret in hexadecimal", hexadecimal(NEXT.as_bytes()).into_bytes()),
        Needle("the key of the UUIDs as text", uuid_key.trim().as_bytes().to_vec()),
        Needle(
            "the key of the UUIDs in hexadecimal",
            hexadecimal(uuid_key.trim().as_bytes()).into(),
        ),
        Needle("the key of the UUIDs", from_hexadecimal(uuid_key.trim())),
        Needle("the private key as PEM", line.as_bytes()[..40].to_vec()),
        Needle("the private key as DER", der.secret_der()[..64].to_vec()),
        Needle("the private key in hexadecimal", hexadecimal(&der.secret_der()[..64]).into_bytes()),
    ]
}

fn from_hexadecimal(text: &str) -> Vec<u8> {
    let pair = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(pair).collect()
}

/// Returns the names of the needles that are in the writable memory of a process.
fn found_in(pid: u32, needles: &[Needle]) -> Vec<&'static str> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let memory = File::open(format!("/proc/{pid}/mem")).unwrap();
    let mut found = Vec::new();
    for map in maps.lines().filter(|map| map.split(' ').nth(1).unwrap().starts_with("rw")) {
        let (from, to) = map.split(' ').next().unwrap().split_once('-').unwrap();
        let number = |text| u64::from_str_radix(text, 16).unwrap();
        let (mut from, to) = (number(from), number(to));
        while from < to {
            let length = usize::try_from(to - from).unwrap().min(CHUNK_BYTES + OVERLAP_BYTES);
            let mut chunk = vec![0; length];
            if memory.read_exact_at(&mut chunk, from).is_ok() {
                let new = needles.iter().filter(|needle| holds(&chunk, &needle.1));
                found.extend(new.map(|needle| needle.0));
            }
            from += CHUNK_BYTES as u64;
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// Searches for the first byte of the needle. The standard library does this fast, in any build.
fn holds(chunk: &[u8], needle: &[u8]) -> bool {
    let mut rest = chunk;
    while rest.skip_until(needle[0]).unwrap() > 0 {
        let at = chunk.len() - rest.len();
        if chunk[at - 1..].starts_with(needle) {
            return true;
        }
    }
    false
}

/// A274.
#[test]
fn p9_fresh_workers_hold_digests_and_the_broker_holds_nothing() {
    if !is_root() {
        return;
    }
    let server = start("");
    let needles = needles(server.folder.root());
    // The search itself works: the supervisor has the secrets in plain form.
    assert!(found_in(server.pid(), &needles).contains(&"the secret of bank"));
    for pid in server.workers(2) {
        assert_eq!(found_in(pid, &needles), [""; 0], "worker {pid}");
    }
    assert_eq!(found_in(server.broker(), &needles), [""; 0], "broker");
    server.folder.write("auth.yml", &auth(NEXT));
    let reload = run_to_end(&server.folder, &["reload", "-i", "websock.ini"]);
    assert!(reload.text.contains("application `shop`: another secret"), "{}", reload.text);
    for pid in server.workers(2) {
        assert_eq!(found_in(pid, &needles), [""; 0], "worker {pid} after a reload");
    }
}

#[test]
fn p9_a_worker_holds_the_secret_that_it_signs_events_with_and_no_other() {
    if !is_root() {
        return;
    }
    let bound = "[resource /bank]\nkind = http\napplication = bank\nurl = http://127.0.0.1:9/\n";
    let server = start(bound);
    let needles = needles(server.folder.root());
    for pid in server.workers(2) {
        let found = found_in(pid, &needles);
        assert!(found.iter().all(|name| *name == "the secret of bank"), "{found:?}");
    }
    assert_eq!(found_in(server.broker(), &needles), [""; 0], "broker");
}

/// A274.
#[test]
fn no_process_of_a_server_leaves_a_core() {
    if !is_root() {
        return;
    }
    let server = start("");
    let mut pids = server.workers(2);
    pids.extend([server.broker(), server.pid()]);
    for pid in pids {
        let limits =
            eventually("limits", || fs::read_to_string(format!("/proc/{pid}/limits")).ok());
        let line = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        let values: Vec<&str> = line.split_whitespace().skip(4).take(2).collect();
        assert_eq!(values, ["0", "0"], "{line}");
    }
}
