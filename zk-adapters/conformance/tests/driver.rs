//! The suite on loops of zk-std's `Driver`, which has no recipes.

use zk_conformance::{
    adapters::{Pumped, Waiting},
    scenarios,
};

mod pumped {
    use super::*;

    scenarios!(without recipes Pumped);
}

mod waiting {
    use super::*;

    scenarios!(without recipes Waiting);
}
