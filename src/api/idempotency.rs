//! The ids of publications: what a request names, and whether it may publish (rule L11).

use std::borrow::Cow;

use hyper::HeaderMap;
use sha2::{Digest, Sha256};

use super::error::{ApiError, ErrorCode};
use super::json_object::JsonObject;
use super::nonces::half_of;
use super::publisher::{ApiPublication, ApiPublisher};
use crate::json;
use crate::link::codec::encode_publish;
use crate::types::limits::IDEMPOTENCY_KEY_BYTES_MAX;
use crate::types::{
    IdUse, Number, PublicationId, RecipientBounds, ReplayRecords, UsedId, WriteCounts,
};

const HEADER: &str = "idempotency-key";

/// The id that a request names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IdempotencyKey<'a>(Cow<'a, str>);

/// An id that belongs to a request, until it is dropped.
#[derive(Debug)]
pub(super) struct ClaimedId<'a> {
    pub(super) publisher: &'a ApiPublisher,
    pub(super) id: PublicationId,
}

/// Whether a request may publish.
#[derive(Debug)]
pub(super) enum IdClaim<'a> {
    /// It may.
    New(ClaimedId<'a>),
    /// The same publication was made before.
    Used(IdUse),
}

impl IdempotencyKey<'static> {
    /// The header `Idempotency-Key`.
    ///
    /// # Errors
    ///
    /// If it is not one id, with or without quotes.
    pub(super) fn of_header(headers: &HeaderMap) -> Result<Option<Self>, ApiError> {
        let mut all = headers.get_all(HEADER).iter();
        let Some(value) = all.next() else { return Ok(None) };
        let text = value.to_str().ok().filter(|_| all.next().is_none()).and_then(unquoted);
        let key = text.filter(|text| is_key(text)).map(|text| Self(Cow::Owned(text.into_owned())));
        key.map(Some).ok_or_else(|| {
            let message = format!(
                "Idempotency-Key must be 1 to {IDEMPOTENCY_KEY_BYTES_MAX} printable ASCII characters, with or \
                 without quotes"
            );
            ApiError::new(ErrorCode::InvalidHeader, message)
        })
    }
}

impl<'a> IdempotencyKey<'a> {
    /// The member `id` of a body, which must be equal to the header if there are both.
    ///
    /// # Errors
    ///
    /// If it is not an id, or differs from the header.
    pub(super) fn of_body(
        body: &JsonObject<'a>,
        header: Option<&'a Self>,
    ) -> Result<Option<Self>, ApiError> {
        let header = || header.map(|key| Self(Cow::Borrowed(&*key.0)));
        let Some(id) = body.text("id")? else { return Ok(header()) };
        if !is_key(&id) {
            let right =
                format!("`id` must be 1 to {IDEMPOTENCY_KEY_BYTES_MAX} printable ASCII characters");
            return Err(body.invalid("id", right));
        }
        if header().is_some_and(|key| key.0 != id) {
            let message =
                "Idempotency-Key and the member `id` differ; give one of them, or make them equal";
            return Err(ApiError::new(ErrorCode::InvalidHeader, message));
        }
        Ok(Some(Self(id)))
    }

    /// The id as a member of an answer.
    pub(super) fn member(&self) -> String {
        let mut member = "\"id\":".to_owned();
        json::push_text(&self.0, &mut member);
        member
    }

    /// The id of a publication of this application. `event` is the part of its content that is not sent.
    pub(super) fn identify(
        &self,
        application: &str,
        publication: ApiPublication<'_>,
        event: &str,
    ) -> PublicationId {
        let digest = Sha256::new().chain_update(application).chain_update([0]);
        let id = half_of(digest.chain_update(self.0.as_bytes()));
        let mut content = event.as_bytes().to_vec();
        content.push(0);
        // The usual form of recipients and payload: names of tags are sorted, expressions canonical.
        encode_publish(&mut content, Number(0), publication.into());
        let content = half_of(Sha256::new_with_prefix(&content));
        let recipients = RecipientBounds { min: 0, max: u64::MAX };
        PublicationId { id, content, at: 0, until: 0, recipients, origin: None }
    }
}

fn is_key(text: &str) -> bool {
    (1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// RFC 8941 §3.3.3: a string has quotes, and a backslash before each quote and backslash within. Many clients
/// send the key without quotes.
fn unquoted(value: &str) -> Option<Cow<'_, str>> {
    let Some(rest) = value.strip_prefix('"') else { return Some(Cow::Borrowed(value)) };
    let inner = rest.strip_suffix('"')?;
    let mut text = String::with_capacity(inner.len());
    let mut rest = inner.chars();
    while let Some(next) = rest.next() {
        match next {
            '\\' => text.push(rest.next().filter(|it| matches!(it, '"' | '\\'))?),
            '"' => return None,
            other => text.push(other),
        }
    }
    Some(Cow::Owned(text))
}

impl ClaimedId<'_> {
    /// Keeps how many sockets have taken the publication, for those who repeat it.
    pub(super) fn keep_counts(&self, counts: WriteCounts) {
        let uplink = &mut self.publisher.state.borrow_mut().client.uplink;
        let Some(UsedId { id, until, used }) = uplink.replays.used(&self.id) else { return };
        let used = IdUse { written: Some(counts), ..used };
        uplink.remember(ReplayRecords::Ids(vec![UsedId { id, until, used }]));
        self.publisher.wake.notify_one();
    }
}

impl Drop for ClaimedId<'_> {
    fn drop(&mut self) {
        self.publisher.release_id(self.id.id);
    }
}

/// The error about an id that another publication has.
pub(super) fn id_reused() -> ApiError {
    let message =
        "another publication of this application has this id; use a new id for other content";
    ApiError::new(ErrorCode::IdReused, message)
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn of_header(values: &[&'static str]) -> Result<Option<String>, &'static str> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(HEADER, HeaderValue::from_static(value));
        }
        let key = IdempotencyKey::of_header(&headers);
        key.map(|key| key.map(|key| key.0.into_owned())).map_err(|error| error.code().text())
    }

    #[test]
    fn the_header_is_an_id_with_or_without_quotes() {
        assert_eq!(of_header(&[]), Ok(None));
        for value in ["o-1", "\"o-1\""] {
            assert_eq!(of_header(&[value]), Ok(Some("o-1".to_owned())));
        }
        assert_eq!(of_header(&[r#""a\"\\b""#]), Ok(Some(r#"a"\b"#.to_owned())));
        for wrong in ["", "\"\"", "\"o-1", "\"a\"b\"", "\"a\\n\""] {
            assert_eq!(of_header(&[wrong]), Err("invalid_header"), "{wrong}");
        }
        assert_eq!(of_header(&["a", "a"]), Err("invalid_header"));
        assert!(is_key(&"a".repeat(128)) && !is_key(&"a".repeat(129)) && !is_key("é"));
    }
}
