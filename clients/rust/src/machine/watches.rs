//! The queries that a client watches, on one connection after the other.

use std::collections::BTreeMap;

use serde::Serialize;
use tokio::sync::watch::{self, Receiver, Sender};

use super::requests::frame;
use super::{Machine, Phase, read};
use crate::error::{ErrorCode, ErrorFrame};
use crate::frame::PresenceFrame;
use crate::presence::{WatchMode, WatchQuery, Watched};

#[derive(Debug, Default)]
pub(super) struct Watches {
    open: BTreeMap<u64, OpenWatch>,
    last: u64,
}

#[derive(Debug)]
struct OpenWatch {
    /// The members of the request, as the text of an object.
    members: String,
    mode: WatchMode,
    /// The id of the request on this connection: the number in frames `presence`.
    id: Option<u64>,
    state: Sender<Watched>,
}

#[derive(Serialize)]
struct WatchMembers<'a> {
    #[serde(flatten)]
    query: &'a WatchQuery,
    mode: WatchMode,
}

impl Watches {
    /// The connection is lost, and with it what the server knows of them.
    pub(super) fn offline(&mut self) {
        self.open.values_mut().for_each(|watch| watch.id = None);
    }

    /// The client is closed.
    pub(super) fn end(&mut self) {
        self.offline();
        self.open.values().for_each(|watch| watch.state.send_modify(|it| it.is_closed = true));
    }

    /// The client is opened again.
    pub(super) fn resume(&mut self) {
        self.open.values().for_each(|watch| watch.state.send_modify(|it| it.is_closed = false));
    }

    /// The server does not carry out the request with this id.
    pub(super) fn refused(&mut self, id: u64, error: &ErrorFrame) {
        if let Some(watch) = self.with_id(id) {
            watch.stop(error.code());
        }
    }

    fn with_id(&mut self, id: u64) -> Option<&mut OpenWatch> {
        self.open.values_mut().find(|watch| watch.id == Some(id))
    }
}

impl OpenWatch {
    /// Whether the server is to be asked for it.
    fn is_wanted(&self) -> bool {
        let state = self.state.borrow();
        self.id.is_none() && !state.is_finished && state.presence.ended.is_none()
    }

    /// The server watches no longer.
    fn stop(&mut self, why: ErrorCode) {
        self.id = None;
        self.state.send_modify(|state| {
            state.changes += 1;
            state.presence.ended = Some(why);
        });
    }

    fn apply(&mut self, frame: PresenceFrame) {
        let is_last = self.mode == WatchMode::Once && frame.sync;
        if is_last {
            self.id = None;
        }
        self.state.send_modify(|state| {
            state.changes += 1;
            state.is_finished = is_last;
            state.presence.apply(frame);
        });
    }
}

impl Machine {
    /// Watches a query. Returns a number for [`Machine::unwatch`].
    pub(crate) fn watch(
        &mut self,
        query: &WatchQuery,
        mode: WatchMode,
    ) -> (u64, Receiver<Watched>) {
        // Texts and maps of texts are always JSON.
        let members = serde_json::to_string(&WatchMembers { query, mode }).unwrap_or_default();
        let is_closed = self.is_closed();
        let (state, shown) = watch::channel(Watched { is_closed, ..Watched::default() });
        self.watches.last += 1;
        let number = self.watches.last;
        self.watches.open.insert(number, OpenWatch { members, mode, id: None, state });
        self.begin_watches();
        (number, shown)
    }

    /// The program watches no longer.
    pub(crate) fn unwatch(&mut self, number: u64) {
        let ended = self.watches.open.remove(&number);
        if let Some(id) = ended.and_then(|watch| watch.id) {
            let members = format!(r#"{{"watch":{id}}}"#);
            let request = self.requests.next_id();
            self.outbound.push_back(frame("unwatch", request, &members).into());
        }
    }

    /// Watches everything again on a new connection.
    pub(super) fn watch_again(&mut self) {
        for watch in self.watches.open.values_mut() {
            watch.state.send_modify(|state| state.presence.ended = None);
        }
        self.begin_watches();
    }

    /// Asks the server for what it does not watch yet on this connection.
    fn begin_watches(&mut self) {
        if !matches!(self.phase, Phase::Online) {
            return;
        }
        for watch in self.watches.open.values_mut().filter(|watch| watch.is_wanted()) {
            let id = self.requests.next_id();
            self.outbound.push_back(frame("watch", id, &watch.members).into());
            watch.id = Some(id);
        }
    }

    /// Takes a frame `presence`.
    pub(super) fn present(&mut self, text: &str) {
        let Some(mut frame) = read::<PresenceFrame>(text) else { return };
        let Some(watch) = self.watches.with_id(frame.watch) else { return };
        match frame.end.take() {
            Some(code) => watch.stop(ErrorCode::from(code.as_str())),
            None => watch.apply(frame),
        }
    }
}
