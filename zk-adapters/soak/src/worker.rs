//! A client that writes: unique tokens, versioned sets, sequential and ephemeral znodes, multis, deletions.

use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::sync::Arc;
use std::thread;

use fastrand::Rng;
use zk_client::Error;
use zk_session::{
    Delivery, Failure, Retry,
    zk_proto::{OpResult, Response},
};

use crate::client::{Failed, Kind, Pending};
use crate::connection::{Connection, Place, RECOVERY};
use crate::drawing::{Drawing, request};
use crate::history::token_of;
use crate::ledger::{Answer, Ledger, Moment, Operation, Outcome, Read, Why};

/// One client, and its sessions one after the other.
pub(crate) struct Worker {
    place: Place,
    number: usize,
    kind: Kind,
    timeout: Duration,
    rng: Rng,
    drawing: Drawing,
    connection: Option<Connection>,
    batch: u64,
}

impl Worker {
    pub(crate) fn new(place: Place, number: usize, kind: Kind, timeout: Duration) -> Self {
        let rng = Rng::with_seed(place.seed.wrapping_mul(1009).wrapping_add(number as u64));
        Self { place, number, kind, timeout, rng, drawing: Drawing::new(number), connection: None, batch: 0 }
    }

    pub(crate) fn ledger(&self) -> Arc<Ledger> {
        Arc::clone(&self.place.ledger)
    }

    /// Works until it is told to stop.
    pub(crate) fn work(&mut self, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            if self.connect() {
                self.do_batch();
                thread::sleep(Duration::from_millis(self.rng.u64(0..PAUSE_MS)));
            }
        }
    }

    /// Whether there is a session.
    fn connect(&mut self) -> bool {
        if self.connection.as_ref().is_some_and(Connection::is_over) {
            self.end();
        }
        if self.connection.is_none() {
            self.connection = Connection::open(&self.place, self.number, self.kind, self.timeout);
        }
        self.connection.is_some()
    }

    /// Closes its session, if there is one.
    pub(crate) fn end(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.close();
            self.drawing.session_ended();
        }
    }

    /// Waits, without faults, until its session serves, or was told as over.
    pub(crate) fn recover(&mut self) {
        let begun = Moment::now();
        while let Some(connection) = self.connection.as_ref().filter(|connection| !connection.is_over()) {
            if connection.client.sync().is_ok() {
                return;
            }
            if Moment::now().since(begun) > RECOVERY {
                let what = format!("session {} doesn't serve after {RECOVERY:?}", connection.session);
                return self.place.ledger.violated("sessions recover", what);
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn do_batch(&mut self) {
        let retry = if self.rng.u8(0..4) == 0 { Retry::WhenSafe } else { Retry::Never };
        let deadline = self.draw_deadline();
        let Some(connection) = &self.connection else { return };
        let client = connection.client.with(retry, deadline);
        let intents = self.drawing.batch(&mut self.rng);
        let failed_before = client.stats().failed;
        let submitted: Vec<_> = intents
            .into_iter()
            .map(|intent| {
                let begun = Moment::now();
                let pending = client.submit(request(&intent, &mut self.rng));
                (begun, intent, pending)
            })
            .collect();
        // Nothing had failed when the last was submitted: whatever fails now, all of them were there.
        let is_one = client.stats().failed == failed_before;
        let session = connection.session;
        let mut operations = Vec::new();
        for (begun, intent, pending) in submitted {
            let outcome = outcome(pending);
            self.drawing.learn(&intent, &outcome);
            self.batch += u64::from(!is_one);
            operations.push(Operation {
                client: self.number,
                session,
                batch: self.batch,
                begun,
                ended: Moment::now(),
                deadline,
                retried: retry == Retry::WhenSafe,
                intent,
                outcome,
                last_zxid: client.last_zxid().0,
            });
        }
        self.batch += 1;
        self.place.ledger.write(|books| books.operations.extend(operations));
    }

    fn draw_deadline(&mut self) -> Option<Duration> {
        match self.rng.u8(0..8) {
            0 => Some(Duration::from_millis(self.rng.u64(20..1000))),
            1 | 2 => Some(Duration::from_millis(self.rng.u64(1000..10_000))),
            _ => None,
        }
    }
}

fn outcome(pending: Pending) -> Outcome {
    let error = match pending.wait() {
        Ok(response) => return Outcome::Ok(answer(response)),
        Err(Failed::Told(error)) => error,
        Err(Failed::Hangs | Failed::NoSession) => return Outcome::Nothing,
    };
    let is_lost = matches!(error, Error::Failed { failure: Failure::ConnectionLoss, .. });
    let why = if is_lost { Why::ConnectionLoss } else { Why::Other(error.to_string()) };
    match (error.code(), error.delivery()) {
        (Some(code), _) => Outcome::Refused(code.0),
        (None, Some(Delivery::NotSent)) => Outcome::NotSent(why),
        (None, Some(Delivery::MaybeApplied) | None) => Outcome::MaybeApplied(why),
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the others tell nothing that is checked")]
fn answer(response: Response) -> Answer {
    match response {
        Response::Create2(response) => Answer {
            zxid: Some(response.stat.czxid.0),
            created: Some(response.path.to_string()),
            ..Answer::default()
        },
        Response::Create(response) => {
            Answer { created: Some(response.path.to_string()), ..Answer::default() }
        }
        Response::SetData(response) => Answer {
            zxid: Some(response.stat.mzxid.0),
            version: Some(response.stat.version),
            ..Answer::default()
        },
        Response::GetData(response) => {
            let token = token_of(response.data.as_deref().unwrap_or_default());
            let (mzxid, version) = (response.stat.mzxid.0, response.stat.version);
            Answer { read: Some(Read { token, mzxid, version }), ..Answer::default() }
        }
        Response::Multi(response) => response.results.into_iter().fold(Answer::default(), add_result),
        _ => Answer::default(),
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the others tell nothing that is checked")]
fn add_result(mut answer: Answer, result: OpResult) -> Answer {
    match result {
        OpResult::Create(created) => answer.created = answer.created.or(Some(created.path.to_string())),
        OpResult::Create2(created) => answer.created = answer.created.or(Some(created.path.to_string())),
        OpResult::SetData(set) => {
            answer.zxid = Some(set.stat.mzxid.0);
            answer.version = Some(set.stat.version);
        }
        _ => {}
    }
    answer
}

/// The longest pause between two batches.
const PAUSE_MS: u64 = 600;
