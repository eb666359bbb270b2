//! Applications that do all that a session offers, in no good order.

use core::time::Duration;

use zk_session::{
    AuthInfo, RequestId, RequestOptions, Retry,
    zk_proto::{
        AddWatchMode, AddWatchRequest, Bytes, CheckVersionRequest, CreateMode, CreateRequest, DeleteRequest,
        ExistsRequest, GetAclRequest, GetAllChildrenNumberRequest, GetChildren2Request, GetChildrenRequest,
        GetDataRequest, GetEphemeralsRequest, Multi, OPEN_ACL_UNSAFE, Op, RemoveWatchesRequest, Request,
        SetAclRequest, SetDataRequest, SyncRequest, WatcherType,
    },
};

use crate::{
    chaos::{Chaos, is_open},
    ensemble::Version,
    input::Input,
};

/// What one application remembers.
#[derive(Clone, Debug, Default)]
pub(super) struct Application {
    requests: Vec<RequestId>,
}

impl Chaos {
    /// An application does something.
    pub(super) fn act(&mut self) {
        let index = self.rng.usize(0..self.sessions.len());
        let client = self.sessions[index];
        if !is_open(&self.world, client) && self.rng.u32(0..20) > 0 {
            return;
        }
        let input = match self.rng.u32(0..1000) {
            0..810 => self.some_request(),
            810..860 => self.of_some_request(index, Input::Cancel),
            860..930 => self.of_some_request(index, Input::RemoveWatch),
            930..960 => {
                let number = self.rng.u32(0..3);
                let auth = Bytes::from(format!("user{number}:pw"));
                let scheme = if self.rng.u32(0..40) == 0 { "nonsense" } else { "digest" };
                Some(Input::AddAuth(AuthInfo { scheme: scheme.into(), auth }))
            }
            960..990 => self.some_servers().map(Input::UpdateServers),
            990..993 => Some(Input::Close),
            _ => Some(Input::Timeout),
        };
        let Some(input) = input else { return };
        let request = if let Input::Submit(request, _) = &input { Some(request.clone()) } else { None };
        // Now and then several calls are made before anything is polled.
        let accepted = if self.rng.u32(0..4) == 0 {
            // Some clocks run back.
            let behind = if self.rng.u32(0..5) == 0 { self.rng.u64(0..3_000) } else { 0 };
            self.world.input_undrained(client, input, Duration::from_millis(behind))
        } else {
            self.world.input(client, input)
        };
        if let (Ok(Some(id)), Some(request)) = (accepted, &request) {
            self.applications[index].requests.push(id);
            self.ledger.submitted(client, id, request);
        }
        if let Some(request) = request.filter(|request| self.hangs_up(request)) {
            // Sent behind it, this one gets no answer, and isn't sent again to who has just refused the other.
            let options = RequestOptions::default().with_retry(Retry::WhenSafe);
            let accepted = self.world.input(client, Input::Submit(request, options));
            self.applications[index].requests.extend(accepted.ok().flatten());
        }
        if self.rng.u32(0..4) > 0 {
            self.world.drain(client);
        } else {
            self.world.drain_one(client);
        }
    }

    fn of_some_request(&mut self, index: usize, input: impl Fn(RequestId) -> Input) -> Option<Input> {
        let requests = &self.applications[index].requests;
        let recent = requests.len().saturating_sub(30)..requests.len();
        if recent.is_empty() {
            return None;
        }
        let at = self.rng.usize(recent);
        Some(input(self.applications[index].requests[at]))
    }

    fn some_servers(&mut self) -> Option<zk_session::zk_proto::ConnectString> {
        let servers = self.world.ensemble().options().servers;
        let mut numbers: Vec<usize> = (0..servers).collect();
        self.rng.shuffle(&mut numbers);
        numbers.truncate(self.rng.usize(1..=servers));
        Some(self.world.servers(numbers))
    }

    fn some_request(&mut self) -> Option<Input> {
        let (rng, now) = (&mut self.rng, self.world.now());
        let mut options = RequestOptions::default();
        if rng.u32(0..5) == 0 {
            options = options.with_deadline(now + Duration::from_millis(rng.u64(0..5_000)));
        }
        if rng.u32(0..3) == 0 {
            options = options.with_retry(Retry::WhenSafe);
        }
        let mut request = self.draw_request();
        // A few of them are enough.
        if self.hangs_up(&request) && self.rng.u32(0..10) > 0 {
            request = Request::Sync(SyncRequest { path: "/".into() });
        }
        Some(Input::Submit(Box::new(request), options))
    }

    /// A request is given up right ahead of its reply, or right behind it.
    pub(super) fn cancel_at_reply(&mut self) {
        let Some(client) = self.world.hears_next() else { return };
        let Some(request) = self.world.books(client).oldest_request().map(|(id, _)| id) else { return };
        self.world.wait();
        if self.rng.bool() {
            self.world.hear_undrained(client);
        }
        self.world.input(client, Input::Cancel(request)).expect("a request can be given up");
    }

    /// Whether servers hang up at it, as those do that don't know it. For creates a session finds another way.
    fn hangs_up(&self, request: &Request) -> bool {
        let is_create =
            matches!(request, Request::Create(_) | Request::Create2(_) | Request::CreateContainer(_));
        !is_create && !self.world.ensemble().options().version.knows(request.op_code())
    }

    fn draw_request(&mut self) -> Request {
        let path = *self.rng.choice(&PATHS).expect("a choice");
        let is_apart = self.is_old() && ["/a/d", "/b"].contains(&path);
        let watch = self.rng.u32(0..3) == 0 && !is_apart;
        match self.rng.u32(0..38) {
            0..5 => Request::GetData(GetDataRequest { path: path.into(), watch }),
            5..8 => Request::Exists(ExistsRequest { path: path.into(), watch }),
            8..10 => Request::GetChildren(GetChildrenRequest { path: path.into(), watch }),
            10 => Request::GetChildren2(GetChildren2Request { path: path.into(), watch }),
            11..16 => {
                let data = Some(self.ledger.token());
                Request::SetData(SetDataRequest { path: path.into(), data, version: self.version() })
            }
            16..22 => self.create(path),
            22..25 => Request::Delete(DeleteRequest { path: path.into(), version: self.version() }),
            25 => Request::Sync(SyncRequest { path: path.into() }),
            26..28 => match self.mode(path) {
                Some(mode) => Request::AddWatch(AddWatchRequest { path: path.into(), mode }),
                None => Request::GetData(GetDataRequest { path: path.into(), watch: true }),
            },
            28 => {
                // Not all kinds at once: the session itself removes watches so, and it couldn't be told whose it is.
                let watcher_type = WatcherType(*self.rng.choice(&[1, 2, 4, 5]).expect("a choice"));
                Request::RemoveWatches(RemoveWatchesRequest { path: path.into(), watcher_type })
            }
            29 => Request::GetEphemerals(GetEphemeralsRequest { prefix_path: path.into() }),
            30 => self.acl(path),
            31 if self.rng.bool() => Request::WhoAmI,
            31 => Request::GetAllChildrenNumber(GetAllChildrenNumberRequest { path: path.into() }),
            32..34 => self.multi_read(path),
            _ => self.multi(path),
        }
    }

    /// Before 3.9 a path has one mode, the last one, whatever a client does: there, some paths are for persistent watches
    /// and some for one-time ones.
    fn mode(&mut self, path: &str) -> Option<AddWatchMode> {
        match path {
            "/a/d" if self.is_old() => Some(AddWatchMode::PERSISTENT),
            "/b" if self.is_old() => Some(AddWatchMode::PERSISTENT_RECURSIVE),
            _ if self.is_old() => None,
            _ if self.rng.bool() => Some(AddWatchMode::PERSISTENT),
            _ => Some(AddWatchMode::PERSISTENT_RECURSIVE),
        }
    }

    fn is_old(&self) -> bool {
        self.world.ensemble().options().version < Version::V3_9
    }

    fn create(&mut self, path: &str) -> Request {
        let modes = [
            CreateMode::Persistent,
            CreateMode::Ephemeral,
            CreateMode::PersistentSequential,
            CreateMode::EphemeralSequential,
            CreateMode::Persistent,
            CreateMode::Ephemeral,
            CreateMode::Container,
        ];
        let mode = *self.rng.choice(&modes).expect("a choice");
        Request::create(path, Some(self.ledger.token()), OPEN_ACL_UNSAFE, mode)
    }

    /// Everybody may do everything, whatever is set: events of what one may not read are kept back by some servers.
    fn acl(&mut self, path: &str) -> Request {
        if self.rng.bool() {
            return Request::GetAcl(GetAclRequest { path: path.into() });
        }
        Request::SetAcl(SetAclRequest { path: path.into(), acl: OPEN_ACL_UNSAFE, version: self.version() })
    }

    fn multi_read(&mut self, path: &str) -> Request {
        let other = *self.rng.choice(&PATHS).expect("a choice");
        let data = Op::GetData(GetDataRequest { path: path.into(), watch: false });
        let children = Op::GetChildren(GetChildrenRequest { path: other.into(), watch: false });
        Request::MultiRead(Multi { ops: vec![data, children] })
    }

    fn multi(&mut self, path: &str) -> Request {
        let other = *self.rng.choice(&PATHS).expect("a choice");
        let set = Op::SetData(SetDataRequest {
            path: path.into(),
            data: Some(self.ledger.token()),
            version: self.version(),
        });
        let second = match self.rng.u32(0..3) {
            0 => Op::Check(CheckVersionRequest { path: other.into(), version: self.version() }),
            1 => Op::Delete(DeleteRequest { path: other.into(), version: -1 }),
            _ => Op::Create(CreateRequest {
                path: other.into(),
                data: Some(self.ledger.token()),
                acl: OPEN_ACL_UNSAFE,
                flags: self.rng.i32(0..4),
            }),
        };
        Request::Multi(Multi { ops: vec![set, second] })
    }

    fn version(&mut self) -> i32 {
        *self.rng.choice(&[-1, -1, -1, 0, 1]).expect("a choice")
    }
}

/// Few, so that requests meet.
const PATHS: [&str; 5] = ["/a", "/b", "/a/c", "/a/d", "/"];
