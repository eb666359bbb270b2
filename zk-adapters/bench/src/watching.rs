//! A one-time watch that is armed and fires, while others are registered.

use allocation_counter::measure;
use zk_proto::{
    BytesMut, EventType, GetDataRequest, GetDataResponse, KeeperState, Request, Response, Stat, Ustring,
    WatcherEvent, Zxid, encode_event_frame,
};

use crate::{
    Measured,
    load::{Bench, Replies},
};

/// So many other watches are registered.
const OTHERS: [usize; 3] = [10, 1_000, 100_000];
const MANY: usize = 1_000_000;

/// All cases.
pub(crate) fn all() -> Vec<Measured> {
    OTHERS.map(among).into()
}

/// The case that takes long.
pub(crate) fn large() -> Vec<Measured> {
    vec![among(MANY)]
}

/// The bytes of the heap that a watch takes, with its path of 17 bytes.
pub(crate) fn bytes_each() -> f64 {
    let mut watches = Watching::new();
    let held = measure(|| (0..OTHERS[2]).for_each(|number| watches.arm(number)));
    held.bytes_current as f64 / OTHERS[2] as f64
}

fn among(others: usize) -> Measured {
    let run = move |turns| {
        let mut watches = Watching::new();
        (0..others).for_each(|number| watches.arm(number));
        // They are spread over all paths, as those of an application are.
        (0..turns as usize).for_each(|turn| {
            let number = others + (turn * 7919) % 1000;
            watches.arm(number);
            watches.fire(number);
        });
    };
    let name = format!("session watch armed and fired among {others}");
    Measured { name, turns: 256, operations: 1, run: Box::new(run) }
}

struct Watching {
    bench: Bench,
    replies: Replies,
}

impl Watching {
    fn new() -> Self {
        let response = Response::GetData(GetDataResponse { data: None, stat: Stat::default() });
        Self { bench: Bench::new(), replies: Replies::new(&response, 1) }
    }

    fn arm(&mut self, number: usize) {
        self.bench.submit(&Request::GetData(GetDataRequest { path: path(number), watch: true }));
        self.bench.drain();
        assert_eq!(self.bench.receive(self.replies.next()), 1);
    }

    fn fire(&mut self, number: usize) {
        let event = WatcherEvent {
            event_type: EventType::NODE_DATA_CHANGED,
            state: KeeperState::SYNC_CONNECTED,
            path: path(number),
        };
        let mut frame = BytesMut::new();
        encode_event_frame(Zxid(-1), &event, &mut frame);
        assert_eq!(self.bench.receive(&frame), 1);
    }
}

fn path(number: usize) -> Ustring {
    format!("/services/{number:07}").into()
}
