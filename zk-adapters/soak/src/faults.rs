//! What goes wrong, drawn from a seed: servers are killed, stopped and frozen; the network cuts, delays, slows and
//! swallows.

use core::ops::Range;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::sync::Arc;
use std::thread;

use fastrand::Rng;
use zk_harness::{Direction, Ensemble, Relay};

use crate::drawing::ROOT;
use crate::ledger::{Fault, Ledger, Moment, Span, Whom};

/// One after the other, with rests between them, until it is told to stop; what was done is undone then.
pub(crate) struct Faults {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) rng: Rng,
}

impl Faults {
    pub(crate) fn of_servers(mut self, ensemble: &Ensemble, stop: &AtomicBool) {
        while self.rest(500..5000, stop) {
            let leader = ensemble.leader();
            let any = self.rng.usize(0..ensemble.len());
            let server = if self.rng.bool() { leader.unwrap_or(any) } else { any };
            let whom =
                if leader.is_none_or(|leader| leader == server) { Whom::All } else { Whom::Server(server) };
            match self.rng.u8(0..10) {
                0..2 => self.during("kill", whom, server, || ensemble.kill(server), ensemble, 0..3000),
                2 => self.during("stop", whom, server, || ensemble.stop(server), ensemble, 0..2000),
                3 => {
                    let other = (server + 1) % ensemble.len();
                    let kill = || [server, other].into_iter().for_each(|server| ensemble.kill(server));
                    self.during("kill two", Whom::All, server, kill, ensemble, 0..3000);
                }
                4 => {
                    let stop = || (0..ensemble.len()).for_each(|server| ensemble.pause(server));
                    self.during("pause all", Whom::All, server, stop, ensemble, 1000..8000);
                }
                _ => self.during("pause", whom, server, || ensemble.pause(server), ensemble, 1000..8000),
            }
        }
    }

    /// Does it to a server, waits, and has all servers serve again.
    fn during(
        &mut self,
        name: &'static str,
        whom: Whom,
        server: usize,
        act: impl FnOnce(),
        ensemble: &Ensemble,
        millis: Range<u64>,
    ) {
        let from = Moment::now();
        self.ledger.tell(format!("FAULT: {name} server {server} ({whom:?})"));
        act();
        thread::sleep(Duration::from_millis(self.rng.u64(millis)));
        let is_stuck = self.revive(ensemble);
        self.ledger.tell(format!("healed: {name} server {server}"));
        let whom = if is_stuck { Whom::All } else { whom };
        let fault = Fault { name, span: Span { from, to: Moment::now() }, whom };
        self.ledger.write(|books| books.faults.push(fault));
    }

    /// Has all servers serve and commit again. Tells whether they had to be restarted for that.
    fn revive(&self, ensemble: &Ensemble) -> bool {
        let Err(why) = wake(ensemble).and_then(|()| commits(ensemble)) else { return false };
        let stuck = format!("the ensemble doesn't come back: {why}; {}", dump(ensemble));
        self.ledger.tell(stuck.clone());
        self.ledger.write(|books| books.stuck.push(stuck));
        (0..ensemble.len()).for_each(|server| ensemble.kill(server));
        if let Err(why) = wake(ensemble).and_then(|()| commits(ensemble)) {
            self.ledger.violated("servers come back", why);
        }
        true
    }

    pub(crate) fn of_network(mut self, relays: &[Relay], stop: &AtomicBool) {
        while self.rest(300..3000, stop) {
            let one = self.rng.usize(0..relays.len());
            let (struck, whom) = match self.rng.u8(0..4) {
                0 => (relays, Whom::All),
                _ => (&relays[one..=one], Whom::Server(one)),
            };
            let fault = Trouble::draw(&mut self.rng);
            let from = Moment::now();
            self.ledger.tell(format!("FAULT: {fault:?} ({whom:?})"));
            struck.iter().for_each(|relay| fault.strike(relay));
            thread::sleep(fault.lasts(&mut self.rng));
            struck.iter().for_each(heal);
            self.ledger.tell(format!("healed: {fault:?}"));
            let span = Span { from, to: Moment::now() };
            self.ledger.write(|books| books.faults.push(Fault { name: fault.name(), span, whom }));
        }
    }

    /// Whether to go on.
    fn rest(&mut self, millis: Range<u64>, stop: &AtomicBool) -> bool {
        thread::sleep(Duration::from_millis(self.rng.u64(millis)));
        !stop.load(Ordering::Relaxed)
    }
}

/// What a network does to connections.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    Cut,
    HangUp,
    CutAfter(Direction, u64),
    BlackHole(Direction),
    Silence,
    Delay(u64),
    Slow(usize),
    StallReads,
    Refuse,
}

impl Trouble {
    fn draw(rng: &mut Rng) -> Self {
        let direction = if rng.bool() { Direction::ToServer } else { Direction::ToClient };
        match rng.u8(0..14) {
            0 => Self::Cut,
            1 => Self::HangUp,
            2..6 => Self::CutAfter(direction, rng.u64(0..4000)),
            6..8 => Self::BlackHole(direction),
            8 => Self::Silence,
            9 => Self::Delay(rng.u64(5..400)),
            10 | 11 => Self::Slow(rng.usize(100..20_000)),
            12 => Self::StallReads,
            _ => Self::Refuse,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Cut => "cut",
            Self::HangUp => "hang up",
            Self::CutAfter(..) => "cut after a byte",
            Self::BlackHole(Direction::ToServer) => "black hole to the server",
            Self::BlackHole(Direction::ToClient) => "black hole to the client",
            Self::Silence => "black hole both ways",
            Self::Delay(_) => "delay",
            Self::Slow(_) => "slow",
            Self::StallReads => "stalled reads",
            Self::Refuse => "refuse",
        }
    }

    fn strike(self, relay: &Relay) {
        match self {
            Self::Cut => relay.cut(),
            Self::HangUp => relay.hang_up(),
            Self::CutAfter(direction, count) => relay.cut_after(direction, count),
            Self::BlackHole(direction) => relay.black_hole(direction),
            Self::Silence => [Direction::ToServer, Direction::ToClient]
                .map(|way| relay.black_hole(way))
                .into_iter()
                .collect(),
            Self::Delay(millis) => relay.delay(Duration::from_millis(millis)),
            Self::Slow(rate) => relay.slow(rate),
            Self::StallReads => relay.stall_reads(),
            Self::Refuse => {
                relay.refuse();
                relay.cut();
            }
        }
    }

    fn lasts(self, rng: &mut Rng) -> Duration {
        let millis = match self {
            Self::Cut | Self::HangUp | Self::CutAfter(..) => 0..200,
            Self::Refuse => 500..5000,
            Self::BlackHole(_) | Self::Silence | Self::StallReads => 500..7000,
            Self::Delay(_) | Self::Slow(_) => 1000..5000,
        };
        Duration::from_millis(rng.u64(millis))
    }
}

/// Has all servers run, and waits until they serve.
fn wake(ensemble: &Ensemble) -> Result<(), String> {
    for server in 0..ensemble.len() {
        ensemble.resume(server);
        if ensemble.pid(server).is_none() {
            ensemble.launch(server).map_err(|error| error.to_string())?;
        }
    }
    let servers = 0..ensemble.len();
    servers.map(|server| ensemble.wait_until_serving(server, REVIVAL)).try_for_each(|mode| match mode {
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    })
}

/// Whether the servers commit a change, asked without a relay between.
fn commits(ensemble: &Ensemble) -> Result<(), String> {
    let builder = zk_std::Client::builder(&ensemble.connect_string()).map_err(|error| error.to_string())?;
    let (client, _) = builder.connect_limit(COMMIT).connect().map_err(|error| error.to_string())?;
    let outcome = client.with_deadline(COMMIT).set_data(ROOT, "probe", -1).wait();
    client.close();
    outcome.map(drop).map_err(|error| error.to_string())
}

/// Has the servers write their threads' stacks into their logs, and keeps a copy of those.
fn dump(ensemble: &Ensemble) -> String {
    let folder = std::env::temp_dir().join(format!("zk-soak-{}", std::process::id()));
    let copied = std::fs::create_dir_all(&folder).and_then(|()| {
        for server in 0..ensemble.len() {
            if let Some(pid) = ensemble.pid(server) {
                std::process::Command::new("kill").args(["-QUIT", &pid.to_string()]).status()?;
            }
        }
        thread::sleep(Duration::from_secs(1));
        let at = Moment::now().0;
        (0..ensemble.len()).try_for_each(|server| {
            std::fs::copy(ensemble.log_path(server), folder.join(format!("{at}-server-{server}.log")))
                .map(drop)
        })
    });
    match copied {
        Ok(()) => format!("their logs are in {}", folder.display()),
        Err(error) => format!("their logs could not be kept: {error}"),
    }
}

fn heal(relay: &Relay) {
    relay.heal();
    relay.accept();
}

/// How long a server may take to serve again.
const REVIVAL: Duration = Duration::from_secs(30);
/// How long servers that serve may take to commit a change.
const COMMIT: Duration = Duration::from_secs(20);
