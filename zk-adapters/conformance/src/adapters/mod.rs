//! The adapters, made to speak the suite's language.

mod driver;
mod mio;
mod std;
mod tokio;

pub use self::{
    driver::{Pumped, Waiting},
    mio::Mio,
    std::Std,
    tokio::Tokio,
};
