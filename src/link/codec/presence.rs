//! Encodes and decodes messages about watched queries.

use bytes::BufMut;

use super::Malformed;
use super::decode::FieldReader;
use super::encode::{put_length, put_slots, put_tags, put_text};
use super::query::{put_filter, read_filter};
use super::tag_scan::{put_optional, read_optional};
use crate::link::presence::{AudienceNews, AudienceNumber, FromWatcher, ToWatcher};
use crate::types::{
    ClientUuid, MemberTerms, PresenceCounts, PresenceNews, PresentMember, Slot, WatchMode,
    WatchRefusal, WatchScope, WatchTerms,
};

/// Kind of the messages of this module, in both directions.
pub(super) const PRESENCE: u8 = 90;

pub(super) fn put_from_watcher(out: &mut Vec<u8>, message: &FromWatcher) {
    out.put_u8(PRESENCE);
    match message {
        FromWatcher::Member { slot, terms } => {
            out.put_u8(1);
            out.put_u32_le(slot.0);
            out.put_u32_le(terms.linger_ms);
            out.put_u8(u8::from(terms.shows_uuid));
            put_length(out, terms.tags.len());
            terms.tags.iter().for_each(|name| put_text(out, name));
            put_optional(out, terms.info.as_deref());
        }
        FromWatcher::Watch { slot, id, terms } => {
            put_watch(out, 2, *slot, *id);
            put_filter(out, &terms.query);
            match terms.mode {
                WatchMode::Count => out.put_u8(0),
                WatchMode::Members(most) => {
                    out.put_u8(1);
                    out.put_u32_le(most);
                }
            }
            out.put_u8(u8::from(terms.is_once));
            out.put_u8(match terms.scope {
                WatchScope::Nothing => 0,
                WatchScope::Own => 1,
                WatchScope::Any => 2,
            });
        }
        FromWatcher::Unwatch { slot, id } => put_watch(out, 3, *slot, *id),
    }
}

pub(super) fn read_from_watcher(fields: &mut FieldReader<'_>) -> Result<FromWatcher, Malformed> {
    Ok(match fields.u8()? {
        1 => FromWatcher::Member {
            slot: fields.slot()?,
            terms: Box::new(MemberTerms {
                linger_ms: fields.u32()?,
                shows_uuid: fields.flag()?,
                tags: {
                    let names = fields.u32()?;
                    (0..names).map(|_| fields.text().map(Into::into)).collect::<Result<_, _>>()?
                },
                info: read_optional(fields)?.map(Into::into),
            }),
        },
        2 => FromWatcher::Watch {
            slot: fields.slot()?,
            id: fields.u64()?,
            terms: Box::new(WatchTerms {
                query: read_filter(fields)?,
                mode: match fields.flag()? {
                    false => WatchMode::Count,
                    true => WatchMode::Members(fields.u32()?),
                },
                is_once: fields.flag()?,
                scope: match fields.u8()? {
                    0 => WatchScope::Nothing,
                    1 => WatchScope::Own,
                    2 => WatchScope::Any,
                    scope => return Err(Malformed::Unknown("scope", scope)),
                },
            }),
        },
        3 => FromWatcher::Unwatch { slot: fields.slot()?, id: fields.u64()? },
        kind => return Err(Malformed::Unknown("message about a watch", kind)),
    })
}

pub(super) fn put_to_watcher(out: &mut Vec<u8>, message: &ToWatcher) {
    out.put_u8(PRESENCE);
    match message {
        ToWatcher::Began { slot, id, audience } => {
            put_watch(out, 1, *slot, *id);
            out.put_u64_le(audience.0);
        }
        ToWatcher::Refused { slot, id, refusal } => {
            put_watch(out, 2, *slot, *id);
            match refusal {
                WatchRefusal::NotOwn => out.put_u8(1),
                WatchRefusal::TooMany => out.put_u8(2),
                WatchRefusal::TooExpensive(values) => {
                    out.put_u8(3);
                    out.put_u64_le(*values);
                }
            }
        }
        ToWatcher::Ended { slot, id } => put_watch(out, 3, *slot, *id),
        ToWatcher::News(news) => {
            out.put_u8(4);
            put_news(out, news);
        }
    }
}

pub(super) fn read_to_watcher(fields: &mut FieldReader<'_>) -> Result<ToWatcher, Malformed> {
    Ok(match fields.u8()? {
        1 => ToWatcher::Began {
            slot: fields.slot()?,
            id: fields.u64()?,
            audience: AudienceNumber(fields.u64()?),
        },
        2 => ToWatcher::Refused {
            slot: fields.slot()?,
            id: fields.u64()?,
            refusal: match fields.u8()? {
                1 => WatchRefusal::NotOwn,
                2 => WatchRefusal::TooMany,
                3 => WatchRefusal::TooExpensive(fields.u64()?),
                refusal => return Err(Malformed::Unknown("refusal", refusal)),
            },
        },
        3 => ToWatcher::Ended { slot: fields.slot()?, id: fields.u64()? },
        4 => ToWatcher::News(Box::new(read_news(fields)?)),
        kind => return Err(Malformed::Unknown("message about a watch", kind)),
    })
}

fn put_watch(out: &mut Vec<u8>, kind: u8, slot: Slot, id: u64) {
    out.put_u8(kind);
    out.put_u32_le(slot.0);
    out.put_u64_le(id);
}

/// Writes everything but the watchers.
fn put_news(out: &mut Vec<u8>, all: &AudienceNews) {
    let AudienceNews { audience, slots, counts, is_partial, news } = all;
    out.put_u64_le(audience.0);
    out.put_u8(u8::from(*is_partial));
    out.put_u64_le(counts.clients);
    out.put_u64_le(counts.users);
    match news {
        PresenceNews::Counts => out.put_u8(1),
        PresenceNews::AllCounts => out.put_u8(2),
        PresenceNews::TooMany => out.put_u8(3),
        PresenceNews::All(members) => {
            out.put_u8(4);
            put_members(out, members);
        }
        PresenceNews::Changed { joined, left } => {
            out.put_u8(5);
            put_members(out, joined);
            put_length(out, left.len());
            left.iter().for_each(|client| out.put_slice(&client.0));
        }
    }
    put_slots(out, slots);
}

fn read_news(fields: &mut FieldReader<'_>) -> Result<AudienceNews, Malformed> {
    let (audience, is_partial) = (AudienceNumber(fields.u64()?), fields.flag()?);
    let counts = PresenceCounts { clients: fields.u64()?, users: fields.u64()? };
    let news = match fields.u8()? {
        1 => PresenceNews::Counts,
        2 => PresenceNews::AllCounts,
        3 => PresenceNews::TooMany,
        4 => PresenceNews::All(read_members(fields)?),
        5 => {
            let joined = read_members(fields)?;
            let count = fields.u32()?;
            let left = (0..count).map(|_| fields.array().map(ClientUuid));
            PresenceNews::Changed { joined, left: left.collect::<Result<_, _>>()? }
        }
        kind => return Err(Malformed::Unknown("news", kind)),
    };
    Ok(AudienceNews { audience, slots: fields.slots()?, counts, is_partial, news })
}

fn put_members(out: &mut Vec<u8>, members: &[PresentMember]) {
    put_length(out, members.len());
    members.iter().for_each(|member| put_member(out, member));
}

pub(super) fn put_member(out: &mut Vec<u8>, member: &PresentMember) {
    let PresentMember { client, shows_uuid, info, tags } = member;
    out.put_slice(&client.0);
    out.put_u8(u8::from(*shows_uuid));
    put_optional(out, info.as_deref());
    put_tags(out, tags);
}

fn read_members(fields: &mut FieldReader<'_>) -> Result<Vec<PresentMember>, Malformed> {
    let count = fields.u32()?;
    (0..count).map(|_| read_member(fields)).collect()
}

pub(super) fn read_member(fields: &mut FieldReader<'_>) -> Result<PresentMember, Malformed> {
    Ok(PresentMember {
        client: ClientUuid(fields.array()?),
        shows_uuid: fields.flag()?,
        info: read_optional(fields)?.map(Into::into),
        tags: fields.tags()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::codec::WireMessage;
    use crate::link::message::{ToBroker, ToWorker};
    use crate::types::{ClientFilter, Expression, SlotSet, Tag, Tags};

    fn is_read_back<M: WireMessage + PartialEq + std::fmt::Debug>(message: &M) {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        assert_eq!(M::decode(&bytes[4..]).as_ref(), Ok(message));
    }

    fn tags() -> Tags {
        Tags::new([Tag::new("room", "1").unwrap()]).unwrap()
    }

    #[test]
    fn messages_of_watchers_are_read_as_they_were_written() {
        let (slot, id) = (Slot(4), 1 << 52);
        let member = |info: Option<&str>, shows_uuid| FromWatcher::Member {
            slot,
            terms: Box::new(MemberTerms {
                linger_ms: 5000,
                shows_uuid,
                tags: ["name".into(), "x-*".into()].into(),
                info: info.map(Into::into),
            }),
        };
        let watch = |query, mode, is_once, scope| {
            let terms = Box::new(WatchTerms { query, mode, is_once, scope });
            FromWatcher::Watch { slot, id, terms }
        };
        let by_tags = ClientFilter::Tags(tags());
        let by_expression = ClientFilter::Expression(Expression::parse("a=1 & !(b?)").unwrap());
        for message in [
            member(None, false),
            member(Some("{\"id\":7}"), true),
            watch(by_tags, WatchMode::Count, false, WatchScope::Own),
            watch(by_expression, WatchMode::Members(9), true, WatchScope::Any),
            FromWatcher::Unwatch { slot, id },
        ] {
            is_read_back(&ToBroker::Presence(message));
        }
    }

    #[test]
    fn messages_to_watchers_are_read_as_they_were_written() {
        let (slot, id, audience) = (Slot(4), 7, AudienceNumber(3));
        let refused = |refusal| ToWatcher::Refused { slot, id, refusal };
        let member = PresentMember {
            client: ClientUuid([9; 16]),
            shows_uuid: true,
            info: Some("7".into()),
            tags: tags(),
        };
        let news = |news| {
            let counts = PresenceCounts { clients: 3, users: 2 };
            let slots = [Slot(1), Slot(70_000)].into_iter().collect::<SlotSet>();
            let is_partial = news == PresenceNews::TooMany;
            ToWatcher::News(Box::new(AudienceNews { audience, slots, counts, is_partial, news }))
        };
        let left = vec![ClientUuid([1; 16]), ClientUuid([2; 16])];
        for message in [
            ToWatcher::Began { slot, id, audience },
            refused(WatchRefusal::NotOwn),
            refused(WatchRefusal::TooMany),
            refused(WatchRefusal::TooExpensive(1 << 40)),
            ToWatcher::Ended { slot, id },
            news(PresenceNews::Counts),
            news(PresenceNews::AllCounts),
            news(PresenceNews::TooMany),
            news(PresenceNews::All(vec![member.clone(), member.clone()])),
            news(PresenceNews::Changed { joined: vec![member], left }),
        ] {
            is_read_back(&ToWorker::Presence(message));
        }
    }
}
