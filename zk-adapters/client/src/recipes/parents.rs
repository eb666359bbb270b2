use zk_proto::{Acl, ErrorCode, Request, SessionId, Ustring, Vector};

use super::{MOST_LOSSES, create_node, exists, is_lost, worst};
use crate::{
    Error,
    errands::{Outcome, Recipe, Step},
};

/// A path whose znodes are made to be there, each by one that creates it or finds it.
///
/// They are looked for first, for who may not create a znode is refused even where it exists.
#[derive(Debug)]
pub(super) struct Parents {
    /// From the topmost on.
    paths: Vec<Ustring>,
    acl: Vector<Acl>,
    /// So many of them were found.
    there: usize,
    is_creating: bool,
    losses: u32,
}

/// How far it is.
#[derive(Debug)]
pub(super) enum Progress {
    Submit(Vec<Request>),
    AreThere,
    Failed(Error),
}

impl Parents {
    /// Those of this path, itself included. The root is one of them: where the session has a chroot, that may be
    /// missing.
    pub(super) fn down_to(path: &str, acl: Vector<Acl>) -> Self {
        let names = path.match_indices('/').map(|(at, _)| at).skip(1).chain([path.len()]);
        let ends = names.filter(|&end| end > 1);
        let paths = [1].into_iter().chain(ends).map(|end| Ustring::from(&path[..end])).collect();
        Self { paths, acl, there: 0, is_creating: false, losses: 0 }
    }

    pub(super) fn look(&mut self) -> Vec<Request> {
        self.is_creating = false;
        self.paths.iter().map(exists).collect()
    }

    pub(super) fn go_on(&mut self, outcomes: &[Outcome]) -> Progress {
        let expected = if self.is_creating { ErrorCode::NODE_EXISTS } else { ErrorCode::NO_NODE };
        // Somebody deletes what was found; but nobody can create what the topmost lies in.
        let can_race = self.is_creating && self.there > 0;
        let is_raced = |error: &Error| can_race && error.code() == Some(ErrorCode::NO_NODE);
        if let Some(error) = worst(outcomes, |error| error.code() == Some(expected) || is_raced(error)) {
            self.losses += 1;
            if !is_lost(error) || self.losses > MOST_LOSSES {
                return Progress::Failed(error.clone());
            }
            return Progress::Submit(self.look());
        }
        self.losses = 0;
        if self.is_creating {
            let is_gone = outcomes.iter().any(|outcome| outcome.as_ref().is_err_and(is_raced));
            return if is_gone { Progress::Submit(self.look()) } else { Progress::AreThere };
        }
        self.there = outcomes.iter().rposition(Result::is_ok).map_or(0, |last| last + 1);
        if self.there == self.paths.len() {
            return Progress::AreThere;
        }
        self.is_creating = true;
        Progress::Submit(self.paths[self.there..].iter().map(|path| create_node(path, &self.acl)).collect())
    }
}

/// Only that.
#[derive(Debug)]
pub(super) struct EnsurePath(Parents);

impl EnsurePath {
    pub(super) fn new(path: &Ustring, acl: Vector<Acl>) -> Self {
        Self(Parents::down_to(&path.to_str(), acl))
    }
}

impl Recipe for EnsurePath {
    fn begin(&mut self) -> Step {
        Step::Submit(self.0.look())
    }

    fn go_on(&mut self, outcomes: Vec<Outcome>, _: Option<SessionId>) -> Step {
        match self.0.go_on(&outcomes) {
            Progress::Submit(requests) => Step::Submit(requests),
            Progress::AreThere => Step::Done(Ok(zk_proto::Response::Empty)),
            Progress::Failed(error) => Step::Done(Err(error)),
        }
    }
}
