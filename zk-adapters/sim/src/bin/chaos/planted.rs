//! The checks are checked: every planted defect must be found, and be taken for what it is.

#[cfg(not(feature = "planted"))]
pub(crate) fn run(_: usize, _: &crate::Wanted) -> bool {
    eprintln!("this program was built without the feature `planted`");
    false
}

#[cfg(feature = "planted")]
pub(crate) use with_defects::run;

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
        if sample < defects.len() {
            fastrand::Rng::with_seed(wanted.from).shuffle(&mut defects);
            defects.truncate(sample);
        }
        let missed = defects.iter().filter(|defect| !is_found(**defect, wanted)).count();
        println!("{} defects planted, {missed} not found", defects.len());
        missed == 0
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
}
