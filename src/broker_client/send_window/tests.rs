//! Tests of the window, and of the shares of tenants in it against a model.

use super::*;
use crate::types::PayloadForm;

#[test]
fn it_is_bounded_by_count_and_by_bytes_but_takes_one_of_any_size() {
    let mut window = SendWindow::default();
    assert!(window.has_room(usize::MAX / 2));
    window.push(&Tenant::shared(), 0..WINDOW_BYTES);
    assert!(!window.has_room(1));
    let mut window = SendWindow::default();
    for number in 1..=WINDOW_PUBLICATIONS {
        assert!(window.has_room(1));
        assert_eq!(window.next_number(), Number(number));
        window.push(&Tenant::shared(), 0..1);
    }
    assert!(!window.has_room(1));
}

#[test]
fn an_acknowledgement_makes_room_and_leaves_the_numbers_in_line() {
    let mut window = SendWindow::default();
    let said = Bytes::from_static(b"onetwothree");
    for place in [0..3, 3..6, 6..11] {
        window.push(&Tenant::shared(), place);
    }
    window.keep(&said);
    window.acknowledge(Number(2));
    let mut again = Vec::new();
    window.repeat(&mut again);
    assert_eq!(again, b"three");
    assert_eq!(window.next_number(), Number(4));
    assert_eq!((window.bytes, window.len()), (5, 1));
}

#[test]
fn an_acknowledgement_may_end_in_the_middle_of_a_later_turn() {
    let mut window = SendWindow::default();
    let turns: [&'static [u8]; 3] = [b"ab", b"cd", b"e"];
    for said in turns {
        (0..said.len()).for_each(|at| window.push(&Tenant::shared(), at..at + 1));
        window.keep(&Bytes::from_static(said));
    }
    let small = |number| match window.get(Number(number)) {
        Some(KeptPublication::Small(said)) => Some(said),
        _ => None,
    };
    assert_eq!(
        [0, 1, 3, 5, 6].map(small),
        [None, Some(&b"a"[..]), Some(&b"c"[..]), Some(&b"e"[..]), None,]
    );
    for (up_to, left) in [(1, "bcde"), (3, "de"), (3, "de"), (9, "")] {
        window.acknowledge(Number(up_to));
        let mut again = Vec::new();
        window.repeat(&mut again);
        assert_eq!(again, left.as_bytes());
        assert_eq!((window.len(), window.bytes), (left.len() as u64, left.len()));
    }
    assert!(window.is_empty());
    assert_eq!(window.next_number(), Number(6));
}

#[test]
fn a_large_publication_counts_with_its_payload_and_is_repeated_with_it() {
    let mut window = SendWindow::default();
    window.push(&Tenant::shared(), 0..1);
    window.push(&Tenant::shared(), 1..3);
    let payload = FramedPayload::new(Bytes::from_static(b"headpayload"), 4);
    let content = Content { form: PayloadForm::Text, payload };
    window.keep_large(&Bytes::from_static(b"abc"), content);
    window.push(&Tenant::shared(), 0..1);
    window.keep(&Bytes::from_static(b"d"));
    assert_eq!((window.len(), window.bytes), (3, 11));
    assert!(matches!(window.get(Number(1)), Some(KeptPublication::Small(b"a"))));
    assert!(matches!(window.get(Number(2)), Some(KeptPublication::Large(it))
        if it.payload.payload() == b"payload"));
    for (up_to, again, bytes) in [(1, "bcpayloadd", 10), (2, "d", 1), (3, "", 0)] {
        window.acknowledge(Number(up_to));
        let mut out = Vec::new();
        window.repeat(&mut out);
        assert_eq!((out.as_slice(), window.bytes), (again.as_bytes(), bytes));
    }
}

mod tenants {
    //! The shares of tenants, against a list of all publications.

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Push {
            of: usize,
            bytes: usize,
        },
        /// Pushes a publication whose payload is large.
        PushLarge {
            of: usize,
            bytes: usize,
        },
        /// Ends a turn.
        Keep,
        /// Acknowledges this many more.
        Acknowledge(usize),
    }

    const TENANTS: [&str; 4] = ["", "a", "b", "c"];

    fn tenant(of: usize) -> Tenant {
        // A new text each time, so that texts are compared and not only their addresses.
        Tenant(TENANTS[of].into())
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let push = (0..TENANTS.len(), 1..9_usize);
        let step = prop_oneof![
            6 => push.clone().prop_map(|(of, bytes)| Step::Push { of, bytes }),
            1 => push.prop_map(|(of, bytes)| Step::PushLarge { of, bytes }),
            2 => Just(Step::Keep),
            3 => (0..12_usize).prop_map(Step::Acknowledge),
        ];
        proptest::collection::vec(step, 1..120)
    }

    /// A window and the list of its publications, with those of the present turn at the end.
    #[derive(Default)]
    struct Tested {
        window: SendWindow,
        list: Vec<(usize, usize)>,
        turn: Vec<u8>,
        kept: usize,
        acknowledged: u64,
    }

    impl Tested {
        fn push(&mut self, of: usize, bytes: usize) {
            let start = self.turn.len();
            self.turn.resize(start + bytes, b'x');
            self.window.push(&tenant(of), start..self.turn.len());
            self.list.push((of, bytes));
        }

        fn keep(&mut self, large: Option<usize>) {
            let said = Bytes::from(std::mem::take(&mut self.turn));
            match large {
                None => self.window.keep(&said),
                Some(bytes) => {
                    let frame = Bytes::from(vec![b'x'; bytes + 2]);
                    let payload = FramedPayload::new(frame, 2);
                    self.window.keep_large(&said, Content { form: PayloadForm::Text, payload });
                    self.list.last_mut().unwrap().1 += bytes;
                }
            }
            self.kept = self.list.len();
        }

        fn acknowledge(&mut self, more: usize) {
            let more = more.min(self.kept);
            self.acknowledged += more as u64;
            self.window.acknowledge(Number(self.acknowledged));
            self.list.drain(..more);
            self.kept -= more;
        }

        fn used_by(&self, of: usize) -> WindowUse {
            let mut used = WindowUse::default();
            for (_, bytes) in self.list.iter().filter(|(its, _)| *its == of) {
                used += WindowUse { count: 1, bytes: *bytes };
            }
            used
        }
    }

    proptest! {
        #[test]
        fn each_tenant_has_what_the_list_has_of_it(steps in steps()) {
            let mut tested = Tested::default();
            tested.window.limit(WindowUse { count: 20, bytes: 90 });
            for step in steps {
                match step {
                    Step::Push { of, bytes } => tested.push(of, bytes),
                    Step::PushLarge { of, bytes } => {
                        tested.push(of, bytes);
                        tested.keep(Some(bytes * 3));
                    }
                    Step::Keep => tested.keep(None),
                    Step::Acknowledge(more) => tested.acknowledge(more),
                }
                for of in 0..TENANTS.len() {
                    let used = tested.used_by(of);
                    prop_assert_eq!(tested.window.used_by(&tenant(of)), used);
                    let is_within = used.count == 0 || (used.count < 10 && used.bytes + 4 <= 45);
                    prop_assert_eq!(tested.window.is_within_half(&tenant(of), 4), is_within);
                }
                let all: usize = tested.list.iter().map(|(_, bytes)| bytes).sum();
                prop_assert_eq!((tested.window.len(), tested.window.bytes), (tested.list.len() as u64, all));
            }
        }
    }

    #[test]
    fn one_tenant_needs_one_counter_however_much_it_publishes() {
        let mut window = SendWindow::default();
        for _ in 0..1000 {
            window.push(&tenant(1), 0..1);
            window.keep(&Bytes::from_static(b"x"));
        }
        assert_eq!(window.shares.runs(), 1);
        window.acknowledge(Number(999));
        assert_eq!(window.used_by(&tenant(1)), WindowUse { count: 1, bytes: 1 });
        window.push(&tenant(2), 0..1);
        window.keep(&Bytes::from_static(b"x"));
        assert_eq!(window.shares.runs(), 2);
        window.acknowledge(Number(1001));
        assert_eq!((window.shares.runs(), window.is_empty()), (1, true));
    }
}
