//! Reads the body of a request within its deadline, its length limit and the memory for all bodies.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::HeaderMap;
use hyper::body::{Body, Incoming};
use hyper::header;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

use super::config::ApiConfig;
use super::error::{ApiError, ErrorCode};
use super::state::ApiState;
use crate::types::limits::{
    API_BODY_BYTES_MIN, API_BODY_PAUSE, API_BODY_TIME, API_SMALL_BODY_BYTES,
};

/// Bytes reserved at a time for a body of unknown length.
const PART_BYTES: usize = 64 * 1024;

/// A body with its reserved part of the memory for all bodies.
#[derive(Debug)]
pub(super) struct RequestBody {
    bytes: Bytes,
    _memory: Option<OwnedSemaphorePermit>,
}

impl RequestBody {
    /// Returns the bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the text.
    ///
    /// # Errors
    ///
    /// If the body is not UTF-8.
    pub(super) fn text(&self) -> Result<&str, ApiError> {
        str::from_utf8(&self.bytes)
            .map_err(|_| ApiError::at(ErrorCode::InvalidJson, "", "the body is not UTF-8"))
    }
}

/// Checks that a body is declared as JSON without a content encoding.
///
/// # Errors
///
/// 415 if it is not.
pub(super) fn check_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let unsupported = |message| Err(ApiError::new(ErrorCode::UnsupportedMediaType, message));
    if headers.contains_key(header::CONTENT_ENCODING) {
        return unsupported("Content-Encoding is not supported");
    }
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let is_json = |text: &str| {
        let mut parts = text.split(';').map(str::trim);
        let is_json = parts.next().is_some_and(|it| it.eq_ignore_ascii_case("application/json"));
        is_json && parts.all(|part| part.eq_ignore_ascii_case("charset=utf-8"))
    };
    let first = types.next().and_then(|text| text.to_str().ok());
    match first.is_some_and(is_json) && types.next().is_none() {
        true => Ok(()),
        false => unsupported("Content-Type must be application/json"),
    }
}

/// Reads a body to its end.
///
/// # Errors
///
/// If the body is too large or too slow, or if there is no memory for it.
pub(super) async fn read(
    state: &ApiState,
    config: &ApiConfig,
    mut body: Incoming,
) -> Result<RequestBody, ApiError> {
    let limit = config.body_bytes_max;
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > limit {
        return Err(too_large(announced, limit));
    }
    let mut memory = BodyMemory { all: &state.bodies, within: config.timeout, permit: None };
    memory.grow_to(announced).await?;
    let mut bytes = BytesMut::with_capacity(announced);
    let mut pace = BodyPace::start();
    loop {
        let Some(frame) = pace.next(body.frame(), bytes.len()).await? else { break };
        let frame =
            frame.map_err(|_| ApiError::new(ErrorCode::BadRequest, "the body ended early"))?;
        // Trailers are ignored.
        let Ok(data) = frame.into_data() else { continue };
        let length = bytes.len() + data.len();
        if length > limit {
            return Err(too_large(length, limit));
        }
        memory.grow_to(length).await?;
        bytes.extend_from_slice(&data);
    }
    Ok(RequestBody { bytes: bytes.freeze(), _memory: memory.permit })
}

fn too_large(found: usize, limit: usize) -> ApiError {
    ApiError::over_limit("the body", found as u64, limit as u64, "apiMaxBody")
}

/// The reserved memory of one body.
struct BodyMemory<'a> {
    all: &'a Arc<Semaphore>,
    within: Duration,
    permit: Option<OwnedSemaphorePermit>,
}

impl BodyMemory<'_> {
    async fn grow_to(&mut self, bytes: usize) -> Result<(), ApiError> {
        let held = self.permit.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        if bytes <= held.max(API_SMALL_BODY_BYTES) {
            return Ok(());
        }
        let wanted = if held == 0 { bytes } else { (bytes - held).max(PART_BYTES) };
        let wanted = u32::try_from(wanted).unwrap_or(u32::MAX);
        let more = timeout(self.within, Arc::clone(self.all).acquire_many_owned(wanted)).await;
        let busy =
            || ApiError::new(ErrorCode::Busy, "too much memory is in use by other request bodies");
        let more = more.ok().and_then(Result::ok).ok_or_else(busy)?;
        match &mut self.permit {
            Some(permit) => permit.merge(more),
            none => *none = Some(more),
        }
        Ok(())
    }
}

/// The progress of a body, and its deadlines.
struct BodyPace {
    until: Instant,
    looks_at: Instant,
    bytes_then: usize,
}

impl BodyPace {
    fn start() -> Self {
        let now = Instant::now();
        Self { until: now + API_BODY_TIME, looks_at: now + API_BODY_PAUSE, bytes_then: 0 }
    }

    /// Waits for the next part of the body, given the number of bytes read so far.
    async fn next<T>(
        &mut self,
        part: impl Future<Output = Option<T>>,
        bytes: usize,
    ) -> Result<Option<T>, ApiError> {
        let now = Instant::now();
        if now >= self.looks_at {
            if bytes < self.bytes_then + API_BODY_BYTES_MIN {
                return Err(too_slow());
            }
            (self.looks_at, self.bytes_then) = (now + API_BODY_PAUSE, bytes);
        }
        let mut part = std::pin::pin!(part);
        loop {
            let until = self.looks_at.min(self.until);
            match timeout_at(until, part.as_mut()).await {
                Ok(part) => return Ok(part),
                Err(_) if until == self.until || bytes < self.bytes_then + API_BODY_BYTES_MIN => {
                    return Err(too_slow());
                }
                Err(_) => (self.looks_at, self.bytes_then) = (until + API_BODY_PAUSE, bytes),
            }
        }
    }
}

fn too_slow() -> ApiError {
    ApiError::new(ErrorCode::RequestTimeout, "the body arrived too slowly")
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    #[test]
    fn a_body_is_plain_json() {
        let is_right = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(*name, HeaderValue::from_static(value));
            }
            check_type(&headers).is_ok()
        };
        let json = ("content-type", "application/json");
        assert!(is_right(&[json]));
        assert!(is_right(&[("content-type", "Application/JSON; charset=UTF-8")]));
        for wrong in [
            &[][..],
            &[("content-type", "text/plain")],
            &[("content-type", "application/json; charset=latin1")],
            &[json, ("content-encoding", "gzip")],
            &[json, json],
        ] {
            assert!(!is_right(wrong), "{wrong:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_small_body_does_not_wait_for_the_memory_of_large_ones() {
        let all = Arc::new(Semaphore::new(0));
        let within = Duration::from_secs(1);
        let mut memory = BodyMemory { all: &all, within, permit: None };
        memory.grow_to(API_SMALL_BODY_BYTES).await.unwrap();
        let refused = memory.grow_to(API_SMALL_BODY_BYTES + 1).await;
        assert_eq!(refused.unwrap_err().code(), ErrorCode::Busy);
        all.add_permits(API_SMALL_BODY_BYTES + 1);
        memory.grow_to(API_SMALL_BODY_BYTES + 1).await.unwrap();
        assert_eq!(all.available_permits(), 0, "a larger one has all of it");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stalled_or_slow_body_is_refused_at_its_deadline() {
        let second = Duration::from_secs(1);
        let mut pace = BodyPace::start();
        let start = Instant::now();
        let never = std::future::pending::<Option<()>>;
        assert!(pace.next(never(), 10).await.is_err());
        assert_eq!(start.elapsed().as_secs(), 5);
        let (mut pace, start, mut bytes) = (BodyPace::start(), Instant::now(), 0);
        let parts = async {
            loop {
                let part = async {
                    tokio::time::sleep(second).await;
                    Some(())
                };
                pace.next(part, bytes).await?;
                bytes += 300;
            }
        };
        let end: Result<(), ApiError> = parts.await;
        assert_eq!(end.unwrap_err().code(), ErrorCode::RequestTimeout);
        assert_eq!(start.elapsed().as_secs(), 30);
    }
}
