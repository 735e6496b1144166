//! One lane of another host: the items that were passed on, those that are held, and those that are missing.

use std::collections::BTreeMap;
use std::time::Instant;

use bytes::{BufMut, Bytes};

use super::held::{HeldItems, HeldMemory};
use super::repair_timer::RepairTimer;
use crate::cluster::item::{ItemPart, LaneItem, LaneKey};
use crate::cluster::lost_items::{ClientNumbers, LostItems};
use crate::cluster::wire::{BodyReader, InvalidMessage, put_length, put_varint};
use crate::types::{Generation, Number, WorkerId, WorkerIncarnation};

/// The last publication of each worker of a host that was passed on in a lane.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PassedSources(BTreeMap<WorkerId, PassedSource>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct PassedSource {
    generation: Generation,
    number: Number,
}

impl PassedSources {
    /// Notes a publication.
    pub fn note(&mut self, source: WorkerIncarnation, number: Number) {
        let passed = PassedSource { generation: source.generation, number };
        let last = self.0.entry(source.worker).or_insert(passed);
        *last = passed.max(*last);
    }

    /// Returns whether a publication, or a later one of its worker, was passed on.
    #[must_use]
    pub fn has(&self, source: WorkerIncarnation, number: Number) -> bool {
        let one = PassedSource { generation: source.generation, number };
        self.0.get(&source.worker).is_some_and(|last| one <= *last)
    }

    /// Returns the last one of a worker.
    #[must_use]
    pub fn last_of(&self, worker: WorkerId) -> Option<(Generation, Number)> {
        self.0.get(&worker).map(|passed| (passed.generation, passed.number))
    }

    /// Returns whether everything that another one has was passed on here.
    #[must_use]
    pub fn include(&self, other: &Self) -> bool {
        let has = |(worker, last): (&WorkerId, &PassedSource)| {
            self.0.get(worker).is_some_and(|own| last <= own)
        };
        other.0.iter().all(has)
    }

    pub(in crate::cluster) fn encode(&self, out: &mut Vec<u8>) {
        put_length(out, self.0.len());
        for (worker, passed) in &self.0 {
            out.put_u16_le(worker.0);
            out.put_u32_le(passed.generation.0);
            put_varint(out, passed.number.0);
        }
    }

    pub(in crate::cluster) fn decode(fields: &mut BodyReader) -> Result<Self, InvalidMessage> {
        let mut sources = BTreeMap::new();
        for _ in 0..fields.count(usize::from(u16::MAX) + 1)? {
            let (worker, generation) = (WorkerId(fields.u16()?), Generation(fields.u32()?));
            let number = Number(fields.varint()?);
            sources.insert(worker, PassedSource { generation, number });
        }
        Ok(Self(sources))
    }
}

/// The number of the hello in the common lane.
const HELLO_NUMBER: u64 = 1;

/// One lane of another host in its present epoch.
#[derive(Debug)]
pub(super) struct LaneIn {
    pub(super) key: LaneKey,
    /// The number that is passed on next.
    pub(super) next: u64,
    /// The highest number that exists, as far as is known.
    pub(super) known: u64,
    /// The sender no longer has what is missing up to this number.
    lost_up_to: u64,
    pub(super) held: HeldItems,
    pub(super) timer: RepairTimer,
    /// The parts of a large item that have arrived.
    assembly: Option<ItemAssembly>,
    /// Which numbers before `next` were for clients.
    numbers: ClientNumbers,
    pub(super) sources: PassedSources,
}

/// A large item whose parts arrive.
#[derive(Debug)]
struct ItemAssembly {
    /// The number of its first part.
    first: u64,
    parts: Vec<u8>,
}

/// The result of a step of a lane.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum LaneStep {
    /// An item is whole.
    Item(Bytes),
    /// A part was kept, or belongs to an item of which a part is lost.
    Part,
    /// A large item exceeds the memory for one.
    TooLarge,
}

impl LaneIn {
    /// Creates a lane whose next item has the number after `passed`.
    pub(super) fn new(key: LaneKey, passed: u64, sources: PassedSources) -> Self {
        Self {
            key,
            next: passed + 1,
            known: passed,
            lost_up_to: 0,
            held: HeldItems::default(),
            timer: RepairTimer::default(),
            assembly: None,
            numbers: if passed == 0 { ClientNumbers::NONE } else { ClientNumbers::default() },
            sources,
        }
    }

    /// Returns the number up to which everything was passed on. The parts of an open item are not.
    pub(super) fn passed(&self) -> u64 {
        self.assembly.as_ref().map_or(self.next, |open| open.first) - 1
    }

    /// Begins the numbers of another epoch.
    pub(super) fn restart(&mut self, memory: &mut HeldMemory<'_>) {
        self.held.clear(memory);
        self.next = 1;
        self.known = 0;
        self.lost_up_to = 0;
        self.timer = RepairTimer::default();
        self.numbers = ClientNumbers::NONE;
        self.break_assembly(memory);
    }

    /// Takes an item that has arrived. Returns false if it has arrived before, or there is no room.
    pub(super) fn offer(
        &mut self,
        number: u64,
        item: LaneItem,
        memory: &mut HeldMemory<'_>,
    ) -> bool {
        self.known = self.known.max(number);
        number >= self.next
            && self.held.get(number).is_none()
            && self.held.hold(number, item, self.next, memory)
    }

    /// Drops what is held after a number, which is the last of the lane.
    pub(super) fn cut_after(&mut self, end: u64, memory: &mut HeldMemory<'_>) {
        self.held.cut_after(end, memory);
        self.known = end;
    }

    /// Goes on without the hello of an epoch that is over: the next one has replaced it. It is not a publication, so it is
    /// not among what was carried, and other items come after it all the same.
    pub(super) fn pass_over_hello(&mut self) {
        if self.next == HELLO_NUMBER {
            self.next += 1;
        }
    }

    /// Returns whether the next item is here, and everything of the other lane that it comes after was passed on.
    pub(super) fn is_ready_after(&self, other: &Self) -> bool {
        let next = self.held.get(self.next);
        next.is_some_and(|item| item.fence.number_in(other.key) < other.next)
    }

    /// Notes that the sender no longer has anything up to a number.
    pub(super) fn lose(&mut self, up_to: u64) {
        self.known = self.known.max(up_to);
        self.lost_up_to = self.lost_up_to.max(up_to);
    }

    /// Skips lost items at the front. Returns how many.
    pub(super) fn skip_lost(&mut self, memory: &mut HeldMemory<'_>) -> LostItems {
        let end = self.held.first().unwrap_or(u64::MAX).min(self.lost_up_to.saturating_add(1));
        self.skip_to(end, memory)
    }

    /// Skips everything up to the next held item, or up to the end. Returns how many numbers.
    pub(super) fn skip_hole(&mut self, memory: &mut HeldMemory<'_>) -> LostItems {
        let end = self.held.first().unwrap_or(self.known + 1);
        self.skip_to(end, memory)
    }

    fn skip_to(&mut self, end: u64, memory: &mut HeldMemory<'_>) -> LostItems {
        let lost = end.saturating_sub(self.next);
        if lost == 0 {
            return LostItems::default();
        }
        self.next = end;
        self.break_assembly(memory);
        self.numbers.lose(lost, self.held.get(end))
    }

    fn break_assembly(&mut self, memory: &mut HeldMemory<'_>) {
        memory.remove(self.assembly.take().map_or(0, |open| open.parts.len()));
    }

    /// Takes the next item. Its fence has been checked.
    pub(super) fn step(&mut self, memory: &mut HeldMemory<'_>) -> Option<LaneStep> {
        let item = self.held.take(self.next, memory)?;
        self.next += 1;
        self.numbers.pass(item.part, &item.body);
        let mut open = match item.part {
            ItemPart::Whole => {
                self.break_assembly(memory);
                return Some(LaneStep::Item(item.body));
            }
            ItemPart::First => {
                self.break_assembly(memory);
                ItemAssembly { first: self.next - 1, parts: Vec::new() }
            }
            ItemPart::More | ItemPart::Last => match self.assembly.take() {
                Some(open) => open,
                None => return Some(LaneStep::Part),
            },
        };
        if open.parts.len() + item.body.len() > memory.bounds.item {
            memory.remove(open.parts.len());
            return Some(LaneStep::TooLarge);
        }
        open.parts.extend_from_slice(&item.body);
        memory.add(item.body.len());
        if item.part == ItemPart::Last {
            memory.remove(open.parts.len());
            return Some(LaneStep::Item(open.parts.into()));
        }
        self.assembly = Some(open);
        Some(LaneStep::Part)
    }

    /// Returns the first and the last number that are missing and not lost.
    pub(super) fn hole(&self) -> Option<Hole> {
        let is_missing = self.next <= self.known
            && self.next > self.lost_up_to
            && self.held.get(self.next).is_none();
        let last = self.held.first().map_or(self.known, |held| held - 1);
        is_missing.then_some(Hole { first: self.next, last })
    }

    /// Returns the hole if it is to be requested now.
    pub(super) fn due_request(&mut self, now: Instant, jitter: u64) -> Option<Hole> {
        let hole = self.hole();
        self.timer.due(hole.map(|hole| hole.first), now, jitter).then_some(hole?)
    }
}

/// Numbers that are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cluster) struct Hole {
    pub(in crate::cluster) first: u64,
    pub(in crate::cluster) last: u64,
}

#[cfg(test)]
mod tests {
    use super::super::held::HeldBounds;
    use super::*;
    use crate::cluster::item::Fence;

    fn item(part: ItemPart, body: &'static [u8]) -> LaneItem {
        LaneItem { fence: Fence::default(), part, body: Bytes::from_static(body) }
    }

    /// Offers items from number 1 on and returns what the lane makes of them.
    fn steps(items: &[(u64, ItemPart, &'static [u8])], bound: usize) -> Vec<LaneStep> {
        let bounds = HeldBounds { item: bound, ..HeldBounds::default() };
        let (mut host, mut total) = (0, 0);
        let mut memory = HeldMemory { bounds, host: &mut host, total: &mut total };
        let mut lane = LaneIn::new(LaneKey::COMMON, 0, PassedSources::default());
        let mut steps = Vec::new();
        for (number, part, body) in items {
            assert!(lane.offer(*number, item(*part, body), &mut memory));
            lane.skip_hole(&mut memory);
            let before = lane.passed();
            let step = lane.step(&mut memory);
            let is_open = lane.assembly.is_some();
            assert_eq!(lane.passed() == *number, !is_open, "after {before}");
            steps.extend(step);
        }
        lane.restart(&mut memory);
        assert_eq!((host, total), (0, 0), "all memory is given back");
        steps
    }

    #[test]
    fn the_parts_of_a_large_item_are_joined() {
        let parts = [
            (1, ItemPart::First, &b"ab"[..]),
            (2, ItemPart::More, b"cd"),
            (3, ItemPart::Last, b"e"),
            (4, ItemPart::Whole, b"f"),
        ];
        let whole = |text: &'static [u8]| LaneStep::Item(Bytes::from_static(text));
        assert_eq!(
            steps(&parts, 5),
            [LaneStep::Part, LaneStep::Part, whole(b"abcde"), whole(b"f")]
        );
        assert_eq!(
            steps(&parts, 4),
            [LaneStep::Part, LaneStep::Part, LaneStep::TooLarge, whole(b"f")]
        );
    }

    #[test]
    fn an_item_without_one_of_its_parts_is_dropped() {
        let whole = |text: &'static [u8]| LaneStep::Item(Bytes::from_static(text));
        let first_lost = [(2, ItemPart::Last, &b"b"[..]), (3, ItemPart::Whole, b"c")];
        assert_eq!(steps(&first_lost, 9), [LaneStep::Part, whole(b"c")]);
        let middle_lost = [
            (1, ItemPart::First, &b"a"[..]),
            (3, ItemPart::Last, b"b"),
            (4, ItemPart::Whole, b"c"),
        ];
        assert_eq!(steps(&middle_lost, 9), [LaneStep::Part, LaneStep::Part, whole(b"c")]);
        let last_lost = [(1, ItemPart::First, &b"a"[..]), (3, ItemPart::First, b"b")];
        assert_eq!(steps(&last_lost, 9), [LaneStep::Part, LaneStep::Part]);
    }

    #[test]
    fn a_publication_of_an_earlier_worker_counts_as_passed() {
        let source = |worker, generation| WorkerIncarnation {
            worker: WorkerId(worker),
            generation: Generation(generation),
        };
        let mut sources = PassedSources::default();
        sources.note(source(1, 2), Number(5));
        sources.note(source(1, 2), Number(4));
        assert!(sources.has(source(1, 2), Number(5)));
        assert!(sources.has(source(1, 1), Number(900)));
        assert!(!sources.has(source(1, 2), Number(6)));
        assert!(!sources.has(source(1, 3), Number(1)));
        assert!(!sources.has(source(2, 1), Number(1)));
    }
}
