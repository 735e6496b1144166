//! `tagcast operator`: people and programs that look after a server.

use std::io::{IsTerminal, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::{Args, Subcommand};
use rustix::rand::{GetRandomFlags, getrandom};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use super::config_args::source;
use super::{EXIT_CONFIG, after, print_error, print_line};
use crate::auth::{OPERATOR_TOKEN_PREFIX, Operator, OperatorRole, TokenDigest};
use crate::config::{self, OperatorNotChanged, add_operator, change_operator, hash_password};
use crate::types::limits::PASSWORD_BYTES_MAX;
use crate::types::{Secret, WordChoice};

/// Name of a new file, next to the configuration.
const OPERATOR_FILE: &str = "operators.yml";
/// What follows if the configuration names the file.
const RELOAD: &str = "`tagcast reload` makes a running server use it.";
/// What follows if it names no file, or another one.
const SET_UP: &str = "Add `operatorFile = operators.yml` and an `apiAddress` to websock.ini, and restart the server.";
/// Minimum bytes of a new password.
const PASSWORD_BYTES_MIN: usize = 8;
/// Random bytes of a token.
const TOKEN_BYTES: usize = 32;

#[derive(Debug, Subcommand)]
pub(super) enum OperatorCommand {
    /// Add an operator to operators.yml, with a token or a password.
    #[command(after_help = after!("Examples:\n  tagcast operator add ci --role viewer --application shop\n  tagcast operator add anna --role operator --password"))]
    Add(NewOperator),
    /// Set the password of an operator, which is read from standard input.
    #[command(after_help = after!("Example: tagcast operator password anna"))]
    Password(NamedOperator),
    /// Make a new token for an operator. The former one is no longer accepted.
    #[command(after_help = after!("Example: tagcast operator token ci"))]
    Token(NamedOperator),
}

#[expect(clippy::struct_excessive_bools, reason = "switches of the command line")]
#[derive(Debug, Args)]
pub(super) struct NewOperator {
    /// Name of the operator: letters, digits, `.`, `-`, `_`, `@`
    name: String,
    /// What the operator may do: viewer or operator
    #[arg(long, value_name = "ROLE", default_value = "viewer", value_parser = role)]
    role: OperatorRole,
    /// Show this application only; may be repeated [default: all]
    #[arg(long, value_name = "KEY")]
    application: Vec<String>,
    /// Let the operator see the content of messages
    #[arg(long)]
    payloads: bool,
    /// Read a password from standard input, in place of making a token
    #[arg(long)]
    password: bool,
    #[command(flatten)]
    at: OperatorFile,
}

#[derive(Debug, Args)]
pub(super) struct NamedOperator {
    /// Name of the operator
    name: String,
    #[command(flatten)]
    at: OperatorFile,
}

#[derive(Debug, Args)]
struct OperatorFile {
    /// File with the operators [default: operatorFile of the configuration]
    #[arg(long, value_name = "FILE")]
    operator_file: Option<PathBuf>,
    /// Configuration file [default: websock.ini, if it exists]
    #[arg(short = 'i', long = "ini", value_name = "FILE")]
    ini: Option<PathBuf>,
}

fn role(text: &str) -> Result<OperatorRole, String> {
    OperatorRole::from_word(text).ok_or_else(|| format!("use {}", OperatorRole::words()))
}

pub(super) fn run(command: &OperatorCommand) -> ExitCode {
    let done = match command {
        OperatorCommand::Add(new) => add(new),
        OperatorCommand::Password(NamedOperator { name, at }) => change_password(name, at),
        OperatorCommand::Token(NamedOperator { name, at }) => change_token(name, at),
    };
    done.err().unwrap_or(ExitCode::SUCCESS)
}

fn add(new: &NewOperator) -> Result<(), ExitCode> {
    let (file, next_step) = new.at.path()?;
    let mut operator = Operator {
        name: new.name.clone(),
        role: new.role,
        password: None,
        token: None,
        applications: (!new.application.is_empty()).then(|| new.application.clone()),
        payloads: new.payloads,
    };
    let token = if new.password {
        operator.password = Some(read_password()?);
        None
    } else {
        let token = random_token()?;
        operator.token = Some(TokenDigest::of(token.as_bytes()));
        Some(token)
    };
    add_operator(&file, &operator).map_err(|error| refused("nothing was added", &error))?;
    print_line(&format!("Added `{}` as {} to {}.", new.name, new.role.word(), file.display()));
    if let Some(token) = token {
        print_token(&token);
    }
    print_line(next_step);
    Ok(())
}

fn change_password(name: &str, at: &OperatorFile) -> Result<(), ExitCode> {
    let (file, next_step) = at.path()?;
    let hash = read_password()?;
    change(&file, name, |operator| operator.password = Some(hash))?;
    print_line(&format!("Changed the password of `{name}` in {}.", file.display()));
    print_line(next_step);
    Ok(())
}

fn change_token(name: &str, at: &OperatorFile) -> Result<(), ExitCode> {
    let (file, next_step) = at.path()?;
    let token = random_token()?;
    let digest = TokenDigest::of(token.as_bytes());
    change(&file, name, |operator| operator.token = Some(digest))?;
    print_line(&format!("Changed the token of `{name}` in {}.", file.display()));
    print_token(&token);
    print_line(next_step);
    Ok(())
}

fn change(
    file: &std::path::Path,
    name: &str,
    edit: impl FnOnce(&mut Operator),
) -> Result<(), ExitCode> {
    change_operator(file, name, edit).map_err(|error| refused("nothing was changed", &error))
}

fn refused(nothing: &str, error: &OperatorNotChanged) -> ExitCode {
    print_error(&format!("tagcast: {nothing}: {error}"));
    match error {
        OperatorNotChanged::Unwritable(..) => ExitCode::FAILURE,
        _ => ExitCode::from(EXIT_CONFIG),
    }
}

fn print_token(token: &str) {
    print_line(&format!("token: {token}\nIt is not shown again; the file has only its SHA-256."));
}

impl OperatorFile {
    /// Returns the path of the file, and what makes a change of it take effect.
    fn path(&self) -> Result<(PathBuf, &'static str), ExitCode> {
        let source = source(self.ini.clone(), Vec::new());
        if let Some(file) = &self.operator_file {
            let named = config::operator_file(&source).ok().flatten();
            let is_read = named.is_some_and(|named| named == source.folder.join(file));
            return Ok((file.clone(), if is_read { RELOAD } else { SET_UP }));
        }
        let named = config::operator_file(&source).map_err(|findings| {
            print_error(&findings.to_string());
            ExitCode::from(EXIT_CONFIG)
        })?;
        Ok(match named {
            Some(file) => (file, RELOAD),
            None => (source.ini_path().with_file_name(OPERATOR_FILE), SET_UP),
        })
    }
}

/// Returns a new token.
fn random_token() -> Result<Zeroizing<String>, ExitCode> {
    let mut bytes = Zeroizing::new([0_u8; TOKEN_BYTES]);
    if getrandom(bytes.as_mut_slice(), GetRandomFlags::empty()) != Ok(TOKEN_BYTES) {
        print_error("tagcast: failed to get random numbers from the system");
        return Err(ExitCode::FAILURE);
    }
    let encoded = Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice()));
    Ok(Zeroizing::new(format!("{OPERATOR_TOKEN_PREFIX}{}", &*encoded)))
}

/// Reads a password and returns its hash.
fn read_password() -> Result<Secret, ExitCode> {
    let wrong = |text: &str| {
        print_error(&format!("tagcast: {text}"));
        ExitCode::from(EXIT_CONFIG)
    };
    let password = if std::io::stdin().is_terminal() {
        let first = ask("New password: ")?;
        let again = ask("Once more: ")?;
        if first != again {
            return Err(wrong("the passwords differ; nothing was changed"));
        }
        first
    } else {
        let mut text = Zeroizing::new(String::with_capacity(PASSWORD_BYTES_MAX + 2));
        let max = PASSWORD_BYTES_MAX as u64 + 2;
        let read = std::io::stdin().take(max).read_to_string(&mut text);
        read.map_err(|_| wrong("the password on standard input is not UTF-8"))?;
        Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned())
    };
    if !(PASSWORD_BYTES_MIN..=PASSWORD_BYTES_MAX).contains(&password.len()) {
        let what =
            format!("a password must have {PASSWORD_BYTES_MIN} to {PASSWORD_BYTES_MAX} bytes");
        return Err(wrong(&what));
    }
    hash_password(&password).ok_or_else(|| {
        print_error("tagcast: failed to get random numbers from the system");
        ExitCode::FAILURE
    })
}

/// Reads a line from the terminal without showing it.
fn ask(prompt: &str) -> Result<Zeroizing<String>, ExitCode> {
    let failed = || {
        print_error("tagcast: failed to read from the terminal");
        ExitCode::FAILURE
    };
    let stdin = std::io::stdin();
    let shown = tcgetattr(&stdin).map_err(|_| failed())?;
    let mut hidden = shown.clone();
    hidden.local_modes.remove(LocalModes::ECHO);
    let _gone = write!(std::io::stderr(), "{prompt}");
    tcsetattr(&stdin, OptionalActions::Flush, &hidden).map_err(|_| failed())?;
    let mut line = Zeroizing::new(String::with_capacity(PASSWORD_BYTES_MAX + 2));
    let read = stdin.read_line(&mut line);
    let _restored = tcsetattr(&stdin, OptionalActions::Flush, &shown);
    print_error("");
    read.map_err(|_| failed())?;
    Ok(Zeroizing::new(line.trim_end_matches(['\r', '\n']).to_owned()))
}
