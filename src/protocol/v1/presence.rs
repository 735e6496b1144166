//! The frame `presence`: who matches a watched query.

use crate::json::push_text;
use crate::types::{ClientUuid, PresenceCounts, PresenceNews, PresentMember, Tags};

/// The frame of a watch that has ended by itself, with the reason.
#[must_use]
pub fn watch_ended(watch: u64, reason: &str) -> String {
    format!(r#"{{"op":"presence","watch":{watch},"end":"{reason}"}}"#)
}

/// Returns the frame `presence` for a watch. `rest` is the same for all that watch the same.
#[must_use]
pub fn presence(watch: u64, rest: &str) -> String {
    format!(r#"{{"op":"presence","watch":{watch},{rest}"#)
}

/// How clients are named for watchers.
pub trait MemberNames {
    /// Returns the id of a client.
    fn id(&self, client: ClientUuid) -> String;

    /// Returns the UUID of a client, by which others can address it.
    fn uuid(&self, client: ClientUuid) -> String;
}

/// What a frame `presence` says.
#[derive(Clone, Copy, Debug)]
pub struct PresenceReport<'a> {
    /// How many there are.
    pub counts: PresenceCounts,
    /// Clients of some hosts may be missing.
    pub is_partial: bool,
    /// What is new.
    pub news: &'a PresenceNews,
}

/// Returns the part of the frame `presence` that is the same for all that watch the same.
#[must_use]
pub fn presence_rest(report: PresenceReport<'_>, names: &dyn MemberNames) -> String {
    let PresenceReport { counts: PresenceCounts { clients, users }, is_partial, news } = report;
    let counts = format!(r#""count":{clients},"users":{users}"#);
    let sync = if is_partial { r#""sync":true,"partial":true"# } else { r#""sync":true"# };
    match news {
        PresenceNews::Counts => counts + "}",
        PresenceNews::AllCounts => format!("{sync},{counts}}}"),
        PresenceNews::TooMany => format!(r#"{sync},{counts},"members":[],"more":true}}"#),
        PresenceNews::All(members) => {
            let mut rest = format!("{sync},{counts}");
            push_members("members", members, names, &mut rest);
            rest + "}"
        }
        PresenceNews::Changed { joined, left } => {
            let mut rest = counts;
            if !joined.is_empty() {
                push_members("joined", joined, names, &mut rest);
            }
            for (place, client) in left.iter().enumerate() {
                rest.push_str(if place == 0 { r#","left":[""# } else { r#"",""# });
                rest.push_str(&names.id(*client));
            }
            rest + if left.is_empty() { "}" } else { r#""]}"# }
        }
    }
}

fn push_members(
    name: &str,
    members: &[PresentMember],
    names: &dyn MemberNames,
    out: &mut String,
) {
    out.push_str(&format!(r#","{name}":["#));
    for (place, PresentMember { client, shows_uuid, info, tags }) in members.iter().enumerate() {
        out.push_str(if place == 0 { r#"{"id":""# } else { r#",{"id":""# });
        out.push_str(&names.id(*client));
        out.push('"');
        if let Some(info) = info {
            out.push_str(r#","user":"#);
            out.push_str(info);
        }
        if !tags.is_empty() {
            push_shown(tags, out);
        }
        if *shows_uuid {
            out.push_str(&format!(r#","uuid":"{}""#, names.uuid(*client)));
        }
        out.push('}');
    }
    out.push(']');
}

fn push_shown(tags: &Tags, out: &mut String) {
    out.push_str(r#","tags":{"#);
    for (place, tag) in tags.iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        push_text(tag.name(), out);
        out.push(':');
        push_text(tag.value(), out);
    }
    out.push('}');
}
