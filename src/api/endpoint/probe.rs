//! Reads the body of a publication as a server without applications does, and returns what the broker
//! would get: for fuzz targets, which need no sockets and no other process.

use std::io;
use std::path::PathBuf;

use hyper::HeaderMap;
use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;

use super::EndpointContext;
use crate::api::access::ShownRequest;
use crate::api::config::ApiConfig;
use crate::api::error::ApiError;
use crate::api::signature::SignedTarget;
use crate::api::state::ApiState;
use crate::config::{Config, ConfigSources, load};
use crate::link::codec::{Malformed, MessageDecoder};
use crate::link::message::ToBroker;
use crate::link::transport::{Transport, memory_pair};
use crate::types::{Content, Generation, OPEN_APPLICATION, WorkerId, WorkerIncarnation};

/// Reads bodies of publications.
#[derive(Debug)]
pub struct PublicationProbe {
    runtime: Runtime,
    settings: Config,
}

impl PublicationProbe {
    /// Makes one with the default configuration and a fixed key of UUIDs.
    ///
    /// # Errors
    ///
    /// When the process has no descriptor left.
    pub fn new() -> io::Result<Self> {
        let source = ConfigSources {
            flags: vec![("authFile".to_owned(), "none".to_owned())],
            variables: vec![("TAGCAST_UUID_KEY".to_owned(), "01".repeat(32))],
            folder: PathBuf::from("/nonexistent"),
            ..ConfigSources::default()
        };
        let loaded = load(&source).map_err(|why| io::Error::other(why.to_string()))?;
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        Ok(Self { runtime, settings: loaded.config })
    }

    /// Publishes what a body says, and returns the content that the broker gets, or the body of the answer
    /// with the error.
    ///
    /// # Errors
    ///
    /// When the process has no descriptor left, or the link breaks.
    pub fn publish(&self, body: &str) -> io::Result<Result<Content, String>> {
        self.runtime.block_on(async {
            let config = ApiConfig::of(&self.settings)?;
            let source = WorkerIncarnation { worker: WorkerId::API, generation: Generation(1) };
            let state = ApiState::new(source, ApiConfig::of(&self.settings)?);
            let (ours, mut theirs) = memory_pair()?;
            let _waiter = state.publisher.connect(Generation(1), Box::new(ours))?;
            let target = SignedTarget { method: "POST", path: "", query: "" };
            let shown = ShownRequest { headers: &HeaderMap::new(), target, now: 0 };
            let taken = match config.access.authenticate(OPEN_APPLICATION, shown) {
                Err(error) => Err(error),
                Ok(found) => {
                    let (state, config, application) = (&state, &config, found.application);
                    let until = Instant::now();
                    let context = EndpointContext {
                        state,
                        config,
                        application,
                        key: None,
                        until,
                        trace: None,
                        turn: None,
                    };
                    context.take_over(body).await.map(drop)
                }
            };
            let json = |error: ApiError| error.json(None);
            match taken.map_err(json) {
                Err(error) => Ok(Err(error)),
                Ok(()) => {
                    state.publisher.write();
                    published(&mut theirs).map(Ok)
                }
            }
        })
    }
}

/// Returns the content of the only publication on a link.
fn published(link: &mut impl Transport) -> io::Result<Content> {
    let mut decoder = MessageDecoder::default();
    let mut scratch = vec![0; 64 * 1024];
    loop {
        let read = link.read(&mut scratch)?;
        decoder.extend(scratch.get(..read).unwrap_or_default());
        while let Some(message) = decoder.take::<ToBroker>().map_err(|why| malformed(&why))? {
            if let ToBroker::Publish { publication, .. } = message {
                return Ok(publication.content);
            }
        }
    }
}

fn malformed(why: &Malformed) -> io::Error {
    io::Error::other(format!("{why:?}"))
}
