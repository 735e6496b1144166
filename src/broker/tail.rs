//! Copies of publications for operators who watch them. A reader asks several times a second, and each question
//! allows a number of copies. Further publications are counted alone. Without a reader, this costs one comparison
//! for each publication.

use std::collections::BTreeSet;

use super::resolve_cache::KnownRoute;
use crate::index::{Index, Resolved};
use crate::link::query::QueryResult;
use crate::link::tail::{TailPage, TailQuery, TailedPublication};
use crate::types::limits::{TAIL_BYTES_MAX, TAIL_READER_SILENCE, TAIL_READERS_MAX};
use crate::types::{Address, Content, Expression, Recipients, Tenant, WorkerId, WorkerIncarnation};

/// Publications that are compared with the expression of a reader, for each one that may be copied. Those that
/// do not match use up no credit, and a comparison may take as long as hundreds of publications.
const COMPARED_PER_COPY: u32 = 4;

/// The readers, by their places.
#[derive(Debug, Default)]
pub(super) struct Tail {
    readers: Vec<TailReader>,
    /// Publications that former pages of readers have without a copy.
    dropped: u64,
}

/// The clients that publications may reach.
#[derive(Clone, Copy, Debug)]
pub(super) struct TailIndex<'a> {
    pub(super) index: &'a Index,
    /// Dead workers, whose clients are not reached.
    pub(super) departed: &'a BTreeSet<WorkerId>,
}

/// A reader, and what was copied for it since its last question.
#[derive(Debug)]
struct TailReader {
    source: WorkerIncarnation,
    place: u8,
    number: u64,
    /// Only publications of this tenant.
    tenant: Option<Tenant>,
    /// Only publications that reach a client that matches.
    expression: Option<Expression>,
    /// Publications that may still be copied.
    credit: u32,
    /// Publications that may still be compared with the expression.
    comparisons: u32,
    /// Maximum bytes of a copied payload.
    payload_max: usize,
    page: TailPage,
    /// Memory of the page in bytes.
    held: usize,
    /// The Unix second since which it has asked nothing.
    silent_since: Option<u64>,
}

impl TailReader {
    /// Takes the right to look at one more publication of this tenant. Otherwise the publication is counted, if
    /// it is one of those that the reader wants.
    fn examines(&mut self, tenant: &Tenant) -> bool {
        if self.tenant.as_ref().is_some_and(|own| own != tenant) {
            return false;
        }
        if self.credit == 0 || self.comparisons == 0 {
            self.page.dropped += 1;
            return false;
        }
        if self.expression.is_some() {
            self.comparisons -= 1;
        }
        true
    }

    /// Keeps a copy, if the memory of the page allows it.
    fn keep(&mut self, publication: TailedPublication) {
        let TailedPublication { address, payload, .. } = &publication;
        let bytes = size_of::<TailedPublication>() + address.recipients.held() + payload.len();
        if self.held + bytes > TAIL_BYTES_MAX {
            self.page.dropped += 1;
            return;
        }
        self.held += bytes;
        self.credit -= 1;
        self.page.publications.push(publication);
    }
}

impl Tail {
    /// Copies a publication for the readers that want it.
    #[inline]
    pub(super) fn copy(
        &mut self,
        source: WorkerIncarnation,
        route: &mut KnownRoute,
        content: Content<&[u8]>,
        index: TailIndex<'_>,
    ) {
        if !self.readers.is_empty() {
            self.copy_for_readers(source, route, content, index);
        }
    }

    fn copy_for_readers(
        &mut self,
        source: WorkerIncarnation,
        route: &mut KnownRoute,
        content: Content<&[u8]>,
        TailIndex { index, departed }: TailIndex<'_>,
    ) {
        // Readers see the message alone.
        let (_, content) = content.split_headers();
        for reader in &mut self.readers {
            if !reader.examines(&route.tenant) {
                continue;
            }
            if let Some(expression) = &reader.expression {
                let recipients = Recipients::Expression(expression.clone());
                let matching = Address { recipients, except: None };
                let matching = index.resolve(&route.tenant, &matching);
                if matching.refused.is_some() {
                    reader.page.dropped += 1;
                    continue;
                }
                let reached = index.resolve(&route.tenant, &route.address).without(departed);
                if !has_common_client(&reached, &matching) {
                    continue;
                }
            }
            let counts = route.count(index, departed);
            let payload = content.payload.get(..reader.payload_max).unwrap_or(content.payload);
            reader.keep(TailedPublication {
                source,
                tenant: route.tenant.clone(),
                address: route.address.clone(),
                clients: counts.clients,
                workers: counts.workers,
                form: content.form,
                bytes: content.payload.len() as u64,
                payload: payload.into(),
            });
        }
    }

    /// Answers a reader with what was copied for it, and allows further copies. Without credit its place is free
    /// again.
    pub(super) fn take(
        &mut self,
        source: WorkerIncarnation,
        tenant: &Tenant,
        query: &TailQuery,
    ) -> QueryResult {
        let TailQuery { place, reader: number, is_one_tenant, expression, credit, payload_max } =
            query;
        let at = self.readers.iter().position(|it| it.source == source && it.place == *place);
        let former = at.map(|at| self.readers.swap_remove(at));
        self.dropped += former.as_ref().map_or(0, |it| it.page.dropped);
        let former = former.filter(|it| it.number == *number);
        let is_continued = former.is_some();
        let page = former.map(|it| it.page).unwrap_or_default();
        if *credit > 0 && usize::from(*place) < TAIL_READERS_MAX {
            self.readers.push(TailReader {
                source,
                place: *place,
                number: *number,
                tenant: is_one_tenant.then(|| tenant.clone()),
                expression: expression.clone(),
                credit: *credit,
                comparisons: credit.saturating_mul(COMPARED_PER_COPY),
                payload_max: usize::try_from(*payload_max).unwrap_or(usize::MAX),
                page: TailPage::default(),
                held: 0,
                silent_since: None,
            });
        }
        QueryResult::Tail(TailPage { is_continued, ..page })
    }

    /// Returns how many publications readers want and have not got, over all time.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped + self.readers.iter().map(|it| it.page.dropped).sum::<u64>()
    }

    /// The process of these readers is gone.
    pub(super) fn unlinked(&mut self, source: WorkerIncarnation) {
        self.retain(|it| it.source != source);
    }

    /// Removes readers that ask no more.
    pub(super) fn forget_silent(&mut self, now: u64) {
        self.retain(|reader| {
            let since = *reader.silent_since.get_or_insert(now);
            now.saturating_sub(since) < TAIL_READER_SILENCE.as_secs()
        });
    }

    fn retain(&mut self, mut stays: impl FnMut(&mut TailReader) -> bool) {
        let Self { readers, dropped } = self;
        readers.retain_mut(|reader| {
            let stays = stays(reader);
            if !stays {
                *dropped += reader.page.dropped;
            }
            stays
        });
    }
}

/// Returns whether a publication reaches a client that matches.
fn has_common_client(reached: &Resolved, matching: &Resolved) -> bool {
    reached.sets.iter().any(|(worker, slots)| {
        let matching = matching.sets.iter().find(|(other, _)| other == worker);
        matching.is_some_and(|(_, matching)| {
            let mut common = &slots.0 & &matching.0;
            if let Some(except) = reached.except.filter(|place| place.worker == *worker) {
                common.remove(except.slot.0);
            }
            !common.is_empty()
        })
    })
}
