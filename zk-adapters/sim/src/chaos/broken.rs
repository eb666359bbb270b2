//! A promise that a session broke.

use core::{any::Any, cell::Cell, panic::AssertUnwindSafe};
use std::panic::{catch_unwind, set_hook};

/// A promise that a session broke, or a panic of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Broken {
    /// What was found.
    pub message: String,
    /// How many steps had been made.
    pub step: u64,
}

impl Broken {
    /// Makes a panic an error. What `act` works on may be looked at then, and not worked on any more.
    pub(crate) fn catch<T>(act: impl FnOnce() -> T) -> Result<T, Self> {
        catch_unwind(AssertUnwindSafe(act)).map_err(|panic| Self { message: message(&*panic), step: 0 })
    }

    /// From now on panics print nothing, for what is broken tells of them, and where they were.
    pub fn instead_of_panics() {
        set_hook(Box::new(|panic| {
            PLACE.set(panic.location().map(ToString::to_string));
        }));
    }

    /// The same run had two outcomes.
    pub fn unequal() -> Self {
        Self { message: "INV-78: the same run twice, and not the same".to_owned(), step: 0 }
    }

    /// Whether they break a rule in common.
    pub(crate) fn shares(&self, other: &Self) -> bool {
        let rules = other.rules();
        self.rules().iter().any(|rule| rules.contains(rule))
    }

    /// The numbers of the rules that the message names. A panic that names none breaks INV-79.
    pub fn rules(&self) -> Vec<u8> {
        let numbers = self.message.split("INV-").skip(1).filter_map(|rest| rest.get(..2)?.parse().ok());
        let rules: Vec<u8> = numbers.collect();
        if rules.is_empty() { vec![PANIC] } else { rules }
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without a message");
    match PLACE.take() {
        Some(place) if !text.contains("INV-") => format!("{text}, at {place}"),
        _ => text.to_owned(),
    }
}

thread_local! {
    /// Where this thread panicked last.
    static PLACE: Cell<Option<String>> = const { Cell::new(None) };
}

const PANIC: u8 = 79;
