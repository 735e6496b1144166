//! The result of a reload: changes that apply immediately and changes that need a restart.

use std::fmt;

use super::auth_file::InvalidAuthFile;
use super::diagnostic::{Diagnostic, Diagnostics, ValueLocation, visible};
use super::resolve::Exposure;
use super::sections::operators;
use super::{
    ClusterSettings, Config, ConfigKey, EffectiveValues, KEYS, Loaded, LogSettings, TlsSettings,
};
use crate::auth::{Application, ApplicationSecret, Applications, OWN_SECRET};

/// A valid reload.
#[derive(Clone, Debug)]
pub struct Reload {
    /// The new effective configuration and its values.
    pub loaded: Loaded,
    /// Differences from the previous configuration, in the order of the documentation.
    pub changes: Vec<ConfigChange>,
}

/// One difference between two configurations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigChange {
    /// The change, such as `maxMessage: 5M -> 1M`. It contains no secrets.
    pub what: String,
    /// True if the change takes effect only after a restart of the server. Until then the previous
    /// value remains in effect.
    pub needs_restart: bool,
}

impl fmt::Display for ConfigChange {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = if self.needs_restart { "needs a restart" } else { "changed" };
        write!(to, "{how}: {}", self.what)
    }
}

impl Loaded {
    /// Compares a running configuration with `fresh`, which was read again from the same sources.
    ///
    /// # Errors
    ///
    /// If the server would be insecure: it keeps its addresses, and the new applications do not
    /// allow it to listen there.
    pub fn reload(&self, mut fresh: Self) -> Result<Reload, Diagnostics> {
        let exposure = Exposure::of(&Ok::<_, InvalidAuthFile>(fresh.config.applications.clone()));
        for address in &self.config.listen {
            if let Err(mut fault) = exposure.check(address) {
                fault.right.push_str(" (a new address needs a restart)");
                return Err(Diagnostics(vec![Diagnostic::of_value(
                    ValueLocation::Running,
                    "address",
                    &address.text,
                    fault,
                )]));
            }
        }
        if !self.values.is_same_named(&fresh.values, "operatorFile") {
            // Another file needs a restart, as the API does.
            fresh.config.operators.operators.clone_from(&self.config.operators.operators);
        }
        let changes = changes(self, &fresh);
        let values = self.values.renewed(&fresh.values);
        let mut config = merged(&self.config, fresh.config);
        let (ini, tls) = (fresh.ini.as_deref(), config.tls.as_ref());
        config.operators.take_report(ini, &values, &fresh.warnings, tls);
        Ok(Reload { loaded: Self { config, values, ..fresh }, changes })
    }
}

/// Returns the new configuration, in which all settings that need a restart keep their previous
/// values.
fn merged(former: &Config, fresh: Config) -> Config {
    let mut phpws = fresh.phpws;
    phpws.uuid = former.phpws.uuid;
    let mut api = fresh.api;
    (api.is_on, api.socket_mode) = (former.api.is_on, former.api.socket_mode);
    api.addresses.clone_from(&former.api.addresses);
    let mut bloatless = fresh.bloatless;
    bloatless.push_socket.clone_from(&former.bloatless.push_socket);
    // Joining and leaving a cluster needs a restart, and so do its name and the bounds of the replay buffer.
    let cluster = former.cluster.clone().map(|before| match fresh.cluster {
        Some(fresh) => ClusterSettings {
            name: before.name,
            replay_bytes: before.replay_bytes,
            replay_time: before.replay_time,
            run: before.run,
            ..fresh
        },
        None => before,
    });
    Config {
        cluster,
        listen: former.listen.clone(),
        unix: former.unix.clone(),
        workers: former.workers,
        log: LogSettings { level: fresh.log.level, ..former.log.clone() },
        uuid_key: former.uuid_key.clone(),
        host: former.host,
        state_folder: former.state_folder.clone(),
        tls: match (&former.tls, fresh.tls) {
            (Some(before), Some(tls)) => {
                Some(TlsSettings { ticket_secret: before.ticket_secret.clone(), ..tls })
            }
            // Turning TLS on or off needs a restart, like the addresses.
            (before, _) => before.clone(),
        },
        api,
        phpws,
        bloatless,
        ..fresh
    }
}

fn changes(former: &Loaded, fresh: &Loaded) -> Vec<ConfigChange> {
    let mut changes = Vec::new();
    for key in KEYS {
        changes.extend(former.values.change(&fresh.values, key));
    }
    let mut now = |what| changes.push(ConfigChange { what, needs_restart: false });
    let (before, after) = (&former.config, &fresh.config);
    if let (Some(old), Some(new)) = (&before.tls, &after.tls)
        && (old.chain != new.chain || old.key != new.key)
    {
        now("certFile, pkFile: another certificate or key".to_owned());
    }
    for binding in &after.resources {
        match before.resources.iter().find(|old| old.name == binding.name) {
            None => now(format!("[resource {}]: added", visible(&binding.name))),
            Some(old) if old.kind != binding.kind => {
                now(format!("[resource {}]: another kind", visible(&binding.name)));
            }
            Some(old) if old.backend != binding.backend => {
                now(format!("[resource {}]: another backend", visible(&binding.name)));
            }
            Some(_) => {}
        }
    }
    for old in &before.resources {
        if !after.resources.iter().any(|binding| binding.name == old.name) {
            now(format!("[resource {}]: removed", visible(&old.name)));
        }
    }
    operators::changes(&before.operators, &after.operators, &mut now);
    applications(before.applications.as_ref(), after.applications.as_ref(), &mut now);
    changes
}

/// Describes changes of applications. Contains keys, but no secrets.
fn applications(
    before: Option<&Applications>,
    after: Option<&Applications>,
    tell: &mut impl FnMut(String),
) {
    let (before, after) = match (before, after) {
        (None, None) => return,
        (Some(_), None) => {
            return tell("applications: none, the server is open now".to_owned());
        }
        (None, Some(after)) => {
            return tell(format!("applications: {}, the server was open", after.list.len()));
        }
        (Some(before), Some(after)) => (before, after),
    };
    for application in &after.list {
        let key = visible(&application.key);
        match before.list.iter().find(|old| old.key == application.key) {
            None => tell(format!("application `{key}`: added")),
            Some(old) if old != application => tell(format!(
                "application `{key}`: {}",
                differences(&[
                    ("secret", secret(old) != secret(application)),
                    ("secrets", !more_secrets(old).eq(more_secrets(application))),
                    ("authorizeOpen", old.authorize_open != application.authorize_open),
                    ("clientPublish", old.client_publish != application.client_publish),
                    ("tenant", old.tenant != application.tenant),
                    ("schema", old.schema != application.schema),
                    ("permissions", old.api.permissions != application.api.permissions),
                    ("authMethods", old.api.methods != application.api.methods),
                    ("limits", old.limits != application.limits),
                    ("maxRecipients", old.api.max_recipients != application.api.max_recipients),
                    ("tokens", old.tokens != application.tokens),
                    ("tags", old.tags != application.tags),
                    ("presence", old.presence != application.presence),
                ])
            )),
            Some(_) => {}
        }
    }
    for old in &before.list {
        if !after.list.iter().any(|application| application.key == old.key) {
            tell(format!("application `{}`: removed", visible(&old.key)));
        }
    }
    let anonymous = |of: &Applications| {
        let application = of.anonymous.and_then(|place| of.list.get(place));
        application.map_or_else(|| "none".to_owned(), |it| format!("`{}`", visible(&it.key)))
    };
    let (old, new) = (anonymous(before), anonymous(after));
    if old != new {
        tell(format!("anonymous: {old} -> {new}"));
    }
}

/// The secret of the member `secret`.
fn secret(application: &Application) -> Option<&ApplicationSecret> {
    application.secrets.iter().find(|one| one.id == OWN_SECRET)
}

/// The secrets of the member `secrets`.
fn more_secrets(application: &Application) -> impl Iterator<Item = &ApplicationSecret> {
    application.secrets.iter().filter(|one| one.id != OWN_SECRET)
}

fn differences(members: &[(&str, bool)]) -> String {
    let changed: Vec<&str> =
        members.iter().filter(|(_, differs)| *differs).map(|(name, _)| *name).collect();
    format!("another {}", changed.join(", "))
}

impl EffectiveValues {
    fn change(&self, fresh: &Self, key: &ConfigKey) -> Option<ConfigChange> {
        if self.is_same(fresh, key) {
            return None;
        }
        let (before, after) = (self.shown(key), fresh.shown(key));
        let what = format!("{}: {before} -> {after}", key.flag());
        Some(ConfigChange { what, needs_restart: !key.reloadable })
    }
}

#[cfg(test)]
mod tests;
