//! The run: an ensemble, relays before it, clients, faults, then peace, and a look at the truth.

use core::error::Error;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::sync::Arc;
use std::thread;

use fastrand::Rng;
use tokio::runtime::Runtime;
use zk_harness::{Ensemble, Relay};
use zk_session::zk_proto::{ConnectString, CreateMode};

use crate::connection::Place;
use crate::drawing::{MIRRORED, ROOT, foundations};
use crate::faults::Faults;
use crate::history::{History, Tree, compare};
use crate::ledger::Ledger;
use crate::mirror::{Mirror, Way};
use crate::options::Options;
use crate::truth::{has_lost_itself, logs, tree};
use crate::worker::Worker;

/// What the ensemble did, unless it lost itself; what the clients were told is in the ledger then.
pub(crate) fn soak(options: Options, ledger: &Arc<Ledger>) -> Result<Option<History>, Box<dyn Error>> {
    let ensemble = servers().start(SERVERS)?;
    let relays =
        (0..SERVERS).map(|server| Relay::start(ensemble.address(server))).collect::<Result<Vec<_>, _>>()?;
    lay_foundations(&ensemble)?;
    let runtime = Runtime::new()?;
    let place = Place {
        ledger: Arc::clone(ledger),
        runtime: runtime.handle().clone(),
        servers: addresses(&relays).parse::<ConnectString>()?,
        seed: options.seed,
    };
    let mut cast = Cast::new(&place, options);
    cast.play(&ensemble, &relays, options);
    if has_lost_itself(&ensemble)? {
        return Ok(None);
    }
    cast.come_to_rest();
    let mirrored = tree(&ensemble, ledger)?.below(MIRRORED);
    cast.catch_up(&mirrored);
    cast.end();
    drop(cast);
    let tree = tree(&ensemble, ledger)?;
    // What a closed client still does in the background is done by then, and its handles are gone.
    drop(runtime);
    drop(place);
    let history = logs(&ensemble)?;
    let differs = compare("the servers have what their logs say", "the tree", &tree, &history.tree(ROOT));
    ledger.write(|books| books.wrong.extend(differs));
    let is_lost = has_lost_itself(&ensemble)?;
    Ok((!is_lost).then_some(history))
}

/// Small, and with the whole history in their logs.
fn servers() -> zk_harness::Options {
    zk_harness::Options::new()
        .jvm_flag("-Xmx160m")
        .config_line("snapCount=100000000")
        .config_line("preAllocSize=1024")
        // However far a server is behind, it is sent transactions, no snapshot, after which its log would have a gap.
        .jvm_flag("-Dzookeeper.commitLogCount=20000")
        .jvm_flag("-Dzookeeper.snapshotSizeFactor=1")
}

fn addresses(relays: &[Relay]) -> String {
    relays.iter().map(|relay| relay.address().to_string()).collect::<Vec<_>>().join(",")
}

fn lay_foundations(ensemble: &Ensemble) -> Result<(), Box<dyn Error>> {
    let (client, _) = zk_std::Client::connect(&ensemble.connect_string())?;
    for path in foundations(WORKERS) {
        client.create(path, "foundation", CreateMode::Persistent).wait()?;
    }
    client.close();
    Ok(())
}

/// The clients.
struct Cast {
    workers: Vec<Worker>,
    mirrors: Vec<Mirror>,
}

impl Cast {
    fn new(place: &Place, options: Options) -> Self {
        let worker = |number| {
            let kind = options.clients.kind(number);
            Worker::new(place.clone(), number, kind, TIMEOUTS[number % TIMEOUTS.len()])
        };
        let mirror = |number: usize| {
            let way = if number.is_multiple_of(2) { Way::OneTime } else { Way::Persistent };
            let kind = options.clients.kind(number / 2 + 1);
            Mirror::new(place.clone(), WORKERS + number, kind, way, TIMEOUTS[number % TIMEOUTS.len()])
        };
        Self { workers: (0..WORKERS).map(worker).collect(), mirrors: (0..MIRRORS).map(mirror).collect() }
    }

    /// Everybody at work among faults, for as long as is asked for.
    fn play(&mut self, ensemble: &Ensemble, relays: &[Relay], options: Options) {
        let (calm, stop) = (&AtomicBool::new(false), &AtomicBool::new(false));
        let ledger = &self.workers[0].ledger();
        let faults = |salt: u64| Faults {
            ledger: Arc::clone(ledger),
            rng: Rng::with_seed(options.seed.wrapping_mul(7919).wrapping_add(salt)),
        };
        thread::scope(|scope| {
            for worker in &mut self.workers {
                scope.spawn(|| worker.work(stop));
            }
            for mirror in &mut self.mirrors {
                scope.spawn(|| mirror.follow(stop));
            }
            let servers = scope.spawn(|| faults(1).of_servers(ensemble, calm));
            let network = scope.spawn(|| faults(2).of_network(relays, calm));
            thread::sleep(options.length);
            calm.store(true, Ordering::Relaxed);
            let is_undone = servers.join().is_ok() && network.join().is_ok();
            thread::sleep(AFTERMATH);
            stop.store(true, Ordering::Relaxed);
            assert!(is_undone, "a fault could not be made");
        });
    }

    /// Every session serves, or is told as over. Half of the clients then close theirs.
    fn come_to_rest(&mut self) {
        for (number, worker) in self.workers.iter_mut().enumerate() {
            worker.recover();
            if number.is_multiple_of(2) {
                worker.end();
            }
        }
    }

    fn catch_up(&mut self, wanted: &Tree) {
        self.mirrors.iter_mut().for_each(|mirror| mirror.catch_up(wanted));
    }

    fn end(&mut self) {
        self.workers.iter_mut().for_each(Worker::end);
        self.mirrors.iter_mut().for_each(Mirror::end);
    }
}

const SERVERS: usize = 3;
const WORKERS: usize = 8;
const MIRRORS: usize = 4;
/// How long all work on without faults.
const AFTERMATH: Duration = Duration::from_secs(3);
/// Some sessions are shorter than the longest faults, most are not.
const TIMEOUTS: [Duration; 4] =
    [Duration::from_secs(10), Duration::from_secs(3), Duration::from_secs(8), Duration::from_secs(15)];
