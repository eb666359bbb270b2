//! A session that survives its servers: what it lives through, on a timeline.
//!
//! `cargo run -p zk-std --example failover` starts an ensemble of three real servers, kills and pauses the one that the
//! session is on, again and again, and shows that the session, its ephemeral znode and its watch are still there.
//! `-- --connect host:port,...` watches a session on servers of your own, until `--seconds N` have passed.

use core::{error::Error, fmt::Display, time::Duration};
use std::{thread, time::Instant};

use zk_harness::Ensemble;
use zk_std::{Client, CreateMode, SessionEvent, SessionEvents};

type Failure = Box<dyn Error + Send + Sync>;

struct Arguments {
    connect: Option<String>,
    seconds: Option<u64>,
}

/// Says things with the milliseconds since it began.
#[derive(Clone, Copy)]
struct Timeline(Instant);

impl Timeline {
    fn say(self, who: &str, what: impl Display) {
        println!("{:>7} ms  {who:<8} {what}", self.0.elapsed().as_millis());
    }
}

fn main() -> Result<(), Failure> {
    let arguments = arguments()?;
    let timeline = Timeline(Instant::now());
    match &arguments.connect {
        Some(servers) => look_on(timeline, servers, arguments.seconds),
        None => {
            timeline.say("servers", "three are starting");
            survive(timeline, &Ensemble::start(3)?)
        }
    }
}

fn arguments() -> Result<Arguments, Failure> {
    let mut arguments = Arguments { connect: None, seconds: None };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} wants a value"));
        match word.as_str() {
            "--connect" => arguments.connect = Some(value()?),
            "--seconds" => {
                let seconds = value()?;
                arguments.seconds =
                    Some(seconds.parse().map_err(|_| format!("--seconds: {seconds:?} is not a number"))?);
            }
            _ => return Err(format!("{word}: known are --connect HOSTS and --seconds N").into()),
        }
    }
    Ok(arguments)
}

/// A session on somebody else's servers.
fn look_on(timeline: Timeline, servers: &str, seconds: Option<u64>) -> Result<(), Failure> {
    let (client, events) = connect(servers)?;
    thread::spawn(move || report(timeline, events));
    let ephemeral = create_ephemeral(timeline, &client)?;
    let requesting = client.clone();
    thread::spawn(move || request_all_the_time(timeline, &requesting, &ephemeral));
    match seconds {
        Some(seconds) => drop(client.ended_timeout(Duration::from_secs(seconds))),
        None => drop(client.ended()),
    }
    client.close();
    Ok(())
}

/// A session on servers that fail on purpose.
fn survive(timeline: Timeline, ensemble: &Ensemble) -> Result<(), Failure> {
    let servers = ensemble.connect_string();
    timeline.say("servers", format!("{servers} serve"));
    let (client, events) = connect(&servers)?;
    thread::spawn(move || report(timeline, events));
    let session_id = client.session_id();
    let ephemeral = create_ephemeral(timeline, &client)?;
    let (_, mut watch) = client.get_data_and_watch(ephemeral.as_str()).wait()?;
    timeline.say("watch", format!("set on {ephemeral}"));
    let (requesting, path) = (client.clone(), ephemeral.clone());
    thread::spawn(move || request_all_the_time(timeline, &requesting, &path));

    strike(timeline, ensemble, &client)?;
    thread::sleep(Duration::from_secs(2));

    let (other, _) = connect(&servers)?;
    other.sync("/").wait()?;
    let stat = other.exists(ephemeral.as_str()).wait()?.ok_or("the ephemeral znode is gone")?;
    let is_same = client.session_id() == session_id && Some(stat.ephemeral_owner) == session_id;
    timeline.say("session", format!("the same as at first: {is_same}; {ephemeral} is still its own"));
    other.set_data(ephemeral.as_str(), "touched by another client", -1).wait()?;
    let event = watch.changed()?;
    timeline.say("watch", format!("set before all that, it fires: {} {}", event.event_type, event.path));
    client.close();
    let is_gone = other.exists(ephemeral.as_str()).wait()?.is_none();
    timeline.say("session", format!("closed, and {ephemeral} with it: {is_gone}"));
    other.close();
    if is_same && is_gone { Ok(()) } else { Err("the session did not survive".into()) }
}

/// Kills, pauses and kills whatever server the client is on.
fn strike(timeline: Timeline, ensemble: &Ensemble, client: &Client) -> Result<(), Failure> {
    for is_killed in [true, false, true] {
        thread::sleep(Duration::from_secs(2));
        let Some(victim) = current(client, ensemble) else { continue };
        timeline.say(
            "servers",
            format!("{} {}", ensemble.address(victim), if is_killed { "is killed" } else { "is paused" }),
        );
        if is_killed {
            ensemble.kill(victim)
        } else {
            ensemble.pause(victim)
        }
        while current(client, ensemble).is_none_or(|server| server == victim) {
            thread::sleep(Duration::from_millis(5));
        }
        if is_killed {
            ensemble.launch(victim)?
        } else {
            ensemble.resume(victim)
        }
        timeline.say("servers", format!("{} is back", ensemble.address(victim)));
    }
    Ok(())
}

fn connect(servers: &str) -> Result<(Client, SessionEvents), Failure> {
    Ok(Client::builder(servers)?.session_timeout(Duration::from_secs(6)).connect()?)
}

fn create_ephemeral(timeline: Timeline, client: &Client) -> Result<String, Failure> {
    let created = client.create("/failover-", "mine", CreateMode::EphemeralSequential).wait()?;
    timeline.say("request", format!("created {}, ephemeral", created.path));
    Ok(created.path.to_string())
}

/// Which server of the ensemble the session is on.
fn current(client: &Client, ensemble: &Ensemble) -> Option<usize> {
    let server = client.server()?;
    (0..ensemble.len()).find(|&index| ensemble.address(index).port() == server.port)
}

/// Tells what the session says.
#[expect(clippy::wildcard_enum_match_arm, reason = "what is rare is told as it is")]
fn report(timeline: Timeline, events: SessionEvents) {
    for event in events {
        let what = match event {
            SessionEvent::Connecting { server } => format!("tries {server}"),
            SessionEvent::AttemptFailed { server, cause } => format!("failed at {server}: {cause}"),
            SessionEvent::Connected { server, session_id, negotiated_timeout, resumed, .. } => {
                let what = if resumed { "goes on" } else { "is created" };
                format!("{session_id} {what} at {server}, timeout {negotiated_timeout:?}")
            }
            SessionEvent::Ready => "is ready".to_owned(),
            SessionEvent::Disconnected { server, reason } => format!("lost {server}: {reason}"),
            other => format!("{other:?}"),
        };
        timeline.say("session", what);
    }
}

/// Asks for the same znode five times a second, until the session ends, and tells when the outcome changes.
fn request_all_the_time(timeline: Timeline, client: &Client, path: &str) {
    let mut last = String::new();
    while !client.state().is_terminal() {
        let begin = Instant::now();
        let outcome = match client.get_data(path).wait() {
            Ok(_) => "answered".to_owned(),
            Err(error) => match error.delivery() {
                Some(delivery) => format!("{error} ({delivery:?})"),
                None => error.to_string(),
            },
        };
        if outcome != last {
            timeline.say(
                "request",
                format!("getData {path}: {outcome}, after {} ms", begin.elapsed().as_millis()),
            );
            last = outcome;
        }
        thread::sleep(Duration::from_millis(200));
    }
}
