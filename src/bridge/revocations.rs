//! Revoked tokens over all hosts. A host tells the others at once what it revokes, and awaits that they have stored it.
//! Heartbeats compare the lists: a host that has joined, or was cut off, asks for what it lacks.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::cluster::{AnsweredQuery, AskedQuestion, BridgeCore, figures};
use crate::link::control::{ChildEvent, RevokedEntries};
use crate::types::limits::{
    CLUSTER_QUERIES_MAX, CLUSTER_REVOCATIONS_BYTES, REVOCATIONS_MAX, REVOCATIONS_SENT_MAX,
};
use crate::types::{HostId, QueryReach, RevocationList, TokenRevocation};

/// First byte of these questions. Those of brokers begin with another format.
const FORMAT: u8 = 50;
/// A question with revocations, which is answered when they are stored.
const PUSH: u8 = 1;
/// A question for the list, from a place on.
const LIST: u8 = 2;
/// How often lists are compared. They may differ for a moment while a revocation is on its way.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Expired revocations that are removed at a time.
const FORGOTTEN_MAX: usize = 256;

/// The revoked tokens that this host knows, and questions about them.
#[derive(Debug, Default)]
pub(super) struct BridgeRevocations {
    list: RevocationList,
    /// Own revocations that other hosts store, by the number of the question.
    pushed: BTreeMap<u64, u32>,
    /// How many hosts were asked about a command of the supervisor, and have answered.
    commands: BTreeMap<u32, PushedCommand>,
    /// Lists that others were asked for.
    fetched: BTreeMap<u64, ListFetch>,
    /// Hosts whose list differed at the last look.
    differed: Vec<HostId>,
    /// Questions of other hosts that wait until the supervisor has stored the revocations.
    storing: BTreeMap<u32, StoringHost>,
    last_token: u32,
    next_look: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct PushedCommand {
    /// Questions that are not answered.
    open: usize,
    asked: u32,
    answered: u32,
}

#[derive(Clone, Copy, Debug)]
struct ListFetch {
    host: HostId,
    after: u32,
}

#[derive(Clone, Copy, Debug)]
struct StoringHost {
    host: HostId,
    id: u64,
}

impl BridgeRevocations {
    /// Adds revocations of the supervisor, and tells the other hosts those that this one has made. Returns the event
    /// for the supervisor if there is nothing to wait for.
    pub(super) fn revoke(
        &mut self,
        core: Option<&mut BridgeCore>,
        number: u32,
        entries: RevokedEntries,
        until: Instant,
    ) -> Option<ChildEvent> {
        let RevokedEntries { own, of_others } = entries;
        own.iter().chain(&of_others).for_each(|one| self.list.add(one));
        if own.is_empty() {
            return None;
        }
        let Some(core) = core else {
            return Some(ChildEvent::RevokedElsewhere { number, asked: 0, answered: 0 });
        };
        let mut open = 0;
        for part in lines(&own) {
            let question: Bytes = [&[FORMAT, PUSH], part.as_bytes()].concat().into();
            let id = core.query(QueryReach::All, &question, until);
            self.pushed.insert(id, number);
            open += 1;
        }
        self.commands.insert(number, PushedCommand { open, asked: 0, answered: u32::MAX });
        None
    }

    /// Takes the answers to own questions about revocations. Returns events for the supervisor.
    pub(super) fn take_answers(
        &mut self,
        core: &mut BridgeCore,
        answered: &mut Vec<AnsweredQuery>,
        until: Instant,
    ) -> Vec<ChildEvent> {
        let is_own = |it: &mut AnsweredQuery| {
            self.pushed.contains_key(&it.id) || self.fetched.contains_key(&it.id)
        };
        let own: Vec<AnsweredQuery> = answered.extract_if(.., is_own).collect();
        let mut events = Vec::new();
        for AnsweredQuery { id, hosts } in own {
            if let Some(number) = self.pushed.remove(&id) {
                events.extend(self.on_stored(number, &hosts));
            } else if let Some(fetch) = self.fetched.remove(&id) {
                let list = hosts.into_iter().find_map(|(_, answer)| answer);
                events.extend(list.and_then(|list| self.on_list(core, fetch, &list, until)));
            }
        }
        events
    }

    fn on_stored(&mut self, number: u32, hosts: &[(HostId, Option<Bytes>)]) -> Option<ChildEvent> {
        let command = self.commands.get_mut(&number)?;
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let answered = hosts.iter().filter(|(_, answer)| answer.is_some()).count();
        command.asked = command.asked.max(count(hosts.len()));
        command.answered = command.answered.min(count(answered));
        command.open -= 1;
        if command.open > 0 {
            return None;
        }
        let PushedCommand { asked, answered, .. } = self.commands.remove(&number)?;
        // This host is one of them.
        let (asked, answered) = (asked.saturating_add(1), answered.saturating_add(1));
        Some(ChildEvent::RevokedElsewhere { number, asked, answered })
    }

    /// Returns what a list has that this host lacks, and asks for the rest of it.
    fn on_list(
        &mut self,
        core: &mut BridgeCore,
        ListFetch { host, after }: ListFetch,
        answer: &[u8],
        until: Instant,
    ) -> Option<ChildEvent> {
        let (has_more, text) = answer.split_first()?;
        let entries = parse(text)?;
        let next = after.saturating_add(u32::try_from(entries.len()).unwrap_or(u32::MAX));
        if *has_more == 1 && !entries.is_empty() && (next as usize) < REVOCATIONS_MAX {
            self.fetch(core, ListFetch { host, after: next }, until);
        }
        let new: Vec<_> = entries.into_iter().filter(|one| !self.list.includes(one)).collect();
        let event = ChildEvent::RevokedByHosts { token: None, entries: new };
        matches!(&event, ChildEvent::RevokedByHosts { entries, .. } if !entries.is_empty())
            .then_some(event)
    }

    /// Takes the questions of other hosts about revocations. Returns events for the supervisor.
    pub(super) fn take_questions(
        &mut self,
        core: &mut BridgeCore,
        asked: &mut Vec<AskedQuestion>,
    ) -> Vec<ChildEvent> {
        let is_own = |it: &mut AskedQuestion| it.question.first() == Some(&FORMAT);
        let own: Vec<AskedQuestion> = asked.extract_if(.., is_own).collect();
        let mut events = Vec::new();
        for AskedQuestion { host, id, question } in own {
            match question.get(1..).and_then(<[u8]>::split_first) {
                Some((&PUSH, text)) => events.extend(self.on_push(core, host, id, text)),
                Some((&LIST, after)) => {
                    let after = after.try_into().map(u32::from_le_bytes);
                    let page = after.ok().map(|after| self.page(after as usize));
                    core.answer(host, id, page.as_deref());
                }
                _ => core.answer(host, id, None),
            }
        }
        events
    }

    fn on_push(
        &mut self,
        core: &mut BridgeCore,
        host: HostId,
        id: u64,
        text: &[u8],
    ) -> Option<ChildEvent> {
        let Some(entries) = parse(text).filter(|_| self.storing.len() < CLUSTER_QUERIES_MAX) else {
            core.answer(host, id, None);
            return None;
        };
        self.last_token = self.last_token.wrapping_add(1);
        self.storing.insert(self.last_token, StoringHost { host, id });
        Some(ChildEvent::RevokedByHosts { token: Some(self.last_token), entries })
    }

    /// The supervisor has stored revocations of another host, and no worker accepts their tokens.
    pub(super) fn stored(&mut self, core: Option<&mut BridgeCore>, token: u32) {
        if let Some(StoringHost { host, id }) = self.storing.remove(&token)
            && let Some(core) = core
        {
            core.answer(host, id, Some(&[1]));
        }
    }

    /// A page of the list: whether more follows, and lines.
    fn page(&self, after: usize) -> Vec<u8> {
        let mut page = vec![0];
        for one in self.list.iter().skip(after) {
            if page.len() > CLUSTER_REVOCATIONS_BYTES {
                page.splice(..1, [1]);
                break;
            }
            push_line(&mut page, &one);
        }
        page
    }

    /// Compares the lists once a second. One that differs twice in a row is asked for. `unix` is in seconds.
    pub(super) fn look(&mut self, core: &mut BridgeCore, now: Instant, unix: u64, until: Instant) {
        if self.next_look.is_some_and(|next| now < next) {
            return;
        }
        self.next_look = Some(now + LOOK_EVERY);
        self.list.forget_expired(unix, FORGOTTEN_MAX);
        figures::set_revocations(core, self.list.digest());
        let differing = figures::with_other_revocations(core);
        for host in &differing {
            let is_fetching = self.fetched.values().any(|fetch| fetch.host == *host);
            if self.differed.contains(host) && !is_fetching {
                self.fetch(core, ListFetch { host: *host, after: 0 }, until);
            }
        }
        self.differed = differing;
    }

    fn fetch(&mut self, core: &mut BridgeCore, fetch: ListFetch, until: Instant) {
        let question: Bytes = [&[FORMAT, LIST], &fetch.after.to_le_bytes()[..]].concat().into();
        let id = core.query(QueryReach::One(fetch.host), &question, until);
        self.fetched.insert(id, fetch);
    }
}

/// Returns revocations as lines of JSON, in parts that each fit a question and a command.
fn lines(entries: &[TokenRevocation]) -> Vec<String> {
    let mut parts = Vec::new();
    let (mut part, mut count) = (Vec::new(), 0);
    for one in entries {
        push_line(&mut part, one);
        count += 1;
        if part.len() > CLUSTER_REVOCATIONS_BYTES || count == REVOCATIONS_SENT_MAX {
            parts.push(std::mem::take(&mut part));
            count = 0;
        }
    }
    if !part.is_empty() {
        parts.push(part);
    }
    parts.into_iter().map(|part| String::from_utf8_lossy(&part).into_owned()).collect()
}

fn push_line(out: &mut Vec<u8>, revocation: &TokenRevocation) {
    // Serialization fails only for maps whose keys are not strings, and there are none.
    let _written = serde_json::to_writer(&mut *out, revocation);
    out.push(b'\n');
}

/// Reads lines of another host. `None` if one of them is no revocation, or there are too many.
fn parse(text: &[u8]) -> Option<Vec<TokenRevocation>> {
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let entries: Option<Vec<TokenRevocation>> =
        lines.map(|line| serde_json::from_slice(line).ok()).collect();
    entries.filter(|entries| entries.len() <= REVOCATIONS_SENT_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::RevokedTokens;

    fn revocation(number: usize) -> TokenRevocation {
        let jti = format!("{number:0>100}").into();
        let tokens = RevokedTokens::Id { jti };
        TokenRevocation { application: "shop".into(), tokens, until: number as u64 + 100 }
    }

    #[test]
    fn revocations_are_read_as_they_were_written_in_parts_that_fit_a_question() {
        let all: Vec<_> = (0..1000).map(revocation).collect();
        let parts = lines(&all);
        assert!(parts.len() > 1);
        assert!(parts.iter().all(|part| part.len() < CLUSTER_REVOCATIONS_BYTES + 1024));
        let read: Vec<_> = parts.iter().flat_map(|it| parse(it.as_bytes()).unwrap()).collect();
        assert_eq!(read, all);
        assert_eq!(parse(b"{}\n"), None);
        assert_eq!(parse(b""), Some(Vec::new()));
    }

    #[test]
    fn a_list_is_read_page_by_page() {
        let mut revocations = BridgeRevocations::default();
        let all: Vec<_> = (0..900).map(revocation).collect();
        all.iter().for_each(|one| revocations.list.add(one));
        let mut read = Vec::new();
        loop {
            let page = revocations.page(read.len());
            read.extend(parse(&page[1..]).unwrap());
            if page[0] == 0 {
                break;
            }
        }
        assert_eq!(read, all);
        assert_eq!(revocations.page(900), [0]);
    }
}
