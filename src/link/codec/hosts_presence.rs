//! Encodes what hosts tell each other about watched queries.

use bytes::BufMut;

use super::Malformed;
use super::decode::FieldReader;
use super::encode::{put_length, put_text};
use super::presence::{put_member, read_member};
use super::query::{put_filter, read_filter};
use crate::link::hosts_presence::{
    HostMember, HostsPresence, PartNews, SharedWatch, SharedWatchChange, WatchSession,
};
use crate::types::limits::{CLUSTER_WATCHES_BYTES, PRESENCE_LINGER_MAX, PRESENCE_MEMBERS_MAX};
use crate::types::{ClientUuid, HostId, PresenceCounts, WatchListing};

/// Format of these items. It is raised when the meaning of their bytes changes. A host drops items of another one.
const FORMAT: u8 = 1;
/// The longest item that is read: more than all watches of a host, or the watches that begin and end in a turn.
const ITEM_BYTES_MAX: usize = 4 * CLUSTER_WATCHES_BYTES;

/// Returns an item as other hosts read it.
#[must_use]
pub fn encode_hosts_presence(item: &HostsPresence) -> Vec<u8> {
    let mut out = vec![FORMAT];
    match item {
        HostsPresence::Watches { to, session, is_request, watches } => {
            out.put_u8(1);
            out.put_u32_le(to.0);
            out.put_u64_le(session.0);
            out.put_u8(u8::from(*is_request));
            put_length(&mut out, watches.len());
            watches.iter().for_each(|watch| put_host_watch(&mut out, watch));
        }
        HostsPresence::Changes { session, changes } => {
            out.put_u8(2);
            out.put_u64_le(session.0);
            put_length(&mut out, changes.len());
            for change in changes {
                match change {
                    SharedWatchChange::Begin(watch) => {
                        out.put_u8(1);
                        put_host_watch(&mut out, watch);
                    }
                    SharedWatchChange::End(number) => {
                        out.put_u8(2);
                        out.put_u64_le(*number);
                    }
                }
            }
        }
        HostsPresence::Part { to, session, number, counts, news } => {
            out.put_u8(3);
            out.put_u32_le(to.0);
            out.put_u64_le(session.0);
            out.put_u64_le(*number);
            out.put_u64_le(counts.clients);
            out.put_u64_le(counts.users);
            put_part_news(&mut out, news);
        }
    }
    out
}

/// Reads an item of another host.
///
/// # Errors
///
/// If it is not one, or if it is of another version.
pub fn decode_hosts_presence(bytes: &[u8]) -> Result<HostsPresence, Malformed> {
    if bytes.len() > ITEM_BYTES_MAX {
        return Err(Malformed::Invalid("length of an item"));
    }
    let mut fields = FieldReader::new(bytes);
    match fields.u8()? {
        FORMAT => {}
        format => return Err(Malformed::Unknown("format", format)),
    }
    let item = match fields.u8()? {
        1 => HostsPresence::Watches {
            to: HostId(fields.u32()?),
            session: WatchSession(fields.u64()?),
            is_request: fields.flag()?,
            watches: read_list(&mut fields, read_host_watch)?,
        },
        2 => HostsPresence::Changes {
            session: WatchSession(fields.u64()?),
            changes: read_list(&mut fields, |fields| match fields.u8()? {
                1 => Ok(SharedWatchChange::Begin(read_host_watch(fields)?)),
                2 => Ok(SharedWatchChange::End(fields.u64()?)),
                kind => Err(Malformed::Unknown("change of a watch", kind)),
            })?,
        },
        3 => HostsPresence::Part {
            to: HostId(fields.u32()?),
            session: WatchSession(fields.u64()?),
            number: fields.u64()?,
            counts: PresenceCounts { clients: fields.u64()?, users: fields.u64()? },
            news: read_part_news(&mut fields)?,
        },
        kind => return Err(Malformed::Unknown("item about watches", kind)),
    };
    fields.end()?;
    Ok(item)
}

/// Reads a list whose elements take at least a byte each, so its length is bounded by that of the item.
fn read_list<T>(
    fields: &mut FieldReader<'_>,
    mut read: impl FnMut(&mut FieldReader<'_>) -> Result<T, Malformed>,
) -> Result<Vec<T>, Malformed> {
    let count = fields.u32()?;
    (0..count).map(|_| read(fields)).collect()
}

fn put_host_watch(out: &mut Vec<u8>, watch: &SharedWatch) {
    let SharedWatch { number, tenant, query, listing } = watch;
    out.put_u64_le(*number);
    put_text(out, &tenant.0);
    put_filter(out, query);
    out.put_u32_le(listing.most);
    out.put_u8(u8::from(listing.is_shown));
}

fn read_host_watch(fields: &mut FieldReader<'_>) -> Result<SharedWatch, Malformed> {
    let (number, tenant, query) = (fields.u64()?, fields.tenant()?, read_filter(fields)?);
    let listing = WatchListing { most: fields.u32()?, is_shown: fields.flag()? };
    match listing.most <= PRESENCE_MEMBERS_MAX {
        true => Ok(SharedWatch { number, tenant, query, listing }),
        false => Err(Malformed::Invalid("length of a list")),
    }
}

fn put_part_news(out: &mut Vec<u8>, news: &PartNews) {
    match news {
        PartNews::Counts => out.put_u8(1),
        PartNews::Long => out.put_u8(2),
        PartNews::Refused => out.put_u8(3),
        PartNews::All { members, is_first, is_last } => {
            out.put_u8(4);
            out.put_u8(u8::from(*is_first));
            out.put_u8(u8::from(*is_last));
            put_members(out, members);
        }
        PartNews::Changed { joined, left } => {
            out.put_u8(5);
            put_members(out, joined);
            put_length(out, left.len());
            left.iter().for_each(|client| out.put_slice(&client.0));
        }
    }
}

fn read_part_news(fields: &mut FieldReader<'_>) -> Result<PartNews, Malformed> {
    Ok(match fields.u8()? {
        1 => PartNews::Counts,
        2 => PartNews::Long,
        3 => PartNews::Refused,
        4 => PartNews::All {
            is_first: fields.flag()?,
            is_last: fields.flag()?,
            members: read_list(fields, read_host_member)?,
        },
        5 => PartNews::Changed {
            joined: read_list(fields, read_host_member)?,
            left: read_list(fields, |fields| fields.array().map(ClientUuid))?,
        },
        kind => return Err(Malformed::Unknown("news of a part", kind)),
    })
}

fn put_members(out: &mut Vec<u8>, members: &[HostMember]) {
    put_length(out, members.len());
    for HostMember { look, user, linger_ms } in members {
        put_member(out, look);
        out.put_u8(u8::from(user.is_some()));
        out.put_u64_le(user.unwrap_or_default());
        out.put_u32_le(*linger_ms);
    }
}

fn read_host_member(fields: &mut FieldReader<'_>) -> Result<HostMember, Malformed> {
    let (look, has_user, user) = (read_member(fields)?, fields.flag()?, fields.u64()?);
    let linger_ms = fields.u32()?;
    if u128::from(linger_ms) > PRESENCE_LINGER_MAX.as_millis() {
        return Err(Malformed::Invalid("linger time"));
    }
    Ok(HostMember { look, user: has_user.then_some(user), linger_ms })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{ClientFilter, Expression, PresentMember, Tag, Tags, Tenant};

    fn tags() -> Tags {
        Tags::new([Tag::new("room", "1").unwrap()]).unwrap()
    }

    fn watch(query: ClientFilter, most: u32) -> SharedWatch {
        let listing = WatchListing { most, is_shown: most > 200 };
        SharedWatch { number: 1 << 40, tenant: Tenant("shop".into()), query, listing }
    }

    fn member(info: Option<&str>, user: Option<u64>) -> HostMember {
        let client = ClientUuid([9; 16]);
        let look =
            PresentMember { client, shows_uuid: true, info: info.map(Into::into), tags: tags() };
        HostMember { look, user, linger_ms: 5000 }
    }

    fn items() -> Vec<HostsPresence> {
        let (to, session) = (HostId(7), WatchSession(u64::MAX));
        let by_tags = watch(ClientFilter::Tags(tags()), 200);
        let expression = Expression::parse("a=1 & !(b?)").unwrap();
        let by_expression = watch(ClientFilter::Expression(expression), 1000);
        let counts = PresenceCounts { clients: 3, users: 2 };
        let part = |news| HostsPresence::Part { to, session, number: 5, counts, news };
        let members = vec![member(None, None), member(Some("{\"id\":7}"), Some(8))];
        let left = vec![ClientUuid([1; 16]), ClientUuid([2; 16])];
        let watches = vec![by_tags.clone(), by_expression];
        vec![
            HostsPresence::Watches { to, session, is_request: true, watches },
            HostsPresence::Changes {
                session,
                changes: vec![SharedWatchChange::Begin(by_tags), SharedWatchChange::End(9)],
            },
            part(PartNews::Counts),
            part(PartNews::Long),
            part(PartNews::Refused),
            part(PartNews::All { members: members.clone(), is_first: true, is_last: false }),
            part(PartNews::Changed { joined: members, left }),
        ]
    }

    #[test]
    fn items_about_watches_are_read_as_they_were_written_and_no_prefix_is() {
        for item in items() {
            let bytes = encode_hosts_presence(&item);
            assert_eq!(decode_hosts_presence(&bytes).as_ref(), Ok(&item));
            for end in 0..bytes.len() {
                assert!(decode_hosts_presence(&bytes[..end]).is_err(), "{end} bytes of {item:?}");
            }
        }
    }

    #[test]
    fn an_item_of_another_format_is_not_read() {
        let mut bytes = encode_hosts_presence(&items()[0]);
        bytes[0] += 1;
        assert!(decode_hosts_presence(&bytes).is_err());
    }
}
