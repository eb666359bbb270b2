//! The suite on a loop of mio.

use zk_conformance::{adapters::Mio, scenarios};

scenarios!(Mio);
