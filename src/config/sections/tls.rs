//! The certificate of the addresses that speak TLS.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::api::{ApiAddress, ApiSettings};
use crate::config::certificate;
use crate::config::diagnostic::{Problem, ValueLocation, visible};
use crate::config::layers::ConfigLayers;
use crate::config::parse::{choice, duration};
use crate::config::resolve::{HANDSHAKE, path};
use crate::config::{ListenAddress, TlsMode, TlsSettings};
use crate::types::Encryption;

/// The timeout of phpWebSocketServer.
const TLS_HANDSHAKE: Duration = Duration::from_secs(3);

/// Reads the certificate if an address uses TLS. With `tls = off` or `proxy` all addresses for clients
/// become unencrypted; one of the API that asks for https is an error then.
pub(in crate::config) fn read(
    given: &mut ConfigLayers<'_>,
    folder: &Path,
    listen: &mut [ListenAddress],
    api: &ApiSettings,
) -> Option<TlsSettings> {
    let mode = given.read("", "tls", choice).unwrap_or(TlsMode::On);
    let handshake = given.read("", "tlsHandshakeTimeout", |text| duration(text, &HANDSHAKE));
    let [chain_file, key_file] = files(given, folder);
    let speaks_tls = |address: &&ListenAddress| address.encryption == Encryption::Tls;
    let of_api = api.addresses.iter().filter_map(ApiAddress::tcp).find(speaks_tls);
    if mode != TlsMode::On {
        listen.iter_mut().for_each(|address| address.encryption = Encryption::Plain);
        if let Some(address) = of_api {
            let what = format!("`{}` speaks TLS, but `tls` turns it off", visible(&address.text));
            let place = given.place("", "apiAddress").unwrap_or(ValueLocation::Default);
            let right = "use http:// on loopback, or a unix: socket";
            given.find_fault(place, "apiAddress", Problem::new(what, right));
            return None;
        }
    }
    let of_clients = listen.iter().find(speaks_tls).map(|address| ("address", address));
    let Some((key, address)) = of_clients.or_else(|| of_api.map(|address| ("apiAddress", address)))
    else {
        if chain_file.is_some() && mode == TlsMode::On {
            let right = "use wss:// in address, or remove it";
            given.warn("certFile", Problem::new("is not used: no address speaks TLS", right));
        }
        return None;
    };
    let (Some(chain_file), Some(key_file)) = (chain_file, key_file) else {
        let place = given.place("", key).unwrap_or(ValueLocation::Default);
        let text = visible(&address.text);
        let what = format!("`{text}` speaks TLS, but certFile or pkFile is missing");
        let right = "name both, or set `tls = proxy` when a proxy speaks TLS for the server";
        given.find_fault(place, key, Problem::new(what, right));
        return None;
    };
    let chain = match certificate::chain(&chain_file, SystemTime::now()) {
        Ok(chain) => chain,
        Err(fault) => return given.find_fault_of("certFile", fault),
    };
    for fault in &chain.odd {
        given.warn("certFile", fault.clone());
    }
    if others_can_read(&key_file) {
        let right = "make it readable only by its owner: chmod 600";
        given.warn("pkFile", Problem::new("can be read by every user of this machine", right));
    }
    let key = match certificate::key(&key_file, &chain) {
        Ok(key) => key,
        Err(fault) => return given.find_fault_of("pkFile", fault),
    };
    let handshake_timeout = handshake.unwrap_or(TLS_HANDSHAKE);
    Some(TlsSettings { chain: chain.pem, key, ticket_secret: None, handshake_timeout })
}

/// Returns the files of the certificate and of its key.
pub(in crate::config) fn files(
    given: &mut ConfigLayers<'_>,
    folder: &Path,
) -> [Option<PathBuf>; 2] {
    let file = |name| given.read("", name, |text| Ok(path(text, folder))).flatten();
    ["certFile", "pkFile"].map(file)
}

fn others_can_read(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o004 != 0)
}
