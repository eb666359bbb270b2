//! SASL without its tokens: what a mechanism did is told by steps and lengths, and done again with zeros.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use serde_json::{Value, json};
use zk_session::{Sasl, SaslError, SaslExchange, SaslMechanism, SaslStep};

use super::fields::{Fields, InputError, number};

/// What a mechanism did, a token being as long as it says.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Respond(usize),
    Last(usize),
    Complete,
    Error,
}

/// Steps in order, of all exchanges.
#[derive(Clone, Default)]
pub(super) struct Steps(Arc<Mutex<VecDeque<Step>>>);

impl Steps {
    pub(super) fn push(&self, step: Step) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_back(step);
    }

    pub(super) fn pop(&self) -> Option<Step> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

impl Step {
    pub(super) fn to_value(self) -> Value {
        match self {
            Self::Respond(len) => json!({ "respond": len }),
            Self::Last(len) => json!({ "last": len }),
            Self::Complete => json!({ "complete": 0 }),
            Self::Error => json!({ "error": 0 }),
        }
    }

    pub(super) fn read(step: Fields) -> Result<Self, InputError> {
        let (name, len) = step.only()?;
        let len = number::<u32>(&name, len)? as usize;
        match name.as_str() {
            "respond" => Ok(Self::Respond(len)),
            "last" => Ok(Self::Last(len)),
            "complete" => Ok(Self::Complete),
            "error" => Ok(Self::Error),
            _ => Err(InputError::new(&name, "unknown step")),
        }
    }
}

/// The mechanism of another, with every step noted.
pub(super) fn noted(sasl: Sasl, steps: Steps) -> Sasl {
    Sasl::new(Noted { sasl, steps })
}

/// A mechanism that takes the steps that were noted.
pub(super) fn recorded(steps: Steps) -> Sasl {
    Sasl::new(Recorded { steps })
}

struct Noted {
    sasl: Sasl,
    steps: Steps,
}

impl SaslMechanism for Noted {
    fn begin(&self) -> Box<dyn SaslExchange> {
        Box::new(NotedExchange { exchange: self.sasl.begin(), steps: self.steps.clone() })
    }
}

struct NotedExchange {
    exchange: Box<dyn SaslExchange>,
    steps: Steps,
}

impl SaslExchange for NotedExchange {
    fn initial_response(&mut self) -> Result<Bytes, SaslError> {
        let response = self.exchange.initial_response();
        self.steps.push(response.as_ref().map_or(Step::Error, |token| Step::Respond(token.len())));
        response
    }

    fn respond(&mut self, challenge: &[u8]) -> Result<SaslStep, SaslError> {
        let step = self.exchange.respond(challenge);
        self.steps.push(match &step {
            Ok(SaslStep::Respond(token)) => Step::Respond(token.len()),
            Ok(SaslStep::Last(token)) => Step::Last(token.len()),
            Ok(SaslStep::Complete) => Step::Complete,
            Err(_) => Step::Error,
        });
        step
    }

    fn clone_box(&self) -> Box<dyn SaslExchange> {
        Box::new(Self { exchange: self.exchange.clone_box(), steps: self.steps.clone() })
    }
}

#[derive(Clone)]
struct Recorded {
    steps: Steps,
}

impl SaslMechanism for Recorded {
    fn begin(&self) -> Box<dyn SaslExchange> {
        self.clone_box()
    }
}

impl SaslExchange for Recorded {
    fn initial_response(&mut self) -> Result<Bytes, SaslError> {
        match self.steps.pop() {
            Some(Step::Respond(len) | Step::Last(len)) => Ok(vec![0; len].into()),
            Some(Step::Complete | Step::Error) | None => Err(NOT_RECORDED),
        }
    }

    fn respond(&mut self, _: &[u8]) -> Result<SaslStep, SaslError> {
        match self.steps.pop() {
            Some(Step::Respond(len)) => Ok(SaslStep::Respond(vec![0; len].into())),
            Some(Step::Last(len)) => Ok(SaslStep::Last(vec![0; len].into())),
            Some(Step::Complete) => Ok(SaslStep::Complete),
            Some(Step::Error) | None => Err(NOT_RECORDED),
        }
    }

    fn clone_box(&self) -> Box<dyn SaslExchange> {
        Box::new(self.clone())
    }
}

const NOT_RECORDED: SaslError = SaslError { what: "no such step was recorded" };
