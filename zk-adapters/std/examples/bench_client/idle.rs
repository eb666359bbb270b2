//! Sessions that do nothing: what they hold, and what their pings take.

use core::time::Duration;
use std::{thread, time::Instant};

use crate::{
    Failure, PATH, connect,
    measured::{Arguments, Span, status, variable},
};

pub(crate) fn sessions(arguments: &Arguments) -> Result<(), Failure> {
    let hold = Duration::from_secs_f64(variable("ZKB_HOLD").unwrap_or(20.0));
    let base = status("VmRSS");
    let begun = Instant::now();
    let mut clients = Vec::with_capacity(arguments.n);
    for _ in 0..arguments.n {
        let client = connect(&arguments.address, Duration::from_secs(6))?;
        client.get_data(PATH).wait()?;
        clients.push(client);
    }
    let connecting = begun.elapsed();
    thread::sleep(Duration::from_secs(2));
    let span = Span::begin();
    thread::sleep(hold);
    let (user, system) = span.cpu();
    let (rss, n) = (status("VmRSS"), arguments.n);
    println!(
        "{{\"client\":\"{}\",\"workload\":\"w6\",\"n\":{n},\"wall_s\":{:.3},\"connect_s\":{:.3},\"cpu_s\":{:.4},\
         \"base_kb\":{base},\"rss_kb\":{rss},\"kb_per_session\":{:.2},\"threads\":{}}}",
        arguments.client,
        span.begun.elapsed().as_secs_f64(),
        connecting.as_secs_f64(),
        user + system,
        rss.saturating_sub(base) as f64 / n as f64,
        status("Threads"),
    );
    Ok(())
}
