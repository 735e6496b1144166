//! Clients and watchers of the naive model, and what happens to them.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

pub(super) const STEP: Duration = Duration::from_millis(100);
pub(super) const GRACE: Duration = Duration::from_secs(60);
/// Clients from this number on are in another space.
pub(super) const OTHERS: u8 = 9;
pub(super) const CLIENTS: u8 = 12;

/// A place and the number of a watch there.
pub(super) type WatchPlace = (u16, u32, u64);

/// What a test does.
#[derive(Clone, Debug)]
pub(super) enum Action {
    Join { byte: u8, worker: u16, tags: u8, is_resumable: bool },
    Leave(u8),
    GoAway(u8),
    Retag { byte: u8, tags: u8 },
    RetagAll { add: u8 },
    Describe { byte: u8, linger: u64, info: u8 },
    Watch { byte: u8, id: u64, query: u8, mode: u8 },
    Unwatch { byte: u8, id: u64 },
    Kill(u16),
    Wait(u8),
    Compare,
}

pub(super) fn any_action() -> impl Strategy<Value = Action> {
    let byte = || 1..=CLIENTS;
    prop_oneof![
        6 => (byte(), 0..2_u16, 0..16_u8, prop::bool::weighted(0.7)).prop_map(
            |(byte, worker, tags, is_resumable)| Action::Join { byte, worker, tags, is_resumable }
        ),
        2 => byte().prop_map(Action::Leave),
        3 => byte().prop_map(Action::GoAway),
        4 => (byte(), 0..16_u8).prop_map(|(byte, tags)| Action::Retag { byte, tags }),
        1 => (0..16_u8).prop_map(|add| Action::RetagAll { add }),
        2 => (byte(), 0..4_u64, 0..3_u8)
            .prop_map(|(byte, linger, info)| Action::Describe { byte, linger, info }),
        5 => (byte(), 0..3_u64, 0..8_u8, 0..3_u8)
            .prop_map(|(byte, id, query, mode)| Action::Watch { byte, id, query, mode }),
        2 => (byte(), 0..3_u64).prop_map(|(byte, id)| Action::Unwatch { byte, id }),
        1 => (0..2_u16).prop_map(Action::Kill),
        4 => (0..20_u8).prop_map(Action::Wait),
        2 => Just(Action::Compare),
    ]
}

/// Tags by four bits: a room, a role, the user of a token, and a topic.
pub(super) fn tags_of(bits: u8) -> Tags {
    let tag = |name, value| Tag::new(name, value).unwrap();
    let all = [tag("room", "1"), tag("role", "x"), tag("@user", "7")];
    let chosen = all.into_iter().enumerate().filter(|(at, _)| bits & (1 << at) != 0);
    let tags = Tags::new(chosen.map(|(_, tag)| tag)).unwrap();
    let topics = (bits & 8 != 0).then(|| "news".into());
    tags.with_topics(Topics::new(topics).unwrap())
}

pub(super) fn query_of(number: u8) -> ClientFilter {
    match number {
        0 => ClientFilter::Tags(Tags::default()),
        1 => ClientFilter::Tags(tags_of(1)),
        2 => ClientFilter::Tags(tags_of(3)),
        3 => ClientFilter::Expression(Expression::parse("room=1 | role=x").unwrap()),
        4 => ClientFilter::Expression(Expression::parse("!(role?)").unwrap()),
        5 => ClientFilter::Tags(Tags::new([Tag::new("channel", "news").unwrap()]).unwrap()),
        6 => ClientFilter::Expression(Expression::parse("channel=news & room=1").unwrap()),
        _ => ClientFilter::Tags(tags_of(4)),
    }
}

pub(super) fn is_match(query: &ClientFilter, tags: &Tags) -> bool {
    match query {
        ClientFilter::Tags(query) => query.iter().all(|tag| {
            let topic = tags.topics().iter().any(|it| tag.name() == "channel" && tag.value() == it);
            topic || tags.iter().any(|own| own == tag)
        }),
        ClientFilter::Expression(expression) => expression.matches(tags),
    }
}

pub(super) fn mode_of(number: u8) -> WatchMode {
    [WatchMode::Count, WatchMode::Members(3), WatchMode::Members(100)][usize::from(number)]
}

#[derive(Clone, Debug)]
pub(super) struct ModelClient {
    pub(super) place: Option<(u16, u32)>,
    pub(super) is_resumable: bool,
    pub(super) tags: Tags,
    pub(super) terms: Option<MemberTerms>,
    pub(super) member_until: Duration,
    pub(super) ends_at: Duration,
}

pub(super) fn is_other(byte: u8) -> bool {
    byte >= OTHERS
}

pub(super) fn tenant(byte: u8) -> Tenant {
    if is_other(byte) { Tenant("other".into()) } else { Tenant::shared() }
}

/// What a watcher knows.
#[derive(Debug)]
pub(super) struct View {
    pub(super) space: Tenant,
    pub(super) query: ClientFilter,
    pub(super) mode: WatchMode,
    pub(super) audience: Option<AudienceNumber>,
    pub(super) counts: Option<PresenceCounts>,
    /// `None`: there are too many.
    pub(super) list: Option<BTreeMap<ClientUuid, Option<Box<str>>>>,
}

impl View {
    pub(super) fn take(&mut self, news: &AudienceNews) {
        self.counts = Some(news.counts);
        match &news.news {
            PresenceNews::Counts | PresenceNews::AllCounts => {}
            PresenceNews::TooMany => self.list = None,
            PresenceNews::All(members) => {
                let members = members.iter().map(|it| (it.client, it.info.clone()));
                self.list = Some(members.collect());
            }
            PresenceNews::Changed { joined, left } => {
                let list = self.list.as_mut().expect("changes follow a list");
                for client in left {
                    assert!(list.remove(client).is_some(), "only a member leaves");
                }
                list.extend(joined.iter().map(|it| (it.client, it.info.clone())));
            }
        }
    }
}
