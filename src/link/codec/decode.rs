//! Bytes as fields, each admitted before it is used.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use roaring::RoaringBitmap;

use super::Malformed;
use crate::link::message::{Deliver, Found, Full, Question, SetName, Target};
use crate::types::{
    Address, Client, ClientClass, ClientUuid, Content, Form, Generation, Ident, Number,
    Publication, Recipients, Sequence, Slot, SlotSet, Source, Tag, Tags, Tenant, WorkerId,
};

/// The fields of a message, each admitted before it is used.
pub(super) struct Fields(pub(super) Bytes);

impl Fields {
    pub(super) fn u8(&mut self) -> Result<u8, Malformed> {
        self.0.try_get_u8().map_err(|_| Malformed::Short)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Malformed> {
        self.0.try_get_u16_le().map_err(|_| Malformed::Short)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        self.0.try_get_u32_le().map_err(|_| Malformed::Short)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Malformed> {
        self.0.try_get_u64_le().map_err(|_| Malformed::Short)
    }

    fn take(&mut self, length: usize) -> Result<Bytes, Malformed> {
        if self.0.len() < length {
            return Err(Malformed::Short);
        }
        Ok(self.0.split_to(length))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let mut array = [0; N];
        self.0.try_copy_to_slice(&mut array).map_err(|_| Malformed::Short)?;
        Ok(array)
    }

    fn text(&mut self) -> Result<Bytes, Malformed> {
        let length = self.u32()? as usize;
        let text = self.take(length)?;
        str::from_utf8(&text).map_err(|_| Malformed::Invalid("text"))?;
        Ok(text)
    }

    pub(super) fn slot(&mut self) -> Result<Slot, Malformed> {
        self.u32().map(Slot)
    }

    pub(super) fn source(&mut self) -> Result<Source, Malformed> {
        Ok(Source { worker: WorkerId(self.u16()?), generation: Generation(self.u32()?) })
    }

    pub(super) fn numbers(&mut self) -> Result<Vec<Number>, Malformed> {
        let count = self.u32()? as usize;
        if self.0.len() != count * 8 {
            return Err(Malformed::Invalid("count of numbers"));
        }
        (0..count).map(|_| self.u64().map(Number)).collect()
    }

    pub(super) fn tags(&mut self) -> Result<Tags, Malformed> {
        let count = self.u32()?;
        let tags = (0..count).map(|_| {
            let (name, value) = (self.text()?, self.text()?);
            Tag::new(as_str(&name)?, as_str(&value)?).map_err(|_| Malformed::Invalid("tag"))
        });
        let tags: Vec<Tag> = tags.collect::<Result<_, _>>()?;
        Tags::new(tags).map_err(|_| Malformed::Invalid("number of tags"))
    }

    fn ident(&mut self) -> Result<Option<Ident>, Malformed> {
        let text = self.text()?;
        match as_str(&text)? {
            "" => Ok(None),
            text => Ident::new(text).map(Some).map_err(|_| Malformed::Invalid("ident")),
        }
    }

    fn tenant(&mut self) -> Result<Tenant, Malformed> {
        let text = self.text()?;
        if text.is_empty() {
            return Ok(Tenant::shared());
        }
        Ok(Tenant(Arc::from(as_str(&text)?)))
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
            ip: match self.u8()? {
                4 => IpAddr::V4(Ipv4Addr::from(self.array::<4>()?)),
                6 => IpAddr::V6(Ipv6Addr::from(self.array::<16>()?)),
                family => return Err(Malformed::Unknown("address family", family)),
            },
        })
    }

    fn flag(&mut self) -> Result<bool, Malformed> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            flag => Err(Malformed::Unknown("flag", flag)),
        }
    }

    fn uuid(&mut self) -> Result<Option<ClientUuid>, Malformed> {
        if self.flag()? { Ok(Some(ClientUuid(self.array()?))) } else { Ok(None) }
    }

    fn address(&mut self) -> Result<Address, Malformed> {
        let recipients = match self.u8()? {
            1 => Recipients::First { uuid: self.uuid()?, ident: self.ident()? },
            2 => Recipients::Matching(self.tags()?),
            kind => return Err(Malformed::Unknown("address", kind)),
        };
        Ok(Address { recipients, except: self.uuid()? })
    }

    fn content(&mut self) -> Result<Content, Malformed> {
        let form = match self.u8()? {
            1 => Form::PhpwsPacket,
            2 => Form::Message,
            form => return Err(Malformed::Unknown("form", form)),
        };
        Ok(Content { form, payload: std::mem::take(&mut self.0) })
    }

    pub(super) fn publication(&mut self) -> Result<Publication, Malformed> {
        Ok(Publication {
            tenant: self.tenant()?,
            address: self.address()?,
            content: self.content()?,
        })
    }

    pub(super) fn question(&mut self) -> Result<Question, Malformed> {
        Ok(Question {
            number: self.u32()?,
            tenant: self.tenant()?,
            query: self.tags()?,
            tag: as_str(&self.text()?)?.into(),
        })
    }

    pub(super) fn full(&mut self) -> Result<Full, Malformed> {
        match self.u8()? {
            1 => Ok(Full::Clients),
            2 => Ok(Full::Address),
            limit => Err(Malformed::Unknown("limit", limit)),
        }
    }

    pub(super) fn found(&mut self) -> Result<Found, Malformed> {
        let (clients, count) = (self.u64()?, self.u32()?);
        let values = (0..count).map(|_| Ok(as_str(&self.text()?)?.into()));
        Ok(Found { clients, values: values.collect::<Result<_, Malformed>>()? })
    }

    pub(super) fn slots(&mut self) -> Result<SlotSet, Malformed> {
        let mut bytes = std::mem::take(&mut self.0).reader();
        let slots = RoaringBitmap::deserialize_from(&mut bytes)
            .map_err(|_| Malformed::Invalid("set of slots"))?;
        self.0 = bytes.into_inner();
        Ok(SlotSet(slots))
    }

    pub(super) fn deliver(&mut self) -> Result<Deliver, Malformed> {
        Ok(Deliver {
            source: self.source()?,
            number: Number(self.u64()?),
            sequence: Sequence(self.u64()?),
            target: match self.u8()? {
                1 => Target::One(self.slot()?),
                2 => Target::Set { name: SetName(self.u32()?), except: None },
                3 => Target::Set { name: SetName(self.u32()?), except: Some(self.slot()?) },
                target => return Err(Malformed::Unknown("target", target)),
            },
            content: self.content()?,
        })
    }

    pub(super) fn end(&self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed::Long) }
    }
}

/// The text of a field that [`Fields::text`] has checked.
fn as_str(text: &Bytes) -> Result<&str, Malformed> {
    str::from_utf8(text).map_err(|_| Malformed::Invalid("text"))
}
