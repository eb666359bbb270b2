//! What a client does next, drawn from its seed.

use bytes::Bytes;
use fastrand::Rng;
use zk_session::zk_proto::{
    CheckVersionRequest, CreateMode, CreateRequest, DeleteRequest, GetDataRequest, Multi, OPEN_ACL_UNSAFE,
    Op, Request, SetDataRequest, SyncRequest,
};

use crate::history::FILLER;
use crate::ledger::{Change, Intent, Outcome};

/// What one client knows of its znodes.
pub(crate) struct Drawing {
    client: usize,
    tokens: u64,
    /// What it has created and not tried to delete.
    live: Vec<Live>,
    /// The version of its register; none if that isn't known.
    version: Option<i32>,
    /// The versions of the registers that all share.
    shared: [Option<i32>; SHARED],
}

struct Live {
    path: String,
    is_ephemeral: bool,
}

impl Drawing {
    pub(crate) fn new(client: usize) -> Self {
        Self { client, tokens: 0, live: Vec::new(), version: None, shared: [None; SHARED] }
    }

    /// What is submitted together.
    pub(crate) fn batch(&mut self, rng: &mut Rng) -> Vec<Intent> {
        let count = if rng.bool() { rng.usize(1..4) } else { rng.usize(4..20) };
        let mut batch = Vec::new();
        if self.version.is_none() {
            batch.push(Intent::Read { path: self.register() });
        }
        while batch.len() < count {
            batch.push(self.draw(rng));
        }
        batch
    }

    fn draw(&mut self, rng: &mut Rng) -> Intent {
        match rng.u8(0..20) {
            0..4 => self.create_token(),
            4 | 5 => self.create(rng, false, true),
            6 => self.create(rng, true, true),
            7 => self.create(rng, true, false),
            8 | 9 => self.set_register(),
            10 => self.set_shared(rng),
            11 | 12 => self.delete(rng).unwrap_or_else(|| self.create_token()),
            13 => self.multi(rng),
            14 => self.doomed_multi(),
            15..18 => self.change_mirrored(rng),
            18 => {
                Intent::Read { path: if rng.bool() { self.register() } else { shared(rng.usize(0..SHARED)) } }
            }
            _ => Intent::Sync,
        }
    }

    fn create_token(&mut self) -> Intent {
        let token = self.token();
        let path = format!("{TOKENS}/{token}");
        Intent::Write(vec![Change::Create { path, token, is_ephemeral: false, is_sequential: false }])
    }

    fn create(&mut self, rng: &mut Rng, is_ephemeral: bool, is_sequential: bool) -> Intent {
        let token = self.token();
        let path = match is_sequential {
            true => format!("{QUEUE}/{}-", if rng.bool() { "one" } else { "two" }),
            false => format!("{EPHEMERAL}/{token}"),
        };
        Intent::Write(vec![Change::Create { path, token, is_ephemeral, is_sequential }])
    }

    /// Sets its register, if it has the version that the sets before leave.
    fn set_register(&mut self) -> Intent {
        let expected = self.version;
        self.version = expected.map(|version| version + 1);
        self.set(self.register(), expected)
    }

    fn set_shared(&mut self, rng: &mut Rng) -> Intent {
        let register = rng.usize(0..SHARED);
        match self.shared[register].take() {
            Some(version) => self.set(shared(register), Some(version)),
            None => Intent::Read { path: shared(register) },
        }
    }

    fn set(&mut self, path: String, expected: Option<i32>) -> Intent {
        Intent::Write(vec![Change::Set { path, token: self.token(), expected }])
    }

    fn delete(&mut self, rng: &mut Rng) -> Option<Intent> {
        let live = self.take_live(rng)?;
        Some(Intent::Write(vec![Change::Delete { path: live.path }]))
    }

    fn multi(&mut self, rng: &mut Rng) -> Intent {
        let token = self.token();
        let path = format!("{TOKENS}/{token}");
        let mut changes = vec![
            Change::Create { path, token: token.clone(), is_ephemeral: false, is_sequential: false },
            self.mark(token),
        ];
        changes.extend(self.take_live(rng).map(|live| Change::Delete { path: live.path }));
        Intent::Write(changes)
    }

    /// A multi that a server refuses, for its last operation.
    fn doomed_multi(&mut self) -> Intent {
        let token = self.token();
        let path = format!("{TOKENS}/{token}");
        let create = Change::Create { path, token: token.clone(), is_ephemeral: false, is_sequential: false };
        let mark = self.mark(token);
        let check = Change::Check { path: mark_of(self.client), version: i32::MAX };
        Intent::Write(vec![create, mark, check])
    }

    /// Creates, sets or deletes a znode of the mirrored tree, which may be refused.
    fn change_mirrored(&mut self, rng: &mut Rng) -> Intent {
        let path = format!("{MIRRORED}/{}/{}", GROUPS[rng.usize(0..GROUPS.len())], rng.u8(0..LEAVES));
        let token = self.token();
        match rng.u8(0..5) {
            0 | 1 => {
                Intent::Write(vec![Change::Create { path, token, is_ephemeral: false, is_sequential: false }])
            }
            2 | 3 => Intent::Write(vec![Change::Set { path, token, expected: None }]),
            _ => Intent::Write(vec![Change::Delete { path }, self.mark(token)]),
        }
    }

    /// The change that makes a multi be found in the logs.
    fn mark(&self, token: String) -> Change {
        Change::Set { path: mark_of(self.client), token, expected: None }
    }

    fn take_live(&mut self, rng: &mut Rng) -> Option<Live> {
        (!self.live.is_empty()).then(|| self.live.swap_remove(rng.usize(0..self.live.len())))
    }

    fn token(&mut self) -> String {
        self.tokens += 1;
        format!("c{}.{}", self.client, self.tokens)
    }

    fn register(&self) -> String {
        register_of(self.client)
    }

    /// What an outcome tells of its znodes.
    pub(crate) fn learn(&mut self, intent: &Intent, outcome: &Outcome) {
        let answer = outcome.answer();
        match intent {
            Intent::Read { path } => {
                let version = answer.and_then(|answer| answer.read.as_ref()).map(|read| read.version);
                self.know(path, version);
            }
            Intent::Write(changes) => {
                if let [Change::Set { path, .. }] = changes.as_slice()
                    && answer.is_none()
                {
                    self.know(path, None);
                }
                let created = answer.and_then(|answer| answer.created.clone());
                self.live.extend(created.and_then(|path| kept(path, changes)));
            }
            Intent::Sync => {}
        }
    }

    fn know(&mut self, path: &str, version: Option<i32>) {
        if path == self.register() {
            self.version = version;
        }
        for (number, known) in self.shared.iter_mut().enumerate() {
            if path == shared(number) {
                *known = version;
            }
        }
    }

    /// Its ephemeral znodes are gone, or go.
    pub(crate) fn session_ended(&mut self) {
        self.live.retain(|live| !live.is_ephemeral);
    }
}

/// A znode that was created to be deleted by its creator, once.
fn kept(path: String, changes: &[Change]) -> Option<Live> {
    let Some(Change::Create { is_ephemeral, .. }) = changes.first() else { return None };
    (!path.starts_with(MIRRORED)).then_some(Live { path, is_ephemeral: *is_ephemeral })
}

/// The request that is meant.
pub(crate) fn request(intent: &Intent, rng: &mut Rng) -> Request {
    match intent {
        Intent::Read { path } => Request::GetData(GetDataRequest { path: path.into(), watch: false }),
        Intent::Sync => Request::Sync(SyncRequest { path: "/".into() }),
        Intent::Write(changes) => {
            let mut ops: Vec<Op> = changes.iter().map(|change| op(change, rng)).collect();
            match (ops.pop(), ops.is_empty()) {
                (Some(Op::Create(create)), true) => Request::Create2(create),
                (Some(Op::SetData(set)), true) => Request::SetData(set),
                (Some(Op::Delete(delete)), true) => Request::Delete(delete),
                (last, _) => {
                    ops.extend(last);
                    Request::Multi(Multi { ops })
                }
            }
        }
    }
}

fn op(change: &Change, rng: &mut Rng) -> Op {
    match change {
        Change::Create { path, token, is_ephemeral, is_sequential } => {
            let mode = match (is_ephemeral, is_sequential) {
                (false, false) => CreateMode::Persistent,
                (true, false) => CreateMode::Ephemeral,
                (false, true) => CreateMode::PersistentSequential,
                (true, true) => CreateMode::EphemeralSequential,
            };
            let data = Some(data(token, rng));
            Op::Create(CreateRequest { path: path.into(), data, acl: OPEN_ACL_UNSAFE, flags: mode.flags() })
        }
        Change::Set { path, token, expected } => Op::SetData(SetDataRequest {
            path: path.into(),
            data: Some(data(token, rng)),
            version: expected.unwrap_or(-1),
        }),
        Change::Delete { path } => Op::Delete(DeleteRequest { path: path.into(), version: -1 }),
        Change::Check { path, version } => {
            Op::Check(CheckVersionRequest { path: path.into(), version: *version })
        }
    }
}

/// A token, now and then with so much behind it that it takes several packets.
fn data(token: &str, rng: &mut Rng) -> Bytes {
    let mut data = token.as_bytes().to_vec();
    if rng.u8(0..100) == 0 {
        data.resize(data.len() + rng.usize(1..40_000), FILLER);
    }
    data.into()
}

/// The znodes that must be there before clients begin.
pub(crate) fn foundations(clients: usize) -> Vec<String> {
    let mut paths: Vec<String> =
        [ROOT, TOKENS, QUEUE, EPHEMERAL, MIRRORED, REGISTERS, MARKS].map(str::to_owned).into();
    paths.extend(GROUPS.map(|group| format!("{MIRRORED}/{group}")));
    paths.extend((0..SHARED).map(shared));
    for client in 0..clients {
        paths.extend([register_of(client), mark_of(client)]);
    }
    paths
}

fn register_of(client: usize) -> String {
    format!("{REGISTERS}/c{client}")
}

fn mark_of(client: usize) -> String {
    format!("{MARKS}/c{client}")
}

fn shared(number: usize) -> String {
    format!("{REGISTERS}/shared{number}")
}

/// All znodes of a soak are below this one.
pub(crate) const ROOT: &str = "/soak";
/// The subtree that is mirrored.
pub(crate) const MIRRORED: &str = "/soak/mirrored";
const TOKENS: &str = "/soak/tokens";
const QUEUE: &str = "/soak/queue";
const EPHEMERAL: &str = "/soak/ephemeral";
const REGISTERS: &str = "/soak/registers";
const MARKS: &str = "/soak/marks";
const GROUPS: [&str; 3] = ["a", "b", "c"];
/// So many that most of them don't change for a while: a mirror that has missed a change shows it.
const LEAVES: u8 = 100;
const SHARED: usize = 3;
