//! Requests that must not take effect twice: what this process knows of them, and how it learns it (rule L11).

use tokio::time::{Instant, timeout_at};

use super::error::{ApiError, ErrorCode};
use super::idempotency::{ClaimedId, IdClaim, id_reused};
use super::nonces::{Nonce, Nonces, SignatureWindow, with_window};
use super::publisher::{ApiPublisher, Reached};
use crate::replay::Claimed;
use crate::types::limits::REPLAY_EXPIRED_MAX;
use crate::types::{
    CountedHosts, IdUse, PublicationId, ReplayBasis, ReplayDigest, ReplayRecords, UsedId,
};

impl ApiPublisher {
    /// Adds records that an earlier server has left.
    pub(super) fn learn(&self, records: &[ReplayRecords]) {
        let replays = &mut self.state.borrow_mut().client.uplink.replays;
        records.iter().for_each(|records| replays.learn(records));
    }

    /// Waits until the records of earlier processes are known. Before that, no request may be accepted.
    pub(super) async fn informed(&self) {
        loop {
            let changed = self.told.notified();
            if self.basis().is_some() {
                return;
            }
            changed.await;
        }
    }

    /// Takes the answer of the first broker that has told its records. `None` if there is none yet.
    pub(super) fn take_told(&self) -> Option<Option<ReplayBasis>> {
        self.state.borrow_mut().told_basis.take()
    }

    /// Returns whether items of other hosts are lost since the last call.
    pub(super) fn take_missed(&self) -> bool {
        std::mem::take(&mut self.state.borrow_mut().gaps) > 0
    }

    /// What is known about the completeness of the records; `None` before they are known.
    pub(super) fn basis(&self) -> Option<ReplayBasis> {
        self.state.borrow().client.uplink.replays.basis()
    }

    /// The records are complete from here on. The broker gets this too.
    pub(super) fn begin(&self, basis: ReplayBasis, window: SignatureWindow, now: u64) {
        let basis = with_window(basis, window, now);
        let mut state = self.state.borrow_mut();
        state.client.uplink.remember(ReplayRecords::Basis(Some(basis)));
        drop(state);
        self.wake.notify_one();
        self.told.notify_waiters();
    }

    /// Applies another window.
    pub(super) fn set_window(&self, window: SignatureWindow, now: u64) {
        if let Some(basis) = self.basis() {
            self.begin(basis, window, now);
        }
    }

    /// Removes some of the records whose time is over.
    pub(super) fn forget_expired(&self, now: u64) {
        self.state.borrow_mut().client.uplink.replays.forget_expired(now, REPLAY_EXPIRED_MAX);
    }

    /// Returns all records, for the next server.
    pub(super) fn records(&self) -> Vec<ReplayRecords> {
        self.state.borrow().client.uplink.replays.records().collect()
    }

    /// Checks the time of a signed request, and whether its nonce was spent.
    ///
    /// # Errors
    ///
    /// 401 if the request cannot be accepted.
    pub(super) fn check_nonce(
        &self,
        nonce: Nonce,
        timestamp: u64,
        window: SignatureWindow,
        now: u64,
    ) -> Result<(), ApiError> {
        let state = self.state.borrow();
        let nonces = Nonces(&state.client.uplink.replays);
        nonces.check_time(timestamp, window, now)?;
        nonces.check(nonce)
    }

    /// Spends a nonce. The broker knows it before everything that the request becomes.
    ///
    /// # Errors
    ///
    /// 401 if it is spent; 429 if no more can be kept.
    pub(super) fn spend_nonce(
        &self,
        nonce: Nonce,
        window: SignatureWindow,
        now: u64,
    ) -> Result<(), ApiError> {
        let mut state = self.state.borrow_mut();
        let uplink = &mut state.client.uplink;
        uplink.replays.forget_expired(now, usize::MAX);
        let spent = Nonces(&uplink.replays).record(nonce, window, now)?;
        uplink.remember(ReplayRecords::Nonces(vec![spent]));
        state.has_unsent_nonces = true;
        self.wake.notify_one();
        Ok(())
    }

    /// Puts spent nonces on the link, if they are not there. Called before a request is answered: a request
    /// that became nothing is refused too when it comes again, even if this process dies with the answer.
    pub(super) fn send_nonces(&self) {
        if self.state.borrow().has_unsent_nonces {
            self.write();
        }
    }

    /// Takes an id for a request. While the same publication is under way, this waits for it.
    ///
    /// # Errors
    ///
    /// 422 if another publication has the id; 409 if the same one is under way until then.
    pub(super) async fn claim_id(
        &self,
        id: PublicationId,
        until: Instant,
    ) -> Result<IdClaim<'_>, ApiError> {
        let claim = async {
            loop {
                let changed = self.changed.notified();
                match self.try_claim(id) {
                    Claimed::New => return Ok(IdClaim::New(ClaimedId { publisher: self, id })),
                    Claimed::Used(used) => return Ok(IdClaim::Used(used)),
                    Claimed::Reused => return Err(id_reused()),
                    Claimed::InFlight => changed.await,
                }
            }
        };
        timeout_at(until, claim).await.unwrap_or_else(|_| {
            let message = "the first publication with this id is still under way";
            Err(ApiError::new(ErrorCode::InProgress, message).retry_after(1))
        })
    }

    fn try_claim(&self, id: PublicationId) -> Claimed {
        let uplink = &mut self.state.borrow_mut().client.uplink;
        uplink.replays.forget_expired(id.at, usize::MAX);
        uplink.claims.claim(id, &uplink.replays)
    }

    pub(super) fn release_id(&self, id: ReplayDigest) {
        self.state.borrow_mut().client.uplink.claims.release(id);
        self.changed.notify_waiters();
    }

    /// Returns what became of an earlier publication with the same id.
    pub(super) fn used(&self, id: &PublicationId) -> Option<IdUse> {
        self.state.borrow().client.uplink.replays.used(id).map(|known| known.used)
    }

    /// Keeps what a publication of this host has reached on all hosts, for those who repeat it.
    pub(super) fn keep_reached(&self, id: &PublicationId, reached: Reached, hosts: CountedHosts) {
        let uplink = &mut self.state.borrow_mut().client.uplink;
        let Reached { clients, workers, .. } = reached;
        let PublicationId { content, until, .. } = *id;
        let written = match uplink.replays.used(id).map(|known| known.used) {
            Some(used) if used.content != content => return,
            // The host of its only client may have told the id to all hosts before the broker of this one has answered.
            known => known.and_then(|used| used.written),
        };
        let (origin, hosts) = (None, Some(hosts));
        let used = IdUse { content, clients, workers, written, origin, hosts };
        uplink.remember(ReplayRecords::Ids(vec![UsedId { id: id.id, until, used }]));
        self.wake.notify_one();
    }

    /// Items of other hosts are lost, which may have been nonces. Requests that were signed before now are refused.
    pub(super) fn miss_nonces(&self, window: SignatureWindow, now: u64) {
        if let Some(basis) = self.basis() {
            self.begin(ReplayBasis { since: basis.since.max(now), ..basis }, window, now);
        }
    }

    /// Sets how many ids are kept.
    pub(super) fn limit_ids(&self, ids_max: usize) {
        self.state.borrow_mut().client.uplink.replays.limit_ids(ids_max);
    }

    /// The number of ids that were ever forgotten early.
    pub(super) fn ids_evicted(&self) -> u64 {
        self.state.borrow().client.uplink.replays.ids_evicted()
    }
}
