use core::{cell::RefCell, future::IntoFuture, time::Duration};
use std::rc::Rc;

use tokio::{runtime::Runtime, time::timeout};
use zk_client::{ConnectError, Error, SessionEnd, SessionEvent};
use zk_session::{Config, Credentials, zk_proto::Request};
use zk_tokio::{Call, Created, SessionEvents};

use crate::{Adapter, Client, PATIENCE, Pending, PendingRecipe, PendingWatch, Recipe};

/// zk-tokio, on a runtime of its own for each session.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "there is nothing to tell")]
pub struct Tokio;

struct TokioClient {
    client: zk_tokio::Client,
    events: RefCell<SessionEvents>,
    runtime: Rc<Runtime>,
}

impl Adapter for Tokio {
    fn connect(&self, config: Config, limit: Duration) -> Result<Box<dyn Client>, ConnectError> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let builder = zk_tokio::Client::builder(ANY)?.configure(|own| *own = config);
        let (client, events) = patient(&runtime, builder.connect_limit(limit).connect())?;
        Ok(Box::new(TokioClient { client, events: RefCell::new(events), runtime: Rc::new(runtime) }))
    }
}

impl Client for TokioClient {
    fn submit(&self, request: Request) -> Pending {
        let (call, runtime) = (self.client.submit(request), Rc::clone(&self.runtime));
        Box::new(move || patient(&runtime, call))
    }

    fn run(&self, recipe: Recipe, path: &str, deadline: Option<Duration>) -> PendingRecipe {
        let client = deadline.map_or_else(|| self.client.clone(), |limit| self.client.with_deadline(limit));
        let runtime = Rc::clone(&self.runtime);
        match recipe {
            Recipe::EnsurePath => unit(runtime, client.ensure_path(path)),
            Recipe::DeleteRecursive => unit(runtime, client.delete_recursive(path)),
            Recipe::SetOrCreate(data) => unit(runtime, client.set_or_create(path, data)),
            Recipe::CreateWithParents(mode) => created(runtime, client.create_with_parents(path, "", mode)),
            Recipe::CreateProtected(mode) => created(runtime, client.create_protected(path, "", mode)),
        }
    }

    fn watch_data(&self, path: &str) -> Result<PendingWatch, Error> {
        let (_, mut watch) = patient(&self.runtime, self.client.get_data_and_watch(path))?;
        let runtime = Rc::clone(&self.runtime);
        Ok(Box::new(move || patient(&runtime, watch.changed())))
    }

    fn event(&self) -> Option<SessionEvent> {
        patient(&self.runtime, self.events.borrow_mut().next())
    }

    fn close(&self) -> SessionEnd {
        patient(&self.runtime, self.client.close())
    }

    fn credentials(&self) -> Option<Credentials> {
        self.client.credentials()
    }
}

fn unit<T: 'static>(runtime: Rc<Runtime>, call: Call<T>) -> PendingRecipe {
    Box::new(move || patient(&runtime, call).map(|_| None))
}

fn created(runtime: Rc<Runtime>, call: Call<Created>) -> PendingRecipe {
    Box::new(move || patient(&runtime, call).map(|created| created.path.as_str().map(str::to_owned)))
}

fn patient<F: IntoFuture>(runtime: &Runtime, future: F) -> F::Output {
    let bounded = async { timeout(PATIENCE, future).await.expect("it takes no longer than a minute") };
    runtime.block_on(bounded)
}

/// Replaced by the configuration's servers.
const ANY: &str = "127.0.0.1";
