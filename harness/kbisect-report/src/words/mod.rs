//! Sentences: facts of the core told to people, each in one place, whatever form prints them.

mod answer;
mod by_hand;
mod chip;
mod elsewhere;
mod forgone;
mod headline;
mod import;
mod notices;
mod plan;
mod prior;
mod rates;
mod revert;
mod rules;
mod scenario;
mod search;
mod tour;
mod verification;
mod ways;
mod workers;

pub use answer::{BOOTS_DISAGREE, repeats_disagree, symptom_choice};
pub(crate) use answer::{
    FAULT_OF_SCENARIO, NO_ANSWER, NOTHING_CHANGED, Runs, believed, end_skipped, fails_with,
    good_fails, named_is_missing, not_narrower, not_reproduced, percent, repeated, runs_failed,
    stopped, tried_once, verdict_of_trial,
};
pub use by_hand::{NOBODY_ANSWERS, all_planned, by_hand, planned, planned_file};
pub(crate) use chip::{CHIPS, reason_chip};
pub use elsewhere::{built_elsewhere, from_elsewhere};
pub(crate) use forgone::{forgone, mending};
pub(crate) use headline::Headline;
pub(crate) use headline::wrong_way_round;
pub use headline::{is_asked, look_for_fix, look_into, not_asked};
pub use import::{import_head, import_next, import_note, import_text};
pub use notices::{not_counted, notice_text, notice_texts};
pub(crate) use plan::trials_reused;
pub use plan::{
    built_otherwise, by_version, cannot_pass, config_head, crosses_series, makes_toolchain,
    merge_base, mixes_vendors, no_option, plan_text, reused, same_build,
};
pub(crate) use prior::was_weighed;
pub use prior::{not_weighed, weighed};
pub(crate) use rates::{failed_of, rate, rates_of};
pub use revert::{TESTS_ANSWER, goes_on, not_gone_on, revert_not_made, without};
pub(crate) use revert::{
    changed_bad_end, culprit, further, further_label, named, not_reverted, of, revert,
    revert_heading,
};
pub(crate) use rules::{more_rules, rules_counted};
pub use scenario::scenario_text;
pub use search::{matching, undecided, why};
pub use tour::{TourStep, tour};
pub use verification::verification;
pub(crate) use ways::{follows, grounds, states_differ, ways_table};
pub use workers::{
    HOW_TO_BE_A_WORKER, ITS_WORKER_IS_GONE, ITS_WORKER_IS_NOT_THERE, worker_awaited, worker_lost,
};
