//! The checks are checked: every planted defect must be found, and be taken for what it is.

#[cfg(not(feature = "planted"))]
pub(crate) fn run(_: usize, _: &crate::Wanted) -> bool {
    eprintln!("this program was built without the feature `planted`");
    false
}

#[cfg(not(feature = "planted"))]
pub(crate) fn plant(_: &str) -> bool {
    eprintln!("this program was built without the feature `planted`");
    false
}

#[cfg(feature = "planted")]
pub(crate) use with_defects::{plant, run};

#[cfg(feature = "planted")]
mod with_defects {
    use core::time::Duration;
    use std::time::Instant;

    use crate::Wanted;
    use zk_session::Planted;

    use zk_sim::{Broken, Chaos, Outcome};

    /// Plants each defect, or a sample of them, and looks for it on this one thread; whether all were found.
    pub(crate) fn run(sample: usize, wanted: &Wanted) -> bool {
        let mut defects = Planted::ALL.to_vec();
        defects.retain(|defect| ELSEWHERE.iter().all(|(rule, _)| defect.rules()[0] != *rule));
        if sample < defects.len() {
            fastrand::Rng::with_seed(wanted.from).shuffle(&mut defects);
            defects.truncate(sample);
        }
        let missed = defects.iter().filter(|defect| !is_found(**defect, wanted)).count();
        for (rule, place) in ELSEWHERE {
            println!("INV-{rule:02} is checked elsewhere: {place}");
        }
        println!("{} defects planted, {missed} not found", defects.len());
        missed == 0
    }

    /// Plants the defect of this name; whether there is one.
    pub(crate) fn plant(name: &str) -> bool {
        let defect = Planted::ALL.iter().copied().find(|defect| format!("{defect:?}") == name);
        Planted::plant(defect);
        if defect.is_none() {
            eprintln!("no such defect: {name}");
        }
        defect.is_some()
    }

    fn is_found(defect: Planted, wanted: &Wanted) -> bool {
        let begin = Instant::now();
        Planted::plant(Some(defect));
        let look = if defect.rules() == [SAME] { crate::twice } else { once };
        let found = (0..).map_while(|seed| {
            let is_time_left = begin.elapsed() < Duration::from_secs(wanted.within);
            is_time_left.then(|| look(seed, wanted.steps).err().map(|broken| (seed, broken)))
        });
        let found = found.flatten().next();
        Planted::plant(None);
        let rule = defect.rules()[0];
        let Some((seed, broken)) = found else {
            println!("NOT FOUND: INV-{rule:02} {defect:?}, {:.1} s", begin.elapsed().as_secs_f64());
            return false;
        };
        let is_it = broken.rules().iter().any(|rule| defect.rules().contains(rule));
        println!(
            "{}INV-{rule:02} {defect:?}: seed {seed}, step {}, {:.1} s: {}",
            if is_it { "" } else { "MISTAKEN: " },
            broken.step,
            begin.elapsed().as_secs_f64(),
            broken.message.lines().next().unwrap_or_default().chars().take(120).collect::<String>(),
        );
        is_it
    }

    fn once(seed: u64, steps: u64) -> Result<Outcome, Broken> {
        Chaos::seeded(seed).run(steps)
    }

    /// A defect must be found within this time.
    const SAME: u8 = 78;
    /// Rules of which no schedule can tell whether they hold, and where they are tested.
    const ELSEWHERE: [(u8, &str); 8] = [
        (21, "zk-session/tests/handshake.rs, the model"),
        (45, "the adapters' own tests"),
        (64, "zk-session/tests/chunking.rs, the walks and replays of zk-sim/tests/walks"),
        (68, "zk-proto/tests/allocation.rs, the fuzz targets"),
        (69, "zk-session/tests/hostile.rs, every flipped bit in zk-sim/tests/walks/replays.rs, the model"),
        (71, "zk-session/tests/hostile.rs"),
        (73, "the fuzz target of hostile servers and its corpus, by a counting allocator"),
        (76, "zk-session/tests/secrets.rs"),
    ];
}
