//! `[echo]`: options for clients of PHP-WebSockets-Server.

use serde::{Deserialize, Serialize};

use super::resource::is_name;
use crate::config::diagnostic::{Problem, visible};
use crate::config::layers::ConfigLayers;
use crate::config::parse::{choice, is_absent, list, switch};
use crate::resource::Offers;
use crate::types::word_choices;

/// Options for clients of PHP-WebSockets-Server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EchoSettings {
    /// Names of applications that the echo resource serves, unless the file binds them to another
    /// resource.
    pub applications: Vec<String>,
    /// True if the application `Bar` sends no answers, as in the original server.
    pub bar_silent: bool,
    /// Handling of the subprotocols that a client offers.
    pub protocols: Offers,
    /// Response to a handshake.
    pub handshake: EchoHandshake,
}

word_choices! {
    /// Response to a handshake for a resource without a dialect of its own.
    EchoHandshake {
        /// The response of all other resources.
        Rfc = "rfc",
        /// A response with the header lines of PHP-WebSockets-Server.
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
