//! INV-64: the same bytes in any segmentation, polled for at any time, give the same actions in the same order.

mod support;

use std::collections::VecDeque;

use proptest::prelude::*;
use support::{World, config, data, event_frame, get_data, reply_frame, sync, watch_data};
use zk_session::{
    Action, RequestId,
    zk_proto::{
        BytesMut, ErrorCode, EventType, GetDataRequest, Multi, MultiResponse, Op, OpResult, Request,
        Response, SyncResponse,
    },
};

/// All that a server says in a conversation with replies, refusals, events, an oversize reply and a pong.
fn conversation() -> BytesMut {
    let mut stream = BytesMut::new();
    stream.extend_from_slice(&reply_frame(1, 3, Ok(data(b"watched"))));
    stream.extend_from_slice(&reply_frame(2, 4, Err(ErrorCode::NO_NODE)));
    stream.extend_from_slice(&event_frame(EventType::NODE_DATA_CHANGED, "/a", 5));
    stream.extend_from_slice(&reply_frame(-2, 5, Ok(Response::Empty)));
    stream.extend_from_slice(&reply_frame(3, 5, Ok(data(&[7; 200]))));
    stream.extend_from_slice(&reply_frame(4, 6, Ok(data(b"last"))));
    stream
}

fn told(pieces: &[&[u8]]) -> Vec<Action> {
    let mut small = config("a:1");
    small.max_frame_len = 200;
    let mut world = World::ready(small);
    world.submit(watch_data("/a"));
    for request in [sync("/"), get_data("/long"), get_data("/b")] {
        world.submit(request);
    }
    for piece in pieces {
        world.receive(piece);
    }
    world.trace
}

/// What was sent leaves in other chunks if it piles up otherwise; what is told doesn't change.
fn events(trace: Vec<Action>) -> Vec<Action> {
    trace.into_iter().filter(|action| !matches!(action, Action::Send { .. })).collect()
}

#[test]
fn a_stream_cut_in_two_anywhere_tells_the_same() {
    let stream = conversation();
    let whole = told(&[&stream]);
    assert_eq!(events(whole.clone()).len(), 1 + 2 + 4 + 1, "{whole:#?}");
    for at in 0..=stream.len() {
        assert_eq!(events(told(&[&stream[..at], &stream[at..]])), events(whole.clone()), "cut at {at}");
    }
}

#[test]
fn a_stream_byte_by_byte_and_in_small_pieces_tells_the_same() {
    let stream = conversation();
    let whole = events(told(&[&stream]));
    for len in [1, 2, 3, 5, 7, 16, 64] {
        let pieces: Vec<_> = stream.chunks(len).collect();
        assert_eq!(events(told(&pieces)), whole, "pieces of {len}");
    }
}

#[test]
fn a_stream_cut_off_at_any_byte_loses_nothing_but_its_tail() {
    let stream = conversation();
    let whole = events(told(&[&stream]));
    for at in 0..stream.len() {
        let part = events(told(&[&stream[..at]]));
        assert_eq!(part[..], whole[..part.len()], "cut off at {at}");
    }
}

/// What happens to a session with requests in flight.
#[derive(Clone, Debug)]
enum Step {
    /// So many requests are answered in one piece.
    Answers(Vec<Answer>),
    Notify,
    Cancel(usize),
    Submit(usize),
    Cut,
    Poll,
}

#[derive(Clone, Copy, Debug)]
enum Answer {
    Ok,
    Refused,
    Malformed,
}

fn request(kind: usize) -> (Request, Response) {
    match kind % 4 {
        0 => (get_data("/a"), data(b"x")),
        1 => (watch_data("/b"), data(b"y")),
        2 => (sync("/c"), Response::Sync(SyncResponse { path: "/app/c".into() })),
        _ => {
            let get = Op::GetData(GetDataRequest { path: "/d".into(), watch: false });
            let results = vec![OpResult::Error(ErrorCode::NO_NODE)];
            let multi = Multi { ops: vec![get] };
            (Request::MultiRead(multi), Response::MultiRead(MultiResponse { results }))
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    let answer = prop_oneof![6 => Just(Answer::Ok), 1 => Just(Answer::Refused), 1 => Just(Answer::Malformed)];
    prop_oneof![
        6 => prop::collection::vec(answer, 1..6).prop_map(Step::Answers),
        1 => Just(Step::Notify),
        2 => (0..30_usize).prop_map(Step::Cancel),
        3 => (0..4_usize).prop_map(Step::Submit),
        1 => Just(Step::Cut),
        3 => Just(Step::Poll),
    ]
}

/// All that is told, in the course of these steps.
struct Course {
    world: World,
    /// What was submitted on the connection and isn't answered.
    unanswered: VecDeque<Response>,
    ids: Vec<RequestId>,
    xid: i32,
    is_up: bool,
}

impl Course {
    fn run(connect_string: &str, steps: &[Step], polls: bool) -> Vec<Action> {
        let mut world = World::ready(config(connect_string));
        world.polls = polls;
        let (unanswered, ids) = Default::default();
        let mut course = Self { world, unanswered, ids, xid: 1, is_up: true };
        for step in steps {
            course.step(step);
        }
        course.poll();
        events(course.world.trace)
    }

    fn poll(&mut self) {
        let polls = core::mem::replace(&mut self.world.polls, true);
        self.world.drain();
        self.world.polls = polls;
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Answers(answers) if self.is_up => self.answer(answers),
            Step::Notify if self.is_up => {
                self.world.receive(&event_frame(EventType::NODE_DATA_CHANGED, "/app/b", 9));
            }
            Step::Cancel(which) => {
                if let Some(&id) = self.ids.get(*which) {
                    self.world.command(|session, now| session.cancel(id, now));
                }
            }
            // What it waits for to leave is a poll.
            Step::Submit(kind) if self.is_up => {
                let (request, response) = request(*kind);
                self.ids.push(self.world.submit(request));
                self.unanswered.push_back(response);
                self.poll();
            }
            Step::Cut if self.is_up => {
                self.world.cut();
                self.is_up = false;
            }
            Step::Poll => self.poll(),
            Step::Answers(_) | Step::Notify | Step::Submit(_) | Step::Cut => {}
        }
    }

    fn answer(&mut self, answers: &[Answer]) {
        let mut bytes = BytesMut::new();
        for answer in answers {
            let Some(response) = self.unanswered.pop_front() else { break };
            let xid = self.xid;
            self.xid += 1;
            bytes.extend_from_slice(&match answer {
                Answer::Ok => reply_frame(xid, i64::from(xid), Ok(response)),
                Answer::Refused => reply_frame(xid, i64::from(xid), Err(ErrorCode::NO_AUTH)),
                Answer::Malformed => reply_frame(xid, i64::from(xid), Ok(Response::Empty)),
            });
        }
        if !bytes.is_empty() {
            self.world.receive(&bytes);
        }
    }
}

proptest! {
    #[test]
    fn replies_that_are_polled_late_are_told_as_they_came(steps in prop::collection::vec(step(), 1..60)) {
        for connect_string in ["a:1", "a:1/app"] {
            let at_once = Course::run(connect_string, &steps, true);
            prop_assert_eq!(Course::run(connect_string, &steps, false), at_once);
        }
    }
}

#[cfg(feature = "planted")]
#[test]
fn a_session_that_loses_pieces_is_noticed() {
    support::defects::notices(
        "a_stream_byte_by_byte_and_in_small_pieces_tells_the_same",
        zk_session::Planted::BytesAreLostAlone,
    );
}
