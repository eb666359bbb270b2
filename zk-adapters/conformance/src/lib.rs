//! Scenarios that every adapter lives through on real servers, written once: whatever moves a session's bytes, it
//! behaves the same.
//!
//! An adapter is made to speak [`Adapter`] and [`Client`]; [`scenarios!`](macro@crate::scenarios) makes a test of each
//! scenario for it.

pub mod adapters;
mod hostile;
pub mod recipes;
pub mod scenarios;

use core::time::Duration;

use zk_client::{ConnectError, Error, SessionEnd, SessionEvent, WatchEnded};
use zk_session::{
    Config, Credentials, WatchEvent,
    zk_proto::{CreateMode, Request, Response},
};

/// What is tested.
pub trait Adapter {
    /// Establishes a session within this time.
    ///
    /// # Errors
    ///
    /// As the adapter tells them.
    fn connect(&self, config: Config, limit: Duration) -> Result<Box<dyn Client>, ConnectError>;
}

/// A session. Each wait fails the test if it takes longer than [`PATIENCE`].
pub trait Client {
    /// Submits a request; what is returned waits for its outcome.
    fn submit(&self, request: Request) -> Pending;

    /// Begins a recipe, within this time if there is one. Dropping what is returned gives it up. Only those need it whose
    /// scenarios aren't [`without recipes`](macro@crate::scenarios).
    fn run(&self, recipe: Recipe, _path: &str, _deadline: Option<Duration>) -> PendingRecipe {
        unimplemented!("{recipe:?}")
    }

    /// Reads a znode's data, and watches it; what is returned waits for the watch.
    ///
    /// # Errors
    ///
    /// Those of the request.
    fn watch_data(&self, path: &str) -> Result<PendingWatch, Error>;

    /// The next event of the session; none after its end.
    fn event(&self) -> Option<SessionEvent>;

    /// Closes the session.
    fn close(&self) -> SessionEnd;

    /// What is needed to resume the session.
    fn credentials(&self) -> Option<Credentials>;
}

/// Several requests that serve one purpose.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_enums, reason = "each adapter runs each")]
pub enum Recipe {
    /// The znode and its parents are there.
    EnsurePath,
    /// A znode is created, and its parents if they are missing.
    CreateWithParents(CreateMode),
    /// A znode is created that is found again.
    CreateProtected(CreateMode),
    /// Nothing is there.
    DeleteRecursive,
    /// The znode has these data.
    SetOrCreate(&'static str),
}

/// Waits for a recipe's outcome: the path that was created, if that is what is told.
pub type PendingRecipe = Box<dyn FnOnce() -> Result<Option<String>, Error>>;

/// Waits for a request's outcome.
pub type Pending = Box<dyn FnOnce() -> Result<Response, Error>>;

/// Waits for a watch's event, or its end.
pub type PendingWatch = Box<dyn FnOnce() -> Result<WatchEvent, WatchEnded>>;

/// No wait of a scenario takes longer.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A test of each scenario for an adapter; `without recipes` for one that only knows requests.
#[macro_export]
macro_rules! scenarios {
    (without recipes $adapter:expr) => {
        $crate::scenarios! { $adapter => scenarios:
            a_server_is_found_among_dead_silent_and_hostile_ones
            a_failure_comes_in_time_and_names_each_server
            a_znode_is_created_read_changed_listed_and_deleted
            requests_run_in_the_order_in_which_they_are_submitted
            a_megabyte_is_written_and_read
            a_watch_fires_once_and_tells_what_happened_while_away
            a_session_outlives_a_killed_server
            a_session_outlives_a_paused_server
            a_session_outlives_a_cut_connection
            a_lost_request_may_have_been_applied_and_an_unsent_one_was_not
            a_server_that_answers_nonsense_answers_nothing
            a_session_that_was_cut_off_too_long_expires
            a_session_is_resumed_with_its_password_and_not_without
            it_keeps_the_rules_for_reconnecting
            a_close_is_confirmed_and_takes_ephemeral_znodes_with_it
        }
    };
    ($adapter:expr => $module:ident: $($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                $crate::$module::$name(&$adapter);
            }
        )*
    };
    ($adapter:expr) => {
        $crate::scenarios! { without recipes $adapter }
        $crate::scenarios! { $adapter => recipes:
            paths_are_made_although_others_make_and_remove_them
            a_tree_is_removed_although_others_add_to_it
            a_protected_create_whose_connection_is_cut_leaves_one_znode
            a_protected_create_that_is_given_up_leaves_none
            protected_creates_outlive_a_killed_server_once_each
        }
    };
}
