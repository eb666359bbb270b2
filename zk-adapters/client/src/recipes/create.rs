use zk_proto::{Acl, ErrorCode, Request, SessionId, Ustring, Vector};

use super::{
    parents::{Parents, Progress},
    split,
};
use crate::errands::{Outcome, Recipe, Step};

/// The znode is created first, for its parents are mostly there. What becomes of that request is the outcome: it isn't
/// repeated when its answer is lost.
#[derive(Debug)]
pub(super) struct CreateWithParents {
    request: Request,
    parents: Parents,
    is_at_parents: bool,
}

impl CreateWithParents {
    pub(super) fn new(request: Request, path: &Ustring, acl: Vector<Acl>) -> Self {
        let parents = Parents::down_to(split(&path.to_str()).0, acl);
        Self { request, parents, is_at_parents: false }
    }
}

impl Recipe for CreateWithParents {
    fn begin(&mut self) -> Step {
        self.is_at_parents = false;
        Step::Submit(vec![self.request.clone()])
    }

    fn go_on(&mut self, mut outcomes: Vec<Outcome>, _: Option<SessionId>) -> Step {
        if self.is_at_parents {
            return match self.parents.go_on(&outcomes) {
                Progress::Submit(requests) => Step::Submit(requests),
                Progress::AreThere => self.begin(),
                Progress::Failed(error) => Step::Done(Err(error)),
            };
        }
        let outcome = outcomes.remove(0);
        match outcome {
            Err(error) if error.code() == Some(ErrorCode::NO_NODE) => {
                self.is_at_parents = true;
                Step::Submit(self.parents.look())
            }
            outcome => Step::Done(outcome),
        }
    }
}
