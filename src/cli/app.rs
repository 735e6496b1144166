//! `tagcast app`: applications with keys and secrets of their own.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use rustix::rand::{GetRandomFlags, getrandom};
use zeroize::Zeroizing;

use super::config_args::source;
use super::{EXIT_CONFIG, after, print_error, print_line};
use crate::config::{
    self, ConfigSources, ListenAddress, NewApplication, NotAdded, add_application, add_secret,
    applications_in, make_anonymous, remove_application, remove_secret, replace_secret,
};
use crate::telemetry::today;
use crate::types::Secret;

#[derive(Debug, Subcommand)]
pub(super) enum AppCommand {
    /// Create an application and add it to auth.yml.
    #[command(after_help = after!("Example: tagcast app add shop --tenant shop"))]
    Add(AppArguments),
    /// List the applications in auth.yml, without secrets.
    #[command(after_help = after!("Example: tagcast app list"))]
    List(Where),
    /// Remove an application from auth.yml.
    #[command(after_help = after!("Example: tagcast app remove shop"))]
    Remove(NamedApplication),
    /// Add a secret to an application, next to those it has.
    #[command(after_help = after!("Example: tagcast app rotate shop"))]
    Rotate(Rotation),
    /// Remove a secret of an application.
    #[command(after_help = after!("Example: tagcast app revoke shop own"))]
    Revoke(Revocation),
}

#[expect(clippy::struct_excessive_bools, reason = "switches of the command line")]
#[derive(Debug, Args)]
pub(super) struct AppArguments {
    /// Key of the new application: letters, digits, `.`, `-`, `_`
    name: String,
    /// Separate its clients from those of other tenants
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// Let its clients publish without the secret
    #[arg(long)]
    client_publish: bool,
    /// Require the secret for opening a connection, not only the key
    #[arg(long)]
    secret_to_open: bool,
    /// Use this application for connections without a key
    #[arg(long, conflicts_with = "secret_to_open")]
    anonymous: bool,
    #[command(flatten)]
    at: Where,
}

#[derive(Debug, Args)]
pub(super) struct NamedApplication {
    /// Key of the application
    name: String,
    #[command(flatten)]
    at: Where,
}

#[derive(Debug, Args)]
pub(super) struct Rotation {
    /// Key of the application
    name: String,
    /// Id of the new secret [default: the day, such as 2026-11-29]
    #[arg(long, value_name = "ID", conflicts_with = "replace")]
    id: Option<String>,
    /// Replace the value of `secret`, so that the old value is refused
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    at: Where,
}

#[derive(Debug, Args)]
pub(super) struct Revocation {
    /// Key of the application
    name: String,
    /// Id of the secret; `own` is the member `secret`
    id: String,
    #[command(flatten)]
    at: Where,
}

#[derive(Debug, Args)]
pub(super) struct Where {
    /// File with the applications [default: from the configuration]
    #[arg(long, value_name = "FILE")]
    auth_file: Option<PathBuf>,
    /// Configuration file [default: websock.ini, if it exists]
    #[arg(short = 'i', long = "ini", value_name = "FILE")]
    ini: Option<PathBuf>,
}

pub(super) fn run(command: &AppCommand) -> ExitCode {
    let done = match command {
        AppCommand::Add(arguments) => add(arguments),
        AppCommand::List(at) => list(at),
        AppCommand::Remove(NamedApplication { name, at }) => remove(name, at),
        AppCommand::Rotate(rotation) => rotate(rotation),
        AppCommand::Revoke(revocation) => revoke(revocation),
    };
    done.err().unwrap_or(ExitCode::SUCCESS)
}

fn add(arguments: &AppArguments) -> Result<(), ExitCode> {
    let new = NewApplication {
        key: arguments.name.clone(),
        secret: random_secret()?,
        authorize_open: !arguments.secret_to_open,
        client_publish: arguments.client_publish,
        tenant: arguments.tenant.clone(),
    };
    let file = arguments.at.file()?;
    // Before anything is written: an application without `--anonymous` is not what was requested.
    if arguments.anonymous && applications_in(&file).is_ok_and(|all| all.anonymous.is_some()) {
        return Err(refused("nothing was added", &NotAdded::Anonymous { file }));
    }
    add_application(&file, &new).map_err(|error| refused("nothing was added", &error))?;
    if arguments.anonymous {
        let done = make_anonymous(&file, &new.key);
        done.map_err(|error| refused("`anonymous` was not set", &error))?;
    }
    explain(&arguments.at, &file, &new);
    Ok(())
}

fn list(at: &Where) -> Result<(), ExitCode> {
    let file = at.file()?;
    let all = applications_in(&file).map_err(|error| refused("nothing can be shown", &error))?;
    let widest = all.list.iter().map(|it| it.key.chars().count()).max().unwrap_or(0).max(3);
    print_line(&format!("{:widest$}  opens with  publishes    tenant  secrets", "key"));
    for (place, it) in all.list.iter().enumerate() {
        let opens = if it.authorize_open { "key" } else { "secret" };
        let publishes = if it.client_publish { "its clients" } else { "the secret" };
        let tenant = it.tenant.as_deref().unwrap_or("-");
        let ids: Vec<&str> = it.secrets.iter().map(|one| one.id.as_str()).collect();
        let (tenant, ids) = (format!("{tenant:6}"), ids.join(", "));
        let anonymous = if all.anonymous == Some(place) { "  (without a key)" } else { "" };
        let line =
            format!("{:widest$}  {opens:10}  {publishes:11}  {tenant}  {ids}{anonymous}", it.key);
        // A key in the file can contain any character.
        print_line(&line.replace(char::is_control, "?"));
    }
    Ok(())
}

fn remove(name: &str, at: &Where) -> Result<(), ExitCode> {
    let file = at.file()?;
    remove_application(&file, name).map_err(|error| refused("nothing was removed", &error))?;
    print_line(&format!(
        "Removed `{name}` from {}. `tagcast reload` closes its connections.",
        file.display()
    ));
    Ok(())
}

fn rotate(Rotation { name, id, replace, at }: &Rotation) -> Result<(), ExitCode> {
    let (file, secret) = (at.file()?, random_secret()?);
    let failed = |error| refused("nothing was changed", &error);
    let shown = file.display();
    if *replace {
        replace_secret(&file, name, &secret).map_err(failed)?;
        print_line(&format!(
            "key:    {name}\nsecret: {}\n\nChanged in {shown}. `tagcast reload` makes a running server use it, \
             and closes the connections that used the previous one.",
            secret.expose(),
        ));
        return Ok(());
    }
    let id = id.clone().unwrap_or_else(today);
    let id = add_secret(&file, name, &id, &secret).map_err(failed)?;
    print_line(&format!(
        "key:    {name}\nid:     {id}\nsecret: {}\n\nAdded to {shown}. The other secrets stay valid.\n\
         1. `tagcast reload` makes a running server accept it.\n\
         2. Give it to your backends.\n\
         3. `tagcast app revoke {name} ID` removes an old one; its id is `own` if it is the member `secret`. \
         `tagcast reload` then closes the connections that used it.",
        secret.expose(),
    ));
    Ok(())
}

fn revoke(Revocation { name, id, at }: &Revocation) -> Result<(), ExitCode> {
    let file = at.file()?;
    let removed = remove_secret(&file, name, id);
    removed.map_err(|error| refused("nothing was removed", &error))?;
    print_line(&format!(
        "Removed the secret `{id}` of `{name}` from {}. `tagcast reload` closes the connections that used it.",
        file.display()
    ));
    Ok(())
}

fn refused(nothing: &str, error: &NotAdded) -> ExitCode {
    print_error(&format!("tagcast: {nothing}: {error}"));
    match error {
        NotAdded::Unwritable { .. } => ExitCode::FAILURE,
        _ => ExitCode::from(EXIT_CONFIG),
    }
}

impl Where {
    /// Returns the path of the `auth.yml` that the server would read.
    fn file(&self) -> Result<PathBuf, ExitCode> {
        let file = match &self.auth_file {
            Some(file) => Ok(file.clone()),
            None => config::auth_file(&self.source()),
        };
        file.map_err(|findings| {
            print_error(&findings.to_string());
            ExitCode::from(EXIT_CONFIG)
        })
    }

    fn source(&self) -> ConfigSources {
        source(self.ini.clone(), Vec::new())
    }

    /// Returns the URL of the server with this configuration, from this machine.
    fn url(&self) -> String {
        let addresses = config::addresses(&self.source());
        addresses.first().map_or_else(|| "ws://127.0.0.1:8094".to_owned(), url_of)
    }
}

/// Returns the URL to connect to a listening address.
fn url_of(address: &ListenAddress) -> String {
    let host = match address.host.as_str() {
        "0.0.0.0" => "127.0.0.1".to_owned(),
        "::" => "[::1]".to_owned(),
        host if host.contains(':') => format!("[{host}]"),
        host => host.to_owned(),
    };
    let port = match address.port {
        0 => "PORT".to_owned(),
        port => port.to_string(),
    };
    format!("{}://{host}:{port}", address.encryption.scheme())
}

/// Returns the program as the user called it, so that printed commands work when they are pasted.
fn program() -> String {
    let name = std::env::args().next().filter(|name| name.contains('/') && is_plain(name));
    name.unwrap_or_else(|| "tagcast".to_owned())
}

fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-+".contains(&byte))
}

/// Returns 32 random bytes in hexadecimal.
fn random_secret() -> Result<Secret, ExitCode> {
    let mut bytes = Zeroizing::new([0_u8; 32]);
    let got = getrandom(bytes.as_mut_slice(), GetRandomFlags::empty());
    if got != Ok(bytes.len()) {
        print_error("tagcast: failed to get random numbers from the system");
        return Err(ExitCode::FAILURE);
    }
    Ok(Secret::new(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
}

fn explain(at: &Where, file: &Path, new: &NewApplication) {
    let (key, secret, url, program) = (&new.key, new.secret.expose(), at.url(), program());
    print_line(&format!(
        "key:    {key}
secret: {secret}

Added to {file}. `{program} reload` makes a running server use it.
Keep the secret in backends, never in a page. It is not shown again.

Open a connection:
  {url}/web?key={key}{open}
Publish from the command line:
  TAGCAST_SECRET={secret} {program} publish --url {url}/ --key {key} --all 'hello'
Publish from a phpWebSocketServer client: with opcode and message
  \"key\":\"{key}\",\"secret\":\"…\"
Publish from a Gomoob client:
  \"metadata\":{{\"key\":\"{key}\",\"secret\":\"…\"}}",
        file = file.display(),
        open = if new.authorize_open { "" } else { "&secret=…" },
    ));
    if let Some(page) = file.parent().and_then(config::site_in) {
        print_error(&format!(
            "warning: {} is in a folder with `{page}`: a web server may serve it to anyone. Keep \
             websock.ini, auth.yml and state outside of the document root",
            file.display()
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Encryption;

    #[test]
    fn an_address_to_listen_on_is_one_to_connect_to() {
        for (host, port, encryption, url) in [
            ("0.0.0.0", 21_600, Encryption::Plain, "ws://127.0.0.1:21600"),
            ("::", 443, Encryption::Tls, "wss://[::1]:443"),
            ("2001:db8::1", 80, Encryption::Plain, "ws://[2001:db8::1]:80"),
            ("localhost", 0, Encryption::Plain, "ws://localhost:PORT"),
        ] {
            let (text, host) = (String::new(), host.to_owned());
            assert_eq!(url_of(&ListenAddress { text, host, port, encryption }), url);
        }
    }
}
