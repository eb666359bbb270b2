//! The harness on real servers.

mod client;

use core::time::Duration;
use std::io::ErrorKind;
use std::thread;
use std::time::Instant;

use client::Client;
use zk_harness::{Direction, Ensemble, Mode, Options, Relay, StartError};

#[test]
fn a_standalone_server_serves() {
    let ensemble = Ensemble::standalone().unwrap();
    assert_eq!(ensemble.mode(0), Some(Mode::Standalone));
    assert_eq!(ensemble.leader(), Some(0));
    assert_eq!(ensemble.four_letter_word(0, "ruok").unwrap(), "imok");
    assert_eq!(ensemble.connect_string(), ensemble.address(0).to_string());
}

#[test]
fn a_standalone_server_takes_less_than_five_seconds_to_start() {
    let begin_to_end = || {
        let begin = Instant::now();
        Ensemble::standalone().map(|_| begin.elapsed())
    };
    // Other tests keep the machine busy: the quickest of a few counts.
    let quickest = (0..3).map(|_| begin_to_end().unwrap()).min().unwrap();
    assert!(quickest < Duration::from_secs(5), "{quickest:?}");
}

#[test]
fn an_ensemble_replaces_a_killed_leader_and_takes_it_back() {
    let ensemble = Ensemble::start(3).unwrap();
    let leader = ensemble.leader().unwrap();
    Client::connect(ensemble.address(leader), 5000).unwrap().create("/kept", "by a quorum").unwrap();
    ensemble.kill(leader);
    assert_eq!(ensemble.mode(leader), None);
    let next = ensemble.wait_for_leader(PATIENCE).unwrap();
    assert_ne!(next, leader);
    ensemble.restart(leader).unwrap();
    assert_eq!(ensemble.mode(leader), Some(Mode::Follower));
    let mut client = Client::connect(ensemble.address(leader), 5000).unwrap();
    assert_eq!(client.data("/kept").unwrap(), Ok("by a quorum".to_owned()));
}

#[test]
fn an_ensemble_without_a_quorum_serves_again_when_it_has_one() {
    let ensemble = Ensemble::start(2).unwrap();
    ensemble.kill(0);
    let error = ensemble.wait_until_serving(0, Duration::from_millis(100)).unwrap_err();
    assert!(matches!(error, StartError::NotServing { server: 0, .. }), "{error}");
    let deadline = Instant::now() + PATIENCE;
    while ensemble.mode(1).is_some() {
        assert!(Instant::now() < deadline, "server 1 serves alone");
        thread::sleep(Duration::from_millis(20));
    }
    ensemble.restart(0).unwrap();
    ensemble.wait_until_serving(1, PATIENCE).unwrap();
}

#[test]
fn a_restarted_server_has_its_data_and_its_port() {
    let ensemble = Ensemble::standalone().unwrap();
    let address = ensemble.address(0);
    assert_eq!(Client::connect(address, 5000).unwrap().create("/kept", "over a kill").unwrap(), 0);
    ensemble.kill(0);
    assert_eq!(Client::connect(address, 5000).map(drop).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    ensemble.restart(0).unwrap();
    assert_eq!(Client::connect(address, 5000).unwrap().data("/kept").unwrap(), Ok("over a kill".to_owned()));
}

#[test]
fn a_stopped_server_ends_its_connections() {
    let ensemble = Ensemble::standalone().unwrap();
    let mut client = Client::connect(ensemble.address(0), 5000).unwrap();
    ensemble.stop(0);
    assert!(client.data("/").is_err());
    assert_eq!(ensemble.pid(0), None);
}

#[test]
fn a_paused_server_keeps_its_connections_and_goes_on_when_resumed() {
    let ensemble = Ensemble::standalone().unwrap();
    let mut client = Client::connect(ensemble.address(0), 60_000).unwrap();
    ensemble.pause(0);
    assert_eq!(ensemble.mode(0), None);
    let error = ensemble.four_letter_word(0, "ruok").unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
    ensemble.resume(0);
    assert_eq!(client.create("/after", "").unwrap(), 0);
}

#[test]
fn ensembles_side_by_side_share_nothing() {
    let [one, other] = [Ensemble::start(2).unwrap(), Ensemble::start(2).unwrap()];
    assert_eq!(Client::connect(one.address(0), 5000).unwrap().create("/mine", "").unwrap(), 0);
    assert_eq!(Client::connect(other.address(0), 5000).unwrap().data("/mine").unwrap(), Err(NO_NODE));
    one.kill(1);
    assert!(other.mode(1).is_some());
}

#[test]
fn session_timeouts_are_granted_from_two_ticks_to_sixty_seconds() {
    let ensemble = Ensemble::standalone().unwrap();
    for (asked, granted) in [(1, 1000), (1234, 1234), (3_600_000, 60_000)] {
        let client = Client::connect(ensemble.address(0), asked).unwrap();
        assert_eq!(client.timeout, granted, "asked for {asked} ms");
    }
}

#[test]
fn options_reach_the_server() {
    let options = Options::new()
        .tick_time(Duration::from_millis(200))
        .min_session_timeout(Duration::from_millis(300))
        .max_session_timeout(Duration::from_secs(2))
        .config_line("snapCount=4321")
        .jvm_flag("-Dzookeeper.4lw.commands.whitelist=srvr,conf");
    let ensemble = options.standalone().unwrap();
    let conf = ensemble.four_letter_word(0, "conf").unwrap();
    for line in ["tickTime=200", "minSessionTimeout=300", "maxSessionTimeout=2000"] {
        assert!(conf.lines().any(|has| has == line), "{line} in\n{conf}");
    }
    let ruok = ensemble.four_letter_word(0, "ruok").unwrap();
    assert!(ruok.contains("not in the whitelist"), "{ruok}");
}

#[test]
fn the_super_user_may_reconfigure_an_ensemble_and_nobody_else() {
    let ensemble = Ensemble::start(1).unwrap();
    let mut client = Client::connect(ensemble.address(0), 5000).unwrap();
    assert_eq!(client.reconfigure().unwrap(), NO_AUTH);
    assert_eq!(client.authenticate("super:super-secret").unwrap(), 0);
    assert_eq!(client.reconfigure().unwrap(), 0);
}

#[test]
fn a_wrong_configuration_is_told_with_the_log() {
    let error = Options::new().config_line("initLimit=many").standalone().unwrap_err();
    let StartError::Ended { server: 0, log } = error else { panic!("{error}") };
    assert!(log.contains("many"), "{log}");
}

#[test]
fn a_relay_parts_a_client_from_its_server() {
    let ensemble = Ensemble::standalone().unwrap();
    let relay = Relay::start(ensemble.address(0)).unwrap();
    let mut client = Client::connect(relay.address(), 5000).unwrap();
    assert_eq!(client.create("/through", "the relay").unwrap(), 0);
    relay.cut();
    assert!(client.data("/through").is_err());
    let mut client = Client::connect(relay.address(), 5000).unwrap();
    assert_eq!(client.data("/through").unwrap(), Ok("the relay".to_owned()));
    assert!(relay.forwarded(Direction::ToClient) > 0);
}

const PATIENCE: Duration = Duration::from_secs(30);
const NO_NODE: i32 = -101;
const NO_AUTH: i32 = -102;
