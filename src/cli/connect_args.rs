//! The flags that `publish`, `subscribe` and `bench` share: the server and the credentials for it.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use clap::Args;

use super::api_args;
use super::failure::Failure;
use super::local_server::LocalServer;
use super::print_error;
use crate::client::api::ApiClient;
use crate::client::{ApiUrl, ApplicationKey, ClientCredentials, ServerUrl};
use crate::types::{Tag, Tags};

/// Environment variable with the secret. A flag would be visible in the process list.
const SECRET_VARIABLE: &str = "TAGCAST_SECRET";
/// Maximum size of a secret file in bytes. A larger file is not a secret file.
const SECRET_BYTES_MAX: u64 = 4096;
/// Permission bit that lets all users read a file.
const READABLE_BY_OTHERS: u32 = 0o004;

#[derive(Debug, Args)]
pub(super) struct ConnectArguments {
    /// URL of the server, ws:// or wss:// [default: from the configuration]
    #[arg(long, value_name = "URL")]
    url: Option<ServerUrl>,
    /// Configuration file of the server [default: websock.ini, if it exists]
    #[arg(short = 'i', long = "ini", value_name = "FILE")]
    ini: Option<PathBuf>,
    #[command(flatten)]
    shown: CredentialArguments,
}

#[derive(Debug)]
pub(super) struct ResolvedServer {
    pub(super) url: ServerUrl,
    pub(super) access: ClientCredentials,
}

impl ConnectArguments {
    /// Connects to the HTTP API of the same server.
    pub(super) fn connect_api(&self) -> Result<ApiClient, Failure> {
        let url = self.url.clone().map(ApiUrl::Tcp);
        api_args::connect(url.as_ref(), self.ini.as_deref(), &self.shown)
    }

    /// Returns the server at `--url`, otherwise at the address in the ini file. For an address from
    /// the ini file, the secret in its `auth.yml` is used if no other one is given and this user
    /// may read the file.
    pub(super) fn find(&self) -> Result<ResolvedServer, Failure> {
        let mut access = self.shown.access().map_err(Failure::configuration)?;
        let home = LocalServer::read(self.ini.as_deref());
        let (url, home) = match &self.url {
            Some(url) => (url.clone(), home.ok().filter(|home| home.is_at(url))),
            None => {
                let home = home?;
                (home.url()?, Some(home))
            }
        };
        let key = access.credentials.as_ref().map(|shown| shown.key.as_str());
        let lacks_secret = access.credentials.as_ref().is_none_or(|it| it.secret().is_none());
        if lacks_secret && let Some((key, secret)) = home.and_then(|home| home.secret(key)) {
            access.credentials = Some(ApplicationKey::new(key, Some(secret)));
        }
        Ok(ResolvedServer { url, access })
    }
}

#[derive(Debug, Args)]
pub(super) struct CredentialArguments {
    /// Key of an application in the server's auth.yml
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// File with the secret of the application [default: $TAGCAST_SECRET]
    #[arg(long, value_name = "FILE", requires = "key")]
    secret_file: Option<PathBuf>,
    /// PEM certificates to trust for wss://, in place of the system's
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

impl CredentialArguments {
    /// Returns the credentials. Reads the secret from its file or variable.
    pub(super) fn access(&self) -> Result<ClientCredentials, String> {
        let credentials = match &self.key {
            Some(key) => Some(ApplicationKey::new(key.clone(), self.secret()?)),
            None => None,
        };
        Ok(ClientCredentials { credentials, ca: self.ca.clone() })
    }

    fn secret(&self) -> Result<Option<String>, String> {
        if let Some(path) = &self.secret_file {
            return read_secret(path).map(Some);
        }
        match std::env::var(SECRET_VARIABLE) {
            // A value from `$(cat file)` or a unit file may end with a line break, like a file.
            Ok(secret) => {
                let secret = secret.trim_end_matches(['\r', '\n']);
                Ok((!secret.is_empty()).then(|| secret.to_owned()))
            }
            Err(std::env::VarError::NotPresent) => Ok(None),
            Err(std::env::VarError::NotUnicode(_)) => {
                Err(format!("the variable {SECRET_VARIABLE} is not UTF-8"))
            }
        }
    }
}

/// Returns the content of the file without its last line break.
pub(super) fn read_secret(path: &Path) -> Result<String, String> {
    let wrong = |why: &dyn std::fmt::Display| {
        format!("the file with the secret, {}: {why}", path.display())
    };
    let file = File::open(path).map_err(|error| wrong(&error))?;
    let mode = file.metadata().map_err(|error| wrong(&error))?.permissions().mode();
    let mut text = String::new();
    let count =
        file.take(SECRET_BYTES_MAX + 1).read_to_string(&mut text).map_err(|error| wrong(&error))?;
    if u64::try_from(count).unwrap_or(u64::MAX) > SECRET_BYTES_MAX {
        return Err(wrong(&format!("more than {SECRET_BYTES_MAX} bytes")));
    }
    text.truncate(text.trim_end_matches(['\r', '\n']).len());
    if text.is_empty() {
        return Err(wrong(&"it is empty"));
    }
    if mode & READABLE_BY_OTHERS != 0 {
        let path = path.display();
        print_error(&format!("warning: all users can read the secret in {path}; use chmod 600"));
    }
    Ok(text)
}

/// Parses the `NAME=VALUE` of a flag `--tag`.
pub(super) fn tag(text: &str) -> Result<Tag, String> {
    let Some((name, value)) = text.split_once('=') else {
        return Err("write it as NAME=VALUE, for example language=FR".to_owned());
    };
    Tag::new(name, value).map_err(|error| error.to_string())
}

/// Joins all flags `--tag`.
pub(super) fn tags(all: &[Tag]) -> Result<Tags, String> {
    let tags = Tags::new(all.iter().cloned()).map_err(|error| error.to_string())?;
    if tags.len() < all.len() {
        return Err("a tag is named twice; a client has one value for each name".to_owned());
    }
    Ok(tags)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_cut_at_its_first_sign_of_equality() {
        let parsed = tag("formula=a=b").unwrap();
        assert_eq!((parsed.name(), parsed.value()), ("formula", "a=b"));
        assert_eq!(tag("empty=").unwrap().value(), "");
        assert!(tag("language").unwrap_err().contains("NAME=VALUE"));
        assert!(tag("=x").unwrap_err().contains("needs a name"));
    }

    #[test]
    fn a_repeated_tag_is_reported() {
        let named =
            |all: &[&str]| tags(&all.iter().map(|text| tag(text).unwrap()).collect::<Vec<_>>());
        assert_eq!(named(&["a=1", "b=1"]).unwrap().len(), 2);
        assert!(named(&["a=1", "a=2"]).unwrap_err().contains("twice"));
    }
}
