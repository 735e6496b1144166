//! Questions to other hosts, and their answers.
//!
//! A question goes to each live host by itself, and each answers by itself. Nothing is repeated: a host whose answer is
//! lost, or that does not answer in time, has not answered. Ids begin at a random number, so that an answer to a question
//! of an earlier bridge is not taken for one of this.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use bytes::Bytes;

use super::message::{ClusterMessage, HostQuestion, QueryAnswer};
use crate::types::HostId;
use crate::types::limits::{
    CLUSTER_ANSWER_BYTES_MAX, CLUSTER_ANSWERS_BYTES_MAX, CLUSTER_PART_BYTES_MAX,
    CLUSTER_QUERIES_MAX, CLUSTER_QUERIES_WAITING_MAX,
};

/// A question of another host. It is answered once, by [`BridgeCore::answer`](super::BridgeCore::answer).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedQuestion {
    /// The host that asks.
    pub host: HostId,
    /// Its number for the question.
    pub id: u64,
    /// The question.
    pub question: Bytes,
}

/// A question of this host that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnsweredQuery {
    /// What [`BridgeCore::query`](super::BridgeCore::query) has returned.
    pub id: u64,
    /// The hosts that were asked, and what they have answered.
    pub hosts: Vec<(HostId, Option<Bytes>)>,
}

/// What a host has answered so far.
#[derive(Debug, Default)]
enum HostReply {
    #[default]
    Awaited,
    /// Parts that have arrived.
    Parts(Vec<Option<Bytes>>),
    Answered(Bytes),
    /// It has no answer, or cannot have one any more.
    None,
}

impl HostReply {
    fn is_open(&self) -> bool {
        matches!(self, Self::Awaited | Self::Parts(_))
    }
}

#[derive(Debug)]
struct OpenQuery {
    until: Instant,
    hosts: BTreeMap<HostId, HostReply>,
    /// Hosts whose answer is awaited.
    missing: usize,
}

/// The questions of this host that other hosts have not answered.
#[derive(Debug)]
pub(super) struct OpenHostQueries {
    next_id: u64,
    open: BTreeMap<u64, OpenQuery>,
    /// When they are over.
    due: BTreeSet<(Instant, u64)>,
    /// Bytes of all answers that are kept.
    bytes: usize,
    answered: Vec<AnsweredQuery>,
    /// Questions that all hosts have answered in time.
    pub(super) complete: u64,
    /// The others.
    pub(super) partial: u64,
}

impl OpenHostQueries {
    pub(super) fn new(first_id: u64) -> Self {
        Self {
            next_id: first_id,
            open: BTreeMap::new(),
            due: BTreeSet::new(),
            bytes: 0,
            answered: Vec::new(),
            complete: 0,
            partial: 0,
        }
    }

    /// Opens a question to these hosts, and returns its id. It is over at once if there is no host to ask, or if too
    /// many are open.
    pub(super) fn open(&mut self, hosts: &[HostId], until: Instant) -> u64 {
        let id = self.next_id;
        self.next_id = id.wrapping_add(1);
        let missing = hosts.len();
        let hosts = hosts.iter().map(|host| (*host, HostReply::default())).collect();
        self.open.insert(id, OpenQuery { until, hosts, missing });
        self.due.insert((until, id));
        if missing == 0 || self.open.len() > CLUSTER_QUERIES_MAX {
            self.close(id);
        }
        id
    }

    pub(super) fn is_open(&self, id: u64) -> bool {
        self.open.contains_key(&id)
    }

    /// Takes a part of an answer.
    pub(super) fn take(&mut self, host: HostId, answer: QueryAnswer) {
        let QueryAnswer { id, part, parts, bytes } = answer;
        let Some(query) = self.open.get_mut(&id) else { return };
        let Some(reply) = query.hosts.get_mut(&host).filter(|reply| reply.is_open()) else {
            return;
        };
        if parts == 0 {
            *reply = HostReply::None;
            query.missing -= 1;
        } else if self.bytes + bytes.len() <= CLUSTER_ANSWERS_BYTES_MAX {
            if matches!(reply, HostReply::Awaited) {
                *reply = HostReply::Parts(vec![None; usize::from(parts)]);
            }
            let HostReply::Parts(all) = reply else { return };
            let is_of_answer = all.len() == usize::from(parts);
            let place = all.get_mut(usize::from(part)).filter(|it| is_of_answer && it.is_none());
            let Some(place) = place else { return };
            self.bytes += bytes.len();
            *place = Some(bytes);
            if all.iter().all(Option::is_some) {
                *reply = HostReply::Answered(joined(std::mem::take(all)));
                query.missing -= 1;
            }
        }
        if query.missing == 0 {
            self.close(id);
        }
    }

    /// A host is gone, and is waited for no longer.
    pub(super) fn host_gone(&mut self, host: HostId) {
        let mut over = Vec::new();
        for (id, query) in &mut self.open {
            if let Some(reply) = query.hosts.get_mut(&host).filter(|reply| reply.is_open()) {
                self.bytes -= held(reply);
                *reply = HostReply::None;
                query.missing -= 1;
                over.extend((query.missing == 0).then_some(*id));
            }
        }
        over.into_iter().for_each(|id| self.close(id));
    }

    /// Ends the questions whose time is over.
    pub(super) fn expire(&mut self, now: Instant) {
        while let Some((_, id)) = self.due.first().copied().filter(|(until, _)| *until <= now) {
            self.close(id);
        }
    }

    /// Returns when the time of a question is over.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        self.due.first().map(|(until, _)| *until)
    }

    /// Ends a question with the answers that have come.
    pub(super) fn close(&mut self, id: u64) {
        let Some(OpenQuery { until, hosts, .. }) = self.open.remove(&id) else { return };
        self.due.remove(&(until, id));
        self.bytes -= hosts.values().map(held).sum::<usize>();
        let of = |reply| match reply {
            HostReply::Answered(bytes) => Some(bytes),
            HostReply::Awaited | HostReply::Parts(_) | HostReply::None => None,
        };
        let hosts: Vec<_> = hosts.into_iter().map(|(host, reply)| (host, of(reply))).collect();
        match hosts.iter().all(|(_, answer)| answer.is_some()) {
            true => self.complete += 1,
            false => self.partial += 1,
        }
        self.answered.push(AnsweredQuery { id, hosts });
    }

    pub(super) fn take_answered(&mut self) -> Vec<AnsweredQuery> {
        std::mem::take(&mut self.answered)
    }

    /// Returns the bytes of all answers that are kept; for tests.
    #[cfg(test)]
    fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Returns the bytes that a reply keeps.
fn held(reply: &HostReply) -> usize {
    match reply {
        HostReply::Awaited | HostReply::None => 0,
        HostReply::Parts(parts) => parts.iter().flatten().map(Bytes::len).sum(),
        HostReply::Answered(bytes) => bytes.len(),
    }
}

fn joined(parts: Vec<Option<Bytes>>) -> Bytes {
    let mut parts: Vec<Bytes> = parts.into_iter().flatten().collect();
    match parts.len() {
        1 => parts.pop().unwrap_or_default(),
        _ => parts.concat().into(),
    }
}

/// Questions and answers of this host that wait to be sent.
#[derive(Debug, Default)]
pub(super) struct QueriesOut {
    waiting: VecDeque<(HostId, ClusterMessage)>,
    /// Bytes of answers.
    bytes: usize,
    /// The last message was of these, and the lanes have the next turn.
    pub(super) was_last: bool,
}

impl QueriesOut {
    /// Adds a question, unless too many wait. Then its host will not have answered.
    pub(super) fn push_question(&mut self, to: HostId, question: HostQuestion) {
        if self.waiting.len() < CLUSTER_QUERIES_WAITING_MAX {
            self.waiting.push_back((to, ClusterMessage::Query(question)));
        }
    }

    /// Adds an answer in parts. `None`, and one that is too long, says that there is none.
    pub(super) fn push(&mut self, to: HostId, id: u64, answer: Option<&[u8]>) {
        let has_room = self.bytes < CLUSTER_ANSWERS_BYTES_MAX;
        let answer = answer.filter(|bytes| bytes.len() <= CLUSTER_ANSWER_BYTES_MAX && has_room);
        if self.waiting.len() >= CLUSTER_QUERIES_WAITING_MAX {
            return;
        }
        let Some(answer) = answer else {
            let none = QueryAnswer { id, part: 0, parts: 0, bytes: Bytes::new() };
            self.waiting.push_back((to, ClusterMessage::Answer(none)));
            return;
        };
        self.bytes += answer.len();
        let chunks: Vec<&[u8]> = match answer.is_empty() {
            true => vec![answer],
            false => answer.chunks(CLUSTER_PART_BYTES_MAX).collect(),
        };
        let parts = u16::try_from(chunks.len()).unwrap_or(u16::MAX);
        for (part, bytes) in (0..parts).zip(chunks) {
            let bytes = Bytes::copy_from_slice(bytes);
            let answer = QueryAnswer { id, part, parts, bytes };
            self.waiting.push_back((to, ClusterMessage::Answer(answer)));
        }
    }

    pub(super) fn pop(&mut self) -> Option<(HostId, ClusterMessage)> {
        let (to, message) = self.waiting.pop_front()?;
        if let ClusterMessage::Answer(answer) = &message {
            self.bytes -= answer.bytes.len();
        }
        Some((to, message))
    }

    /// The connection is lost. Those that wait for answers will have stopped.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::bridge_core::any_moment;
    use super::*;

    const A: HostId = HostId(1);
    const B: HostId = HostId(2);

    fn answer(id: u64, part: u16, parts: u16, bytes: &'static [u8]) -> QueryAnswer {
        QueryAnswer { id, part, parts, bytes: Bytes::from_static(bytes) }
    }

    fn opened(hosts: &[HostId]) -> (OpenHostQueries, u64, Instant) {
        let mut queries = OpenHostQueries::new(u64::MAX);
        let until = any_moment() + Duration::from_millis(300);
        let id = queries.open(hosts, until);
        assert!(queries.is_open(id));
        (queries, id, until)
    }

    fn texts(answered: &AnsweredQuery) -> Vec<(HostId, Option<&[u8]>)> {
        answered.hosts.iter().map(|(host, answer)| (*host, answer.as_deref())).collect()
    }

    #[test]
    fn a_question_is_over_when_all_hosts_have_answered() {
        let (mut queries, id, _) = opened(&[A, B]);
        queries.take(A, answer(id, 1, 2, b"second"));
        queries.take(A, answer(id, 1, 2, b"again"));
        queries.take(A, answer(id, 0, 2, b"first "));
        queries.take(A, answer(id, 0, 1, b"another"));
        assert!(queries.take_answered().is_empty(), "one is missing");
        queries.take(B, answer(id, 0, 1, b"only"));
        let answered = queries.take_answered();
        assert_eq!(texts(&answered[0]), [(A, Some(&b"first second"[..])), (B, Some(b"only"))]);
        assert_eq!((queries.complete, queries.partial, queries.bytes()), (1, 0, 0));
        assert_eq!(queries.wake_at(), None);
    }

    #[test]
    fn an_answer_counts_for_its_question_and_its_host_alone() {
        let (mut queries, id, until) = opened(&[A]);
        queries.take(B, answer(id, 0, 1, b"of another host"));
        queries.take(A, answer(id.wrapping_add(1), 0, 1, b"to another question"));
        queries.take(A, answer(id, 2, 2, b"a part that there is not"));
        queries.take(A, answer(id, 0, 3, b"another number of parts"));
        assert!(queries.take_answered().is_empty());
        queries.expire(until);
        assert_eq!(texts(&queries.take_answered()[0]), [(A, None)]);
        queries.take(A, answer(id, 0, 1, b"late"));
        assert!(queries.take_answered().is_empty());
        assert_eq!(queries.bytes(), 0);
    }

    #[test]
    fn a_host_that_is_gone_or_has_no_answer_is_not_waited_for() {
        let (mut queries, id, _) = opened(&[A, B]);
        queries.take(A, answer(id, 0, 2, b"a part"));
        queries.host_gone(A);
        queries.take(B, answer(id, 0, 0, b""));
        assert_eq!(texts(&queries.take_answered()[0]), [(A, None), (B, None)]);
        assert_eq!((queries.complete, queries.partial, queries.bytes()), (0, 1, 0));
        let until = any_moment();
        queries.open(&[], until);
        assert!(queries.take_answered()[0].hosts.is_empty(), "no host is asked");
    }

    #[test]
    fn open_questions_are_bounded() {
        let (mut queries, _, until) = opened(&[A]);
        for _ in 1..CLUSTER_QUERIES_MAX {
            queries.open(&[A], until);
        }
        assert!(queries.take_answered().is_empty());
        queries.open(&[A], until);
        assert_eq!(queries.take_answered().len(), 1);
        queries.expire(until);
        assert_eq!(queries.take_answered().len(), CLUSTER_QUERIES_MAX);
    }

    #[test]
    fn a_long_answer_is_sent_in_parts_and_one_that_is_too_long_is_none() {
        let mut out = QueriesOut::default();
        let long = vec![7; CLUSTER_PART_BYTES_MAX * 2 + 1];
        out.push(A, 5, Some(&long));
        out.push(B, 6, Some(&[]));
        out.push(B, 7, Some(&vec![0; CLUSTER_ANSWER_BYTES_MAX + 1]));
        let mut parts = Vec::new();
        while let Some((to, ClusterMessage::Answer(it))) = out.pop() {
            parts.push((to, it.id, it.part, it.parts, it.bytes.len()));
        }
        let full = CLUSTER_PART_BYTES_MAX;
        let of_a = [(A, 5, 0, 3, full), (A, 5, 1, 3, full), (A, 5, 2, 3, 1)];
        assert_eq!(parts, [&of_a[..], &[(B, 6, 0, 1, 0), (B, 7, 0, 0, 0)]].concat());
        assert_eq!(out.bytes, 0);
    }
}
