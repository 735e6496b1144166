//! `GET /tags`: the tag names of a space, or the values of one name, page by page.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::over_hosts::HostCounts;
use super::tags_of_hosts::read_others;
use super::{EndpointContext, broker_answer, cursor_json, unexpected};
use crate::api::cursor::ListScope;
use crate::api::error::ApiError;
use crate::api::parameters::{self, Parameters};
use crate::api::response::ApiAnswer;
use crate::json;
use crate::link::query::{QueryKind, QueryResult};
use crate::types::limits::{LIST_BYTES_MAX, LIST_CLIENTS, LIST_CLIENTS_MAX};
use crate::types::{ScannedTags, TagCount, TagScan};

/// The texts of a page with their counts, in order.
#[derive(Debug, Default)]
pub(super) struct TagPage(BTreeMap<Box<str>, u64>);

impl TagPage {
    /// Adds texts that a step of a search has found. The smallest ones are kept.
    pub(super) fn add(&mut self, found: Vec<TagCount>, scan: &TagScan) {
        let is_after = |text: &str| scan.after.as_deref().is_none_or(|after| text > after);
        let found = found.into_iter().filter(|it| is_after(&it.text));
        self.0.extend(found.map(|TagCount { text, count }| (text, count)));
        self.shorten(scan);
    }

    /// Adds the page of another host. Texts that both have are counted together.
    fn merge(&mut self, other: Self, scan: &TagScan) {
        for (text, count) in other.0 {
            let sum = self.0.entry(text).or_default();
            // The number comes from another host.
            *sum = sum.saturating_add(count);
        }
        self.shorten(scan);
    }

    fn shorten(&mut self, scan: &TagScan) {
        while self.0.len() > scan.limit {
            self.0.pop_last();
        }
    }
}

/// Answers with a page of a list.
///
/// # Errors
///
/// What is wrong with the parameters, or that the broker does not answer.
pub(in crate::api) async fn list(
    context: EndpointContext<'_>,
    parameters: &Parameters<'_>,
) -> Result<ApiAnswer, ApiError> {
    let (name, prefix) = (parameters.text("name"), parameters.text("prefix"));
    if name.is_none() && prefix.is_some() {
        return Err(parameters::invalid("prefix", "needs the parameter `name`"));
    }
    let prefix = prefix.unwrap_or_default();
    let limit = parameters.count("limit", LIST_CLIENTS_MAX)?.unwrap_or(LIST_CLIENTS);
    let tenant = &context.application.tenant.0;
    let scope = match name {
        None => ListScope::new(&["tags", tenant]),
        Some(name) => ListScope::new(&["values", tenant, name, prefix]),
    };
    let after = parameters.text("cursor").map(|cursor| scope.text(cursor)).transpose()?;
    let room = context.state.answers.reserve(context.until).await?;
    let scan = TagScan {
        name: name.map(Into::into),
        prefix: prefix.into(),
        after: after.map(Into::into),
        // One more shows whether another page follows.
        limit: limit + 1,
        before: None,
    };
    let (own, elsewhere) = tokio::join!(read(context, &scan), read_others(context, &scan));
    let (mut page, counts) = (own?, elsewhere.as_ref().map(|it| it.counts));
    elsewhere.into_iter().flat_map(|it| it.pages).for_each(|other| page.merge(other, &scan));
    let TagPage(page) = page;
    let (list, count) = if name.is_some() { ("values", "clients") } else { ("names", "values") };
    let text = if name.is_some() { "value" } else { "name" };
    let mut rows = String::new();
    let mut last = None;
    for (at, (own, number)) in page.iter().take(limit).enumerate() {
        if rows.len() > LIST_BYTES_MAX {
            break;
        }
        let _written = write!(rows, "{}{{\"{text}\":", if at == 0 { "" } else { "," });
        json::push_text(own, &mut rows);
        let _written = write!(rows, ",\"{count}\":{number}}}");
        last = Some(own);
    }
    let has_more = last != page.last_key_value().map(|(text, _)| text);
    let cursor = cursor_json(last.filter(|_| has_more).map(|text| scope.cursor(text.as_bytes())));
    let hosts = HostCounts::members(counts);
    Ok(ApiAnswer::ok_in(room, format!("{{\"{list}\":[{rows}],\"cursor\":{cursor}{hosts}}}")))
}

/// Reads the smallest texts of a list, step by step. Another broker has them in other places, so the search
/// begins again with it.
async fn read(context: EndpointContext<'_>, scan: &TagScan) -> Result<TagPage, ApiError> {
    loop {
        let broker = context.state.publisher.broker();
        let page = read_once(context, scan.clone()).await?;
        if context.state.publisher.broker() == broker {
            return Ok(page);
        }
    }
}

async fn read_once(context: EndpointContext<'_>, mut scan: TagScan) -> Result<TagPage, ApiError> {
    let mut page = TagPage::default();
    loop {
        let QueryResult::Tags(ScannedTags { found, rest }) =
            broker_answer(context, QueryKind::Tags(scan.clone())).await?
        else {
            return Err(unexpected());
        };
        page.add(found, &scan);
        match rest {
            None => return Ok(page),
            Some(_) => scan.before = rest,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(counts: &[(&str, u64)], scan: &TagScan) -> TagPage {
        let count = |(text, count): &(&str, u64)| TagCount { text: (*text).into(), count: *count };
        let mut page = TagPage::default();
        page.add(counts.iter().map(count).collect(), scan);
        page
    }

    #[test]
    fn the_smallest_texts_of_all_hosts_are_counted_together() {
        let scan = |after: Option<&str>| TagScan {
            name: None,
            prefix: "".into(),
            after: after.map(Into::into),
            limit: 3,
            before: None,
        };
        let all = scan(None);
        let mut merged = page(&[("b", 1), ("d", 1), ("f", 1)], &all);
        merged.merge(page(&[("a", 1), ("b", u64::MAX), ("c", 4), ("e", 1)], &all), &all);
        merged.merge(page(&[("c", 5), ("d", 9)], &all), &all);
        let texts: Vec<(&str, u64)> = merged.0.iter().map(|(text, it)| (&**text, *it)).collect();
        assert_eq!(texts, [("a", 1), ("b", u64::MAX), ("c", 9)]);
        let after = scan(Some("b"));
        let rest = page(&[("a", 1), ("b", 1), ("c", 1)], &after);
        assert_eq!(rest.0.keys().map(|text| &**text).collect::<Vec<&str>>(), ["c"]);
    }
}
