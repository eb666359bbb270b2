//! A session that survives its servers: what it lives through, on a timeline.
//!
//! `cargo run -p zk-tokio --example failover` serves an ensemble of three simulated servers on loopback, kills and pauses
//! the one that the session is on, again and again, and shows that the session, its ephemeral znode and its watch are still
//! there. `-- --real` does the same to real servers, which needs ZooKeeper installed. `-- --connect host:port,...` watches a
//! session on servers of your own, until `--seconds N` have passed or Ctrl-C.

use core::{error::Error, fmt::Display, net::SocketAddr, time::Duration};
use std::time::Instant;

use tokio::{select, time::sleep};
use zk_harness::Ensemble;
use zk_sim::serve::Served;
use zk_tokio::{Client, CreateMode, SessionEvent, SessionEvents};

type Failure = Box<dyn Error + Send + Sync>;

struct Arguments {
    connect: Option<String>,
    seconds: Option<u64>,
    is_real: bool,
}

/// Three servers that fail on purpose.
enum Servers {
    Simulated(Served),
    Real(Ensemble),
}

/// Says things with the milliseconds since it began.
#[derive(Clone, Copy)]
struct Timeline(Instant);

impl Timeline {
    fn say(self, who: &str, what: impl Display) {
        println!("{:>7} ms  {who:<8} {what}", self.0.elapsed().as_millis());
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let arguments = arguments()?;
    let timeline = Timeline(Instant::now());
    match &arguments.connect {
        Some(servers) => look_on(timeline, servers, arguments.seconds).await,
        None if arguments.is_real => {
            timeline.say("servers", "three are starting");
            let ensemble = tokio::task::spawn_blocking(|| Ensemble::start(3)).await??;
            survive(timeline, &Servers::Real(ensemble)).await
        }
        None => {
            let options = zk_sim::Options {
                servers: 3,
                tick: Duration::from_millis(500),
                sync_limit: Duration::from_secs(2),
                ..zk_sim::Options::default()
            };
            survive(timeline, &Servers::Simulated(Served::start(options)?)).await
        }
    }
}

fn arguments() -> Result<Arguments, Failure> {
    let mut arguments = Arguments { connect: None, seconds: None, is_real: false };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} wants a value"));
        match word.as_str() {
            "--real" => arguments.is_real = true,
            "--connect" => arguments.connect = Some(value()?),
            "--seconds" => {
                let seconds = value()?;
                arguments.seconds =
                    Some(seconds.parse().map_err(|_| format!("--seconds: {seconds:?} is not a number"))?);
            }
            _ => return Err(format!("{word}: known are --real, --connect HOSTS and --seconds N").into()),
        }
    }
    Ok(arguments)
}

/// A session on somebody else's servers.
async fn look_on(timeline: Timeline, servers: &str, seconds: Option<u64>) -> Result<(), Failure> {
    let (client, events) = connect(servers).await?;
    tokio::spawn(report(timeline, events));
    let ephemeral = create_ephemeral(timeline, &client).await?;
    let requests = tokio::spawn(request_all_the_time(timeline, client.clone(), ephemeral));
    let end = async {
        match seconds {
            Some(seconds) => sleep(Duration::from_secs(seconds)).await,
            None => core::future::pending().await,
        }
    };
    select! {
        _ = client.ended() => {}
        () = end => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    requests.abort();
    client.close().await;
    Ok(())
}

/// A session on servers that fail on purpose.
async fn survive(timeline: Timeline, ensemble: &Servers) -> Result<(), Failure> {
    let servers = ensemble.connect_string();
    timeline.say("servers", format!("{servers} serve"));
    let (client, events) = connect(&servers).await?;
    tokio::spawn(report(timeline, events));
    let session_id = client.session_id();
    let ephemeral = create_ephemeral(timeline, &client).await?;
    let (_, mut watch) = client.get_data_and_watch(ephemeral.as_str()).await?;
    timeline.say("watch", format!("set on {ephemeral}"));
    let requests = tokio::spawn(request_all_the_time(timeline, client.clone(), ephemeral.clone()));

    strike(timeline, ensemble, &client).await?;
    sleep(Duration::from_secs(2)).await;
    requests.abort();

    let (other, _) = connect(&servers).await?;
    other.sync("/").await?;
    let stat = other.exists(ephemeral.as_str()).await?.ok_or("the ephemeral znode is gone")?;
    let is_same = client.session_id() == session_id && Some(stat.ephemeral_owner) == session_id;
    timeline.say("session", format!("the same as at first: {is_same}; {ephemeral} is still its own"));
    other.set_data(ephemeral.as_str(), "touched by another client", -1).await?;
    let event = watch.changed().await?;
    timeline.say("watch", format!("set before all that, it fires: {} {}", event.event_type, event.path));
    client.close().await;
    let is_gone = other.exists(ephemeral.as_str()).await?.is_none();
    timeline.say("session", format!("closed, and {ephemeral} with it: {is_gone}"));
    other.close().await;
    if is_same && is_gone { Ok(()) } else { Err("the session did not survive".into()) }
}

impl Servers {
    fn connect_string(&self) -> String {
        match self {
            Self::Simulated(served) => served.connect_string(),
            Self::Real(ensemble) => ensemble.connect_string(),
        }
    }

    fn address(&self, server: usize) -> SocketAddr {
        match self {
            Self::Simulated(served) => served.address(server),
            Self::Real(ensemble) => ensemble.address(server),
        }
    }

    fn kill(&self, server: usize) {
        match self {
            Self::Simulated(served) => served.crash(server),
            Self::Real(ensemble) => ensemble.kill(server),
        }
    }

    fn restart(&self, server: usize) -> Result<(), Failure> {
        match self {
            Self::Simulated(served) => Ok(served.restart(server)?),
            Self::Real(ensemble) => Ok(ensemble.launch(server)?),
        }
    }

    fn pause(&self, server: usize) {
        match self {
            Self::Simulated(served) => served.pause(server),
            Self::Real(ensemble) => ensemble.pause(server),
        }
    }

    fn resume(&self, server: usize) {
        match self {
            Self::Simulated(served) => served.resume(server),
            Self::Real(ensemble) => ensemble.resume(server),
        }
    }
}

/// Kills, pauses and kills whatever server the client is on.
async fn strike(timeline: Timeline, ensemble: &Servers, client: &Client) -> Result<(), Failure> {
    for is_killed in [true, false, true] {
        sleep(Duration::from_secs(2)).await;
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
            sleep(Duration::from_millis(5)).await;
        }
        if is_killed {
            ensemble.restart(victim)?
        } else {
            ensemble.resume(victim)
        }
        timeline.say("servers", format!("{} is back", ensemble.address(victim)));
    }
    Ok(())
}

async fn connect(servers: &str) -> Result<(Client, SessionEvents), Failure> {
    Ok(Client::builder(servers)?.session_timeout(Duration::from_secs(6)).connect().await?)
}

async fn create_ephemeral(timeline: Timeline, client: &Client) -> Result<String, Failure> {
    let created = client.create("/failover-", "mine", CreateMode::EphemeralSequential).await?;
    timeline.say("request", format!("created {}, ephemeral", created.path));
    Ok(created.path.to_string())
}

/// Which of the three the session is on.
fn current(client: &Client, ensemble: &Servers) -> Option<usize> {
    let server = client.server()?;
    (0..3).find(|&index| ensemble.address(index).port() == server.port)
}

/// Tells what the session says.
#[expect(clippy::wildcard_enum_match_arm, reason = "what is rare is told as it is")]
async fn report(timeline: Timeline, mut events: SessionEvents) {
    while let Some(event) = events.next().await {
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

/// Asks for the same znode five times a second, and tells when the outcome changes.
async fn request_all_the_time(timeline: Timeline, client: Client, path: String) {
    let mut last = String::new();
    loop {
        let begin = Instant::now();
        let outcome = match client.get_data(path.as_str()).await {
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
        sleep(Duration::from_millis(200)).await;
    }
}
