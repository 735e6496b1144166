//! Resume tokens: no bytes are a token without the key, and a token is read as it was issued.

use std::time::Duration;

use tagcast::auth::{ResumeClaims, ResumeFault, ResumeKey};
use tagcast::types::{ClientUuid, ResumeGeneration, Tenant};

use super::choices::Choices;

const NOW: Duration = Duration::from_secs(1_795_890_000);

/// The bytes are a token, and then the contents of one.
pub fn run(data: &[u8]) {
    let key = ResumeKey::new(b"a key that no input of a run has");
    let scope = key.scope(&Tenant::shared(), Some("shop"));
    if let Ok(text) = str::from_utf8(data) {
        assert_eq!(key.read(text, scope, NOW), Err(ResumeFault::Invalid));
    }
    let mut choices = Choices(data);
    let mut uuid = [0; 16];
    uuid.fill_with(|| choices.byte());
    let generation = ResumeGeneration(u32::from(choices.byte()));
    let age = Duration::from_secs(u64::from(choices.byte()) * 675);
    let claims = ResumeClaims { uuid: ClientUuid(uuid), scope, generation, issued: NOW - age };
    let token = key.issue(&claims);
    let read = key.read(&token, scope, NOW);
    let is_old = age > Duration::from_secs(86_400);
    assert_eq!(read, if is_old { Err(ResumeFault::Expired) } else { Ok(claims) });
    let other = key.scope(&Tenant::shared(), None);
    assert_eq!(key.read(&token, other, NOW), Err(ResumeFault::Mismatch));
    let at = choices.below(token.len());
    let mut changed = token.into_bytes();
    changed[at] ^= 1;
    let changed = String::from_utf8(changed).unwrap_or_default();
    assert_eq!(key.read(&changed, scope, NOW), Err(ResumeFault::Invalid));
}
