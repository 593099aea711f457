//! What a run has besides measurements, against the same of now.

use std::collections::BTreeMap;

use super::comparing::{Comparing, MEMORY, ONLY_NOW, ONLY_RECORDED};
use super::measurement;
use crate::compare;
use crate::{Advice, Alternative, Environment, Run, Tried, Value, Warning, Weight};

/// Why the copies of such a way say nothing: a manager's children were seen with half as many in
/// the next run.
const PIPED: &str =
    "the data came through a pipe, and what the allocator keeps of that depends on how it arrived";
/// Why other observations say nothing on another machine or build.
const OTHER_MACHINE: &str =
    "it depends on the machine, on what may be seen there, and on the build";
/// Why other warnings say nothing.
const LIMITS: &str = "what limits a run depends on its machine";

/// What is the same in both runs is a word; of what only one of them has there is no answer.
pub(super) fn by_name(
    recorded: &[(String, String)],
    now: &[(String, String)],
    incomplete: bool,
    comparing: &mut Comparing,
) {
    for (of, word) in recorded {
        match now.iter().find(|(other, _)| other == of) {
            Some((_, other)) => comparing.word(|| of.clone(), word, other),
            None => comparing.apart(of.clone(), Some(word), None, ONLY_RECORDED),
        }
    }
    for (of, word) in now {
        if !incomplete && !recorded.iter().any(|(other, _)| other == of) {
            comparing.apart(of.clone(), None, Some(word), ONLY_NOW);
        }
    }
}

/// Verdicts, and what is said of them.
pub(super) fn verdicts(run: &Run, now: &Run, incomplete: bool, comparing: &mut Comparing) {
    let all = |run: &Run| -> Vec<(String, String)> {
        let claims = run.claims.iter();
        let claims = claims.map(|one| (format!("claim {}", one.id), one.verdict.to_string()));
        let facts = run.facts.iter().map(|one| {
            let found = one.found.as_deref().unwrap_or_default();
            // Without the GIL, programs are recorded whose memory is not the same each time.
            let found = match run.python.free_threaded {
                true => without_figures(found),
                false => found.to_owned(),
            };
            (
                format!("fact {}", one.id),
                format!("{}: {found}", one.outcome),
            )
        });
        claims.chain(facts).collect()
    };
    by_name(&all(run), &all(now), incomplete, comparing);
    for claim in &run.claims {
        let Some(other) = now.claims.iter().find(|other| other.id == claim.id) else {
            continue;
        };
        let of = || format!("claim {}: statement", claim.id);
        comparing.word(of, &claim.statement, &other.statement);
        if claim.rules_sha256 != other.rules_sha256 {
            comparing.other_rules.insert(claim.id.clone());
        }
    }
    for fact in &run.facts {
        let Some(other) = now.facts.iter().find(|other| other.id == fact.id) else {
            continue;
        };
        let of = || format!("fact {}: statement", fact.id);
        comparing.word(of, &fact.statement, &other.statement);
        if fact.rules_sha256 != other.rules_sha256 {
            comparing.other_rules.insert(fact.id.clone());
        }
    }
}

/// Remedies: which helps, what is said of that, and what kept others from being tried.
pub(super) fn advice(run: &Run, now: &Run, incomplete: bool, comparing: &mut Comparing) {
    let name = |one: &Advice| format!("advice on {}/{}", one.fixture, one.visit);
    let best = |run: &Run| -> Vec<(String, String)> {
        let all = run.advice.iter().map(|one| {
            let best = one.best().map_or("nothing", |tried| &tried.remedy);
            (name(one), format!("{best} helps most"))
        });
        all.collect()
    };
    by_name(&best(run), &best(now), incomplete, comparing);
    let page = run.environment.page_size_bytes;
    for one in &run.advice {
        let same = |other: &&Advice| (&one.fixture, &one.visit) == (&other.fixture, &other.visit);
        let Some(other) = now.advice.iter().find(same) else {
            continue;
        };
        let of = |what: &str| format!("{}, {what}", name(one));
        let words = |advice: &Advice| without_figures(&advice.finding);
        match words(one) == words(other) || one.best().is_some() && other.best().is_some() {
            true => {
                comparing.compared += 1;
                if one.finding != other.finding {
                    let because = "its figures are compared with those of the measurements";
                    let (recorded, now) = (one.finding.clone(), other.finding.clone());
                    comparing.weighed(of("finding"), recorded, now, Some(because));
                }
            }
            false => comparing.word(|| of("finding"), &one.finding, &other.finding),
        }
        let noise = [one, other].map(|advice| advice.noise_bytes / page);
        comparing.pages(|| of("pages of noise"), noise[0], noise[1], false);
        comparing.memory(
            || of("memory of the parent"),
            one.parent_bytes,
            other.parent_bytes,
        );
        let tried = |advice: &Advice| -> BTreeMap<String, Tried> {
            let all = advice.remedies.iter().cloned();
            all.map(|one| (one.remedy.clone(), one)).collect()
        };
        let (recorded, again) = (tried(one), tried(other));
        for (remedy, one) in &recorded {
            let Some(other) = again.get(remedy) else {
                comparing.apart(of(remedy), Some("tried"), None, ONLY_RECORDED);
                continue;
            };
            remedies(
                one,
                other,
                &|what| of(&format!("{remedy}: {what}")),
                comparing,
            );
        }
        for remedy in again
            .keys()
            .filter(|remedy| !recorded.contains_key(*remedy))
        {
            comparing.apart(of(remedy), None, Some("tried"), ONLY_NOW);
        }
        let again = [one, other].map(|advice| advice.measured_again.as_deref());
        if let [Some(one), Some(other)] = again
            && one.measurement.prepare == other.measurement.prepare
            && one.measurement.children.len() == other.measurement.children.len()
        {
            let sharing = [one, other].map(|again| again.measurement.sharing.clone());
            comparing.word(|| of("measured again, sharing"), &sharing[0], &sharing[1]);
            measurement::compare(&one.measurement, &other.measurement, comparing);
        }
    }
}

fn remedies(one: &Tried, other: &Tried, of: &dyn Fn(&str) -> String, comparing: &mut Comparing) {
    let applies = |tried: &Tried| match &tried.does_not_apply {
        Some(_) => "does not apply",
        None => "applies",
    };
    comparing.word(|| of("whether it applies"), applies(one), applies(other));
    if let (Some(one), Some(other)) = (&one.does_not_apply, &other.does_not_apply) {
        comparing.compared += 1;
        if one != other {
            let because = Some("what keeps a remedy from being tried depends on the machine");
            comparing.weighed(
                of("why it does not apply"),
                one.clone(),
                other.clone(),
                because,
            );
        }
    }
    let compared = |tried: &Tried| format!("{:?}", tried.compared);
    comparing.word(|| of("what was compared"), &compared(one), &compared(other));
    for (what, one, other) in [
        ("code", &one.code, &other.code),
        ("what it replaced", &one.replaced, &other.replaced),
        ("what it left as it is", &one.kept, &other.kept),
    ] {
        comparing.word(|| of(what), &one.join("\n"), &other.join("\n"));
    }
    comparing.memory(
        || of("memory that the workers take more"),
        one.workers_more_bytes,
        other.workers_more_bytes,
    );
    comparing.memory(
        || of("memory of the parent at most, while it was prepared"),
        one.prepare_peak_bytes,
        other.prepare_peak_bytes,
    );
    comparing.memory(
        || of("memory of the parent"),
        one.parent_bytes,
        other.parent_bytes,
    );
    if let (Some(one), Some(other)) = (one.second, other.second) {
        for (what, one, other) in [
            ("with the data as it is", one.as_it_is, other.as_it_is),
            ("with the remedy", one.tree, other.tree),
        ] {
            for (when, one, other) in [
                ("at the end", one.end, other.end),
                ("at the peak", one.peak, other.peak),
            ] {
                comparing.memory(
                    || of(&format!("memory the second time, {what}, {when}")),
                    Some(one),
                    Some(other),
                );
            }
        }
    }
}

/// Ways to share: what they do must be the same; what they copy moves by some pages each time, as
/// children of multiprocessing's own do more than visit data.
pub(super) fn alternatives(run: &Run, now: &Run, incomplete: bool, comparing: &mut Comparing) {
    let words = |run: &Run| -> Vec<(String, String)> {
        let all = run.alternatives.iter();
        all.map(|one| (name(one), properties(one))).collect()
    };
    by_name(&words(run), &words(now), incomplete, comparing);
    for one in &run.alternatives {
        let Some(other) = now
            .alternatives
            .iter()
            .find(|other| name(other) == name(one))
        else {
            continue;
        };
        let of = |what: &str| format!("{}: {what}", name(one));
        comparing.word(|| of("title"), &one.title, &other.title);
        let contents = |way: &Alternative| format!("{:?}", way.contents);
        comparing.word(|| of("contents"), &contents(one), &contents(other));
        comparing.memory(
            || of("PSS of all, held"),
            one.pss_bytes_held,
            other.pss_bytes_held,
        );
        comparing.memory(
            || of("PSS of all, read"),
            one.pss_bytes_read,
            other.pss_bytes_read,
        );
        comparing.memory(
            || of("memory that only these processes have, held"),
            one.memory_bytes_held,
            other.memory_bytes_held,
        );
        comparing.memory(
            || of("memory that only these processes have, read"),
            one.memory_bytes_read,
            other.memory_bytes_read,
        );
        let because = one.came_through_pipe().then_some(PIPED);
        let (recorded, again) = (one.children.len(), other.children.len());
        comparing.word(|| of("children"), &recorded.to_string(), &again.to_string());
        let copied = |way: &Alternative| -> i64 {
            way.children.iter().map(|child| child.copied_pages).sum()
        };
        let own = |way: &Alternative| -> i64 {
            way.children
                .iter()
                .map(|child| child.own_pages.cast_signed())
                .sum()
        };
        let reference = |way: &Alternative| way.reference_own_pages.cast_signed();
        for (what, recorded, now) in [
            ("copied pages of all children", copied(one), copied(other)),
            ("own pages of all children", own(one), own(other)),
            (
                "own pages of a child that got nothing",
                reference(one),
                reference(other),
            ),
        ] {
            comparing.compared += 1;
            let allowed = comparing.tolerance.of(recorded.unsigned_abs()).max(
                comparing
                    .tolerance
                    .pages
                    .saturating_mul(one.children.len() as u64),
            );
            if recorded.abs_diff(now) > allowed {
                comparing.weighed(of(what), recorded.to_string(), now.to_string(), because);
            }
        }
        let children = one.children.iter().zip(&other.children);
        for (number, (one, other)) in (1..).zip(children) {
            let (Some(one), Some(other)) = (one.piped_bytes, other.piped_bytes) else {
                continue;
            };
            comparing.compared += 1;
            // A child reads its own code and modules, too: some of it from byte code that it finds
            // or not.
            let allowed = ((one.max(other) as f64 * MEMORY) as u64).max(PIPED_NOISE);
            if one.abs_diff(other) > allowed {
                let of = of(&format!(
                    "bytes that child {number} read from pipes and files"
                ));
                comparing.weighed(of, one.to_string(), other.to_string(), None);
            }
        }
    }
}

/// Bytes that two children may read more or fewer for no reason of the data's.
const PIPED_NOISE: u64 = 1 << 20;

fn name(way: &Alternative) -> String {
    let name = Alternative::name(&way.way, way.start_method);
    format!("{name} ({} bytes)", way.size_bytes)
}

/// What a way does and leaves, in words.
fn properties(way: &Alternative) -> String {
    let yes = |it: bool| if it { "yes" } else { "no" };
    let left: Vec<_> = way.left_after_kill.iter().map(|one| one.as_str()).collect();
    format!(
        "writes seen by parent: {}, by sibling: {}; container survives: {}, elements: {}; after a kill: {}; left: {}",
        yes(way.writes_seen_by_parent),
        way.writes_seen_by_sibling.map_or("unknown", yes),
        yes(way.container_survives),
        yes(way.elements_survive),
        way.after_child_killed.as_str(),
        if left.is_empty() {
            "nothing".to_owned()
        } else {
            left.join(", ")
        },
    )
}

/// Figures that are no pages of a visit. Times among them are not compared.
pub(super) fn observations(run: &Run, now: &Run, incomplete: bool, comparing: &mut Comparing) {
    let names = |run: &Run| -> Vec<(String, String)> {
        let all = run.observations.iter();
        all.map(|one| (format!("observation {}", one.name), "seen".to_owned()))
            .collect()
    };
    by_name(&names(run), &names(now), incomplete, comparing);
    let seen_alike =
        comparing.one_build && run.environment.privileges == now.environment.privileges;
    let because = (!seen_alike).then_some(OTHER_MACHINE);
    for one in &run.observations {
        let Some(other) = now.observations.iter().find(|other| other.name == one.name) else {
            continue;
        };
        let only_now = other.figures.keys();
        let only_now = only_now.filter(|figure| !one.figures.contains_key(*figure));
        for figure in one.figures.keys().chain(only_now) {
            if figure.ends_with(super::not_compared::TIMES) {
                continue;
            }
            let of = format!("observation {}, {figure}", one.name);
            let [recorded, now] = [one, other].map(|all| all.figures.get(figure));
            comparing.compared += 1;
            let within = match (recorded, now) {
                (Some(Value::Count(one)), Some(Value::Count(other)))
                    if figure.contains("pages") =>
                {
                    one.abs_diff(*other) <= comparing.tolerance.of(one.unsigned_abs())
                }
                _ => recorded == now,
            };
            if !within {
                let [recorded, now] = [recorded, now].map(shown);
                comparing.weighed(of, recorded, now, because);
            }
        }
    }
}

/// A sentence of which the figures follow from others that are compared, and move as they do.
fn without_figures(sentence: &str) -> String {
    let letters = sentence.chars();
    letters.filter(|letter| !letter.is_ascii_digit()).collect()
}

fn shown(value: Option<&Value>) -> String {
    match value {
        None => "absent".to_owned(),
        Some(Value::Truth(truth)) => truth.to_string(),
        Some(Value::Count(number)) => number.to_string(),
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::Text(text)) => text.clone(),
    }
}

/// What limits the figures. It counts for nothing: another machine limits them otherwise.
pub(super) fn warnings(run: &Run, now: &Run, comparing: &mut Comparing) {
    let of = |run: &Run| -> Vec<String> {
        let all = run.warnings.iter();
        let all = all.filter(|warning| !matches!(warning, Warning::OtherRules { .. }));
        all.map(Warning::to_string).collect()
    };
    let (recorded, again) = (of(run), of(now));
    comparing.compared += recorded.len() as u64;
    let gone = recorded.iter().filter(|one| !again.contains(one));
    let gone = gone.map(|one| (Some(one.clone()), None));
    let new = again.iter().filter(|one| !recorded.contains(one));
    let new = new.map(|one| (None, Some(one.clone())));
    for (recorded, now) in gone.chain(new) {
        comparing.note(crate::Difference {
            of: "warning".into(),
            recorded,
            now,
            weight: Weight::DoesNotCount,
            because: Some(LIMITS.to_owned()),
        });
    }
}

/// In what two runs were made otherwise, besides what makes them another build or machine.
pub(super) fn circumstances(run: &Run, now: &Run) -> Vec<String> {
    let (one, other) = (&run.environment, &now.environment);
    let library = (&run.python.libpython, &now.python.libpython);
    let calibrated = (run.calibration, now.calibration);
    let commit = |environment: &Environment| environment.refcow_commit.clone();
    [
        ("commit of refcow", commit(one) != commit(other)),
        ("library of Python", library.0 != library.1),
        (
            "files of packages",
            one.package_sha256 != other.package_sha256,
        ),
        (
            "settings of the kernel",
            one.kernel_settings != other.kernel_settings,
        ),
        ("seeds", one.seeds != other.seeds),
        ("samepage merging", one.ksm != other.ksm),
        ("privileges", one.privileges != other.privileges),
        ("pages of the calibration", calibrated.0 != calibrated.1),
    ]
    .into_iter()
    .filter(|(_, differs)| *differs)
    .map(|(what, _)| what.to_owned())
    .filter(|what| !compare::differences(run, now).contains(what))
    .collect()
}
