//! How many states there are, however many steps led to each.

use core::hash::{BuildHasherDefault, Hasher};
use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

use crate::world::World;

/// States that were seen, by their fingerprints.
#[derive(Debug)]
pub(crate) struct Census {
    parts: Vec<Mutex<HashSet<u64, BuildHasherDefault<Unchanged>>>>,
}

impl Census {
    pub(crate) fn new() -> Self {
        Self { parts: (0..PARTS).map(|_| Mutex::default()).collect() }
    }

    pub(crate) fn count(&self, world: &World) {
        let fingerprint = world.fingerprint;
        let part = &self.parts[fingerprint as usize % PARTS];
        part.lock().unwrap_or_else(PoisonError::into_inner).insert(fingerprint);
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
