//! Decodes the fields of a message, and validates each field.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use bytes::Bytes;
use roaring::RoaringBitmap;

use super::encode::{AMONG, EXPRESSION, HAS_TOPICS, WITHOUT};
use super::{KEPT, Malformed};
use crate::link::message::{Deliver, DeliverTo, Full, PublishFrame, SetName};
use crate::types::limits::{EXCEPT_MAX, TAGS_MAX, TOPICS_MAX};
use crate::types::{
    Address, AddressLimit, Alias, Claim, Client, ClientClass, ClientUuid, Content, Exclusivity,
    Generation, GrantNumber, Ident, LimitedApplication, MatchOptions, NamedClient, Number,
    PayloadForm, Publication, Recipients, RecipientsAmong, RecipientsWithout, Sequence, Slot,
    SlotSet, Tag, Tags, Tenant, Topics, WorkerId, WorkerIncarnation,
};

/// Reads the fields of one message, and validates each field before it is used.
pub(super) struct FieldReader<'b> {
    /// Bytes of the message that were not read yet.
    rest: &'b [u8],
}

impl PublishFrame<'_> {
    /// Returns whether resolving the route may examine thousands of clients, whatever its length.
    #[must_use]
    pub fn is_costly(&self) -> bool {
        let mut fields = FieldReader::new(self.route);
        let kind = fields.prefixed().and_then(|_tenant| fields.u8());
        matches!(kind, Ok(EXPRESSION | WITHOUT | AMONG))
    }
}

impl<'b> FieldReader<'b> {
    pub(super) fn new(body: &'b [u8]) -> Self {
        Self { rest: body }
    }

    pub(super) fn u8(&mut self) -> Result<u8, Malformed> {
        self.array().map(u8::from_le_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(Malformed::Short)?;
        self.rest = rest;
        Ok(*array)
    }

    pub(super) fn text(&mut self) -> Result<&'b str, Malformed> {
        str::from_utf8(self.prefixed()?).map_err(|_| Malformed::Invalid("text"))
    }

    /// Bytes that are preceded by their length.
    #[inline]
    pub(super) fn prefixed(&mut self) -> Result<&'b [u8], Malformed> {
        let length = self.u32()? as usize;
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(Malformed::Short)?;
        self.rest = rest;
        Ok(bytes)
    }

    pub(super) fn slot(&mut self) -> Result<Slot, Malformed> {
        self.u32().map(Slot)
    }

    pub(super) fn source(&mut self) -> Result<WorkerIncarnation, Malformed> {
        Ok(WorkerIncarnation { worker: WorkerId(self.u16()?), generation: Generation(self.u32()?) })
    }

    pub(super) fn numbers(&mut self) -> Result<Vec<Number>, Malformed> {
        let count = self.u32()? as usize;
        if self.rest.len() != count * 8 {
            return Err(Malformed::Invalid("count of numbers"));
        }
        (0..count).map(|_| self.u64().map(Number)).collect()
    }

    /// Reads the number of records of this size that are the rest of the message.
    pub(super) fn count_of(&mut self, bytes: usize) -> Result<usize, Malformed> {
        let count = self.u32()? as usize;
        match count.checked_mul(bytes) {
            Some(total) if total == self.rest.len() => Ok(count),
            _ => Err(Malformed::Invalid("count of records")),
        }
    }

    pub(super) fn tags(&mut self) -> Result<Tags, Malformed> {
        let count = self.u32()? as usize;
        if count == 0 {
            // No tags means all clients, which is the most common address.
            return Ok(Tags::default());
        }
        let tags = self.so_many_tags(count & !HAS_TOPICS)?;
        let tags = Tags::new(tags).map_err(|_| Malformed::Invalid("number of tags"))?;
        if count & HAS_TOPICS == 0 {
            return Ok(tags);
        }
        match self.topics()? {
            topics if topics.is_empty() => Err(Malformed::Invalid("number of topics")),
            topics => Ok(tags.with_topics(topics)),
        }
    }

    pub(super) fn topics(&mut self) -> Result<Topics, Malformed> {
        let count = self.u32()? as usize;
        if count > TOPICS_MAX {
            return Err(Malformed::Invalid("number of topics"));
        }
        let mut names = Vec::with_capacity(count);
        for _ in 0..count {
            names.push(self.text()?.into());
        }
        Topics::new(names).map_err(|_| Malformed::Invalid("topic"))
    }

    /// Reads tags whose order matters.
    fn list_of_tags(&mut self) -> Result<Vec<Tag>, Malformed> {
        let count = self.u32()? as usize;
        if count > TAGS_MAX {
            return Err(Malformed::Invalid("number of tags"));
        }
        self.so_many_tags(count)
    }

    fn so_many_tags(&mut self, count: usize) -> Result<Vec<Tag>, Malformed> {
        let mut tags = Vec::with_capacity(count.min(TAGS_MAX));
        for _ in 0..count {
            let (name, value) = (self.text()?, self.text()?);
            tags.push(Tag::new(name, value).map_err(|_| Malformed::Invalid("tag"))?);
        }
        Ok(tags)
    }

    fn alias(&mut self) -> Result<Option<Alias>, Malformed> {
        match self.text()? {
            "" => Ok(None),
            text => Alias::new(text).map(Some).map_err(|_| Malformed::Invalid("alias")),
        }
    }

    fn named(&mut self) -> Result<NamedClient, Malformed> {
        Ok(NamedClient {
            uuid: self.uuid()?,
            alias: self.alias()?,
            ident: self.ident()?,
            options: MatchOptions::from_bits(self.u8()?).ok_or(Malformed::Invalid("options"))?,
        })
    }

    pub(super) fn claim(&mut self) -> Result<Claim, Malformed> {
        Ok(Claim {
            alias: self.alias()?.ok_or(Malformed::Invalid("alias"))?,
            keeping: match self.u8()? {
                1 => Exclusivity::Alone,
                2 => Exclusivity::Shared,
                keeping => return Err(Malformed::Unknown("keeping", keeping)),
            },
        })
    }

    pub(super) fn grant(&mut self) -> Result<Option<GrantNumber>, Malformed> {
        if self.flag()? { Ok(Some(GrantNumber(self.u64()?))) } else { Ok(None) }
    }

    pub(super) fn ident(&mut self) -> Result<Option<Ident>, Malformed> {
        match self.text()? {
            "" => Ok(None),
            text => Ident::new(text).map(Some).map_err(|_| Malformed::Invalid("ident")),
        }
    }

    pub(super) fn tenant(&mut self) -> Result<Tenant, Malformed> {
        match self.text()? {
            "" => Ok(Tenant::shared()),
            text => Ok(Tenant(text.into())),
        }
    }

    pub(super) fn client(&mut self) -> Result<Client, Malformed> {
        Ok(Client {
            tenant: self.tenant()?,
            uuid: ClientUuid(self.array()?),
            ident: self.ident()?,
            tags: self.tags()?,
            class: match self.u8()? {
                1 => ClientClass::Web,
                2 => ClientClass::Php,
                class => return Err(Malformed::Unknown("class", class)),
            },
            takes_publications: self.flag()?,
            counted: if self.flag()? { AddressLimit::InAll } else { AddressLimit::ByAddress },
            application: match self.text()? {
                "" => None,
                key => Some(Arc::new(LimitedApplication(key.into()))),
            },
            ip: self.ip()?,
        })
    }

    pub(super) fn ip(&mut self) -> Result<IpAddr, Malformed> {
        match self.u8()? {
            4 => Ok(IpAddr::V4(Ipv4Addr::from(self.array::<4>()?))),
            6 => Ok(IpAddr::V6(Ipv6Addr::from(self.array::<16>()?))),
            family => Err(Malformed::Unknown("address family", family)),
        }
    }

    pub(super) fn flag(&mut self) -> Result<bool, Malformed> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            flag => Err(Malformed::Unknown("flag", flag)),
        }
    }

    fn uuid(&mut self) -> Result<Option<ClientUuid>, Malformed> {
        if self.flag()? { Ok(Some(ClientUuid(self.array()?))) } else { Ok(None) }
    }

    pub(super) fn address(&mut self) -> Result<Address, Malformed> {
        let recipients = match self.u8()? {
            AMONG => {
                let (expression, kind) = (self.expression()?, self.u8()?);
                let recipients = self.recipients_without(kind)?;
                Recipients::Among(Box::new(RecipientsAmong { recipients, expression }))
            }
            kind => self.recipients_without(kind)?,
        };
        Ok(Address { recipients, except: self.uuid()? })
    }

    fn recipients_without(&mut self, kind: u8) -> Result<Recipients, Malformed> {
        if kind != WITHOUT {
            return self.recipients(kind);
        }
        let (uuids, kind) = (self.several_uuids()?, self.u8()?);
        let recipients = self.recipients(kind)?;
        Ok(Recipients::Without(Box::new(RecipientsWithout { recipients, uuids })))
    }

    fn several_uuids(&mut self) -> Result<Box<[ClientUuid]>, Malformed> {
        let count = self.u32()? as usize;
        if count > EXCEPT_MAX {
            return Err(Malformed::Invalid("number of exceptions"));
        }
        (0..count).map(|_| self.array().map(ClientUuid)).collect()
    }

    fn recipients(&mut self, kind: u8) -> Result<Recipients, Malformed> {
        Ok(match kind {
            1 => Recipients::First { uuid: self.uuid()?, ident: self.ident()? },
            2 => Recipients::Matching(self.tags()?),
            3 => Recipients::Named(Box::new(self.named()?)),
            4 => Recipients::TagSequence(self.list_of_tags()?.into()),
            EXPRESSION => Recipients::Expression(self.expression()?),
            kind => return Err(Malformed::Unknown("address", kind)),
        })
    }

    /// The rest of the message, after the form of the payload.
    #[inline]
    fn content(&mut self) -> Result<Content<&'b [u8]>, Malformed> {
        Ok(Content { form: self.form()?, payload: self.take_rest() })
    }

    #[inline]
    pub(super) fn form(&mut self) -> Result<PayloadForm, Malformed> {
        match self.u8()? {
            1 => Ok(PayloadForm::Packet),
            2 => Ok(PayloadForm::Message),
            3 => Ok(PayloadForm::Text),
            4 => Ok(PayloadForm::WithHeaders),
            form => Err(Malformed::Unknown("form", form)),
        }
    }

    pub(super) fn publication(&mut self) -> Result<Publication, Malformed> {
        let (tenant, address) = self.prefixed_route()?;
        let Content { form, payload } = self.content()?;
        let content = Content { form, payload: Bytes::copy_from_slice(payload) };
        Ok(Publication { tenant, address, content })
    }

    #[inline]
    pub(super) fn publish_frame(&mut self) -> Result<PublishFrame<'b>, Malformed> {
        Ok(PublishFrame {
            number: Number(self.u64()?),
            route: self.prefixed()?,
            content: self.content()?,
        })
    }

    /// A route that is preceded by its length.
    pub(super) fn prefixed_route(&mut self) -> Result<(Tenant, Address), Malformed> {
        let mut fields = Self::new(self.prefixed()?);
        let route = fields.route()?;
        fields.end()?;
        Ok(route)
    }

    pub(super) fn route(&mut self) -> Result<(Tenant, Address), Malformed> {
        Ok((self.tenant()?, self.address()?))
    }

    pub(super) fn full(&mut self) -> Result<Full, Malformed> {
        match self.u8()? {
            1 => Ok(Full::Clients),
            2 => Ok(Full::Address),
            3 => Ok(Full::Application),
            limit => Err(Malformed::Unknown("limit", limit)),
        }
    }

    /// Whether the recipient of a publication to a single client is away.
    pub(super) fn away(&mut self) -> Result<Option<bool>, Malformed> {
        match self.u8()? {
            0 => Ok(None),
            1 => Ok(Some(false)),
            2 => Ok(Some(true)),
            away => Err(Malformed::Unknown("recipient", away)),
        }
    }

    pub(super) fn slots(&mut self) -> Result<SlotSet, Malformed> {
        RoaringBitmap::deserialize_from(&mut self.rest)
            .map(SlotSet)
            .map_err(|_| Malformed::Invalid("set of slots"))
    }

    #[inline]
    pub(super) fn deliver(&mut self) -> Result<Deliver<&'b [u8]>, Malformed> {
        Ok(Deliver {
            source: self.source()?,
            number: Number(self.u64()?),
            sequence: Sequence(self.u64()?),
            target: match self.u8()? {
                1 => DeliverTo::One(self.slot()?),
                2 => DeliverTo::Set { name: SetName(self.u32()?), except: None },
                3 => DeliverTo::Set { name: SetName(self.u32()?), except: Some(self.slot()?) },
                target => return Err(Malformed::Unknown("target", target)),
            },
            content: self.delivered()?,
        })
    }

    #[inline]
    fn delivered(&mut self) -> Result<Option<Content<&'b [u8]>>, Malformed> {
        match self.rest {
            [KEPT] => {
                self.rest = &[];
                Ok(None)
            }
            _ => self.content().map(Some),
        }
    }

    pub(super) fn take_rest(&mut self) -> &'b [u8] {
        std::mem::take(&mut self.rest)
    }

    pub(super) fn end(&self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(Malformed::Long) }
    }
}
