//! The default server of `publish` and `subscribe`: the one configured in the current folder.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use super::config_args::source;
use super::failure::Failure;
use crate::admin::{AdminRequest, AdminResponse, ask};
use crate::client::{ApiUrl, ServerUrl};
use crate::config;
use crate::config::{ApiAddress, Config, ConfigSources, ListenAddress, Loaded};
use crate::telemetry::unix_seconds;
use crate::types::Encryption;

/// The server that an ini file configures.
pub(super) struct LocalServer {
    config: Config,
    ini: PathBuf,
}

impl LocalServer {
    /// Reads the given ini file, or the one in the current folder.
    pub(super) fn read(ini: Option<&Path>) -> Result<Self, Failure> {
        let source: ConfigSources = source(ini.map(Path::to_owned), Vec::new());
        let Loaded { config, ini, .. } = config::load(&source).map_err(|findings| {
            let hint = "use --url to name the server";
            Failure::configuration(format!("the configuration has errors; {hint}\n{findings}"))
        })?;
        Ok(Self { config, ini: ini.unwrap_or_else(|| PathBuf::from("websock.ini")) })
    }

    /// Returns the URL of the server from this machine: the first address without TLS, otherwise
    /// the first address.
    pub(super) fn url(&self) -> Result<ServerUrl, Failure> {
        let listen = &self.config.listen;
        let plain = listen.iter().find(|address| address.encryption == Encryption::Plain);
        let address = plain.or_else(|| listen.first()).ok_or_else(|| {
            let ini = self.ini.display();
            let why = "has only unix: addresses, which this command cannot use: use --url";
            Failure::configuration(format!("{ini} {why}, or add a TCP address"))
        })?;
        if address.port == 0 {
            return self.url_of_running();
        }
        url(address)
    }

    /// Asks the running server for its address, because with port 0 the system has chosen the port.
    fn url_of_running(&self) -> Result<ServerUrl, Failure> {
        let mut asking = ask(&self.config.state_folder, &AdminRequest::Status)
            .map_err(|error| Failure::unavailable(error.to_string()))?;
        let answer =
            asking.next_answer().map_err(|error| Failure::unavailable(error.to_string()))?;
        let Some(AdminResponse::Status(status)) = answer else {
            return Err(Failure::unavailable("the server did not report its addresses"));
        };
        let listens = status.listen.iter().filter_map(|text| ListenAddress::parse(text).ok());
        let all: Vec<_> = listens.collect();
        let plain = all.iter().find(|address| address.encryption == Encryption::Plain);
        let address = plain.or_else(|| all.first());
        let nowhere = || Err(Failure::unavailable("the server has no listening address"));
        address.map_or_else(nowhere, url)
    }

    /// Returns the address of the HTTP API from this machine: a Unix socket, otherwise an address without TLS,
    /// otherwise the first address.
    pub(super) fn api_url(&self) -> Result<ApiUrl, Failure> {
        let api = &self.config.api;
        if !api.is_on {
            let why = format!("{} has `api = off`", self.ini.display());
            return Err(Failure::configuration(why));
        }
        let unix = api.addresses.iter().find_map(|address| match address {
            ApiAddress::Unix(path) => Some(path.clone()),
            ApiAddress::Tcp(_) => None,
        });
        if let Some(path) = unix {
            return Ok(ApiUrl::Unix(path));
        }
        let all: Vec<_> = self.api_listens().collect();
        let plain = all.iter().find(|address| address.encryption == Encryption::Plain);
        match plain.or_else(|| all.first()) {
            Some(address) => Ok(ApiUrl::Tcp(url(address)?)),
            None => self.shared_url(),
        }
    }

    /// Returns the address of the WebSockets for a request of HTTP: one of TCP, otherwise a Unix
    /// socket.
    pub(super) fn shared_url(&self) -> Result<ApiUrl, Failure> {
        match (self.config.listen.first(), self.config.unix.paths.first()) {
            (None, Some(path)) => Ok(ApiUrl::Unix(path.clone())),
            _ => Ok(ApiUrl::Tcp(self.url()?)),
        }
    }

    /// Returns true if the HTTP API of this server is at this address.
    pub(super) fn has_api_at(&self, url: &ApiUrl) -> bool {
        match url {
            ApiUrl::Unix(path) if self.config.api.addresses.is_empty() => {
                self.config.unix.paths.contains(path)
            }
            ApiUrl::Unix(path) => {
                let is_it =
                    |address: &ApiAddress| matches!(address, ApiAddress::Unix(own) if own == path);
                self.config.api.addresses.iter().any(is_it)
            }
            ApiUrl::Tcp(url) if self.config.api.addresses.is_empty() => self.is_at(url),
            ApiUrl::Tcp(url) => self.api_listens().any(|address| is_address(address, url)),
        }
    }

    fn api_listens(&self) -> impl Iterator<Item = &ListenAddress> {
        self.config.api.addresses.iter().filter_map(|address| match address {
            ApiAddress::Tcp(address) => Some(address),
            ApiAddress::Unix(_) => None,
        })
    }

    /// Returns true if a URL is an address of this server on this machine.
    pub(super) fn is_at(&self, url: &ServerUrl) -> bool {
        self.config.listen.iter().any(|address| is_address(address, url))
    }

    /// Returns key and secret of the first application that has a valid secret.
    pub(super) fn any_secret(&self) -> Option<(String, String)> {
        let applications = self.config.applications.as_ref()?;
        applications.list.iter().find_map(|application| self.secret(Some(&application.key)))
    }

    /// Returns key and secret of an application. Without a key, of the application in `anonymous`.
    pub(super) fn secret(&self, key: Option<&str>) -> Option<(String, String)> {
        let applications = self.config.applications.as_ref()?;
        let application = match key {
            Some(key) => applications.list.iter().find(|application| application.key == key),
            None => applications.anonymous.and_then(|place| applications.list.get(place)),
        }?;
        let now = unix_seconds();
        let secret = application.secrets.iter().find(|one| !one.is_expired(now))?;
        Some((application.key.clone(), secret.secret.expose().to_owned()))
    }
}

/// Returns true if a URL names this address.
fn is_address(address: &ListenAddress, url: &ServerUrl) -> bool {
    address.port == url.port() && reachable(&address.host) == reachable(url.host())
}

fn url(address: &ListenAddress) -> Result<ServerUrl, Failure> {
    let scheme = match address.encryption {
        Encryption::Plain => "ws",
        Encryption::Tls => "wss",
    };
    let host = reachable(&address.host);
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    Ok(format!("{scheme}://{host}:{}/", address.port).parse()?)
}

/// Replaces an unspecified address by the loopback address.
fn reachable(host: &str) -> String {
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) if address.is_unspecified() => Ipv4Addr::LOCALHOST.to_string(),
        Ok(IpAddr::V6(address)) if address.is_unspecified() => Ipv6Addr::LOCALHOST.to_string(),
        Ok(address) => address.to_string(),
        Err(_) if host.eq_ignore_ascii_case("localhost") => Ipv4Addr::LOCALHOST.to_string(),
        Err(_) => host.to_ascii_lowercase(),
    }
}
