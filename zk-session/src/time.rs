//! The session's clock readings: time since an epoch that the driver chose.

use core::{
    fmt,
    ops::{Add, Sub},
    time::Duration,
};

/// A moment, as nanoseconds since an epoch that the driver chose.
///
/// The session reads no clock; every input brings the driver's. All arithmetic saturates at
/// [`Instant::ZERO`] and [`Instant::MAX`] (about 584 years), so no reading and no configured duration
/// can overflow it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(u64);

impl Instant {
    /// The epoch itself.
    pub const ZERO: Self = Self(0);
    /// The last moment that can be told.
    pub const MAX: Self = Self(u64::MAX);

    /// The moment so many nanoseconds after the epoch.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// The moment so many milliseconds after the epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// Nanoseconds since the epoch.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Whole milliseconds since the epoch, rounded down.
    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000_000
    }

    /// The time from `earlier` to this moment; zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        let seconds = duration.as_secs().saturating_mul(1_000_000_000);
        Self(self.0.saturating_add(seconds).saturating_add(u64::from(duration.subsec_nanos())))
    }
}

impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", Duration::from_nanos(self.0))
    }
}

/// Ties the session's [`Instant`] to the standard library's, for drivers that have one.
///
/// It reads no clock: the driver does, and converts.
#[cfg(feature = "std")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch(std::time::Instant);

#[cfg(feature = "std")]
impl Epoch {
    /// An epoch at `start`, usually the moment at which the driver was made.
    pub const fn new(start: std::time::Instant) -> Self {
        Self(start)
    }

    /// The session's word for `moment`; [`Instant::ZERO`] if it lies before the epoch.
    pub fn instant(&self, moment: std::time::Instant) -> Instant {
        Instant::ZERO + moment.saturating_duration_since(self.0)
    }

    /// The standard library's word for `instant`; none if its clock can't tell so late a moment.
    pub fn std_instant(&self, instant: Instant) -> Option<std::time::Instant> {
        self.0.checked_add(instant - Instant::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "std")]
    #[test]
    fn the_standard_librarys_moments_are_told_from_the_epoch_on_and_back() {
        let start = std::time::Instant::now();
        let epoch = Epoch::new(start);
        let second = Duration::from_secs(1);
        assert_eq!(epoch.instant(start + second), Instant::from_millis(1000));
        assert_eq!(epoch.std_instant(Instant::from_millis(1000)), Some(start + second));
        if let Some(before) = start.checked_sub(second) {
            assert_eq!(epoch.instant(before), Instant::ZERO);
        }
    }

    #[test]
    fn a_moment_shows_how_long_after_the_epoch_it_is() {
        assert_eq!(alloc::format!("{:?}", Instant::from_millis(1500)), "1.5s");
    }

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        assert_eq!(Instant::MAX + Duration::MAX, Instant::MAX);
        assert_eq!(Instant::ZERO + Duration::MAX, Instant::MAX);
        assert_eq!(Instant::ZERO - Instant::MAX, Duration::ZERO);
        assert_eq!(Instant::from_millis(u64::MAX), Instant::MAX);
    }

    #[test]
    fn a_moment_is_told_in_nanoseconds_and_in_whole_milliseconds() {
        let moment = Instant::from_millis(7);
        assert_eq!((moment.as_millis(), moment.as_nanos()), (7, 7_000_000));
        assert_eq!(Instant::from_nanos(7_999_999).as_millis(), 7);
    }
}
