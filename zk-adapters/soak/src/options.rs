//! What the program is asked for.

use core::time::Duration;

use crate::client::Kind;

/// How to soak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// How long faults happen.
    pub(crate) length: Duration,
    pub(crate) seed: u64,
    pub(crate) clients: Clients,
}

/// Which clients take part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clients {
    All(Kind),
    Both,
}

impl Options {
    /// None if the arguments can't be read.
    pub(crate) fn parse(mut args: impl Iterator<Item = String>) -> Option<Self> {
        let mut options = Self { length: Duration::from_secs(90), seed: 0, clients: Clients::Both };
        while let Some(name) = args.next() {
            let value = args.next()?;
            match name.as_str() {
                "--seconds" => options.length = Duration::from_secs(value.parse().ok()?),
                "--seed" => options.seed = value.parse().ok()?,
                "--client" => options.clients = Clients::parse(&value)?,
                _ => return None,
            }
        }
        Some(options)
    }
}

impl Clients {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "tokio" => Some(Self::All(Kind::Tokio)),
            "std" => Some(Self::All(Kind::Std)),
            "both" => Some(Self::Both),
            _ => None,
        }
    }

    /// Which one the client of this number is.
    pub(crate) fn kind(self, number: usize) -> Kind {
        match self {
            Self::All(kind) => kind,
            Self::Both if number % 3 == 2 => Kind::Std,
            Self::Both => Kind::Tokio,
        }
    }
}
