use zk_proto::{Bytes, ErrorCode, Response, SessionId, Ustring};

use super::{MOST_LOSSES, is_lost, worst};
use crate::{
    Error,
    errands::{Outcome, Recipe, Step},
    requests,
};

/// Deletes from the leaves up. That a znode has children is found out by deleting it, and only then they are listed.
#[derive(Debug)]
pub(super) struct DeleteRecursive {
    /// Depth first: what lies below a znode comes after it.
    stack: Vec<Ustring>,
    /// The end of the stack, on which the requests under way work.
    current: Vec<Ustring>,
    is_listing: bool,
    losses: u32,
}

impl DeleteRecursive {
    pub(super) fn new(path: Ustring) -> Self {
        Self { stack: vec![path], current: Vec::new(), is_listing: false, losses: 0 }
    }

    /// Children before their parents, which are mostly empty by then.
    fn delete(&mut self) -> Step {
        if self.stack.is_empty() {
            return Step::Done(Ok(Response::Empty));
        }
        self.is_listing = false;
        self.current = self.stack.split_off(self.stack.len().saturating_sub(BATCH));
        Step::Submit(
            self.current.iter().rev().map(|path| requests::delete(path.clone(), ANY).request).collect(),
        )
    }

    fn list(&mut self, outcomes: &[Outcome]) -> Step {
        let mut is_left = outcomes.iter().map(|outcome| has_code(outcome, ErrorCode::NOT_EMPTY));
        self.current.retain(|_| is_left.next().unwrap_or_default());
        // Of one above another it is known why it isn't empty.
        while let Some(at) = self.current.windows(2).position(|pair| is_above(&pair[0], &pair[1])) {
            self.stack.extend(self.current.drain(..=at));
        }
        if self.current.is_empty() {
            return self.delete();
        }
        self.is_listing = true;
        Step::Submit(
            self.current.iter().map(|path| requests::get_child_names(path.clone()).request).collect(),
        )
    }

    fn push(&mut self, outcomes: Vec<Outcome>) {
        for (path, outcome) in core::mem::take(&mut self.current).into_iter().zip(outcomes) {
            let Ok(Response::GetChildren(found)) = outcome else { continue };
            let children = found.children.iter_bytes().map(|name| [path.as_bytes(), b"/", name].concat());
            let children: Vec<_> = children.map(|child| Ustring::from_bytes(Bytes::from(child))).collect();
            self.stack.push(path);
            self.stack.extend(children);
        }
    }
}

impl Recipe for DeleteRecursive {
    fn begin(&mut self) -> Step {
        self.delete()
    }

    fn go_on(&mut self, mut outcomes: Vec<Outcome>, _: Option<SessionId>) -> Step {
        if !self.is_listing {
            outcomes.reverse();
        }
        let is_expected =
            |error: &Error| matches!(error.code(), Some(ErrorCode::NO_NODE | ErrorCode::NOT_EMPTY));
        if let Some(error) = worst(&outcomes, is_expected) {
            self.losses += 1;
            if !is_lost(error) || self.losses > MOST_LOSSES {
                return Step::Done(Err(error.clone()));
            }
            self.stack.append(&mut self.current);
            return self.delete();
        }
        self.losses = 0;
        if !self.is_listing {
            return self.list(&outcomes);
        }
        self.push(outcomes);
        self.delete()
    }
}

fn has_code(outcome: &Outcome, code: ErrorCode) -> bool {
    outcome.as_ref().is_err_and(|error| error.code() == Some(code))
}

fn is_above(path: &Ustring, other: &Ustring) -> bool {
    other.as_bytes().strip_prefix(path.as_bytes()).is_some_and(|below| below.starts_with(b"/"))
}

const ANY: i32 = -1;
/// So many are deleted at once.
const BATCH: usize = 128;
