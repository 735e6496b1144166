//! The settings of `[phpws]` and `[gomoob]`, in the form in which sessions use them.

use crate::config::{AliasRule, CloseForm, Config, GomoobMessages, TagMatching};
use crate::protocol::gomoob::Messages;
use crate::session::{Encoding, GomoobRules, PhpwsRules, RefusalClose, TagMatch};
use crate::types::{CompatFlag, CompatFlags, Exclusivity};
use crate::websocket::Leniency;

pub(super) fn phpws(config: &Config) -> PhpwsRules {
    PhpwsRules {
        aliases: match config.phpws.aliases {
            AliasRule::First => Some(Exclusivity::Alone),
            AliasRule::Shared => Some(Exclusivity::Shared),
            AliasRule::Off => None,
        },
        switches: config.phpws.switches,
    }
}

pub(super) fn gomoob(config: &Config) -> GomoobRules {
    GomoobRules {
        messages: match config.gomoob.messages {
            GomoobMessages::Any => Messages::Any,
            GomoobMessages::String => Messages::String,
            GomoobMessages::Typed => Messages::Typed,
        },
        matching: match config.gomoob.tag_match {
            TagMatching::Strict => TagMatch::Strict,
            TagMatching::Legacy => TagMatch::Legacy,
        },
        close: match config.gomoob.close_code {
            CloseForm::Policy => RefusalClose::Policy,
            CloseForm::Legacy => RefusalClose::Legacy,
        },
        encoding: if config.gomoob.php_reencode { Encoding::Php } else { Encoding::AsItCame },
    }
}

/// What frames of phpWebSocketServer's clients may be.
pub(super) fn leniency(switches: CompatFlags) -> Leniency {
    let each = [
        (CompatFlag::AcceptUnmasked, Leniency::UNMASKED),
        (CompatFlag::LenientFrames, Leniency::RESERVED),
        (CompatFlag::RefuseFragments, Leniency::ONE_PIECE),
    ];
    let on = each.into_iter().filter(|(switch, _)| switches.has(*switch));
    on.fold(Leniency::default(), |all, (_, one)| all.and(one))
}
