//! What a session holds that was used once and is idle since.

use allocation_counter::measure;
use zk_proto::{GetDataRequest, Request, Ustring};
use zk_session::{Config, Instant, Session};

use crate::load::Bench;

const SESSIONS: usize = 1000;

/// The bytes of one session, on the heap and beside it, once a ping has had it give back what it needn't have.
pub(crate) fn bytes_each() -> f64 {
    let mut sessions = Vec::with_capacity(SESSIONS);
    let held = measure(|| (0..SESSIONS).for_each(|_| sessions.push(idle())));
    let heap = u64::try_from(held.bytes_current).unwrap_or(0);
    drop(sessions);
    size_of::<Session>() as f64 + heap as f64 / SESSIONS as f64
}

fn idle() -> Bench {
    let mut bench = Bench::with(Config::new("server:1".parse().expect("a connect string")));
    bench.submit(&Request::GetData(GetDataRequest { path: Ustring::from_static("/a"), watch: false }));
    bench.drain();
    // A pong, and a refusal that ends the request.
    bench.receive(&[&[0, 0, 0, 16, 0, 0, 0, 1][..], &[0; 8], &(-101_i32).to_be_bytes()].concat());
    bench.session.handle_timeout(Instant::from_millis(4000));
    bench.drain();
    bench
}
