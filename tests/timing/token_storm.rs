//! A storm of openings with tokens whose check is expensive. A bystander does not wait for it.
//!
//! The figure of a release build:
//! `TAGCAST_BIN=target/release/tagcast cargo test --test timing token_storm:: -- --nocapture`.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tagcast::auth::{TokenAlgorithm, sign_token};
use tagcast::types::Secret;

use crate::harness::wait::{in_one_of_a_few, pause};
use crate::harness::{Folder, Open, Raw, Server, feedback_to};

/// Openings that arrive at once.
const OPENINGS: usize = 10_000;
/// Threads that open.
const THREADS: usize = 4;
/// Descriptors that the test needs beyond those of the storm.
const OTHERS: u64 = 200;
/// Time between two messages of the bystander.
const PERIOD: Duration = Duration::from_millis(5);
/// Round trips of the bystander before the storm.
const QUIET: usize = 200;
/// The goal for the bystander, with a release build on a machine that does nothing else.
const P99_MAX: Duration = Duration::from_millis(40);

const APPLICATIONS: &str = "
anonymous: shared
applications:
  - {key: shared, secret: shared-secret, authorizeOpen: true, clientPublish: true}
  - key: shop
    tenant: shop
    secret: shop-secret
    authorizeOpen: false
    tokens: [{id: es1, alg: ES256, publicKeyFile: es1.pem}]
";

fn allow_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    let wanted = OPENINGS as u64 + OTHERS;
    if limit.current.is_some_and(|current| current < wanted) {
        setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), ..limit }).unwrap();
    }
}

fn server(public_key: &str) -> Server {
    let folder = Folder::new();
    folder.write("es1.pem", public_key);
    folder.write("auth.yml", APPLICATIONS);
    folder.write(
        "websock.ini",
        "[websocketserver]\nadress = ws://127.0.0.1:0\nworkers = 1\nhandshakeTimeout = 60s\n",
    );
    Server::run(folder, &["serve", "-i", "websock.ini"], &[])
}

/// Sends feedbacks of a client to itself while `goes_on`, which gets their number so far. Returns their
/// times, sorted.
fn round_trips(client: &mut Raw, goes_on: impl Fn(usize) -> bool) -> Vec<Duration> {
    let mut times = Vec::new();
    while goes_on(times.len()) {
        let begun = Instant::now();
        let text = feedback_to(&client.uuid, "of a bystander");
        client.text(&text);
        client.expect_next();
        client.expect_text(&text);
        let time = begun.elapsed();
        times.push(time);
        pause(PERIOD.saturating_sub(time));
    }
    times.sort_unstable();
    times
}

fn percentile_99(times: &[Duration]) -> Duration {
    times[times.len() * 99 / 100]
}

fn storm() -> Result<(), String> {
    let pair = rcgen::KeyPair::generate().unwrap();
    let server = server(&pair.public_key_pem());
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let claims = format!(r#"{{"aud":"shop","sub":"42","exp":{}}}"#, now + 3600);
    let key = Secret::new(pair.serialize_pem());
    let token = sign_token(&claims, TokenAlgorithm::Es256, &key, "es1").unwrap();
    let request = Open::at("/web").header("Authorization", &format!("Bearer {token}")).request();
    let mut bystander = server.open(&Open::web());
    let quiet = percentile_99(&round_trips(&mut bystander, |count| count < QUIET));
    let is_done = AtomicBool::new(false);
    let open = || {
        // A worker accepts more while these are answered.
        let ask = |_| {
            let client = Raw::connect(server.port);
            client.writer().write_all(request.as_bytes()).unwrap();
            client
        };
        let mut clients: Vec<Raw> = (0..OPENINGS / THREADS).map(ask).collect();
        for client in &mut clients {
            client.expect_upgrade();
        }
        clients
    };
    let times = std::thread::scope(|scope| {
        let times =
            scope.spawn(|| round_trips(&mut bystander, |_| !is_done.load(Ordering::Acquire)));
        let openers: Vec<_> = (0..THREADS).map(|_| scope.spawn(open)).collect();
        let clients: Vec<Raw> = openers.into_iter().flat_map(|it| it.join().unwrap()).collect();
        is_done.store(true, Ordering::Release);
        assert_eq!(clients.len(), OPENINGS);
        times.join().unwrap()
    });
    let (p99, longest) = (percentile_99(&times), times.last().unwrap());
    let count = times.len();
    println!(
        "{OPENINGS} openings; {count} round trips, p99 {p99:.1?}, longest {longest:.1?}; before them p99 {quiet:.1?}"
    );
    // A build without optimisation needs longer for everything, and a busy machine too.
    let most = P99_MAX + quiet * 4;
    match p99 < most {
        true => Ok(()),
        false => Err(format!("p99 {p99:?} of {count} round trips, and {most:?} at most")),
    }
}

/// Case A225.
#[test]
fn a_bystander_does_not_wait_for_a_storm_of_openings_with_signed_tokens() {
    let _quiet = crate::harness::alone();
    allow_descriptors();
    in_one_of_a_few(storm);
}
