//! The flags that the commands of the HTTP API share: the server, the credentials, and the clients.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Map, Value};

use super::connect_args::CredentialArguments;
use super::failure::Failure;
use super::local_server::LocalServer;
use super::print_line;
use crate::client::api::ApiClient;
use crate::client::{ApiUrl, ApplicationKey};

#[derive(Debug, Args)]
pub(super) struct ApiServerArguments {
    /// Address of the HTTP API, http://, https:// or unix: [default: from the configuration]
    #[arg(long, value_name = "URL")]
    url: Option<ApiUrl>,
    /// Configuration file of the server [default: websock.ini, if it exists]
    #[arg(short = 'i', long = "ini", value_name = "FILE")]
    ini: Option<PathBuf>,
    #[command(flatten)]
    shown: CredentialArguments,
}

impl ApiServerArguments {
    /// Connects to the API at `--url`, otherwise at the address in the ini file. For an address from the ini file,
    /// the secret in its `auth.yml` is used if no other one is given and this user may read the file.
    pub(super) fn connect(&self) -> Result<ApiClient, Failure> {
        connect(self.url.as_ref(), self.ini.as_deref(), &self.shown)
    }
}

/// Connects to the API of the server that the flags name.
pub(super) fn connect(
    url: Option<&ApiUrl>,
    ini: Option<&std::path::Path>,
    shown: &CredentialArguments,
) -> Result<ApiClient, Failure> {
    let mut access = shown.access().map_err(Failure::configuration)?;
    let home = LocalServer::read(ini);
    let (url, home) = match url {
        Some(url) => (url.clone(), home.ok().filter(|home| home.has_api_at(url))),
        None => {
            let home = home?;
            (home.api_url()?, Some(home))
        }
    };
    let key = access.credentials.as_ref().map(|shown| shown.key.as_str());
    let lacks_secret = access.credentials.as_ref().is_none_or(|it| it.secret().is_none());
    if lacks_secret && let Some((key, secret)) = home.and_then(|home| home.secret(key)) {
        access.credentials = Some(ApplicationKey::new(key, Some(secret)));
    }
    Ok(ApiClient::connect(&url, &access)?)
}

/// Returns the count in the member `matched` of an answer.
pub(super) fn matched(answer: &Value) -> u64 {
    answer.get("matched").and_then(Value::as_u64).unwrap_or_default()
}

/// Returns `1 client` or `N clients`.
pub(super) fn clients(count: u64) -> String {
    if count == 1 { "1 client".to_owned() } else { format!("{count} clients") }
}

/// Adds the members that have a value to the body of a request.
pub(super) fn add_given<const N: usize>(
    body: &mut Map<String, Value>,
    members: [(&str, Option<Value>); N],
) {
    body.extend(members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
}

/// Prints the result of a command, or its failure.
pub(super) fn finish(result: Result<String, Failure>) -> ExitCode {
    match result {
        Ok(text) => {
            print_line(&text);
            ExitCode::SUCCESS
        }
        Err(failure) => failure.end(""),
    }
}

/// Rejects an empty UUID, as from an empty variable.
pub(super) fn uuid(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("it is empty".to_owned());
    }
    Ok(text.to_owned())
}
