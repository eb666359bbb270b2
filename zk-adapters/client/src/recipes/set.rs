use bytes::Bytes;
use zk_proto::{
    Acl, Create2Response, CreateMode, ErrorCode, ExistsResponse, Request, Response, SessionId,
    SetDataResponse, Stat, Ustring, Vector,
};

use super::exists;
use crate::{
    Error,
    errands::{Outcome, Recipe, Step},
    requests,
};

/// It is set first, and created where there is none; as often as others delete and create it in between. No request is
/// repeated when its answer is lost: it would undo what others have set meanwhile.
#[derive(Debug)]
pub(super) struct SetOrCreate {
    path: Ustring,
    data: Bytes,
    acl: Vector<Acl>,
    is_setting: bool,
}

impl SetOrCreate {
    pub(super) fn new(path: Ustring, data: Bytes, acl: Vector<Acl>) -> Self {
        Self { path, data, acl, is_setting: false }
    }

    fn create(&mut self) -> Request {
        self.is_setting = false;
        let mode = CreateMode::Persistent;
        requests::create(self.path.clone(), self.data.clone(), mode, self.acl.clone()).request
    }
}

impl Recipe for SetOrCreate {
    fn begin(&mut self) -> Step {
        self.is_setting = true;
        Step::Submit(vec![requests::set_data(self.path.clone(), self.data.clone(), ANY).request])
    }

    fn go_on(&mut self, mut outcomes: Vec<Outcome>, _: Option<SessionId>) -> Step {
        match outcomes.remove(0) {
            Err(error) if error.code() == Some(ErrorCode::NODE_EXISTS) => self.begin(),
            Err(error) if self.is_setting && error.code() == Some(ErrorCode::NO_NODE) => {
                Step::Submit(vec![self.create()])
            }
            // A server before 3.5 doesn't tell it.
            Ok(Response::Create(_)) => Step::Submit(vec![exists(&self.path)]),
            outcome => Step::Done(outcome),
        }
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "no other comes")]
pub(super) fn read(outcome: Outcome) -> Result<Stat, Error> {
    match outcome? {
        Response::SetData(SetDataResponse { stat })
        | Response::Create2(Create2Response { stat, .. })
        | Response::Exists(ExistsResponse { stat }) => Ok(stat),
        _ => unreachable!("the recipe ends with one of these"),
    }
}

const ANY: i32 = -1;
