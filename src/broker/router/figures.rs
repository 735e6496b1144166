//! The figures of a broker, for the metrics.

use super::Router;
use crate::broker::resume_counts::ResumeCounts;
use crate::cluster::DirectoryCounts;
use crate::types::{BrokerCounts, HistogramFamily, LabelledSeries, SeriesFamily};

/// Returns the counters of a broker.
#[must_use]
pub fn counts(router: &Router) -> BrokerCounts {
    BrokerCounts {
        workers: router.workers.keys().filter(|worker| worker.has_clients()).count() as u64,
        clients: router.clients() as u64,
        rows: router.index.rows() as u64,
        publications: router.publications,
        throttled_tenants: router.fair_share.throttled().len() as u64,
        tenant_throttles: router.fair_share.throttles(),
    }
}

/// Returns how many clients that may resume are here, and how many are away.
#[must_use]
pub fn records(router: &Router) -> (usize, usize) {
    router.records.counts()
}

/// Returns the figures with labels.
#[must_use]
pub fn series(router: &Router) -> LabelledSeries {
    let mut series = LabelledSeries::default();
    let costs = router.index.meter.costs();
    series.plain(SeriesFamily::IndexTagNames, router.index.tag_names() as u64);
    series.plain(SeriesFamily::ExpressionsEvaluated, costs.evaluated);
    series.plain(SeriesFamily::ExpressionValuesScanned, costs.values_scanned);
    series.plain(SeriesFamily::TailEventsDropped, router.tail.dropped());
    series.one(SeriesFamily::TagChanges, "api", router.tag_changes_by_api);
    let (here, away) = records(router);
    for (state, count) in [("here", here), ("away", away)] {
        series.one(SeriesFamily::Records, state, count as u64);
    }
    series.plain(SeriesFamily::MailboxBytes, router.records.mailbox_bytes() as u64);
    let ResumeCounts { resumed, taken, outdated, moved, .. } = router.resumes;
    let results = [("resumed", resumed), ("taken", taken), ("expired_token", outdated)];
    for (result, count) in results.into_iter().chain([("moved", moved)]) {
        series.one(SeriesFamily::Resumes, result, count);
    }
    series.one(SeriesFamily::Recoveries, "recovered", router.resumes.recovered);
    if let Some(hosts) = &router.hosts {
        let counts = hosts.names.shared.records().counts();
        let DirectoryCounts { idents, aliases, uuids, refused } = counts;
        for (kind, count) in [("ident", idents), ("alias", aliases), ("uuid", uuids)] {
            series.one(SeriesFamily::ClusterDirectoryEntries, kind, count as u64);
        }
        series.plain(SeriesFamily::ClusterDirectoryRefused, refused);
    }
    series.plain(SeriesFamily::JournalBytes, router.journals.held() as u64);
    series.plain(SeriesFamily::JournalEntries, router.journals.entries() as u64);
    series.plain(SeriesFamily::Watches, router.presence.watch_count() as u64);
    series.plain(SeriesFamily::PresenceUpdates, router.presence.updates());
    for (reason, count) in router.resumes.recoveries() {
        series.one(SeriesFamily::Recoveries, reason.word(), count);
    }
    series.record(HistogramFamily::ExpressionEvaluation, "", &costs.times);
    series.record(HistogramFamily::PublicationRecipients, "", &router.resolve_cache.recipients);
    series
}
