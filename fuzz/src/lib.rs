//! What must hold for any input: the bodies of the fuzz targets, and of property tests on stable.
//!
//! The session's walks are those of zk-sim's tests: the bytes choose one.

#[path = "../../zk-adapters/sim/tests/walks/acts.rs"]
mod acts;
mod choices;
mod codec;
mod ensemble;
mod hostile;
#[path = "../../zk-adapters/sim/tests/walks/promises.rs"]
#[expect(dead_code, reason = "tests have more of them")]
mod promises;
#[path = "../../zk-adapters/sim/tests/walks/requests.rs"]
mod requests;
#[path = "../../zk-adapters/sim/tests/walks/server.rs"]
mod server;
mod session;
#[path = "../../zk-adapters/sim/tests/walks/world.rs"]
mod world;

pub use codec::{frames, handshake, multi, requests, responses};
pub use ensemble::ensemble;
pub use hostile::hostile;
pub use session::{session, splits};
