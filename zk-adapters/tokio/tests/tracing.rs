//! What is told to `tracing`.
#![cfg(feature = "tracing")]
#![expect(clippy::unwrap_used, reason = "a story that goes wrong fails its test")]

mod story;

use core::fmt;
use std::sync::{Arc, Mutex};

use story::{Patient, connect, standalone};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};

/// Keeps the texts of all events, and the names of all spans.
#[derive(Clone, Default)]
struct Keeper(Arc<Mutex<Vec<String>>>);

impl Visit for Keeper {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.lock().unwrap().push(format!("{field}={value:?}"));
    }
}

impl Subscriber for Keeper {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("zk_tokio")
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.0.lock().unwrap().push(span.metadata().name().to_owned());
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut self.clone());
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test]
async fn a_sessions_life_is_told_and_its_password_is_not() {
    let keeper = Keeper::default();
    tracing::subscriber::set_global_default(keeper.clone()).unwrap();
    let server = standalone();
    let (client, _) = connect(&server.connect_string()).await;
    let password = client.credentials().unwrap().password;
    client.close().patient().await;
    let told = keeper.0.lock().unwrap().join("\n");
    for expected in ["zookeeper session", "Connecting", "Connected", "Ready", "Closed { confirmed: true }"] {
        assert!(told.contains(expected), "{expected} in {told}");
    }
    let hex: String = password.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(!told.contains(&hex) && !told.contains(&format!("{password:?}")), "{told}");
}
