//! Digests of the settings that should be the same on all hosts of a cluster.

use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use sha2::Sha256;

use super::{ClusterSettings, Config};
use crate::auth::{Application, Applications};
use crate::types::{HostProfile, SettingDigest, SharedSetting, WipedBytes};

/// Returns what a host says about itself. Without the key that all hosts share, it says nothing of its settings.
pub(super) fn profile_of(config: &Config, cluster: &ClusterSettings) -> HostProfile {
    let key = config.uuid_key.bytes();
    let digests = key.map(|key| {
        SharedSetting::ALL.iter().map(|setting| digest(config, *setting, &key)).collect()
    });
    HostProfile {
        name: cluster.host_name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        settings: digests.unwrap_or_default(),
    }
}

/// The digest is keyed: without the key it tells nothing, and every host that has the key has the secrets too.
fn digest(config: &Config, setting: SharedSetting, key: &[u8; 32]) -> SettingDigest {
    let mut json = WipedBytes::default();
    match setting {
        SharedSetting::Applications => {
            write(&mut json, &config.authorize_open);
            write(&mut json, &config.applications.as_ref().map(meaning));
        }
        SharedSetting::MaxMessage => write(&mut json, &config.limits.max_message),
        SharedSetting::Phpws => write(&mut json, &config.phpws),
        SharedSetting::Gomoob => write(&mut json, &config.gomoob),
    }
    keyed(setting, &json, key)
}

fn keyed(setting: SharedSetting, json: &[u8], key: &[u8; 32]) -> SettingDigest {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    let mut keyed = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    keyed.update(&[setting.code()]);
    keyed.update(json);
    let whole: [u8; 32] = keyed.finalize().into_bytes().into();
    let digest = whole.first_chunk().copied().map(u64::from_le_bytes);
    SettingDigest { setting, digest: digest.unwrap_or_default() }
}

/// Applications in an order of their own: the order of the file has no meaning.
fn meaning(all: &Applications) -> (Vec<&Application>, Option<&str>) {
    let mut list: Vec<&Application> = all.list.iter().collect();
    list.sort_by(|one, other| one.key.cmp(&other.key));
    let anonymous = all.anonymous.and_then(|place| all.list.get(place));
    (list, anonymous.map(|it| it.key.as_str()))
}

fn write(json: &mut WipedBytes, value: &impl Serialize) {
    // Serialization fails only for maps whose keys are not strings, and there are none.
    let _written = serde_json::to_writer(json, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applications(keys: [&str; 2], anonymous: usize) -> String {
        let named = |key: &str| Application { key: key.to_owned(), ..Application::placeholder() };
        let list = keys.map(named).to_vec();
        let all = Applications { list, anonymous: Some(anonymous) };
        serde_json::to_string(&meaning(&all)).unwrap()
    }

    #[test]
    fn the_order_of_applications_has_no_meaning() {
        let both = applications(["a", "b"], 0);
        assert_eq!(both, applications(["b", "a"], 1));
        assert_ne!(both, applications(["b", "a"], 0), "another one is anonymous");
        assert_ne!(both, applications(["a", "c"], 0));
    }

    #[test]
    fn a_digest_depends_on_setting_value_and_key() {
        let of = |setting, json: &[u8], key: u8| keyed(setting, json, &[key; 32]).digest;
        let one = of(SharedSetting::MaxMessage, b"1", 7);
        assert_eq!(one, of(SharedSetting::MaxMessage, b"1", 7));
        assert_ne!(one, of(SharedSetting::MaxMessage, b"2", 7));
        assert_ne!(one, of(SharedSetting::Phpws, b"1", 7));
        assert_ne!(one, of(SharedSetting::MaxMessage, b"1", 8));
    }
}
