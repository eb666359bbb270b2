//! The suite on zk-std.

use zk_conformance::{adapters::Std, scenarios};

scenarios!(Std);
