//! What a user sees of servers that break the protocol: `cargo run -p zk-tokio --example hostile`.
//!
//! A session on two simulated servers watches a znode, then reads it; the first server breaks the protocol in answering
//! that, in ten ways. For each: what the read came to, what became of the connection, whether the session went on at
//! the other server, and whether the watch still told of a change.

mod cases;
mod meddler;

use core::error::Error;
use std::process::ExitCode;

use cases::{CASES, Story, live_through};

#[tokio::main]
async fn main() -> ExitCode {
    let mut is_well = true;
    for case in &CASES {
        match live_through(case).await {
            Ok(story) => {
                tell(case.name, &story);
                is_well &= story.goes_on && story.watch.is_some();
            }
            Err(error) => {
                println!("{}: {error}", case.name);
                is_well = false;
            }
        }
    }
    if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn tell(name: &str, story: &Story) {
    let request = match &story.request {
        Ok(()) => "answered".to_owned(),
        Err(error) => match error.delivery() {
            Some(delivery) => format!("{} ({delivery:?})", cause(error)),
            None => cause(error),
        },
    };
    let connection =
        story.lost.as_ref().map_or("kept".to_owned(), |reason| format!("ended: {}", chain(reason)));
    let watch = story.watch.map_or("tells nothing".to_owned(), |told| format!("tells {told}"));
    println!("{name}");
    println!("    the request     {request}");
    println!("    the connection  {connection}");
    println!("    the session     {}", if story.goes_on { "goes on" } else { "is lost" });
    println!("    the watch       {watch}");
}

fn cause(error: &zk_tokio::Error) -> String {
    if let zk_tokio::Error::Failed { failure, .. } = error { chain(failure) } else { chain(error) }
}

/// An error, and what it comes from.
fn chain(error: &dyn Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}
