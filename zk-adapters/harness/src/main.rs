//! Runs ZooKeeper servers until standard input ends: `cargo run -p zk-harness -- 3` for an ensemble of three,
//! without a number for one standalone server. Prints the connect string, and then the folder of data and logs.

use core::error::Error;
use std::env;
use std::io;

use zk_harness::Ensemble;

fn main() -> Result<(), Box<dyn Error>> {
    let ensemble = match env::args().nth(1) {
        None => Ensemble::standalone()?,
        Some(servers) => {
            let servers = servers.parse().map_err(|_| format!("{servers} is not a number of servers"))?;
            Ensemble::start(servers)?
        }
    };
    println!("{}", ensemble.connect_string());
    println!("{}", ensemble.folder().display());
    io::copy(&mut io::stdin(), &mut io::sink())?;
    Ok(())
}
