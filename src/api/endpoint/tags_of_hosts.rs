//! `GET /tags` on several hosts. Each has its own smallest texts, so the smallest of all are among them.

use super::EndpointContext;
use super::over_hosts::{HostCounts, ask_others};
use super::tags::TagPage;
use crate::link::query::{HostsAnswer, QueryKind, QueryResult};
use crate::types::{HostId, QueryReach, ScannedTags, TagScan};

/// The pages of the other hosts that have answered.
#[derive(Debug)]
pub(super) struct TagsElsewhere {
    pub(super) pages: Vec<TagPage>,
    pub(super) counts: HostCounts,
}

/// Reads the smallest texts of all other hosts. `None` on a server without a cluster.
pub(super) async fn read_others(
    context: EndpointContext<'_>,
    scan: &TagScan,
) -> Option<TagsElsewhere> {
    let first = ask_others(context, QueryReach::All, QueryKind::Tags(scan.clone())).await?;
    let mut counts = HostCounts::of(&first);
    let mut pages = Vec::new();
    for (host, answer) in first.hosts {
        let Some(answer) = answer else { continue };
        match read_host(context, host, scan, answer).await {
            Some(page) => pages.push(page),
            None => counts = counts.without_one(),
        }
    }
    Some(TagsElsewhere { pages, counts })
}

/// Reads the rest of a host's texts, step by step. `None` if it stops to answer.
async fn read_host(
    context: EndpointContext<'_>,
    host: HostId,
    scan: &TagScan,
    first: QueryResult,
) -> Option<TagPage> {
    let (mut page, mut result) = (TagPage::default(), first);
    let mut scan = scan.clone();
    loop {
        let QueryResult::Tags(ScannedTags { found, rest }) = result else { return None };
        page.add(found, &scan);
        let Some(before) = rest else { return Some(page) };
        // What another host says must not keep this request going.
        if scan.before.is_some_and(|last| before >= last) {
            return None;
        }
        scan.before = rest;
        let kind = QueryKind::Tags(scan.clone());
        let HostsAnswer { hosts, .. } = ask_others(context, QueryReach::One(host), kind).await?;
        let (_, answer) = hosts.into_iter().next()?;
        result = answer?;
    }
}
