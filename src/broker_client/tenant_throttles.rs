//! Throttles of tenants on a link, and how much a tenant may publish once its throttle has ended.
//!
//! A throttle ends when a part of the work is left. Without a further limit, everything that has waited would then
//! be published before the broker can throttle the tenant again. So a tenant starts slowly: it may have few bytes
//! in the window, and twice as many each time that the broker has acknowledged that many.

use std::collections::HashMap;

use super::send_window::SendWindow;
use crate::types::limits::{SLOW_START_BYTES, WINDOW_BYTES};
use crate::types::{Number, Tenant};

/// The tenants that are throttled, or were and still start slowly.
#[derive(Debug, Default)]
pub(crate) struct TenantThrottles {
    tenants: HashMap<Tenant, ThrottledTenant>,
}

#[derive(Debug)]
struct ThrottledTenant {
    is_throttled: bool,
    /// Bytes that it may have in the window when it is not throttled.
    bytes_max: usize,
    /// Bytes that the broker has acknowledged since this was set.
    acknowledged: usize,
}

impl TenantThrottles {
    /// The publishers of a tenant wait from now on.
    pub(crate) fn begin(&mut self, tenant: Tenant) {
        let new =
            ThrottledTenant { is_throttled: true, bytes_max: SLOW_START_BYTES, acknowledged: 0 };
        self.tenants.insert(tenant, new);
    }

    /// The publishers of a tenant wait no longer.
    pub(crate) fn end(&mut self, tenant: &Tenant) {
        if let Some(it) = self.tenants.get_mut(tenant) {
            it.is_throttled = false;
        }
    }

    /// Returns whether no tenant is throttled or starts slowly.
    pub(crate) fn is_empty(&self) -> bool {
        self.tenants.is_empty()
    }

    /// Returns whether the publishers of a tenant wait.
    pub(crate) fn is_throttled(&self, tenant: &Tenant) -> bool {
        !self.is_empty() && self.tenants.get(tenant).is_some_and(|it| it.is_throttled)
    }

    /// Returns whether a tenant may have a publication of this many bytes in the window, apart from throttles. It
    /// may always have one.
    pub(crate) fn have_room(&self, window: &SendWindow, tenant: &Tenant, bytes: usize) -> bool {
        let Some(it) = self.tenants.get(tenant) else { return true };
        let used = window.used_by(tenant);
        used.count == 0 || used.bytes + bytes <= it.bytes_max
    }

    /// Removes acknowledged publications from the window. Tenants that start slowly may publish more by it.
    pub(crate) fn acknowledge(&mut self, window: &mut SendWindow, up_to: Number) {
        if self.is_empty() {
            return window.acknowledge(up_to);
        }
        let used = |window: &SendWindow, tenant: &Tenant| window.used_by(tenant).bytes;
        let before: Vec<usize> = self.tenants.keys().map(|tenant| used(window, tenant)).collect();
        window.acknowledge(up_to);
        for ((tenant, it), before) in self.tenants.iter_mut().zip(before) {
            it.note_acknowledged(before - used(window, tenant));
        }
        self.tenants.retain(|_, it| it.is_throttled || it.bytes_max < WINDOW_BYTES);
    }
}

impl ThrottledTenant {
    fn note_acknowledged(&mut self, bytes: usize) {
        if self.is_throttled {
            return;
        }
        self.acknowledged += bytes;
        if self.acknowledged >= self.bytes_max {
            (self.bytes_max, self.acknowledged) = (self.bytes_max.saturating_mul(2), 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    /// A tenant that publishes as much as it may.
    struct Tested {
        throttles: TenantThrottles,
        window: SendWindow,
        acknowledged: u64,
    }

    const QUARTER: usize = SLOW_START_BYTES / 4;

    impl Tested {
        fn tenant() -> Tenant {
            Tenant("a".into())
        }

        fn has_room(&self) -> bool {
            self.throttles.have_room(&self.window, &Self::tenant(), QUARTER)
        }

        /// Publishes until there is no room, and returns how often.
        fn fill(&mut self) -> u64 {
            let mut published = 0;
            while self.has_room() && self.window.has_room(QUARTER) {
                self.window.push(&Self::tenant(), 0..QUARTER);
                self.window.keep(&Bytes::from(vec![b'x'; QUARTER]));
                published += 1;
            }
            published
        }

        fn acknowledge(&mut self, publications: u64) {
            self.acknowledged += publications;
            self.throttles.acknowledge(&mut self.window, Number(self.acknowledged));
        }
    }

    #[test]
    fn a_tenant_starts_slowly_after_a_throttle_and_then_has_the_whole_window() {
        let (throttles, window) = (TenantThrottles::default(), SendWindow::default());
        let mut tested = Tested { throttles, window, acknowledged: 0 };
        let all = tested.fill();
        assert_eq!(all, (WINDOW_BYTES / QUARTER) as u64);
        tested.throttles.begin(Tested::tenant());
        assert!(tested.throttles.is_throttled(&Tested::tenant()) && !tested.has_room());
        tested.acknowledge(all);
        tested.throttles.end(&Tested::tenant());
        assert!(!tested.throttles.is_throttled(&Tested::tenant()) && !tested.throttles.is_empty());
        assert_eq!(tested.fill(), 4, "what was acknowledged during the throttle does not count");
        tested.acknowledge(3);
        assert_eq!(tested.fill(), 3);
        tested.acknowledge(1);
        assert_eq!(tested.fill(), 5, "twice as many are under way");
        tested.throttles.begin(Tested::tenant());
        tested.acknowledge(8);
        tested.throttles.end(&Tested::tenant());
        assert_eq!(tested.fill(), 4, "it starts again");
        for _ in 0..20 {
            tested.acknowledge(1);
            tested.fill();
            let under_way = tested.window.used_by(&Tested::tenant()).count;
            tested.acknowledge(under_way);
            tested.fill();
        }
        assert!(tested.throttles.is_empty());
        assert_eq!(tested.window.used_by(&Tested::tenant()).count, all);
    }

    #[test]
    fn a_tenant_that_starts_slowly_may_publish_one_message_of_any_size() {
        let (mut throttles, mut window) = (TenantThrottles::default(), SendWindow::default());
        throttles.begin(Tested::tenant());
        throttles.end(&Tested::tenant());
        assert!(throttles.have_room(&window, &Tested::tenant(), WINDOW_BYTES));
        window.push(&Tested::tenant(), 0..1);
        assert!(!throttles.have_room(&window, &Tested::tenant(), SLOW_START_BYTES));
        assert!(throttles.have_room(&window, &Tested::tenant(), QUARTER));
        assert!(throttles.have_room(&window, &Tenant::shared(), WINDOW_BYTES), "another tenant");
    }
}
