//! Which states were seen, each with the fewest steps that led to it so far.

use core::hash::{BuildHasherDefault, Hasher};
use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Mutex, PoisonError},
};

use crate::world::World;

/// States that were seen, by their fingerprints.
#[derive(Debug)]
pub(crate) struct Census {
    parts: Vec<Mutex<Part>>,
}

type Part = HashMap<u64, u8, BuildHasherDefault<Unchanged>>;

impl Census {
    pub(crate) fn new() -> Self {
        Self { parts: (0..PARTS).map(|_| Mutex::default()).collect() }
    }

    /// Whether the state is worth looking at: it is new, or more steps are left from it than when it was seen last.
    /// Otherwise all that can follow is seen already, or is going to be.
    pub(crate) fn admits(&self, world: &World) -> bool {
        let part = &self.parts[world.fingerprint as usize % PARTS];
        match part.lock().unwrap_or_else(PoisonError::into_inner).entry(world.fingerprint) {
            Entry::Vacant(unseen) => {
                unseen.insert(world.steps);
                true
            }
            Entry::Occupied(mut seen) => {
                let is_nearer = world.steps < *seen.get();
                if is_nearer {
                    seen.insert(world.steps);
                }
                is_nearer
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.parts.iter().map(|part| part.lock().unwrap_or_else(PoisonError::into_inner).len()).sum()
    }
}

/// Fingerprints are hashes already.
#[derive(Default)]
pub(crate) struct Unchanged(u64);

impl Hasher for Unchanged {
    fn finish(&self) -> u64 {
        // The lowest bits chose the part.
        self.0.rotate_right(PARTS.trailing_zeros())
    }

    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

const PARTS: usize = 64;
