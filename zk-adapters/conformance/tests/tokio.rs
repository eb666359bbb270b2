//! The suite on zk-tokio.

use zk_conformance::{adapters::Tokio, scenarios};

scenarios!(Tokio);
