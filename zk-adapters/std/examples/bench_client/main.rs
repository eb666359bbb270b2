//! A client to be measured: `bench_client WORKLOAD HOST:PORT N [WARM-UP]` prints one line of JSON.
//!
//! The workloads: `w1` getData, one at a time; `w2` getData, `w3` setData, `w3c` create, 256 outstanding; `w4`
//! getChildren2 of 1,000 names, 64 outstanding; `w5` one-time watches on N paths that all fire; `w5p` one standing watch that
//! fires N times; `w6` N idle sessions; `w7` from the start to the first answer. The server must know the znodes, and fire
//! the watches of `/w` when `/fire/each/N` or `/fire/same/N` is read.
//!
//! `ZKB_WINDOW`: another number of outstanding requests. `ZKB_TAG`: names what `w3c` creates. `ZKB_HOLD`: for how
//! many seconds `w6` stays idle.

mod idle;
mod measured;

use core::{error::Error, hint::black_box, time::Duration};
use std::{collections::VecDeque, process};

use measured::{Arguments, Span};
use zk_std::{
    Call, Client, CreateMode, Error as RequestError, StandingEvent, Ustring, zk_proto::AddWatchMode,
};

type Failure = Box<dyn Error>;

fn main() -> Result<(), Failure> {
    let arguments = Arguments::read("ours-std")?;
    match arguments.workload.as_str() {
        "w1" => one_at_a_time(&arguments)?,
        "w2" => {
            let get = |client: &Client, _| client.get_data(Ustring::from_static(PATH));
            outstanding(&arguments, get, |znode| {
                assert_eq!(znode.data.map_or(0, |data| data.len()), DATA.len())
            })?;
        }
        "w3" => {
            outstanding(&arguments, |client, _| client.set_data(Ustring::from_static(PATH), DATA, -1), drop)?
        }
        "w3c" => {
            let path = |number| format!("/bench/c/{}-{number:07}", arguments.tag);
            let create = |client: &Client, number| client.create(path(number), DATA, CreateMode::Persistent);
            outstanding(&arguments, create, drop)?;
        }
        "w4" => {
            let list = |client: &Client, _| client.get_children(Ustring::from_static("/bench/dir"));
            // Each name is looked at, as text.
            outstanding(&arguments, list, |found| {
                assert_eq!(found.children.iter_str().filter(|name| !name.is_empty()).count(), 1000)
            })?;
        }
        "w5" => one_time_watches(&arguments)?,
        "w5p" => standing_watch(&arguments)?,
        "w6" => idle::sessions(&arguments)?,
        "w7" => drop(connect(&arguments.address, LONG)?.get_data(PATH).wait()?),
        other => return Err(format!("{other}: known are w1 w2 w3 w3c w4 w5 w5p w6 w7").into()),
    }
    // The session is left to time out: ending it is no part of what is measured.
    process::exit(0);
}

fn connect(address: &str, session_timeout: Duration) -> Result<Client, Failure> {
    Ok(Client::builder(address)?.session_timeout(session_timeout).connect()?.0)
}

fn one_at_a_time(arguments: &Arguments) -> Result<(), Failure> {
    let client = connect(&arguments.address, LONG)?;
    arguments.time_each(|| {
        let znode = client.get_data(Ustring::from_static(PATH)).wait()?;
        assert_eq!(znode.data.map_or(0, |data| data.len()), DATA.len());
        Ok(())
    })
}

/// As many requests under way as the window has room for: each that ends makes room for the next.
fn outstanding<T>(
    arguments: &Arguments,
    submit: impl Fn(&Client, usize) -> Call<T>,
    check: impl Fn(T),
) -> Result<(), Failure> {
    let client = connect(&arguments.address, LONG)?;
    let mut numbers = 0..;
    let mut run = |n: usize| -> Result<(), RequestError> {
        let mut calls = VecDeque::with_capacity(arguments.window);
        let mut submitted = 0;
        for _ in 0..n {
            while submitted < n && calls.len() < arguments.window {
                calls.push_back(submit(&client, numbers.next().unwrap_or_default()));
                submitted += 1;
            }
            let call = calls.pop_front().expect("there is one for each that isn't waited for");
            check(black_box(call.wait()?));
        }
        Ok(())
    };
    run(arguments.warm_up)?;
    let span = Span::begin();
    run(arguments.n)?;
    span.end(arguments, &mut []);
    Ok(())
}

fn one_time_watches(arguments: &Arguments) -> Result<(), Failure> {
    let client = connect(&arguments.address, LONG)?;
    for n in [arguments.warm_up, arguments.n] {
        let mut calls = VecDeque::new();
        let mut watches = Vec::with_capacity(n);
        for number in 0..n {
            calls.push_back(client.get_data_and_watch(format!("/w/{number:07}")));
            if calls.len() == arguments.window {
                watches.push(calls.pop_front().expect("the window is full").wait()?.1);
            }
        }
        for call in calls {
            watches.push(call.wait()?.1);
        }
        let span = Span::begin();
        let fire = client.get_data(format!("/fire/each/{n}"));
        for watch in &mut watches {
            black_box(watch.changed()?);
        }
        if n == arguments.n {
            span.end(arguments, &mut []);
        }
        fire.wait()?;
    }
    Ok(())
}

fn standing_watch(arguments: &Arguments) -> Result<(), Failure> {
    let client = connect(&arguments.address, LONG)?;
    let mut watch = client.add_watch("/w", AddWatchMode::PERSISTENT).wait()?;
    for n in [arguments.warm_up, arguments.n] {
        let span = Span::begin();
        let fire = client.get_data(format!("/fire/same/{n}"));
        for _ in 0..n {
            let told = black_box(watch.next()?);
            assert!(matches!(told, StandingEvent::Event(_)), "{told:?}");
        }
        if n == arguments.n {
            span.end(arguments, &mut []);
        }
        fire.wait()?;
    }
    Ok(())
}

const PATH: &str = "/bench/node";
const DATA: &[u8] = &[b'x'; 100];
const LONG: Duration = Duration::from_secs(30);
