//! Advice on figures that are made up.

use super::*;
use crate::TreeBytes;

fn advice(tree: Option<TreeBytes>) -> Advice {
    Advice {
        fixture: "own".into(),
        visit: "epoch".into(),
        count: None,
        item_bytes: None,
        parameters: Default::default(),
        arguments: Vec::new(),
        prepare: None,
        finding: String::new(),
        copied_bytes: 10_000,
        noise_bytes: 100,
        parent_bytes: None,
        tree,
        tree_noise_bytes: tree.map(|_| 100),
        visit_seconds: Vec::new(),
        remedies: Vec::new(),
        measured_again: None,
    }
}

fn names(tried: Vec<Tried>) -> Vec<String> {
    tried.into_iter().map(|tried| tried.remedy).collect()
}

/// Of a document that knows of copies alone.
fn ranked(all: &[(&str, Option<i64>)]) -> Vec<String> {
    let mut tried: Vec<_> = all
        .iter()
        .map(|(name, saved_bytes)| Tried {
            remedy: (*name).into(),
            saved_bytes: *saved_bytes,
            ..Tried::default()
        })
        .collect();
    rank(&advice(None), &mut tried);
    names(tried)
}

const AS_IT_IS: TreeBytes = TreeBytes {
    end: 50_000,
    peak: 60_000,
};

/// By what a tree takes with each remedy, at the end and at its peak.
fn ranked_by_tree(all: &[(&str, u64, u64)]) -> (Vec<String>, Option<String>) {
    let advice = advice_by_tree(all);
    let best = advice.best().map(|best| best.remedy.clone());
    (names(advice.remedies), best)
}

fn advice_by_tree(all: &[(&str, u64, u64)]) -> Advice {
    let mut advice = advice(Some(AS_IT_IS));
    let mut tried: Vec<_> = all
        .iter()
        .map(|(name, end, peak)| Tried {
            remedy: (*name).into(),
            // A child copies less with each of them.
            saved_bytes: Some(9_000),
            tree: Some(TreeBytes {
                end: *end,
                peak: *peak,
            }),
            ..Tried::default()
        })
        .collect();
    rank(&advice, &mut tried);
    advice.remedies = tried;
    advice
}

#[test]
fn what_saves_here_and_costs_there_is_told_of_where_nothing_helps() {
    let price = |all: &[(&str, u64, u64)]| nothing::at_a_price(&advice_by_tree(all), 2);
    assert_eq!(
        price(&[
            ("gc.freeze", 49_000, 63_000),
            ("pickled-rows", 20_000, 64_000)
        ])
        .as_deref(),
        Some(
            "with pickled rows, all processes together take 29.3 KiB less at the end and 3.9 KiB more at the peak"
        )
    );
    assert_eq!(
        price(&[("packed-arrays", 52_000, 50_000)]).as_deref(),
        Some(
            "with packed arrays, all processes together take 2.0 KiB more at the end and 9.8 KiB less at the peak"
        )
    );
    assert_eq!(price(&[("gc.freeze", 50_050, 61_000)]), None);
}

#[test]
fn what_workers_take_more_with_is_no_best_where_a_few_more_of_them_would_take_all_that_is_saved() {
    let told = |more: u64| {
        let mut advice = advice_by_tree(&[("packed-arrays", 40_000, 50_000)]);
        advice.remedies[0].workers_more_bytes = Some(more);
        let mut remedies = std::mem::take(&mut advice.remedies);
        rank(&advice, &mut remedies);
        advice.remedies = remedies;
        let best = advice.best();
        (
            best.and_then(|best| more_workers(&advice, best, 2)),
            nothing::at_a_price(&advice, 2).filter(|_| best.is_none()),
        )
    };
    assert_eq!(told(0), (None, None));
    assert_eq!(told(100), (None, None));
    // 10,000 bytes less with two: without what these take more, 14,000 are saved once.
    let (best, price) = told(4_000);
    let words = "each worker copies and makes 2.0 KiB more than without it, so with 7 workers or more nothing is saved";
    assert_eq!((best.as_deref(), price), (Some(words), None));
    let (best, price) = told(12_000);
    assert_eq!(best, None);
    assert_eq!(
        price.as_deref(),
        Some(
            "with packed arrays, all processes together take 9.8 KiB less, but each worker copies and makes 5.9 KiB more than \
             without it, so with 4 workers or more nothing is saved"
        )
    );
}

#[test]
fn a_time_is_told_as_people_say_it() {
    let told = [0.001, 0.02, 0.5, 1.94, 56.2].map(times);
    assert_eq!(
        told,
        [
            "less than 1 % of the time",
            "2 % of the time",
            "50 % of the time",
            "1.9 times as long",
            "56 times as long"
        ]
    );
}

#[test]
fn what_saves_most_is_first_and_of_equals_the_simplest() {
    let all = [
        ("shared-memory", Some(1_050)),
        ("gc.freeze", Some(-20)),
        ("immortal-objects", None),
        ("packed-arrays", Some(1_000)),
        ("gc.collect", Some(0)),
    ];
    assert_eq!(
        ranked(&all),
        [
            "packed-arrays",
            "shared-memory",
            "gc.collect",
            "gc.freeze",
            "immortal-objects"
        ]
    );
    let apart = [
        ("packed-arrays", Some(1_000)),
        ("shared-memory", Some(1_101)),
    ];
    assert_eq!(ranked(&apart), ["shared-memory", "packed-arrays"]);
}

#[test]
fn nothing_is_best_by_which_all_processes_take_more() {
    // Each child copies less, and makes more anew than that.
    let (order, best) = ranked_by_tree(&[
        ("pickled-rows", 90_000, 95_000),
        ("gc.freeze", 50_000, 60_000),
    ]);
    assert_eq!((&order[0][..], best), ("gc.freeze", None));
    // Less at the end, and more at the peak.
    assert_eq!(ranked_by_tree(&[("packed-arrays", 20_000, 64_000)]).1, None);
    // By less than a tenth of what is saved, and the other way round.
    let best = ranked_by_tree(&[("packed-arrays", 10_000, 63_500)]).1;
    assert_eq!(best.as_deref(), Some("packed-arrays"));
    assert_eq!(ranked_by_tree(&[("gc.freeze", 52_000, 50_000)]).1, None);
}

#[test]
fn what_helps_comes_before_what_saves_more_here_and_costs_there() {
    let (order, best) = ranked_by_tree(&[
        ("packed-arrays", 1_000, 70_000),
        ("pickled-rows", 40_000, 50_000),
    ]);
    assert_eq!(order, ["pickled-rows", "packed-arrays"]);
    assert_eq!(best.as_deref(), Some("pickled-rows"));
}

#[test]
fn a_saving_at_the_peak_alone_helps_and_a_tie_goes_to_what_changes_less() {
    let (order, best) =
        ranked_by_tree(&[("os._exit", 50_000, 51_000), ("gc.freeze", 50_050, 51_100)]);
    assert_eq!(order, ["gc.freeze", "os._exit"]);
    assert_eq!(best.as_deref(), Some("gc.freeze"));
    let (order, _) = ranked_by_tree(&[
        ("gc.disable", 50_000, 51_000),
        ("gc.freeze", 50_000, 51_000),
    ]);
    assert_eq!(order, ["gc.freeze", "gc.disable"]);
}

#[test]
fn a_time_is_another_only_where_each_is_longer_than_each_of_the_others() {
    let base = [1.0, 1.1, 1.05];
    assert_eq!(time_of_visit(&base, &[1.08, 1.2, 1.1]), TimeOfVisit::Same);
    assert_eq!(time_of_visit(&base, &[]), TimeOfVisit::Unknown);
    assert_eq!(
        time_of_visit(&base, &[2.1, 2.2, 2.15]),
        TimeOfVisit::Times(2.15 / 1.05)
    );
    // Told apart, and too little to be told of.
    assert_eq!(
        time_of_visit(&[1.0, 1.0, 1.0], &[1.01, 1.01, 1.01]),
        TimeOfVisit::Same
    );
    // Not told apart, and too far from each other to be called the same.
    assert_eq!(
        time_of_visit(&[1.0, 2.0, 1.0], &[1.8, 2.5, 1.8]),
        TimeOfVisit::Unclear(0.9, 2.5)
    );
    assert_eq!(
        time_of_visit(&[1.0, 2.0, 1.0], &[0.5, 1.0, 1.0]),
        TimeOfVisit::Unclear(0.25, 1.0)
    );
    assert_eq!(
        time_of_visit(&[0.0, 0.0, 0.0], &[0.0, 1.0, 1.0]),
        TimeOfVisit::Unknown
    );
    // Of many, one may have been disturbed.
    let disturbed = [1.0, 1.0, 1.0, 1.0, 9.0];
    assert_eq!(
        time_of_visit(&disturbed, &[2.0, 2.0, 2.0, 2.0, 2.0]),
        TimeOfVisit::Times(2.0)
    );
}

#[test]
fn noise_is_sixteen_pages_or_a_fiftieth() {
    assert_eq!(noise_bytes(0, 4096), 65_536);
    assert_eq!(noise_bytes(100 << 20, 4096), 2 << 20);
}

#[test]
fn what_is_not_saved_a_second_time_does_not_help() {
    let second = |as_it_is: u64, end: u64| {
        let mut advice = advice_by_tree(&[
            ("gc.collect", 49_000, 59_000),
            ("gc.freeze", 50_000, 60_000),
        ]);
        let tree = |end: u64| TreeBytes {
            end,
            peak: end + 10_000,
        };
        advice.remedies[0].second = Some(crate::SecondTrial {
            as_it_is: tree(as_it_is),
            tree: tree(end),
        });
        advice.tree_noise_bytes = Some(tree_noise_of(&advice, 100));
        let mut remedies = std::mem::take(&mut advice.remedies);
        rank(&advice, &mut remedies);
        advice.remedies = remedies;
        (
            advice.best().map(|best| best.remedy.clone()),
            advice.tree_noise_bytes,
        )
    };
    let best = Some("gc.collect".to_owned());
    assert_eq!(second(50_000, 49_000), (best.clone(), Some(100)));
    assert_eq!(second(50_300, 49_300), (best, Some(600)));
    // The data as it is takes as much less by itself.
    assert_eq!(second(49_000, 48_500), (None, Some(2_000)));
    // Only what it is compared with has changed.
    assert_eq!(second(49_990, 50_000), (None, Some(100)));
}

#[test]
fn a_second_time_is_told_of_with_what_it_was_compared_with() {
    let mut advice = advice_by_tree(&[("gc.collect", 40_000, 50_000)]);
    let tree = |end: u64| TreeBytes {
        end,
        peak: end + 10_000,
    };
    let measurement: Measurement = serde_json::from_value(serde_json::json!({
        "fixture": "own", "visit": "epoch", "sharing": "fork", "children": [], "build_seconds": 0.0, "tree": {}
    }))
    .unwrap();
    advice.remedies[0].second = Some(crate::SecondTrial {
        as_it_is: tree(50_040),
        tree: tree(40_020),
    });
    advice.measured_again = Some(Box::new(crate::MeasuredAgain {
        saved_bytes: 0,
        tree: Some(tree(40_020)),
        measurement,
    }));
    let words = again(&advice, &advice.remedies[0]);
    assert_eq!(words, "; measured again: 9.8 KiB saved");
    let mut saved_again = |bytes: u64| {
        advice.measured_again.as_mut().unwrap().tree = Some(tree(50_040 - bytes));
        again(&advice, &advice.remedies[0])
    };
    assert_eq!(saved_again(12_000), "; measured again: 11.7 KiB saved");
    assert_eq!(saved_again(6_000), "; measured again: 5.9 KiB saved");
    assert_eq!(
        saved_again(4_000),
        "; but measured again: 3.9 KiB saved, so do not count on it"
    );
}

#[test]
fn what_the_programs_code_alone_can_do_is_said_of_who_writes_most() {
    let said = |region, cause, function: &str| {
        let reason = crate::CausedPages {
            cause,
            pages: 10,
            types: Vec::new(),
            functions: vec![(Some(function.to_owned()), 9), (None, 1)],
            lines: Vec::new(),
        };
        nothing::only_the_code_can(region, &reason)
    };
    use crate::{Cause, RegionName};
    let cache = said(RegionName::Header, Cause::Body, "bounded_lru_cache_wrapper");
    assert!(cache.contains("maxsize=None"));
    let in_c = said(RegionName::Native, Cause::Refcount, "sqlite3_step");
    assert!(in_c.contains("numbers in place of these objects"));
    let other = said(
        RegionName::Header,
        Cause::Refcount,
        "infinite_lru_cache_wrapper",
    );
    assert_eq!(other, "");
}
