//! Which version is compared, and what it refuses.

use zk_harness::Ensemble;
use zk_proto::OpCode;
use zk_sim::Version;

/// The version that the server itself tells.
pub(crate) fn version_of(ensemble: &Ensemble) -> Version {
    let answer = ensemble.four_letter_word(0, "srvr").expect("it serves");
    let known =
        [("3.4.", Version::V3_4), ("3.6.", Version::V3_6), ("3.8.", Version::V3_8), ("3.9.", Version::V3_9)];
    let told = answer.split_once("version: ").map(|(_, rest)| rest);
    let found = known.into_iter().find(|(number, _)| told.is_some_and(|told| told.starts_with(number)));
    found.unwrap_or_else(|| panic!("an unknown version: {answer}")).1
}

/// Whether the connection survives a request for this operation.
pub(crate) fn knows(version: Version, op: OpCode) -> bool {
    let since = match op.0 {
        1..=9 | 11 | 12 | 14 | 100 | 101 | 102 | -11 => Version::V3_4,
        15..=19 | 21 | 22 | 103..=106 => Version::V3_6,
        107 => Version::V3_8,
        _ => return false,
    };
    version >= since
}

/// Operations that no client is served; not those that would do harm.
pub(crate) fn refuses(version: Version, op: OpCode) -> bool {
    let does_harm = op == OpCode::CREATE_SESSION || (op == OpCode::CHECK && version < Version::V3_9);
    !does_harm && !knows(version, op)
}

/// What no server takes for credentials.
pub(crate) fn refuses_credentials(scheme: &str, auth: Option<&str>) -> bool {
    scheme != "ip" && (scheme != "digest" || auth.is_none())
}
