use core::{cell::RefCell, time::Duration};

use zk_client::{ConnectError, Error, SessionEnd, SessionEvent};
use zk_session::{Config, Credentials, zk_proto::Request};
use zk_std::{Call, Created, SessionEvents};

use crate::{Adapter, Client, PATIENCE, Pending, PendingRecipe, PendingWatch, Recipe};

/// zk-std.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "there is nothing to tell")]
pub struct Std;

struct StdClient {
    client: zk_std::Client,
    events: RefCell<SessionEvents>,
}

impl Adapter for Std {
    fn connect(&self, config: Config, limit: Duration) -> Result<Box<dyn Client>, ConnectError> {
        let builder = zk_std::Client::builder(ANY)?.configure(|own| *own = config);
        let (client, events) = builder.deadline(PATIENCE).connect_limit(limit).connect()?;
        Ok(Box::new(StdClient { client, events: RefCell::new(events) }))
    }
}

impl Client for StdClient {
    fn submit(&self, request: Request) -> Pending {
        let call = self.client.submit(request);
        Box::new(|| call.wait())
    }

    fn run(&self, recipe: Recipe, path: &str, deadline: Option<Duration>) -> PendingRecipe {
        let client = deadline.map_or_else(|| self.client.clone(), |limit| self.client.with_deadline(limit));
        match recipe {
            Recipe::EnsurePath => unit(client.ensure_path(path)),
            Recipe::DeleteRecursive => unit(client.delete_recursive(path)),
            Recipe::SetOrCreate(data) => unit(client.set_or_create(path, data)),
            Recipe::CreateWithParents(mode) => created(client.create_with_parents(path, "", mode)),
            Recipe::CreateProtected(mode) => created(client.create_protected(path, "", mode)),
        }
    }

    fn watch_data(&self, path: &str) -> Result<PendingWatch, Error> {
        let (_, mut watch) = self.client.get_data_and_watch(path).wait()?;
        Ok(Box::new(move || watch.changed_timeout(PATIENCE).expect("it takes no longer than a minute")))
    }

    fn event(&self) -> Option<SessionEvent> {
        self.events.borrow_mut().next_timeout(PATIENCE)
    }

    fn close(&self) -> SessionEnd {
        self.client.close()
    }

    fn credentials(&self) -> Option<Credentials> {
        self.client.credentials()
    }
}

fn unit<T: 'static>(call: Call<T>) -> PendingRecipe {
    Box::new(|| call.wait().map(|_| None))
}

fn created(call: Call<Created>) -> PendingRecipe {
    Box::new(|| call.wait().map(|created| created.path.as_str().map(str::to_owned)))
}

/// Replaced by the configuration's servers.
const ANY: &str = "127.0.0.1";
