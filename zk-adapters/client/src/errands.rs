//! Several requests that serve one purpose: they go on whether or not somebody polls, and through lost connections.

use core::{fmt, task::Waker};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use zk_proto::{Request, Response, SessionId};
use zk_session::{Delivery, Failure, Instant, RequestId, RequestOptions, Retry, SubmitError};

use crate::{Error, Machine, NO_LATER, Slots, Work, requests::Read};

/// The outcome of a request, or of an errand.
pub(crate) type Outcome = Result<Response, Error>;

/// A recipe that is to be run, and how its outcome is read.
#[derive(Debug)]
pub struct Errand<T> {
    pub(crate) recipe: Result<Box<dyn Recipe>, SubmitError>,
    /// What becomes of its requests when their connection is lost; none: what the handle says.
    pub(crate) retry: Option<Retry>,
    /// Turns its outcome into what the application asked for.
    pub read: Read<T>,
}

/// An errand that was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ErrandId(pub(crate) u64);

/// Which requests serve the purpose, one step after the other. It does no I/O, and knows no time.
pub(crate) trait Recipe: fmt::Debug + Send {
    /// The first step.
    fn begin(&mut self) -> Step;

    /// The step after the one whose requests had these outcomes, in their order, for the session of this id.
    fn go_on(&mut self, outcomes: Vec<Outcome>, session_id: Option<SessionId>) -> Step;

    /// Nobody waits any more. Whether there is something to clean up: then it is gone on with.
    fn give_up(&mut self) -> bool {
        false
    }
}

/// What a recipe wants next.
#[derive(Debug)]
pub(crate) enum Step {
    /// Submit these, in this order, without waiting in between.
    Submit(Vec<Request>),
    /// Tell this outcome, and submit these for nobody.
    Tell(Outcome, Vec<Request>),
    /// It is over.
    Done(Outcome),
}

/// The errands that are under way.
#[derive(Debug, Default)]
pub(crate) struct Errands {
    under_way: BTreeMap<ErrandId, UnderWay>,
    /// Whose requests these are, and which of its step.
    requests: BTreeMap<RequestId, (ErrandId, usize)>,
    /// Those for nobody whose requests found no room.
    stalled: BTreeSet<ErrandId>,
    begun: u64,
}

#[derive(Debug)]
struct UnderWay {
    recipe: Box<dyn Recipe>,
    options: RequestOptions,
    /// Where the outcome goes; none if nobody waits for it.
    slot: Option<Work>,
    /// The requests of the step that aren't submitted yet, each with its place.
    rest: VecDeque<(usize, Request)>,
    outcomes: Vec<Option<Outcome>>,
    submitted: usize,
    /// The first request of this step, and of the one before.
    firsts: [Option<RequestId>; 2],
}

impl<T> Errand<T> {
    pub(crate) fn new(
        recipe: Result<impl Recipe + 'static, SubmitError>,
        retry: Option<Retry>,
        read: Read<T>,
    ) -> Self {
        Self { recipe: recipe.map(|recipe| Box::new(recipe) as _), retry, read }
    }
}

/// What an errand works with.
pub(crate) struct Tools<'a> {
    pub(crate) session: &'a mut Machine,
    pub(crate) slots: &'a mut Slots,
    pub(crate) wakers: &'a mut Vec<Waker>,
}

impl Errands {
    pub(crate) fn begin(
        &mut self,
        mut recipe: Box<dyn Recipe>,
        options: RequestOptions,
        mut tools: Tools<'_>,
    ) -> ErrandId {
        let id = ErrandId(self.begun);
        tools.slots.insert(Work::Errand(id));
        self.begun += 1;
        let first = recipe.begin();
        self.under_way.insert(id, UnderWay::new(recipe, options, Work::Errand(id)));
        self.take(id, first, &mut tools);
        id
    }

    #[inline]
    pub(crate) fn are_none(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Takes up the outcome of a request, if it is an errand's; gives it back otherwise.
    pub(crate) fn answered(
        &mut self,
        request: RequestId,
        outcome: Outcome,
        mut tools: Tools<'_>,
    ) -> Option<Outcome> {
        if self.are_none() {
            return Some(outcome);
        }
        let mut given_back = None;
        match self.requests.remove(&request) {
            Some((id, place)) => self.settle(id, place, outcome, &mut tools),
            None => given_back = Some(outcome),
        }
        // There may be room.
        for id in core::mem::take(&mut self.stalled) {
            self.feed(id, &mut tools);
        }
        given_back
    }

    /// Whether an errand takes care of what this request has created.
    pub(crate) fn cleans_up_after(&self, request: RequestId) -> bool {
        self.under_way.values().any(|errand| errand.firsts.contains(&Some(request)))
    }

    /// Nobody waits for an errand any more.
    pub(crate) fn give_up(&mut self, id: ErrandId, now: Instant, mut tools: Tools<'_>) {
        let Some(errand) = self.under_way.get_mut(&id) else { return };
        let slot = errand.send_away();
        let is_over = !errand.recipe.give_up();
        for (place, _) in errand.rest.drain(..) {
            errand.outcomes[place] = Some(Err(CANCELLED));
        }
        let own = self.requests.iter().filter(|&(_, &(owner, _))| owner == id);
        let submitted: Vec<_> = own.map(|(&request, _)| request).collect();
        if is_over {
            self.under_way.remove(&id);
            self.requests.retain(|_, &mut (owner, _)| owner != id);
        }
        tools.wakers.extend(slot.and_then(|slot| tools.slots.fill(slot, Err(CANCELLED))));
        // Their ends are told as any others.
        submitted.into_iter().for_each(|request| tools.session.cancel(request, now));
        self.feed(id, &mut tools);
    }

    fn settle(&mut self, id: ErrandId, place: usize, outcome: Outcome, tools: &mut Tools<'_>) {
        let Some(errand) = self.under_way.get_mut(&id) else { return };
        errand.outcomes[place] = Some(outcome);
        errand.submitted -= 1;
        self.feed(id, tools);
    }

    fn take(&mut self, id: ErrandId, step: Step, tools: &mut Tools<'_>) {
        let Some(errand) = self.under_way.get_mut(&id) else { return };
        match step {
            Step::Submit(requests) => errand.start(requests),
            Step::Tell(outcome, requests) => {
                let slot = errand.send_away();
                tools.wakers.extend(slot.and_then(|slot| tools.slots.fill(slot, outcome)));
                errand.start(requests);
            }
            Step::Done(outcome) => {
                let slot = errand.slot;
                self.under_way.remove(&id);
                tools.wakers.extend(slot.and_then(|slot| tools.slots.fill(slot, outcome)));
                return;
            }
        }
        self.feed(id, tools);
    }

    /// Submits what there is room for; goes on to the next step if this one is over.
    fn feed(&mut self, id: ErrandId, tools: &mut Tools<'_>) {
        let Some(errand) = self.under_way.get_mut(&id) else { return };
        while errand.submitted < WINDOW
            && let Some((place, request)) = errand.rest.pop_front()
        {
            match tools.session.submit(request.clone(), errand.options, NO_LATER) {
                Ok(submitted) => {
                    errand.submitted += 1;
                    if place == 0 {
                        errand.firsts = [Some(submitted), errand.firsts[0]];
                    }
                    self.requests.insert(submitted, (id, place));
                }
                Err(SubmitError::QueueFull { .. }) if errand.slot.is_none() => {
                    errand.rest.push_front((place, request));
                    self.stalled.insert(id);
                    return;
                }
                Err(error) => errand.outcomes[place] = Some(Err(error.into())),
            }
        }
        if errand.submitted > 0 || !errand.rest.is_empty() {
            return;
        }
        let outcomes = errand.outcomes.drain(..).flatten().collect();
        let session_id = tools.session.credentials().map(|own| own.session_id);
        let step = errand.recipe.go_on(outcomes, session_id);
        self.take(id, step, tools);
    }
}

impl UnderWay {
    fn new(recipe: Box<dyn Recipe>, options: RequestOptions, slot: Work) -> Self {
        Self {
            recipe,
            options,
            slot: Some(slot),
            rest: VecDeque::new(),
            outcomes: Vec::new(),
            submitted: 0,
            firsts: [None; 2],
        }
    }

    fn start(&mut self, requests: Vec<Request>) {
        self.outcomes = requests.iter().map(|_| None).collect();
        self.rest = requests.into_iter().enumerate().collect();
    }

    /// What is done for nobody has the time it needs.
    fn send_away(&mut self) -> Option<Work> {
        self.options.deadline = None;
        self.slot.take()
    }
}

const CANCELLED: Error = Error::Failed { failure: Failure::Cancelled, delivery: Delivery::NotSent };
/// So many requests of an errand are submitted at once, to leave room for others.
const WINDOW: usize = 128;
