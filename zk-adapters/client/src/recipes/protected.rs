use core::hash::{BuildHasher, Hasher};
use std::hash::RandomState;

use zk_proto::{
    Bytes, Create2Response, CreateMode, CreateResponse, ErrorCode, ExistsResponse, GetChildrenResponse,
    Request, Response, SessionId, Ustring,
};
use zk_session::{Delivery, Failure};

use super::{MOST_LOSSES, exists, is_lost, split};
use crate::{
    Error,
    errands::{Outcome, Recipe, Step},
    requests,
};

/// A path whose last name begins with a mark that no other has, as Curator writes it: `_c_`, a UUID, and a hyphen.
#[derive(Debug)]
pub(super) struct ProtectedPath {
    parent: String,
    /// With the mark, without the number of a sequential one.
    name: String,
    is_sequential: bool,
    is_ephemeral: bool,
}

impl ProtectedPath {
    pub(super) fn new(path: &Ustring, mode: CreateMode) -> Self {
        let text = path.to_str();
        let (parent, name) = split(&text);
        let is_ephemeral = matches!(mode, CreateMode::Ephemeral | CreateMode::EphemeralSequential);
        let is_sequential = matches!(
            mode,
            CreateMode::PersistentSequential
                | CreateMode::EphemeralSequential
                | CreateMode::PersistentSequentialWithTtl(_)
        );
        Self { parent: parent.to_owned(), name: format!("_c_{}-{name}", uuid()), is_sequential, is_ephemeral }
    }

    pub(super) fn path(&self) -> Ustring {
        self.child(self.name.as_bytes())
    }

    fn child(&self, name: &[u8]) -> Ustring {
        let parent = if self.parent == "/" { "" } else { &self.parent };
        Ustring::from_bytes(Bytes::from([parent.as_bytes(), b"/", name].concat()))
    }

    /// What finds the znode, once the server has caught up with what was sent to any other.
    fn search(&self) -> Vec<Request> {
        let look = if self.is_sequential {
            requests::get_child_names(self.parent.as_str()).request
        } else {
            exists(&self.path())
        };
        vec![requests::sync(self.parent.as_str()).request, look]
    }

    fn find(&self, found: &GetChildrenResponse) -> Option<Ustring> {
        let mut names = found.children.iter_bytes();
        names.find(|name| name.starts_with(self.name.as_bytes())).map(|name| self.child(name))
    }
}

/// Creates a znode. When the answer is lost it is looked for, and taken for the answer if it is there and this
/// session's; otherwise it is created again. Who gives up leaves none behind.
///
/// That it isn't found proves that it won't come: the server has caught up, and refuses what an earlier connection of
/// the session has sent.
#[derive(Debug)]
pub(super) struct CreateProtected {
    create: Request,
    path: ProtectedPath,
    stage: Stage,
    /// Why nobody knows whether it was created.
    doubt: Option<Error>,
    losses: u32,
    is_unwanted: bool,
}

#[derive(Debug)]
enum Stage {
    Creating,
    Searching,
    Checking(Ustring),
    Deleting,
}

impl CreateProtected {
    pub(super) fn new(create: Request, path: ProtectedPath) -> Self {
        Self { create, path, stage: Stage::Creating, doubt: None, losses: 0, is_unwanted: false }
    }

    fn create(&mut self) -> Step {
        self.stage = Stage::Creating;
        Step::Submit(vec![self.create.clone()])
    }

    fn search(&mut self) -> Step {
        self.stage = Stage::Searching;
        Step::Submit(self.path.search())
    }

    fn delete(&mut self, path: Ustring) -> Step {
        self.stage = Stage::Deleting;
        Step::Submit(vec![requests::delete(path, -1).request])
    }

    /// The time is over, or there is no other way to find out: that is told, and the znode is looked for all the same.
    fn tell(&mut self, error: Error) -> Step {
        self.is_unwanted = true;
        self.stage = Stage::Searching;
        Step::Tell(Err(error), self.path.search())
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "any other failure is told")]
    fn created(&mut self, outcome: Outcome) -> Step {
        let error = match outcome {
            Ok(
                Response::Create(CreateResponse { path }) | Response::Create2(Create2Response { path, .. }),
            ) if self.is_unwanted => {
                return self.delete(path);
            }
            Ok(response) => return Step::Done(Ok(response)),
            Err(error) => error,
        };
        if error.code() == Some(ErrorCode::NODE_EXISTS) && self.doubt.is_some() {
            return self.search();
        }
        let Error::Failed { failure, delivery: Delivery::MaybeApplied } = &error else {
            return Step::Done(Err(error));
        };
        match failure {
            _ if self.is_unwanted => self.search(),
            Failure::ConnectionLoss => {
                self.losses += 1;
                self.doubt = Some(error);
                self.search()
            }
            // With the session, an ephemeral znode ends too; and for another one there is nobody to search.
            Failure::SessionExpired | Failure::Closed | Failure::AuthFailed => Step::Done(Err(error)),
            _ => self.tell(error),
        }
    }

    fn searched(&mut self, outcome: Outcome, session_id: Option<SessionId>) -> Step {
        let Ok(Response::GetChildren(found)) = outcome else {
            return self.checked(self.path.path(), outcome, session_id);
        };
        match self.path.find(&found) {
            Some(path) if self.is_unwanted => self.delete(path),
            Some(path) => {
                self.stage = Stage::Checking(path.clone());
                Step::Submit(vec![exists(&path)])
            }
            None => self.not_found(),
        }
    }

    fn checked(&mut self, path: Ustring, outcome: Outcome, session_id: Option<SessionId>) -> Step {
        match outcome {
            Ok(Response::Exists(ExistsResponse { stat })) => {
                let is_own = !self.path.is_ephemeral || Some(stat.ephemeral_owner) == session_id;
                if is_own && !self.is_unwanted {
                    return Step::Done(Ok(Response::Create2(Create2Response { path, stat })));
                }
                self.delete(path)
            }
            Ok(_) => unreachable!("the session decodes an answer by its request's opcode"),
            // It, or its parent.
            Err(error) if error.code() == Some(ErrorCode::NO_NODE) => self.not_found(),
            Err(error) => self.failed(error),
        }
    }

    fn not_found(&mut self) -> Step {
        if self.is_unwanted {
            return Step::Done(Ok(Response::Empty));
        }
        match &self.doubt {
            Some(Error::Failed { failure, .. }) if self.losses > MOST_LOSSES => {
                let failure = failure.clone();
                Step::Done(Err(Error::Failed { failure, delivery: Delivery::NotSent }))
            }
            _ => self.create(),
        }
    }

    fn deleted(&mut self, outcome: Outcome) -> Step {
        match outcome {
            Err(error) if is_to_repeat(&error) => self.search(),
            _ => self.not_found(),
        }
    }

    /// It can't be found out now whether it was created.
    fn failed(&mut self, error: Error) -> Step {
        if is_to_repeat(&error) {
            return self.search();
        }
        if self.is_unwanted {
            return Step::Done(Ok(Response::Empty));
        }
        match error {
            Error::Failed { failure, .. } => {
                self.tell(Error::Failed { failure, delivery: Delivery::MaybeApplied })
            }
            Error::DriverGone { .. } => {
                Step::Done(Err(Error::DriverGone { delivery: Delivery::MaybeApplied }))
            }
            Error::Refused { .. } | Error::NotSubmitted(_) => {
                let error = self.doubt.clone().unwrap_or(error);
                self.tell(error)
            }
        }
    }
}

impl Recipe for CreateProtected {
    fn begin(&mut self) -> Step {
        self.create()
    }

    fn go_on(&mut self, mut outcomes: Vec<Outcome>, session_id: Option<SessionId>) -> Step {
        let Some(outcome) = outcomes.pop() else { unreachable!("each step has requests") };
        // Where the server didn't catch up, what it knows proves nothing.
        let caught_up = outcomes.pop().unwrap_or(Ok(Response::Empty));
        match core::mem::replace(&mut self.stage, Stage::Creating) {
            Stage::Creating => self.created(outcome),
            Stage::Searching => self.searched(caught_up.and(outcome), session_id),
            Stage::Checking(path) => self.checked(path, outcome, session_id),
            Stage::Deleting => self.deleted(outcome),
        }
    }

    fn give_up(&mut self) -> bool {
        self.is_unwanted = true;
        true
    }
}

/// Whether the request ended with its connection, or with those who waited.
fn is_to_repeat(error: &Error) -> bool {
    is_lost(error) || matches!(error, Error::Failed { failure: Failure::Cancelled, .. })
}

/// A random one, of the operating system's entropy.
fn uuid() -> String {
    let random = || RandomState::new().build_hasher().finish();
    let (high, low) = (random() & !0xF000 | 0x4000, random() >> 2 | 1 << 63);
    let parts = (high >> 32, high >> 16 & 0xFFFF, high & 0xFFFF, low >> 48, low & 0xFFFF_FFFF_FFFF);
    format!("{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", parts.0, parts.1, parts.2, parts.3, parts.4)
}

#[cfg(test)]
mod tests {
    use zk_proto::{OPEN_ACL_UNSAFE, OpCode, Stat, Vector};

    use super::*;

    const OWN: SessionId = SessionId(7);
    const LOST: Error = Error::Failed { failure: Failure::ConnectionLoss, delivery: Delivery::MaybeApplied };

    fn recipe(mode: CreateMode) -> CreateProtected {
        let path = ProtectedPath::new(&"/locks/l-".into(), mode);
        let create = requests::create(path.path(), "", mode, OPEN_ACL_UNSAFE).request;
        CreateProtected::new(create, path)
    }

    /// The operations of a step, for nobody or for somebody.
    fn ops(step: &Step) -> Vec<OpCode> {
        let (Step::Submit(requests) | Step::Tell(_, requests)) = step else { panic!("{step:?}") };
        requests.iter().map(Request::op_code).collect()
    }

    fn refused(code: ErrorCode) -> Outcome {
        Err(Error::Refused { code, results: Vec::new() })
    }

    fn owned_by(session_id: SessionId) -> Outcome {
        let stat = Stat { ephemeral_owner: session_id, ..Stat::default() };
        Ok(Response::Exists(ExistsResponse { stat }))
    }

    fn go_on(recipe: &mut CreateProtected, outcomes: impl Into<Vec<Outcome>>) -> Step {
        recipe.go_on(outcomes.into(), Some(OWN))
    }

    fn begun_and_lost(mode: CreateMode) -> CreateProtected {
        let mut recipe = recipe(mode);
        assert_eq!(ops(&recipe.begin()), [OpCode::CREATE2]);
        let search = go_on(&mut recipe, [Err(LOST)]);
        assert_eq!(ops(&search)[0], OpCode::SYNC);
        recipe
    }

    #[test]
    fn a_znode_of_this_session_is_taken_for_the_answer() {
        let mut recipe = begun_and_lost(CreateMode::EphemeralSequential);
        let name = format!("{}0000000003", recipe.path.name);
        let children = Vector::from_strs(["other", name.as_str()]);
        let listed = Ok(Response::GetChildren(GetChildrenResponse { children }));
        let check = go_on(&mut recipe, [Ok(Response::Empty), listed]);
        assert_eq!(ops(&check), [OpCode::EXISTS]);
        let Step::Done(Ok(Response::Create2(created))) = go_on(&mut recipe, [owned_by(OWN)]) else {
            panic!("it is there")
        };
        assert_eq!(created.path.to_str(), format!("/locks/{name}"));
    }

    #[test]
    fn a_znode_of_another_session_is_removed_and_created_again() {
        let mut recipe = begun_and_lost(CreateMode::Ephemeral);
        let found = go_on(&mut recipe, [Ok(Response::Empty), owned_by(SessionId(8))]);
        assert_eq!(ops(&found), [OpCode::DELETE]);
        assert_eq!(ops(&go_on(&mut recipe, [Ok(Response::Empty)])), [OpCode::CREATE2]);
    }

    #[test]
    fn what_is_missing_proves_nothing_unless_the_server_has_caught_up() {
        let mut recipe = begun_and_lost(CreateMode::Ephemeral);
        let again = go_on(&mut recipe, [Err(LOST), refused(ErrorCode::NO_NODE)]);
        assert_eq!(ops(&again), [OpCode::SYNC, OpCode::EXISTS]);
        let create = go_on(&mut recipe, [Ok(Response::Empty), refused(ErrorCode::NO_NODE)]);
        assert_eq!(ops(&create), [OpCode::CREATE2]);
    }

    #[test]
    fn a_create_that_costs_each_connection_is_given_up() {
        let mut recipe = begun_and_lost(CreateMode::Persistent);
        for _ in 0..MOST_LOSSES {
            let create = go_on(&mut recipe, [Ok(Response::Empty), refused(ErrorCode::NO_NODE)]);
            assert_eq!(ops(&create), [OpCode::CREATE2]);
            go_on(&mut recipe, [Err(LOST)]);
        }
        let Step::Done(Err(error)) = go_on(&mut recipe, [Ok(Response::Empty), refused(ErrorCode::NO_NODE)])
        else {
            panic!("it goes on")
        };
        assert_eq!(error.delivery(), Some(Delivery::NotSent));
    }

    #[test]
    fn a_search_that_can_not_go_on_is_told_as_a_doubt_and_goes_on_for_nobody() {
        let deadline = Error::Failed { failure: Failure::Deadline, delivery: Delivery::NotSent };
        for (error, told) in [
            (deadline, Error::Failed { failure: Failure::Deadline, delivery: Delivery::MaybeApplied }),
            (Error::Refused { code: ErrorCode::NO_AUTH, results: Vec::new() }, LOST),
        ] {
            let mut recipe = begun_and_lost(CreateMode::Ephemeral);
            let step = go_on(&mut recipe, [Ok(Response::Empty), Err(error)]);
            assert_eq!(ops(&step), [OpCode::SYNC, OpCode::EXISTS]);
            let Step::Tell(Err(error), _) = step else { panic!("{step:?}") };
            assert_eq!(error, told);
            assert_eq!(ops(&go_on(&mut recipe, [Ok(Response::Empty), owned_by(OWN)])), [OpCode::DELETE]);
            assert_eq!(ops(&go_on(&mut recipe, [Err(LOST)])), [OpCode::SYNC, OpCode::EXISTS]);
            let gone = go_on(&mut recipe, [Ok(Response::Empty), refused(ErrorCode::NO_NODE)]);
            assert!(matches!(gone, Step::Done(_)), "{gone:?}");
        }
    }

    #[test]
    fn names_are_marked_as_curator_marks_them() {
        let path = ProtectedPath::new(&"/l-".into(), CreateMode::Ephemeral).path();
        let text = path.to_str();
        let (uuid, name) = text.strip_prefix("/_c_").expect("the mark").split_at(36);
        assert_eq!(name, "-l-");
        assert!(uuid.split('-').map(str::len).eq([8, 4, 4, 4, 12]), "{uuid}");
        assert_eq!(uuid.as_bytes()[14], b'4', "version 4: {uuid}");
        assert!(b"89ab".contains(&uuid.as_bytes()[19]), "the variant: {uuid}");
    }
}
