//! Members of an application about tokens: `tokens`, `tokenMaxAge`, `issuer`, `tokenTenants`, `tokenCookie`.

use std::path::PathBuf;
use std::time::Duration;

use super::check::{ApplicationEntry, CheckedFile, NAME_BYTES_MAX};
use super::secrets::{self, SecretSource, scalar};
use super::tree::{NodeKind, YamlNode};
use super::violation::FindingSubject;
use crate::auth::{TokenAlgorithm, TokenKey, TokenKeyMaterial, TokenSettings};
use crate::config::diagnostic::visible;
use crate::types::limits::{TOKEN_AGE_LONGEST, TOKEN_AGE_MAX, TOKEN_KEYS_MAX};
use crate::types::{Secret, WordChoice, span_seconds};

/// Allowed members of a key.
const MEMBERS: [&str; 7] = ["id", "alg", "secret", "value", "file", "env", "publicKeyFile"];
/// Members that say what the key is.
const SOURCES: [&str; 5] = ["secret", "value", "file", "env", "publicKeyFile"];
const PUBLIC: &str = "publicKeyFile";
/// Members that have no effect without `tokens`.
const OTHERS: [&str; 4] = ["tokenMaxAge", "issuer", "tokenTenants", "tokenCookie"];
/// Maximum other tenants that tokens of an application may name.
const TENANTS_MAX: usize = 128;

/// Where a key comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TokenKeySource {
    /// The secret of the application with this id.
    SecretOf(String),
    /// A secret of its own.
    Secret(SecretSource),
    /// A file with a public key, relative to the file of the applications.
    Public(PathBuf),
}

/// A key of tokens in the file, and where it is.
#[derive(Debug)]
pub(super) struct NamedTokenKey {
    /// Index of the application, from 0.
    pub(super) application: usize,
    /// Index of the key in the application, from 0.
    pub(super) at: usize,
    pub(super) line: usize,
    /// The subject of findings about it, such as `application 1: tokens 1: secret`.
    pub(super) subject: String,
    pub(super) source: TokenKeySource,
}

/// Returns what an application accepts as tokens. Keys that are not in the file itself are still empty.
pub(super) fn read(check: &mut CheckedFile, entry: ApplicationEntry<'_>) -> Option<TokenSettings> {
    let Some(list) = entry.node.get("tokens") else {
        for name in OTHERS {
            if let Some(node) = entry.node.get(name) {
                let (member, right) = (entry.member(name), "add `tokens`, or remove it");
                let about = FindingSubject::at(node.line, &member);
                check.error(about, "has no effect without `tokens`", right);
            }
        }
        return None;
    };
    let keys = keys(check, entry, list);
    let max_age = max_age(check, entry);
    let issuer = entry.node.get("issuer").and_then(|_| check.text(entry, "issuer"));
    let (tenants, cookie) = (tenants(check, entry), cookie(check, entry));
    Some(TokenSettings { keys, max_age, issuer, tenants, cookie })
}

fn keys(check: &mut CheckedFile, entry: ApplicationEntry<'_>, list: &YamlNode) -> Vec<TokenKey> {
    let member = entry.member("tokens");
    let about = FindingSubject::at(list.line, &member);
    let items = list.items().filter(|items| !items.is_empty() && list.construct.is_none());
    let Some(items) = items else {
        let right =
            "write a list, such as `[{id: main, alg: HS256, secret: own}]`, or leave it out";
        check.error(about, "is not a list of keys", right);
        return Vec::new();
    };
    if items.len() > TOKEN_KEYS_MAX {
        let what = format!("has {} keys", items.len());
        check.error(
            about,
            what,
            format!("use {TOKEN_KEYS_MAX} at most, and remove those of no use"),
        );
        return Vec::new();
    }
    let mut all: Vec<TokenKey> = Vec::new();
    for (index, node) in items.iter().enumerate() {
        let entry = ApplicationEntry { node, part: Some(("tokens", index)), ..entry };
        let Some((key, member, source)) = one(check, entry) else { continue };
        if all.iter().any(|known| known.id == key.id) {
            let line = node.get("id").map_or(node.line, |id| id.line);
            let what = format!("`{}` is the id of another key too", visible(&key.id));
            check.error(FindingSubject::at(line, &entry.member("id")), what, "give each its own");
        }
        let line = node.get(member).map_or(node.line, |value| value.line);
        let (application, at, subject) = (entry.at, all.len(), entry.member(member));
        check.token_keys.push(NamedTokenKey { application, at, line, subject, source });
        all.push(key);
    }
    all
}

/// Reads a key, the member that says what it is, and where it comes from.
fn one(
    check: &mut CheckedFile,
    entry: ApplicationEntry<'_>,
) -> Option<(TokenKey, &'static str, TokenKeySource)> {
    let node = entry.node;
    check.constructs(node, &entry.name());
    if !matches!(node.kind, NodeKind::Mapping(_)) {
        let right =
            "write `id`, `alg`, and one of `secret`, `value`, `file`, `env` and `publicKeyFile`";
        check.error(FindingSubject::at(node.line, &entry.name()), "is not a key", right);
        return None;
    }
    for member in node.members() {
        secrets::known_member(check, entry, member, &MEMBERS);
    }
    check.duplicate_members(node, &format!("{}: ", entry.name()), &MEMBERS);
    let (id, algorithm) = (secrets::id(check, entry), algorithm(check, entry));
    let (id, algorithm) = (id?, algorithm?);
    let given: Vec<&'static str> =
        SOURCES.iter().copied().filter(|name| node.get(name).is_some()).collect();
    let fits = |member: &str| (member == PUBLIC) == algorithm.is_asymmetric();
    let right = match algorithm.is_asymmetric() {
        true => "write `publicKeyFile`, the file of a public key in PEM, and nothing else",
        false => "write one of `secret` (the id of a secret), `value`, `file` and `env`",
    };
    let [member] = given.as_slice() else {
        let what = if given.is_empty() { "has no key" } else { "has more than one key" };
        check.error(FindingSubject::at(node.line, &entry.name()), what, right);
        return None;
    };
    if !fits(member) {
        let what = format!("is not for {}", algorithm.word());
        check.error(FindingSubject::at(node.line, &entry.member(member)), what, right);
        return None;
    }
    let text = check.text(entry, member)?;
    let (value, source) = match *member {
        "secret" => (String::new(), TokenKeySource::SecretOf(text)),
        "file" => (String::new(), TokenKeySource::Secret(SecretSource::File(PathBuf::from(text)))),
        "env" => (String::new(), TokenKeySource::Secret(SecretSource::Variable(text))),
        "value" => (text, TokenKeySource::Secret(SecretSource::Value)),
        _ => (String::new(), TokenKeySource::Public(PathBuf::from(text))),
    };
    let material = TokenKeyMaterial::Secret(Secret::new(value));
    Some((TokenKey { id, algorithm, material, expires: None }, member, source))
}

fn algorithm(check: &mut CheckedFile, entry: ApplicationEntry<'_>) -> Option<TokenAlgorithm> {
    let node = entry.node.get("alg");
    let algorithm = node.and_then(scalar).and_then(TokenAlgorithm::named);
    if algorithm.is_none() {
        let (line, what) = match node {
            Some(node) => (node.line, "is not a known algorithm"),
            None => (entry.node.line, "is missing"),
        };
        let right = format!("write {}", TokenAlgorithm::words());
        check.error(FindingSubject::at(line, &entry.member("alg")), what, right);
    }
    algorithm
}

fn max_age(check: &mut CheckedFile, entry: ApplicationEntry<'_>) -> Duration {
    let Some(node) = entry.node.get("tokenMaxAge") else { return TOKEN_AGE_MAX };
    let longest = TOKEN_AGE_LONGEST.as_secs();
    let seconds = scalar(node).and_then(span_seconds).filter(|age| (1..=longest).contains(age));
    if seconds.is_none() {
        let right = format!("write 1s to {}h, for example 30m or 24h", longest / 3600);
        let about = entry.member("tokenMaxAge");
        check.error(FindingSubject::at(node.line, &about), "is not a time", right);
    }
    seconds.map_or(TOKEN_AGE_MAX, Duration::from_secs)
}

fn tenants(check: &mut CheckedFile, entry: ApplicationEntry<'_>) -> Vec<String> {
    let Some(node) = entry.node.get("tokenTenants") else { return Vec::new() };
    let items = node.items().filter(|items| items.len() <= TENANTS_MAX && node.construct.is_none());
    let names: Option<Vec<String>> =
        items.and_then(|items| items.iter().map(|item| scalar(item).map(str::to_owned)).collect());
    let is_name = |name: &String| {
        let star = name.find('*').is_none_or(|at| at + 1 == name.len());
        star && (1..=NAME_BYTES_MAX).contains(&name.len())
    };
    let names = names.filter(|names| names.iter().all(is_name));
    if names.is_none() {
        let member = entry.member("tokenTenants");
        let right = format!(
            "write a list of up to {TENANTS_MAX} tenants; a name may end with `*`, such as `[eu-*]`"
        );
        check.error(FindingSubject::at(node.line, &member), "is not a list of tenants", right);
    }
    names.unwrap_or_default()
}

/// Reads the name of a cookie, a token of RFC 6265 §4.1.1.
fn cookie(check: &mut CheckedFile, entry: ApplicationEntry<'_>) -> Option<String> {
    let node = entry.node.get("tokenCookie")?;
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let is_name =
        |name: &&str| (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_letter);
    let name = scalar(node).filter(is_name);
    if name.is_none() {
        let member = entry.member("tokenCookie");
        let right = "write the name of a cookie, such as `tagcast`, or none";
        check.error(FindingSubject::at(node.line, &member), "is not the name of a cookie", right);
    }
    name.filter(|name| *name != "none").map(str::to_owned)
}
