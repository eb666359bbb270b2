//! The adapters, made to speak the suite's language.

mod mio;
mod std;
mod tokio;

pub use self::{mio::Mio, std::Std, tokio::Tokio};
