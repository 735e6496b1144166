//! `tagcast token create`: signs a token with a key of the configuration.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::{Map, Value, json};

use super::TokenApplication;
use crate::auth::{
    Application, Permissions, ShownToken, TokenKey, TokenKeyMaterial, TokenSettings, sign_token,
};
use crate::cli::connect_args::read_secret;
use crate::cli::failure::Failure;
use crate::cli::print_line;
use crate::telemetry::unix_seconds;
use crate::types::{Secret, span_seconds};

#[derive(Debug, Args)]
pub(in crate::cli) struct CreateArguments {
    /// User of the connection
    #[arg(long, value_name = "USER")]
    sub: Option<String>,
    /// Tag of the connection; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = tag)]
    tag: Vec<(String, String)>,
    /// Ident of the connection
    #[arg(long, value_name = "NAME")]
    ident: Option<String>,
    /// What HTTP resources get about the user, as JSON
    #[arg(long, value_name = "JSON", value_parser = value)]
    user: Option<Value>,
    /// Id of the token
    #[arg(long, value_name = "ID")]
    jti: Option<String>,
    /// Tenant of the connection, if `tokenTenants` allows it
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// Whether the client may publish [default: as the application says]
    #[arg(long, value_name = "true|false")]
    publish: Option<bool>,
    /// Whether publications reach the client [default: true]
    #[arg(long, value_name = "true|false")]
    receive: Option<bool>,
    /// Time until the token expires
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = seconds)]
    expires: u64,
    /// Id of the key [default: the only one that can sign]
    #[arg(long, value_name = "ID")]
    kid: Option<String>,
    /// Private key in PEM, for a key with `publicKeyFile`
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    #[command(flatten)]
    application: TokenApplication,
}

pub(super) fn run(arguments: &CreateArguments) -> Result<ExitCode, Failure> {
    let (applications, open) = arguments.application.applications()?;
    let application = arguments.application.choose(&applications)?;
    let settings = application.tokens.as_ref().ok_or_else(|| {
        let why = format!("the application `{}` has no `tokens` in auth.yml", application.key);
        Failure::configuration(why)
    })?;
    let key = arguments.key(settings)?;
    let secret = secret_of(key, arguments.key_file.as_deref())?;
    let now = unix_seconds();
    let claims = arguments.claims(application, settings, now).to_string();
    let token = sign_token(&claims, key.algorithm, &secret, &key.id)
        .map_err(|error| Failure::configuration(error.to_string()))?;
    // A token that the server would refuse is not printed.
    let shown = ShownToken { token: &token, key: Some(&application.key), now };
    Permissions::new(Some(&applications), open).verify_token(shown).map_err(|error| {
        Failure::data(format!("the server would refuse this token: {}", error.why))
    })?;
    print_line(&token);
    Ok(ExitCode::SUCCESS)
}

impl CreateArguments {
    /// Returns the key to sign with: the named one, or the only one that can sign.
    fn key<'a>(&self, settings: &'a TokenSettings) -> Result<&'a TokenKey, Failure> {
        let is_wanted = |key: &&TokenKey| match &self.kid {
            Some(id) => key.id == *id,
            None => key.algorithm.is_asymmetric() == self.key_file.is_some(),
        };
        let wanted: Vec<&TokenKey> = settings.keys.iter().filter(is_wanted).collect();
        let &[key] = wanted.as_slice() else {
            let ids: Vec<&str> = settings.keys.iter().map(|key| key.id.as_str()).collect();
            let ids = ids.join(", ");
            return Err(Failure::configuration(match wanted.is_empty() {
                true if self.kid.is_some() => format!("no key has this id: {ids}"),
                true if self.key_file.is_some() => "no key has `publicKeyFile`".to_owned(),
                true => {
                    "sign with --key-file, the private key of a public key in auth.yml".to_owned()
                }
                false => format!("name one of the keys with --kid: {ids}"),
            }));
        };
        Ok(key)
    }

    fn claims(&self, application: &Application, settings: &TokenSettings, now: u64) -> Value {
        let mut claims = json!({
            "aud": application.key,
            "iat": now,
            "exp": now.saturating_add(self.expires),
        });
        let tags: Map<String, Value> =
            self.tag.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        let mut capabilities = Map::new();
        for (name, value) in [("publish", self.publish), ("receive", self.receive)] {
            capabilities.extend(value.map(|value| (name.to_owned(), json!(value))));
        }
        let object = |map: Map<String, Value>| (!map.is_empty()).then_some(Value::Object(map));
        let text = |text: &Option<String>| text.as_ref().map(|text| json!(text));
        let optional = [
            ("iss", text(&settings.issuer)),
            ("sub", text(&self.sub)),
            ("jti", text(&self.jti)),
            ("tags", object(tags)),
            ("ident", text(&self.ident)),
            ("user", self.user.clone()),
            ("tenant", text(&self.tenant)),
            ("caps", object(capabilities)),
        ];
        for (name, value) in optional {
            if let (Some(value), Some(claims)) = (value, claims.as_object_mut()) {
                claims.insert(name.to_owned(), value);
            }
        }
        claims
    }
}

/// Returns the secret of HS256, or the private key in the file.
fn secret_of(key: &TokenKey, file: Option<&Path>) -> Result<Secret, Failure> {
    match (&key.material, file) {
        (TokenKeyMaterial::Secret(secret), None) => Ok(secret.clone()),
        (TokenKeyMaterial::Public(_), Some(file)) => {
            read_secret(file).map(Secret::new).map_err(Failure::configuration)
        }
        (TokenKeyMaterial::Secret(_), Some(_)) => {
            let why = format!("the key `{}` is in auth.yml; leave --key-file out", key.id);
            Err(Failure::configuration(why))
        }
        (TokenKeyMaterial::Public(_), None) => {
            let why =
                format!("the key `{}` is public; give its private key with --key-file", key.id);
            Err(Failure::configuration(why))
        }
    }
}

fn tag(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(name, _)| !name.is_empty());
    let (name, value) = pair.ok_or_else(|| "write NAME=VALUE".to_owned())?;
    Ok((name.to_owned(), value.to_owned()))
}

fn value(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))
}

fn seconds(text: &str) -> Result<u64, String> {
    let right = "use a time such as 30s, 10m or 12h";
    span_seconds(text).filter(|seconds| *seconds > 0).ok_or_else(|| right.to_owned())
}
