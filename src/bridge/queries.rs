//! Questions of processes of this host to other hosts, and questions of other hosts to the broker of this one.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::link::BridgeLink;
use crate::cluster::{AnsweredQuery, AskedQuestion, BridgeCore};
use crate::link::bridge::{AnsweredByHosts, FromBridge, QueryOfProcess};
use crate::link::codec::{decode_answer, decode_question, encode_answer, encode_question};
use crate::link::message::ToBroker;
use crate::link::query::{BrokerQuery, HostsAnswer, HostsQuery, QueryResult};
use crate::types::limits::CLUSTER_QUERIES_MAX;
use crate::types::{HostId, Slot, WorkerIncarnation};

/// Questions on their way, in both directions.
#[derive(Debug, Default)]
pub(super) struct BridgeQueries {
    /// Those of this host, by their id among hosts.
    own: BTreeMap<u64, AskingProcess>,
    /// Those of other hosts, by the number that the broker has.
    asked: BTreeMap<u32, AskingHost>,
    last_number: u32,
}

#[derive(Clone, Copy, Debug)]
struct AskingProcess {
    asker: WorkerIncarnation,
    number: u32,
}

#[derive(Clone, Copy, Debug)]
struct AskingHost {
    host: HostId,
    id: u64,
}

impl BridgeQueries {
    /// The broker was replaced. It knows none of the questions, and their askers repeat them.
    pub(super) fn broker_restarted(&mut self) {
        self.own.clear();
        self.asked.clear();
    }

    /// Puts a question of a process to other hosts.
    pub(super) fn ask(&mut self, core: &mut BridgeCore, query: QueryOfProcess, now: Instant) {
        let QueryOfProcess { asker, number, tenant, query } = query;
        let HostsQuery { reach, timeout_ms, kind } = query;
        let question = Bytes::from(encode_question(&tenant, &kind));
        let until = now + Duration::from_millis(timeout_ms.into());
        let id = core.query(reach, &question, until);
        self.own.insert(id, AskingProcess { asker, number });
    }

    /// Passes on what the broker has answered to another host.
    pub(super) fn answer(&mut self, core: &mut BridgeCore, number: u32, result: &QueryResult) {
        if let Some(AskingHost { host, id }) = self.asked.remove(&number) {
            core.answer(host, id, Some(&encode_answer(result)));
        }
    }

    /// Tells the broker what other hosts have answered, and what they ask.
    pub(super) fn tell(&mut self, core: &mut BridgeCore, link: &mut BridgeLink, own: HostId) {
        for AnsweredQuery { id, hosts } in core.take_answered() {
            let Some(AskingProcess { asker, number }) = self.own.remove(&id) else { continue };
            // What cannot be read is of another version, and is no answer.
            let read = |answer: Option<Bytes>| answer.and_then(|it| decode_answer(&it).ok());
            let hosts = hosts.into_iter().map(|(host, answer)| (host, read(answer))).collect();
            let answer = HostsAnswer { own, hosts };
            let answered = AnsweredByHosts { asker, number, answer };
            link.say(FromBridge::Answered(Box::new(answered)));
        }
        for AskedQuestion { host, id, question } in core.take_asked() {
            let question = decode_question(&question).ok();
            let has_room = self.asked.len() < CLUSTER_QUERIES_MAX;
            let Some((tenant, kind)) = question.filter(|_| has_room) else {
                core.answer(host, id, None);
                continue;
            };
            self.last_number = self.last_number.wrapping_add(1);
            let number = self.last_number;
            self.asked.insert(number, AskingHost { host, id });
            let query = BrokerQuery { number, tenant, kind };
            link.send(&ToBroker::Ask { slot: Slot::NONE, query });
        }
    }
}
