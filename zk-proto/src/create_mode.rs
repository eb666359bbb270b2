use core::ops::RangeInclusive;

/// What kind of znode to create, and whether its name gets a number: ZooKeeper's `CreateMode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[expect(clippy::exhaustive_enums, reason = "each kind needs its own operation")]
pub enum CreateMode {
    /// Stays until deleted.
    #[default]
    Persistent,
    /// Deleted when the session ends; can't have children.
    Ephemeral,
    /// As persistent, with the parent's counter appended to its name as ten digits.
    PersistentSequential,
    /// As ephemeral, with the parent's counter appended to its name as ten digits.
    EphemeralSequential,
    /// Deleted by the server some time after its last child. Since 3.5.1.
    Container,
    /// Deleted by the server when childless and unmodified for so many milliseconds. Since 3.5.3, and only
    /// if the server allows it.
    PersistentWithTtl(i64),
    /// As persistent with TTL, with the parent's counter appended to its name as ten digits.
    PersistentSequentialWithTtl(i64),
}

/// A time to live that no server accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("ttl: {ttl} ms is not within 1 to {max} ms", max = CreateMode::TTL_MS.end())]
pub struct TtlError {
    /// The time to live asked for, in milliseconds.
    pub ttl: i64,
}

impl CreateMode {
    /// The times to live that servers accept, in milliseconds.
    pub const TTL_MS: RangeInclusive<i64> = 1..=0xFF_FFFF_FFFF;

    /// The number on the wire: an enumeration, not bits.
    pub const fn flags(self) -> i32 {
        match self {
            Self::Persistent => 0,
            Self::Ephemeral => 1,
            Self::PersistentSequential => 2,
            Self::EphemeralSequential => 3,
            Self::Container => 4,
            Self::PersistentWithTtl(_) => 5,
            Self::PersistentSequentialWithTtl(_) => 6,
        }
    }

    /// The mode of a number on the wire, and of the time to live that goes with 5 and 6.
    pub const fn from_flags(flags: i32, ttl: i64) -> Option<Self> {
        Some(match flags {
            0 => Self::Persistent,
            1 => Self::Ephemeral,
            2 => Self::PersistentSequential,
            3 => Self::EphemeralSequential,
            4 => Self::Container,
            5 => Self::PersistentWithTtl(ttl),
            6 => Self::PersistentSequentialWithTtl(ttl),
            _ => return None,
        })
    }

    /// Whether the znode ends with its session.
    pub const fn is_ephemeral(self) -> bool {
        matches!(self, Self::Ephemeral | Self::EphemeralSequential)
    }

    /// Whether the znode's name gets a number.
    pub const fn is_sequential(self) -> bool {
        matches!(
            self,
            Self::PersistentSequential | Self::EphemeralSequential | Self::PersistentSequentialWithTtl(_)
        )
    }

    /// The time to live in milliseconds, if the mode has one.
    pub const fn ttl(self) -> Option<i64> {
        match self {
            Self::PersistentWithTtl(ttl) | Self::PersistentSequentialWithTtl(ttl) => Some(ttl),
            Self::Persistent
            | Self::Ephemeral
            | Self::PersistentSequential
            | Self::EphemeralSequential
            | Self::Container => None,
        }
    }

    /// Checks the time to live, if there is one.
    ///
    /// # Errors
    /// If it isn't within [`TTL_MS`](Self::TTL_MS).
    pub fn validate(self) -> Result<(), TtlError> {
        match self.ttl() {
            Some(ttl) if !Self::TTL_MS.contains(&ttl) => Err(TtlError { ttl }),
            Some(_) | None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ttl_has_a_least_and_a_greatest_value() {
        for ttl in [1, 0xFF_FFFF_FFFF] {
            assert_eq!(CreateMode::PersistentWithTtl(ttl).validate(), Ok(()));
        }
        for ttl in [i64::MIN, -1, 0, 0x100_0000_0000] {
            assert_eq!(CreateMode::PersistentSequentialWithTtl(ttl).validate(), Err(TtlError { ttl }));
        }
    }

    #[test]
    fn flags_are_a_number_from_0_to_6() {
        for flags in 0..=6 {
            assert_eq!(CreateMode::from_flags(flags, 1).map(CreateMode::flags), Some(flags));
        }
        assert_eq!(CreateMode::from_flags(7, 1), None);
    }

    #[test]
    fn modes_are_what_their_names_say() {
        let which = |is: fn(CreateMode) -> bool| {
            (0..=6)
                .filter(|flags| CreateMode::from_flags(*flags, 9).is_some_and(is))
                .collect::<alloc::vec::Vec<_>>()
        };
        assert_eq!(which(CreateMode::is_ephemeral), [1, 3]);
        assert_eq!(which(CreateMode::is_sequential), [2, 3, 6]);
        assert_eq!(which(|mode| mode.ttl() == Some(9)), [5, 6]);
    }
}
