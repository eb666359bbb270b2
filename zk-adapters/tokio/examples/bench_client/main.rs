//! One workload against one server, measured from within: `bench_client <workload> <host:port> <n> [warm-up]`. It is built by
//! `cargo build --profile bench -p zk-tokio --example bench_client`, and needs a server that has the znodes.
//!
//! | workload | what runs |
//! |---|---|
//! | w1 | one getData of `/bench/node` at a time |
//! | w2, w3, w3c | 256 tasks share the session, each awaiting one getData, setData or create at a time |
//! | w4 | 64 tasks, getChildren2 of `/bench/dir`, a thousand names |
//! | w5 | a task for each of n one-time watches, which all fire |
//! | w5p | n events of one persistent watch |
//! | w6 | n sessions do nothing |
//! | w7 | connect, one getData |
//!
//! `ZKB_WINDOW` changes how many requests are outstanding, `ZKB_TAG` the names that w3c creates, `ZKB_HOLD` how long w6 lasts, in
//! seconds; `ZKB_RT=multi` takes a runtime with two threads. w5 and w5p need a server that fires on a getData of
//! `/fire/each/<n>` or `/fire/same/<n>`.

mod measured;

use core::{
    str::FromStr,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};
use std::{env, process::exit, sync::Arc, time::Instant};

use measured::{Span, Task, resident_kib};
use tokio::{runtime::Builder, sync::Notify, time::sleep};
use zk_proto::AddWatchMode;
use zk_tokio::{Client, CreateMode, StandingEvent, Ustring};

const NODE: Ustring = Ustring::from_static("/bench/node");
const DIRECTORY: Ustring = Ustring::from_static("/bench/dir");
const WATCHED: Ustring = Ustring::from_static("/w");
const DATA: &[u8] = &[b'x'; 100];

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [workload, address, count, rest @ ..] = &arguments[..] else {
        eprintln!("usage: bench_client <w1|w2|w3|w3c|w4|w5|w5p|w6|w7> <host:port> <n> [warm-up]");
        exit(2);
    };
    let window = match workload.as_str() {
        "w1" => 1,
        "w4" => 64,
        _ => 256,
    };
    let task = Arc::new(Task {
        workload: workload.clone(),
        address: address.clone(),
        count: count.parse().expect("n is a number"),
        warm_up: rest.first().map_or(0, |warm_up| warm_up.parse().expect("the warm-up is a number")),
        window: variable("ZKB_WINDOW").unwrap_or(window),
    });
    let is_multi = env::var("ZKB_RT").is_ok_and(|runtime| runtime == "multi");
    let mut builder = if is_multi { Builder::new_multi_thread() } else { Builder::new_current_thread() };
    let runtime = builder.worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(run(task));
    // Without a farewell to the server: that isn't measured.
    exit(0);
}

fn variable<T: FromStr>(name: &str) -> Option<T> {
    env::var(name).ok()?.parse().ok()
}

async fn run(task: Arc<Task>) {
    match task.workload.as_str() {
        "w1" => one_by_one(&task).await,
        "w2" | "w3" | "w3c" | "w4" => {
            let client = connect(&task).await;
            pipelined(&client, &task, 0, task.warm_up).await;
            let span = Span::begin();
            pipelined(&client, &task, task.warm_up, task.count).await;
            span.finish(&task, Vec::new());
        }
        "w5" => one_time_watches(&task).await,
        "w5p" => persistent_watch(&task).await,
        "w6" => idle(&task).await,
        "w7" => get(&connect(&task).await).await,
        workload => panic!("no workload {workload}"),
    }
}

async fn connect(task: &Task) -> Client {
    let timeout = Duration::from_secs(if task.workload == "w6" { 6 } else { 30 });
    let builder = Client::builder(&task.address).expect("an address").session_timeout(timeout);
    builder.connect().await.expect("a session").0
}

async fn get(client: &Client) {
    assert_eq!(client.get_data(NODE).await.expect("the node").data.map(|data| data.len()), Some(DATA.len()));
}

async fn one_by_one(task: &Task) {
    let client = connect(task).await;
    for _ in 0..task.warm_up {
        get(&client).await;
    }
    let mut latencies = Vec::with_capacity(task.count);
    let span = Span::begin();
    for _ in 0..task.count {
        let begun = Instant::now();
        get(&client).await;
        latencies.push(u64::try_from(begun.elapsed().as_nanos()).expect("no operation takes centuries"));
    }
    span.finish(task, latencies);
}

/// Keeps a window of operations outstanding, each awaited by a task.
async fn pipelined(client: &Client, task: &Arc<Task>, from: usize, count: usize) {
    let tag: Arc<str> = variable("ZKB_TAG").unwrap_or_else(|| std::process::id().to_string()).into();
    let next = Arc::new(AtomicUsize::new(0));
    let mut tasks = Vec::new();
    for _ in 0..task.window.min(count) {
        let (client, task, next, tag) =
            (client.clone(), Arc::clone(task), Arc::clone(&next), Arc::clone(&tag));
        tasks.push(tokio::spawn(async move {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= count {
                    break;
                }
                operate(&client, &task.workload, &tag, from + index).await;
            }
        }));
    }
    for task in tasks {
        task.await.expect("an operation that succeeds");
    }
}

async fn operate(client: &Client, workload: &str, tag: &str, index: usize) {
    match workload {
        "w2" => get(client).await,
        "w3" => drop(client.set_data(NODE, DATA, -1).await.expect("the node")),
        "w3c" => {
            let path = format!("/bench/c/{tag}-{index:07}");
            let created = client.create(path, DATA, CreateMode::Persistent);
            created.await.expect("a new node");
        }
        _ => {
            let children = client.get_children(DIRECTORY).await.expect("the directory").children;
            // Each name is looked at, as text.
            assert_eq!(children.iter_str().filter(|name| !name.is_empty()).count(), 1000);
        }
    }
}

/// Counts what is delivered, and tells when all is.
struct Tally {
    left: AtomicUsize,
    done: Notify,
}

impl Tally {
    fn new(count: usize) -> Arc<Self> {
        Arc::new(Self { left: AtomicUsize::new(count), done: Notify::new() })
    }

    fn count(&self) {
        if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.done.notify_one();
        }
    }
}

async fn one_time_watches(task: &Arc<Task>) {
    let client = connect(task).await;
    for count in [task.warm_up, task.count].into_iter().filter(|&count| count > 0) {
        let tally = Tally::new(count);
        arm(&client, task.window, count, &tally).await;
        // The tasks get to their waiting before the clock starts.
        sleep(Duration::from_millis(50)).await;
        let span = Span::begin();
        let fire = client.get_data(format!("/fire/each/{count}"));
        drop(fire.await.expect("a server that fires"));
        tally.done.notified().await;
        if count == task.count {
            return span.finish(task, Vec::new());
        }
    }
}

async fn arm(client: &Client, window: usize, count: usize, tally: &Arc<Tally>) {
    let next = Arc::new(AtomicUsize::new(0));
    let mut tasks = Vec::new();
    for _ in 0..window.min(count) {
        let (client, next, tally) = (client.clone(), Arc::clone(&next), Arc::clone(tally));
        tasks.push(tokio::spawn(async move {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= count {
                    break;
                }
                let armed = client.get_data_and_watch(format!("/w/{index:07}")).await;
                let (_, mut watch) = armed.expect("a watch");
                let tally = Arc::clone(&tally);
                tokio::spawn(async move {
                    watch.changed().await.expect("an event");
                    tally.count();
                });
            }
        }));
    }
    for task in tasks {
        task.await.expect("a watch");
    }
}

async fn persistent_watch(task: &Arc<Task>) {
    let client = connect(task).await;
    let mut watch = client.add_watch(WATCHED, AddWatchMode::PERSISTENT).await.expect("a persistent watch");
    let tally = Tally::new(task.warm_up + task.count);
    let told = Arc::clone(&tally);
    tokio::spawn(async move {
        loop {
            let StandingEvent::Event(event) = watch.next().await.expect("the watch stays") else {
                panic!("none may be left out");
            };
            assert_eq!(event.path, WATCHED);
            told.count();
        }
    });
    if task.warm_up > 0 {
        drop(client.get_data(format!("/fire/same/{}", task.warm_up)).await.expect("a server that fires"));
        sleep(Duration::from_millis(300)).await;
    }
    let span = Span::begin();
    drop(client.get_data(format!("/fire/same/{}", task.count)).await.expect("a server that fires"));
    tally.done.notified().await;
    span.finish(task, Vec::new());
}

async fn idle(task: &Arc<Task>) {
    let (resident, begun) = (resident_kib(), Instant::now());
    let mut clients = Vec::with_capacity(task.count);
    for _ in 0..task.count {
        clients.push(connect(task).await);
    }
    for client in &clients {
        get(client).await;
    }
    let connecting = begun.elapsed().as_secs_f64();
    sleep(Duration::from_secs(2)).await;
    let span = Span::begin();
    sleep(Duration::from_secs_f64(variable("ZKB_HOLD").unwrap_or(20.0))).await;
    span.finish_idle(task, resident, connecting);
}
