//! The program without std outlives a server of the simulated ensemble, whose bytes and time come to it by a pipe.

use core::time::Duration;
use std::{
    collections::VecDeque,
    io::{Read, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use zk_session::Instant;
use zk_sim::{Options, Output, PeerId, SimEnsemble};

/// The network and the servers.
struct World {
    ensemble: SimEnsemble,
    now: Instant,
    server: usize,
    peer: Option<PeerId>,
    /// What the program isn't told yet.
    inputs: VecDeque<(u8, Vec<u8>)>,
    crashed: Option<usize>,
    connections: usize,
}

impl World {
    fn new() -> Self {
        let options = Options { servers: 3, ..Options::default() };
        let ensemble = SimEnsemble::new(options, Instant::ZERO);
        let (inputs, crashed) = (VecDeque::new(), None);
        Self { ensemble, now: Instant::ZERO, server: 0, peer: None, inputs, crashed, connections: 0 }
    }

    fn connect(&mut self, host: &[u8]) {
        self.server = (1..=3).find(|n| format!("zk{n}").as_bytes() == host).expect("one of them") - 1;
        let address = [127, 0, 0, 1].into();
        self.peer = self.ensemble.connect(self.server, address, self.now);
        self.connections += usize::from(self.peer.is_some());
        self.inputs.push_back((if self.peer.is_some() { b'c' } else { b'd' }, Vec::new()));
    }

    /// Takes up what the servers say.
    fn listen(&mut self) {
        while let Some(output) = self.ensemble.poll_output() {
            match output {
                Output::Send { peer, bytes } if Some(peer) == self.peer => {
                    self.inputs.push_back((b'r', bytes.to_vec()));
                }
                Output::Close { peer } if Some(peer) == self.peer => {
                    self.inputs.push_back((b'd', Vec::new()))
                }
                Output::Send { .. } | Output::Close { .. } => {}
            }
        }
    }

    /// The server dies once the program's znode is there.
    fn crash_once(&mut self) {
        if self.crashed.is_none() && self.ensemble.tree(self.server).get("/mine").is_some() {
            self.crashed = Some(self.server);
            self.ensemble.crash(self.server, self.now);
            self.listen();
        }
    }

    /// The next thing that happens: what is under way, or the time goes on.
    fn next(&mut self, due: Instant) -> (u8, Vec<u8>) {
        self.crash_once();
        loop {
            if let Some(input) = self.inputs.pop_front() {
                return input;
            }
            let servers = self.ensemble.poll_timeout().filter(|&servers| servers < due);
            self.now = self.now.max(servers.unwrap_or(due));
            self.ensemble.handle_timeout(self.now);
            self.listen();
            if servers.is_none() && self.inputs.is_empty() {
                return (b't', Vec::new());
            }
        }
    }
}

fn start() -> Child {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../no-std/Cargo.toml");
    let build = ["build", "--quiet", "--locked", "--manifest-path", manifest];
    assert!(Command::new(env!("CARGO")).args(build).status().expect("cargo can be run").success());
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/../no-std/target/debug/zk-no-std");
    Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("cargo has built it")
}

fn hear(program: &mut ChildStdout) -> Option<(u8, Vec<u8>)> {
    let mut head = [0; 5];
    program.read_exact(&mut head).ok()?;
    let mut bytes = vec![0; u32::from_be_bytes(head[1..].try_into().expect("four bytes")) as usize];
    program.read_exact(&mut bytes).ok()?;
    Some((head[0], bytes))
}

fn tell(program: &mut ChildStdin, now: Instant, tag: u8, bytes: &[u8]) {
    let at = u64::try_from((now - Instant::ZERO).as_nanos().div_ceil(1_000_000)).expect("a short time");
    let length = u32::try_from(bytes.len()).expect("a short message");
    let record = [&[tag], &at.to_be_bytes()[..], &length.to_be_bytes(), bytes].concat();
    program.write_all(&record).expect("it listens");
}

#[test]
fn a_session_without_std_outlives_its_server() {
    let mut program = start();
    let (mut input, mut output) =
        (program.stdin.take().expect("piped"), program.stdout.take().expect("piped"));
    let mut world = World::new();
    for _ in 0..10_000 {
        let Some((tag, bytes)) = hear(&mut output) else { break };
        match tag {
            b'C' => world.connect(&bytes),
            b'S' => {
                world.ensemble.receive(world.peer.expect("it is connected"), &bytes, world.now);
                world.listen();
            }
            b'D' => {
                if let Some(peer) = world.peer.take() {
                    world.ensemble.disconnect(peer, world.now);
                }
                world.inputs.clear();
            }
            b'W' => {
                let due = u64::from_be_bytes(bytes.try_into().expect("eight bytes"));
                let due = Instant::ZERO + Duration::from_millis(due.min(1 << 40));
                let (tag, bytes) = world.next(due);
                tell(&mut input, world.now, tag, &bytes);
            }
            other => panic!("{other}"),
        }
    }
    assert!(program.wait().expect("it ends").success());
    assert!(world.crashed.is_some() && world.connections > 1, "there was something to outlive");
    assert!(world.now - Instant::ZERO < Duration::from_secs(60), "{:?}", world.now);
}
