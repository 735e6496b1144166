//! What a heartbeat says about its host, in addition to its lanes.

use core::net::IpAddr;

use bytes::BufMut;

use super::wire::{BodyReader, InvalidMessage, put_length, put_varint};
use crate::types::limits::{CLUSTER_ADDRESSES_TOLD_MAX, CLUSTER_HOSTS_MAX, HOST_NAME_BYTES_MAX};
use crate::types::{AddressCount, HostId, HostProfile, SettingDigest, SharedSetting};

/// Settings that a newer version may have.
const SETTINGS_MAX: usize = 64;

/// Returns the time of a heartbeat to its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReturnedTime {
    /// The sender of the heartbeat.
    pub host: HostId,
    /// When it was sent, by the sender's clock: microseconds since 1970.
    pub sent_us: u64,
    /// How long ago it has arrived, in microseconds.
    pub held_us: u64,
}

/// What a host says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostNews {
    /// When the heartbeat was sent: microseconds since 1970.
    pub sent_us: u64,
    /// Seconds since the start of the server.
    pub uptime_s: u64,
    /// Connected clients.
    pub clients: u64,
    /// Addresses with many of them, if there is a limit over all hosts.
    pub addresses: Vec<AddressCount>,
    /// Name, version and settings.
    pub profile: HostProfile,
    /// The times of the last heartbeats of others.
    pub returned: Vec<ReturnedTime>,
    /// The digest of the revoked tokens that the host knows.
    pub revocations: u64,
}

impl HostNews {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let Self { sent_us, uptime_s, clients, addresses, profile, returned, revocations } = self;
        [*sent_us, *uptime_s, *clients].into_iter().for_each(|it| put_varint(out, it));
        for text in [&profile.name, &profile.version] {
            put_length(out, text.len());
            out.put_slice(text.as_bytes());
        }
        put_length(out, profile.settings.len());
        for SettingDigest { setting, digest } in &profile.settings {
            out.put_u8(setting.code());
            out.put_u64_le(*digest);
        }
        put_length(out, returned.len());
        for ReturnedTime { host, sent_us, held_us } in returned {
            out.put_u32_le(host.0);
            put_varint(out, *sent_us);
            put_varint(out, *held_us);
        }
        out.put_u64_le(*revocations);
        put_length(out, addresses.len());
        for AddressCount { address, connections } in addresses {
            // An IPv4 address is written as the IPv6 address that stands for it.
            let address = match address {
                IpAddr::V4(address) => address.to_ipv6_mapped(),
                IpAddr::V6(address) => *address,
            };
            out.put_slice(&address.octets());
            put_varint(out, u64::from(*connections));
        }
    }

    pub(super) fn decode(fields: &mut BodyReader) -> Result<Self, InvalidMessage> {
        let (sent_us, uptime_s) = (fields.varint()?, fields.varint()?);
        let clients = fields.varint()?;
        let (name, version) = (text(fields)?, text(fields)?);
        let mut settings = Vec::new();
        for _ in 0..fields.count(SETTINGS_MAX)? {
            let (code, digest) = (fields.u8()?, fields.u64()?);
            // A newer version may compare more.
            let setting = SharedSetting::of_code(code);
            settings.extend(setting.map(|setting| SettingDigest { setting, digest }));
        }
        let mut returned = Vec::new();
        for _ in 0..fields.count(CLUSTER_HOSTS_MAX)? {
            let host = HostId(fields.u32()?);
            let (sent_us, held_us) = (fields.varint()?, fields.varint()?);
            returned.push(ReturnedTime { host, sent_us, held_us });
        }
        let profile = HostProfile { name, version, settings };
        let revocations = fields.u64()?;
        let mut addresses = Vec::new();
        for _ in 0..fields.count(CLUSTER_ADDRESSES_TOLD_MAX)? {
            let address = IpAddr::from(fields.array::<16>()?).to_canonical();
            let connections = u32::try_from(fields.varint()?);
            let connections = connections.map_err(|_| InvalidMessage::Field("connections"))?;
            addresses.push(AddressCount { address, connections });
        }
        Ok(Self { sent_us, uptime_s, clients, addresses, profile, returned, revocations })
    }
}

/// Reads a short text without control characters, which terminals and logs would show.
fn text(fields: &mut BodyReader) -> Result<String, InvalidMessage> {
    let bytes = fields.bytes()?;
    let is_shown = |byte: &u8| matches!(byte, b'!'..=b'~');
    if bytes.len() > HOST_NAME_BYTES_MAX || !bytes.iter().all(is_shown) {
        return Err(InvalidMessage::Field("name of a host"));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn news(name: &str) -> HostNews {
        let settings =
            vec![SettingDigest { setting: SharedSetting::Applications, digest: u64::MAX }];
        let (name, version) = (name.to_owned(), "0.2.0".to_owned());
        HostNews {
            sent_us: u64::MAX,
            uptime_s: 3,
            clients: 4,
            addresses: ["192.0.2.1", "2001:db8::"]
                .map(|it| AddressCount { address: it.parse().unwrap(), connections: u32::MAX })
                .into(),
            profile: HostProfile { name, version, settings },
            returned: vec![ReturnedTime { host: HostId(7), sent_us: 8, held_us: 9 }],
            revocations: 10,
        }
    }

    fn read(bytes: &[u8]) -> Result<HostNews, InvalidMessage> {
        HostNews::decode(&mut BodyReader(bytes.to_vec().into()))
    }

    #[test]
    fn news_are_read_as_they_were_written_and_no_prefix_is_accepted() {
        let mut bytes = Vec::new();
        news("web-1").encode(&mut bytes);
        assert_eq!(read(&bytes), Ok(news("web-1")));
        for end in 0..bytes.len() {
            assert!(read(&bytes[..end]).is_err(), "{end} bytes");
        }
    }

    #[test]
    fn a_name_that_no_terminal_should_show_is_refused() {
        for name in ["a b", "\u{1b}[31m", "é", &"a".repeat(65)] {
            let mut bytes = Vec::new();
            news(name).encode(&mut bytes);
            assert_eq!(read(&bytes), Err(InvalidMessage::Field("name of a host")), "{name:?}");
        }
    }

    #[test]
    fn a_setting_of_a_newer_version_is_skipped() {
        let mut bytes = Vec::new();
        news("a").encode(&mut bytes);
        let known = [&[1][..], &[u8::MAX; 8]].concat();
        let code = bytes.windows(9).position(|it| it == known).unwrap();
        bytes[code] = 200;
        assert_eq!(read(&bytes).map(|news| news.profile.settings), Ok(Vec::new()));
    }
}
