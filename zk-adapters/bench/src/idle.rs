//! What a session holds that was used once.

use std::sync::Arc;

use allocation_counter::measure;
use zk_proto::{GetDataRequest, Request, Ustring};
use zk_session::{Config, Instant};

use crate::load::Bench;

/// The bytes of one of so many sessions, on the heap and beside it: right after the answer, or once it has sent a ping.
/// They share their configuration.
pub(crate) fn bytes_each(sessions: usize, has_pinged: bool) -> f64 {
    let config = Arc::new(Config::new("server:1".parse().expect("a connect string")));
    let mut idle = Vec::with_capacity(sessions);
    let held = measure(|| (0..sessions).for_each(|_| idle.push(idle_session(config.clone(), has_pinged))));
    let heap = u64::try_from(held.bytes_current).unwrap_or(0);
    size_of_val(&idle[0].session) as f64 + heap as f64 / sessions as f64
}

fn idle_session(config: Arc<Config>, has_pinged: bool) -> Bench {
    let mut bench = Bench::with(config);
    bench.submit(&Request::GetData(GetDataRequest { path: Ustring::from_static("/a"), watch: false }));
    bench.drain();
    // A pong, and a refusal that ends the request.
    bench.receive(&[&[0, 0, 0, 16, 0, 0, 0, 1][..], &[0; 8], &(-101_i32).to_be_bytes()].concat());
    if has_pinged {
        bench.session.handle_timeout(Instant::from_millis(4000));
        bench.drain();
    }
    bench
}
