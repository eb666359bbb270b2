//! Made-up histories: a true one is accepted, and each that breaks a rule is objected to, with that rule.

use core::time::Duration;

use bytes::Bytes;
use zk_session::zk_proto::SessionId;

use super::check;
use crate::history::History;
use crate::ledger::{
    Answer, Books, Change, Checkpoint, End, Fault, Intent, Moment, Operation, Outcome, Read, Ready, Session,
    Span, Whom, Why,
};
use crate::txn_log::{Applied, Body, Txn};

/// What a client was told, and what the ensemble did.
struct Case {
    books: Books,
    history: History,
}

impl Case {
    /// A session's life, truly told. Its operations are numbered from 0, their transactions from 2.
    fn new() -> Self {
        let mut case = Self { books: Books::default(), history: History::default() };
        case.books.sessions.insert(SESSION, session());
        case.done(1, 0, Body::CreateSession);
        case.done(2, 100, single(created("/t/a", "a")));
        case.done(3, 200, single(set("/r", "b", 4)));
        case.done(
            4,
            300,
            Body::Changes { is_multi: true, changes: vec![created("/t/c", "c"), set("/m", "c", 9)] },
        );
        case.done(5, 400, single(created("/q/n-0000000007", "d")));
        case.done(6, 500, single(Applied::Delete { path: "/t/a".to_owned() }));
        case.told(create("/t/a", "a"), ok(2, Some("/t/a"), None));
        case.told(write(vec![wanted_set("/r", "b", Some(3))]), ok(3, None, Some(4)));
        let multi = vec![wanted("/t/c", "c"), wanted_set("/m", "c", None)];
        case.told(write(multi), ok(4, Some("/t/c"), Some(9)));
        case.told(sequential("/q/n-", "d"), ok(5, Some("/q/n-0000000007"), None));
        case.told(
            write(vec![Change::Delete { path: "/t/a".to_owned() }]),
            Outcome::MaybeApplied(Why::ConnectionLoss),
        );
        case.told(create("/t/e", "e"), Outcome::Refused(-110));
        case.told(Intent::Read { path: "/r".to_owned() }, read("b", 3, 4));
        case.done(7, 9000, Body::CloseSession);
        case
    }

    fn done(&mut self, counter: i64, at: i64, body: Body) {
        let cxid = i32::try_from(counter).unwrap();
        self.history.txns.push(Txn { session: SESSION, cxid, zxid: EPOCH + counter, at: Moment(at), body });
    }

    fn told(&mut self, intent: Intent, outcome: Outcome) {
        let batch = self.books.operations.len() as u64;
        self.books.operations.push(Operation {
            client: 0,
            session: SESSION,
            batch,
            begun: Moment(100 * i64::try_from(batch).unwrap()),
            ended: Moment(100 * i64::try_from(batch).unwrap() + 50),
            deadline: Some(Duration::from_secs(1)),
            retried: false,
            intent,
            outcome,
            last_zxid: EPOCH + 6,
        });
    }

    fn operation(&mut self, number: usize) -> &mut Operation {
        &mut self.books.operations[number]
    }

    fn session(&mut self) -> &mut Session {
        self.books.sessions.get_mut(&SESSION).unwrap()
    }

    /// The transaction with this counter.
    fn txn(&mut self, counter: usize) -> &mut Txn {
        &mut self.history.txns[counter - 1]
    }

    /// As if the servers had refused it.
    fn undo(&mut self, counter: usize) {
        self.txn(counter).body = Body::Error;
    }

    /// The servers expire the session at this time, and the client is told so a second later.
    fn expire(&mut self, at: i64) {
        self.txn(7).at = Moment(at);
        self.history.refused.insert(SESSION);
        self.session().closing = None;
        self.session().end = Some((Moment(at + 1000), End::Expired));
    }

    #[track_caller]
    fn assert_breaks(&self, rule: &str) {
        let violations = check(&self.books, &self.history);
        assert!(violations.iter().any(|violation| violation.rule == rule), "{rule}: {violations:?}");
    }

    #[track_caller]
    fn assert_holds(&self) {
        let violations = check(&self.books, &self.history);
        assert!(violations.is_empty(), "{violations:?}");
    }
}

#[test]
fn a_true_story_is_accepted() {
    Case::new().assert_holds();
}

#[test]
fn ok_means_exactly_once() {
    let mut case = Case::new();
    case.undo(2);
    case.assert_breaks("Ok means exactly once");
    let mut case = Case::new();
    case.txn(6).body = single(created("/t/a", "a"));
    case.assert_breaks("Ok means exactly once");
    let mut case = Case::new();
    case.txn(2).session = SessionId(99);
    case.assert_breaks("Ok means exactly once");
}

#[test]
fn ok_names_its_transaction() {
    let mut case = Case::new();
    case.operation(1).outcome = ok(4, None, Some(4));
    case.assert_breaks("Ok names the transaction");
}

#[test]
fn what_is_done_is_what_was_asked_for() {
    let wrong = "what is done is what was asked for, and told";
    let mut case = Case::new();
    case.txn(3).body = single(set("/r", "b", 5));
    case.assert_breaks(wrong);
    let mut case = Case::new();
    case.txn(4).body = Body::Changes { is_multi: true, changes: vec![created("/t/c", "c")] };
    case.assert_breaks(wrong);
    let mut case = Case::new();
    case.operation(3).outcome = ok(5, Some("/q/n-0000000008"), None);
    case.assert_breaks(wrong);
    let mut case = Case::new();
    case.operation(2).outcome = ok(4, Some("/t/c"), Some(8));
    case.assert_breaks(wrong);
}

#[test]
fn refused_and_not_sent_mean_never() {
    let mut case = Case::new();
    case.operation(0).outcome = Outcome::Refused(-110);
    case.assert_breaks("refused means never");
    let mut case = Case::new();
    case.operation(0).outcome = Outcome::NotSent(Why::ConnectionLoss);
    case.assert_breaks("NotSent means never");
}

#[test]
fn maybe_applied_means_at_most_once() {
    let mut case = Case::new();
    case.operation(0).outcome = Outcome::MaybeApplied(Why::ConnectionLoss);
    case.assert_holds();
    case.txn(6).body = single(created("/t/a", "a"));
    case.assert_breaks("MaybeApplied means at most once");
    let mut case = Case::new();
    case.undo(6);
    case.assert_holds();
}

#[test]
fn what_is_read_was_written() {
    let mut case = Case::new();
    case.operation(6).outcome = read("c", 3, 4);
    case.assert_breaks("what is read was written");
    case.operation(6).outcome = read("b", 2, 4);
    case.assert_breaks("what is read was written");
    case.operation(6).outcome = read("b", 3, 5);
    case.assert_breaks("what is read was written");
}

#[test]
fn nothing_is_done_that_nobody_asked_for() {
    let mut case = Case::new();
    case.txn(6).body = single(created("/t/z", "z"));
    case.assert_breaks("nothing is done that nobody asked for");
    case.txn(6).body = single(Applied::Check);
    case.assert_breaks("nothing is done that nobody asked for");
}

#[test]
fn calls_end_and_in_time() {
    let mut case = Case::new();
    case.operation(5).outcome = Outcome::Nothing;
    case.assert_breaks("every call has an outcome");
    let mut case = Case::new();
    case.operation(5).ended = Moment(7000);
    case.assert_breaks("no call outlasts its deadline");
    case.operation(5).deadline = None;
    case.assert_holds();
}

#[test]
fn zxids_never_fall() {
    let falls = "the zxids of a session's replies never fall";
    let mut case = Case::new();
    case.operation(4).last_zxid = EPOCH + 4;
    case.assert_breaks(falls);
    let mut case = Case::new();
    case.books.operations.swap(1, 2);
    case.assert_breaks(falls);
    let mut case = Case::new();
    case.operation(0).last_zxid = EPOCH + 1;
    case.assert_breaks(falls);
}

#[test]
fn writes_are_done_in_the_order_of_their_submission() {
    let mut case = Case::new();
    for operation in [0, 1] {
        case.operation(operation).outcome = Outcome::MaybeApplied(Why::ConnectionLoss);
    }
    case.assert_holds();
    case.books.operations.swap(0, 1);
    case.assert_breaks("writes are done in the order of their submission");
}

#[test]
fn nothing_overtakes_a_lost_request() {
    let mut case = Case::new();
    case.undo(2);
    case.operation(0).outcome = Outcome::MaybeApplied(Why::ConnectionLoss);
    case.assert_holds();
    case.operation(0).batch = 1;
    case.assert_breaks("nothing overtakes a request that was lost with its connection");
    // It could have been refused.
    case.operation(0).intent = create("/t/a", "x");
    case.assert_holds();
}

#[test]
fn what_is_read_never_goes_back() {
    let mut case = Case::new();
    case.txn(6).body = single(set("/r", "f", 5));
    case.operation(4).intent = write(vec![wanted_set("/r", "f", Some(4))]);
    case.told(Intent::Read { path: "/r".to_owned() }, read("f", 6, 5));
    case.assert_holds();
    case.told(Intent::Read { path: "/r".to_owned() }, read("b", 3, 4));
    case.assert_breaks("what a session reads never goes back");
}

#[test]
fn expired_is_told_only_where_a_server_says_so() {
    let mut case = Case::new();
    case.expire(9000);
    case.session().ready[0].span.to = Moment(5000);
    case.assert_holds();
    // A leader that has fallen and doesn't know yet refuses what the ensemble goes on to keep.
    case.undo(7);
    case.assert_holds();
    case.history.refused.clear();
    case.assert_breaks("Expired is told only where a server says so");
}

#[test]
fn the_end_of_every_session_is_told() {
    let mut case = Case::new();
    case.session().end = None;
    case.assert_breaks("the end of every session is told");
    let mut case = Case::new();
    case.txn(7).at = Moment(8000);
    case.session().ready[0].span.to = Moment(4000);
    case.assert_breaks("the end of every session is told");
    let mut case = Case::new();
    case.undo(7);
    case.assert_breaks("a confirmed close is one");
    case.session().end = Some((Moment(9010), End::Closed { confirmed: false }));
    case.assert_holds();
}

#[test]
fn a_session_that_is_heard_survives() {
    let early = "a session that is heard within its timeout survives";
    let mut case = Case::new();
    case.expire(8900);
    case.assert_breaks(early);
    let fault = Fault { name: "pause", span: span(6500, 8900), whom: Whom::Server(0) };
    case.books.faults.push(fault);
    case.assert_holds();
    // It was on another server all the time.
    case.session().ready[0].server = 1;
    case.assert_breaks(early);
    case.books.faults[0].whom = Whom::All;
    case.assert_holds();
    case.books.faults.clear();
    case.session().late.push(span(6000, 8000));
    case.assert_holds();
}

#[test]
fn nothing_is_done_for_a_session_that_has_ended() {
    let mut case = Case::new();
    case.done(8, 9500, single(created("/t/e", "e")));
    case.operation(5).outcome = Outcome::MaybeApplied(Why::ConnectionLoss);
    case.assert_breaks("nothing is done for a session that has ended");
}

#[test]
fn mirrors_keep_up() {
    let path = "/soak/mirrored/a";
    let mut case = Case::new();
    case.operation(0).intent = create(path, "a");
    case.operation(0).outcome = ok(2, Some(path), None);
    case.operation(4).intent = write(vec![Change::Delete { path: path.to_owned() }]);
    case.txn(2).body = single(created(path, "a"));
    case.txn(6).body = single(Applied::Delete { path: path.to_owned() });
    let has = |mzxid: Option<i64>, from, to| Checkpoint {
        client: 0,
        at: Moment(600),
        from: EPOCH + from,
        to: EPOCH + to,
        znodes: mzxid.map(|mzxid| (path.to_owned(), EPOCH + mzxid)).into_iter().collect(),
    };
    for true_one in
        [has(None, 1, 1), has(Some(2), 1, 2), has(Some(2), 2, 5), has(None, 2, 6), has(None, 6, 6)]
    {
        case.books.checkpoints = vec![true_one];
        case.assert_holds();
    }
    let future = has(Some(2), 1, 1);
    let mut unknown = has(Some(2), 2, 2);
    unknown.znodes.insert("/soak/mirrored/b".to_owned(), EPOCH + 2);
    for wrong in [future, unknown, has(None, 2, 5), has(Some(2), 6, 7), has(Some(3), 2, 5)] {
        case.books.checkpoints = vec![wrong];
        case.assert_breaks("mirrors keep up");
    }
}

#[test]
fn a_gap_in_the_logs_is_seen() {
    let mut case = Case::new();
    case.history.txns.remove(5);
    case.assert_breaks("the logs are complete");
    let mut case = Case::new();
    case.txn(7).zxid = 2 * EPOCH + 2;
    case.assert_breaks("the logs are complete");
    case.txn(7).zxid = 2 * EPOCH + 1;
    case.assert_holds();
}

fn session() -> Session {
    let mut session = Session::new(0, SESSION, Duration::from_secs(3), Moment(0));
    session.ready = vec![Ready { span: span(10, 9000), server: 0 }];
    session.closing = Some(Moment(9000));
    session.end = Some((Moment(9010), End::Closed { confirmed: true }));
    session
}

fn span(from: i64, to: i64) -> Span {
    Span { from: Moment(from), to: Moment(to) }
}

fn ok(counter: i64, created: Option<&str>, version: Option<i32>) -> Outcome {
    Outcome::Ok(Answer {
        zxid: Some(EPOCH + counter),
        created: created.map(str::to_owned),
        version,
        read: None,
    })
}

fn read(token: &str, counter: i64, version: i32) -> Outcome {
    let read = Read { token: token.to_owned(), mzxid: EPOCH + counter, version };
    Outcome::Ok(Answer { read: Some(read), ..Answer::default() })
}

fn write(changes: Vec<Change>) -> Intent {
    Intent::Write(changes)
}

fn create(path: &str, token: &str) -> Intent {
    write(vec![wanted(path, token)])
}

fn wanted(path: &str, token: &str) -> Change {
    let (path, token) = (path.to_owned(), token.to_owned());
    Change::Create { path, token, is_ephemeral: false, is_sequential: false }
}

fn sequential(path: &str, token: &str) -> Intent {
    let (path, token) = (path.to_owned(), token.to_owned());
    write(vec![Change::Create { path, token, is_ephemeral: false, is_sequential: true }])
}

fn wanted_set(path: &str, token: &str, expected: Option<i32>) -> Change {
    Change::Set { path: path.to_owned(), token: token.to_owned(), expected }
}

fn single(change: Applied) -> Body {
    Body::Changes { is_multi: false, changes: vec![change] }
}

fn created(path: &str, token: &str) -> Applied {
    Applied::Create { path: path.to_owned(), data: data(token), is_ephemeral: false }
}

fn set(path: &str, token: &str, version: i32) -> Applied {
    Applied::Set { path: path.to_owned(), data: data(token), version }
}

fn data(token: &str) -> Bytes {
    format!("{token}|||").into()
}

const SESSION: SessionId = SessionId(17);
const EPOCH: i64 = 1 << 32;
