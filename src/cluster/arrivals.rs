//! What has arrived from other hosts and the broker has not acknowledged.

use std::collections::VecDeque;

use super::carried::CarriedPublication;
use super::effect::{Arrival, ClusterEffect, LaneGap};
use super::taken::PassedPublication;
use crate::types::limits::{WINDOW_BYTES, WINDOW_PUBLICATIONS};

/// A publication or a gap that a new broker is to get again.
#[derive(Debug)]
struct Unacknowledged {
    number: u64,
    bytes: usize,
    effect: ClusterEffect,
}

/// The window of the bridge, as a worker has one.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    /// Number of the last one.
    number: u64,
    unacknowledged: VecDeque<Unacknowledged>,
    bytes: usize,
}

impl Arrivals {
    /// Returns whether another publication may be passed on.
    pub(super) fn has_room(&self) -> bool {
        (self.unacknowledged.len() as u64) < WINDOW_PUBLICATIONS && self.bytes < WINDOW_BYTES
    }

    /// Numbers a publication and keeps it until it is acknowledged.
    pub(super) fn publication(
        &mut self,
        taken: PassedPublication,
        publication: CarriedPublication,
    ) -> ClusterEffect {
        let bytes = publication.payload.len() + publication.route.len();
        let number = self.number + 1;
        self.push(bytes, ClusterEffect::Arrive(Arrival { number, taken, publication }))
    }

    /// Numbers a gap and keeps it until it is acknowledged.
    pub(super) fn gap(&mut self, gap: LaneGap) -> ClusterEffect {
        let number = self.number + 1;
        self.push(0, ClusterEffect::Gap { number, gap })
    }

    fn push(&mut self, bytes: usize, effect: ClusterEffect) -> ClusterEffect {
        self.number += 1;
        self.bytes += bytes;
        let number = self.number;
        self.unacknowledged.push_back(Unacknowledged { number, bytes, effect: effect.clone() });
        effect
    }

    /// The broker has acknowledged everything up to this number.
    pub(super) fn acknowledge(&mut self, up_to: u64) {
        while let Some(first) = self.unacknowledged.front()
            && first.number <= up_to
        {
            self.bytes -= first.bytes;
            self.unacknowledged.pop_front();
        }
    }

    /// Returns what a new broker is to get again.
    pub(super) fn unacknowledged(&self) -> impl Iterator<Item = &ClusterEffect> {
        self.unacknowledged.iter().map(|it| &it.effect)
    }
}
