//! The search holds what it must, and finds what is planted.

use std::collections::BTreeSet;

use stateright::{Checker as _, HasDiscoveries, Model as _};
use zk_model::{Defect, RULES, SessionModel, Setup, hush};

fn name(rule: u32) -> &'static str {
    RULES.iter().find(|(number, ..)| *number == rule).expect("a rule with this number").1
}

#[test]
fn each_rule_has_a_planted_defect_that_is_found_to_break_it() {
    hush();
    for (defect, rule) in Defect::ALL {
        let setup = Setup {
            depth: 9,
            changes: 1,
            heal_one_in: 1,
            auth: defect == Defect::ReadyTooEarly,
            defect: Some(defect),
            ..Setup::default()
        };
        let wanted = BTreeSet::from([name(rule)]);
        let model = SessionModel::new(setup);
        let checker =
            model.checker().threads(2).finish_when(HasDiscoveries::AllOf(wanted)).spawn_bfs().join();
        let path =
            checker.discovery(name(rule)).unwrap_or_else(|| panic!("{defect:?}: {} holds", name(rule)));
        println!("{defect:?} breaks {}: {:?}", name(rule), path.into_actions());
    }
    let planted: BTreeSet<_> = Defect::ALL.iter().map(|(_, rule)| rule).collect();
    assert!(RULES.iter().all(|(rule, ..)| planted.contains(rule)));
}

#[test]
fn all_that_can_happen_in_a_few_steps_breaks_no_rule() {
    hush();
    let small = Setup { depth: 9, changes: 1, heal_one_in: 4, ..Setup::default() };
    let setups = [
        small.clone(),
        Setup { auth: true, read_only: true, ..small.clone() },
        Setup { requests: 3, batches: true, ..small },
    ];
    for setup in setups {
        let model = SessionModel::new(setup);
        let checker = model.checker().threads(2).finish_when(HasDiscoveries::AnyFailures).spawn_dfs().join();
        for (_, name, _) in RULES {
            checker.assert_no_discovery(name);
        }
        assert!(checker.unique_state_count() > 10_000);
    }
}
