//! A session that is pumped by a loop, to be measured: `bench_driver WORKLOAD HOST:PORT N [WARM-UP]` prints one line of JSON.
//!
//! The workloads are those of `bench_client` but `w6`: `w1` getData, one at a time; `w2` getData, `w3` setData, `w3c` create, 256
//! outstanding; `w4` getChildren2 of 1,000 names, 64 outstanding; `w5` one-time watches on N paths that all fire; `w5p` one persistent
//! watch that fires N times; `w7` from the start to the first answer. `ZKB_WINDOW` and `ZKB_TAG` mean the same, too.

#![expect(clippy::wildcard_enum_match_arm, reason = "a workload is about few events and answers among many")]

#[path = "../bench_client/measured.rs"]
mod measured;

use core::{error::Error, hint::black_box, time::Duration};
use std::process;

use measured::{Arguments, Span};
use zk_proto::{
    AddWatchMode, AddWatchRequest, GetChildren2Request, GetDataRequest, Request, Response, SetDataRequest,
    Ustring,
};
use zk_session::{Event, Reply, RequestError, RequestId, RequestOptions, SubmitError, WatchEvent};
use zk_std::{Config, CreateMode, Driver, OPEN_ACL_UNSAFE};

type Failure = Box<dyn Error>;

fn main() -> Result<(), Failure> {
    let arguments = Arguments::read("ours-std-driver")?;
    let mut pumped = Pumped::connect(&arguments)?;
    let read = get(PATH, false);
    match arguments.workload.as_str() {
        "w1" => arguments.time_each(|| {
            check(&pumped.ask(&read)?);
            Ok(())
        })?,
        "w2" => {
            outstanding(&arguments, &mut pumped, |driver, _| driver.submit(&read, RequestOptions::default()))?
        }
        "w3" => {
            let set = SetDataRequest { path: PATH, data: Some(DATA.into()), version: -1 };
            let set = Request::SetData(set);
            outstanding(&arguments, &mut pumped, |driver, _| driver.submit(&set, RequestOptions::default()))?;
        }
        "w3c" => outstanding(&arguments, &mut pumped, |driver, number| {
            let path = format!("/bench/c/{}-{number:07}", arguments.tag);
            let mode = CreateMode::Persistent;
            driver.submit(
                Request::create(path, Some(DATA.into()), OPEN_ACL_UNSAFE, mode),
                RequestOptions::default(),
            )
        })?,
        "w4" => {
            let list = Request::GetChildren2(GetChildren2Request { path: DIRECTORY, watch: false });
            outstanding(&arguments, &mut pumped, |driver, _| {
                driver.submit(&list, RequestOptions::default())
            })?;
        }
        "w5" => one_time_watches(&arguments, &mut pumped)?,
        "w5p" => persistent_watch(&arguments, &mut pumped)?,
        "w7" => check(&pumped.ask(&read)?),
        other => return Err(format!("{other}: known are w1 w2 w3 w3c w4 w5 w5p w7").into()),
    }
    // The session is left to time out: ending it is no part of what is measured.
    process::exit(0);
}

/// A session, in a loop that waits for nothing else.
struct Pumped {
    driver: Driver,
}

impl Pumped {
    fn connect(arguments: &Arguments) -> Result<Self, Failure> {
        let mut config = Config::new(arguments.address.parse()?);
        config.session_timeout = Duration::from_secs(30);
        let mut pumped = Self { driver: Driver::new(config, || ()) };
        while !matches!(pumped.event()?, Event::Ready) {}
        Ok(pumped)
    }

    fn submit(&mut self, request: &Request) -> Result<(), Failure> {
        self.driver.submit(request, RequestOptions::default())?;
        Ok(())
    }

    /// Looks at each event that is there, where it lies: moving it elsewhere would cost as much as looking.
    fn look(&mut self, mut look: impl FnMut(&Event) -> Result<(), Failure>) -> Result<(), Failure> {
        loop {
            let polled = self.driver.poll_event();
            let Some(event) = &polled else { return Ok(()) };
            look(event)?;
        }
    }

    /// The next event, however long it takes.
    fn event(&mut self) -> Result<Event, Failure> {
        loop {
            match self.driver.poll_event() {
                Some(Event::Disconnected { reason }) => return Err(reason.to_string().into()),
                Some(event) => return Ok(event),
                None => self.driver.wait(Duration::MAX),
            }
        }
    }

    /// The next answer.
    fn answer(&mut self) -> Result<Response, Failure> {
        loop {
            if let Event::Reply(Reply { result, .. }) = self.event()? {
                return Ok(result?);
            }
        }
    }

    fn ask(&mut self, request: &Request) -> Result<Response, Failure> {
        self.submit(request)?;
        self.answer()
    }
}

/// As many requests under way as the window has room for: each that ends makes room for the next.
fn outstanding(
    arguments: &Arguments,
    pumped: &mut Pumped,
    submit: impl Fn(&mut Driver, usize) -> Result<RequestId, SubmitError>,
) -> Result<(), Failure> {
    let mut submitted = 0;
    let mut run = |n: usize| -> Result<(), Failure> {
        let end = submitted + n;
        let mut ended = submitted;
        while ended < end {
            while submitted < end.min(ended + arguments.window) {
                submit(&mut pumped.driver, submitted)?;
                submitted += 1;
            }
            pumped.driver.wait(Duration::MAX);
            pumped.look(|event| {
                if let Event::Reply(Reply { result, .. }) = event {
                    check(black_box(result.as_ref().map_err(RequestError::clone)?));
                    ended += 1;
                }
                Ok(())
            })?;
        }
        Ok(())
    };
    run(arguments.warm_up)?;
    let span = Span::begin();
    run(arguments.n)?;
    span.end(arguments, &mut []);
    Ok(())
}

fn one_time_watches(arguments: &Arguments, pumped: &mut Pumped) -> Result<(), Failure> {
    for n in [arguments.warm_up, arguments.n] {
        let mut armed = Vec::with_capacity(n);
        for number in 0..n {
            let watch = get(Ustring::from(format!("/w/{number:07}")), true);
            armed.push(pumped.driver.submit(watch, RequestOptions::default())?);
            if number >= arguments.window {
                pumped.answer()?;
            }
        }
        for _ in 0..arguments.window.min(n) {
            pumped.answer()?;
        }
        let Some(first) = armed.first() else { continue };
        let mut told = vec![false; n];
        fire(arguments, pumped, "each", n, |event| {
            let place = event.request.get() - first.get();
            assert!(event.last && !core::mem::replace(&mut told[place as usize], true), "{event:?}");
        })?;
    }
    Ok(())
}

fn persistent_watch(arguments: &Arguments, pumped: &mut Pumped) -> Result<(), Failure> {
    let add = AddWatchRequest { path: Ustring::from_static("/w"), mode: AddWatchMode::PERSISTENT };
    pumped.ask(&Request::AddWatch(add))?;
    for n in [arguments.warm_up, arguments.n] {
        fire(arguments, pumped, "same", n, |event| assert!(!event.last, "{event:?}"))?;
    }
    Ok(())
}

/// Has the server tell of so many changes, and waits for them and for the answer.
fn fire(
    arguments: &Arguments,
    pumped: &mut Pumped,
    what: &str,
    n: usize,
    mut on_event: impl FnMut(&WatchEvent),
) -> Result<(), Failure> {
    let span = Span::begin();
    pumped.submit(&get(Ustring::from(format!("/fire/{what}/{n}")), false))?;
    let (mut told, mut is_answered) = (0, false);
    while told < n {
        pumped.driver.wait(Duration::MAX);
        pumped.look(|event| {
            match event {
                Event::Watch(event) => {
                    on_event(black_box(event));
                    told += 1;
                }
                Event::Reply(_) => is_answered = true,
                Event::Disconnected { reason } => return Err(reason.to_string().into()),
                _ => {}
            }
            Ok(())
        })?;
    }
    if n == arguments.n {
        span.end(arguments, &mut []);
    }
    if is_answered { Ok(()) } else { pumped.answer().map(drop) }
}

fn get(path: Ustring, watch: bool) -> Request {
    Request::GetData(GetDataRequest { path, watch })
}

/// Looks at what was asked for.
fn check(response: &Response) {
    match response {
        Response::GetData(znode) => assert_eq!(znode.data.as_ref().map_or(0, |data| data.len()), DATA.len()),
        // Each name is looked at, as text.
        Response::GetChildren2(found) => {
            assert_eq!(found.children.iter_str().filter(|name| !name.is_empty()).count(), 1000);
        }
        _ => {}
    }
}

const PATH: Ustring = Ustring::from_static("/bench/node");
const DIRECTORY: Ustring = Ustring::from_static("/bench/dir");
const DATA: &[u8] = &[b'x'; 100];
