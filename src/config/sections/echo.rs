//! `[echo]`: the switches for who comes from PHP-WebSockets-Server.

use serde::{Deserialize, Serialize};

use super::resource::is_name;
use crate::config::diagnostic::{Problem, visible};
use crate::config::layers::ConfigLayers;
use crate::config::parse::{choice, is_absent, list, switch};
use crate::resource::Offers;
use crate::types::word_choices;

/// The switches for who comes from PHP-WebSockets-Server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EchoSettings {
    /// The names of applications that are served by echo, unless the file binds them to something
    /// else.
    pub applications: Vec<String>,
    /// Whether `Bar` gives no answer, as it did.
    pub bar_silent: bool,
    /// What becomes of the subprotocols that a client offers.
    pub protocols: Offers,
    /// How a handshake is answered.
    pub handshake: EchoHandshake,
}

word_choices! {
    /// How a handshake for a resource without a language of its own is answered.
    EchoHandshake {
        /// As everywhere.
        Rfc = "rfc",
        /// With the lines of PHP-WebSockets-Server.
        Legacy = "legacy",
    }
}

pub(in crate::config) fn read(given: &mut ConfigLayers<'_>) -> EchoSettings {
    EchoSettings {
        applications: given.or_default("echo", "applications", names),
        bar_silent: given.or_default("echo", "barSilent", switch),
        protocols: given.read("echo", "protocols", choice).unwrap_or(Offers::Negotiated),
        handshake: given.read("echo", "handshake", choice).unwrap_or(EchoHandshake::Rfc),
    }
}

fn names(text: &str) -> Result<Vec<String>, Problem> {
    let right = "use names of subprotocols like Foo, Bar, with commas, or none";
    let name = |item: &str| {
        let what =
            || Problem::new(format!("holds `{}`, which is not a name", visible(item)), right);
        let is_right = is_name(item) && !item.starts_with('/');
        is_right.then(|| item.to_owned()).ok_or_else(what)
    };
    list(if is_absent(text) { "" } else { text }).map(name).collect()
}
