//! A document against the same command, run again: whether it says the same.
//!
//! Page counts and verdicts are compared, one by one: they are what a document states. Times, PSS and what else moves from
//! run to run are in it too, and are not.

use crate::compare::{self, INTERPRETERS_OWN};
use crate::model::{
    Alternative, Answer, Cause, Child, Difference, Measurement, RegionName, Repeated, Report,
    Reproduction, Run, SCHEMA_VERSION, Tolerance, Weight,
};

/// What became of one run of a document.
#[derive(Clone, Copy, Debug)]
pub enum Again<'a> {
    /// It was measured again.
    Run(&'a Run),
    /// It was not: why.
    Not(&'a str),
}

/// Compares each run of a document with what it gave now.
///
/// `again` has as many entries as the document has runs.
pub fn reproduction(recorded: &Report, again: &[Again<'_>], tolerance: Tolerance) -> Reproduction {
    let incomplete = recorded.interrupted;
    let runs: Vec<Repeated> = recorded
        .runs
        .iter()
        .zip(again)
        .map(|(run, again)| match again {
            Again::Run(now) => repeated(run, now, incomplete, tolerance),
            Again::Not(why) => Repeated {
                recorded: compare::name(run),
                now: None,
                not_comparable: Some((*why).to_owned()),
                differs: Vec::new(),
                compared: 0,
                differences: Vec::new(),
            },
        })
        .collect();
    let has = |weight| {
        let mut all = runs.iter().flat_map(|run| &run.differences);
        all.any(|difference| difference.weight == weight)
    };
    let unrepeated = runs.iter().any(|run| run.not_comparable.is_some());
    let answer = if unrepeated || has(Weight::NotComparable) {
        Answer::NotComparable
    } else if has(Weight::Differs) {
        Answer::Differs
    } else if has(Weight::WithinTolerance) {
        Answer::WithinTolerance
    } else {
        Answer::Reproduced
    };
    Reproduction {
        schema_version: SCHEMA_VERSION,
        answer,
        tolerance,
        not_comparable: None,
        runs,
    }
}

/// The answer on a document that could not be measured again at all.
pub fn impossible(recorded: &Report, why: String, tolerance: Tolerance) -> Reproduction {
    Reproduction {
        answer: Answer::NotComparable,
        not_comparable: Some(why),
        runs: Vec::new(),
        ..reproduction(recorded, &[], tolerance)
    }
}

/// Why a few pages of `rest` more or fewer say nothing.
const MOVES: &str = "what is not the dataset's moves by some pages from run to run";

/// Why the copies of such a way say nothing: a manager's children were seen with half as many in the next run.
const PIPED: &str =
    "the data came through a pipe, and what the allocator keeps of that depends on how it arrived";

/// Compares, and keeps what is not the same.
struct Comparing {
    compared: u64,
    differences: Vec<Difference>,
    tolerance: Tolerance,
    /// Whether both runs are of one build on one machine.
    one_build: bool,
}

impl Comparing {
    /// A figure of pages.
    fn pages(&mut self, of: impl FnOnce() -> String, recorded: u64, now: u64, whole: bool) {
        self.compared += 1;
        if recorded == now {
            return;
        }
        let within = recorded.abs_diff(now) <= self.tolerance.of(recorded) && !whole;
        self.note(Difference {
            of: of(),
            recorded: Some(recorded.to_string()),
            now: Some(now.to_string()),
            weight: match within {
                true => Weight::WithinTolerance,
                false => Weight::Differs,
            },
            because: None,
        });
    }

    /// Copied pages of the process that are not the dataset's.
    fn rest(&mut self, of: String, recorded: u64, now: u64) {
        self.compared += 1;
        if recorded == now {
            return;
        }
        let within = recorded.abs_diff(now) <= self.tolerance.of(recorded);
        let because = match (self.one_build, within) {
            (true, true) => Some(MOVES),
            (true, false) => None,
            (false, _) => Some(INTERPRETERS_OWN),
        };
        self.note(Difference {
            of,
            recorded: Some(recorded.to_string()),
            now: Some(now.to_string()),
            weight: match because {
                Some(_) => Weight::DoesNotCount,
                None => Weight::Differs,
            },
            because: because.map(str::to_owned),
        });
    }

    /// Something that is the same or is not.
    fn word(&mut self, of: String, recorded: String, now: String) {
        self.compared += 1;
        if recorded != now {
            self.note(Difference {
                of,
                recorded: Some(recorded),
                now: Some(now),
                weight: Weight::Differs,
                because: None,
            });
        }
    }

    /// Something that only one of them has, or that is of other data.
    fn apart(&mut self, of: String, recorded: Option<&str>, now: Option<&str>, because: &str) {
        self.note(Difference {
            of,
            recorded: recorded.map(str::to_owned),
            now: now.map(str::to_owned),
            weight: Weight::NotComparable,
            because: Some(because.to_owned()),
        });
    }

    fn note(&mut self, difference: Difference) {
        self.differences.push(difference);
    }
}

fn repeated(run: &Run, now: &Run, incomplete: bool, tolerance: Tolerance) -> Repeated {
    let differs = compare::differences(run, now);
    let mut comparing = Comparing {
        compared: 0,
        differences: Vec::new(),
        tolerance,
        one_build: differs.is_empty(),
    };
    match compare::circumstances(&run.environment, &now.environment) {
        Some(why) => comparing.apart("all pages".into(), None, None, &why),
        None => measurements(run, now, incomplete, &mut comparing),
    }
    let verdicts = |run: &Run| -> Vec<(String, String)> {
        let claims = run.claims.iter();
        let claims = claims.map(|one| (format!("claim {}", one.id), one.verdict.to_string()));
        let facts = run.facts.iter().map(|one| {
            let found = one.found.as_deref().unwrap_or_default();
            (
                format!("fact {}", one.id),
                format!("{}: {found}", one.outcome),
            )
        });
        let advice = run.advice.iter().map(|one| {
            let best = one.best().map_or("nothing", |tried| &tried.remedy);
            (
                format!("advice on {}/{}", one.fixture, one.visit),
                format!("{best} helps most"),
            )
        });
        claims.chain(facts).chain(advice).collect()
    };
    by_name(&verdicts(run), &verdicts(now), incomplete, &mut comparing);
    alternatives(run, now, incomplete, &mut comparing);
    let mut differences = comparing.differences;
    // Stable: the rest of the order is the document's.
    differences.sort_by_key(|difference| difference.weight);
    Repeated {
        recorded: compare::name(run),
        now: Some(compare::name(now)),
        not_comparable: None,
        differs,
        compared: comparing.compared,
        differences,
    }
}

const ONLY_NOW: &str = "the command measures it, and the document does not have it";
const ONLY_RECORDED: &str = "the document has it, and its command did not measure it again";

/// Things with names, and a word to compare.
fn by_name(
    recorded: &[(String, String)],
    now: &[(String, String)],
    incomplete: bool,
    comparing: &mut Comparing,
) {
    for (of, word) in recorded {
        match now.iter().find(|(other, _)| other == of) {
            Some((_, other)) => comparing.word(of.clone(), word.clone(), other.clone()),
            None => comparing.apart(of.clone(), Some(word), None, ONLY_RECORDED),
        }
    }
    for (of, word) in now {
        if !incomplete && !recorded.iter().any(|(other, _)| other == of) {
            comparing.apart(of.clone(), None, Some(word), ONLY_NOW);
        }
    }
}

fn measurements(run: &Run, now: &Run, incomplete: bool, comparing: &mut Comparing) {
    for (recorded, now) in compare::pairs(run, now) {
        match (recorded, now) {
            (Some(recorded), Some(now)) if recorded.made_with() != now.made_with() => comparing
                .apart(
                    short(recorded),
                    Some(&compare::made_of(recorded)),
                    Some(&compare::made_of(now)),
                    "the document says that it is of other data than its command builds",
                ),
            (Some(recorded), Some(now)) if recorded.children.len() != now.children.len() => {
                let children = |one: &Measurement| format!("{} children", one.children.len());
                comparing.apart(
                    short(recorded),
                    Some(&children(recorded)),
                    Some(&children(now)),
                    "the document says that it is of other children than its command forks",
                );
            }
            (Some(recorded), Some(now)) => measurement(recorded, now, comparing),
            (Some(recorded), None) => {
                comparing.apart(short(recorded), Some("measured"), None, ONLY_RECORDED);
            }
            (None, Some(_)) if incomplete => {}
            (None, Some(now)) => comparing.apart(short(now), None, Some("measured"), ONLY_NOW),
            (None, None) => {}
        }
    }
}

fn short(measurement: &Measurement) -> String {
    format!("{}/{}", measurement.data(), measurement.visit)
}

fn measurement(recorded: &Measurement, now: &Measurement, comparing: &mut Comparing) {
    let name = format!("{} ({})", short(recorded), compare::made_of(recorded));
    let children = recorded.children.iter().zip(&now.children);
    for (number, (one, other)) in (1..).zip(children) {
        for region in RegionName::ALL {
            let of = |what: &str| format!("{name}, child {number}, {} {what}", region.as_str());
            region_of(one, other, region, &of, comparing);
        }
    }
}

fn region_of(
    recorded: &Child,
    now: &Child,
    region: RegionName,
    of: &dyn Fn(&str) -> String,
    comparing: &mut Comparing,
) {
    let (one, other) = (recorded.region(region), now.region(region));
    if one.is_none() && other.is_none() {
        return;
    }
    let pages =
        |found: Option<&crate::model::Region>| found.map_or((0, 0), |it| (it.pages, it.unshared));
    let ((pages, unshared), (pages_now, unshared_now)) = (pages(one), pages(other));
    if region == RegionName::Rest {
        // With all of the process around the dataset that has a name.
        let (one, other) = (recorded.around().unshared, now.around().unshared);
        return comparing.rest(of("unshared"), one, other);
    }
    if !region.is_data() {
        return;
    }
    comparing.pages(|| of("pages"), pages, pages_now, false);
    let whole = compare::all_or_nothing((unshared, pages), (unshared_now, pages_now));
    comparing.pages(|| of("unshared"), unshared, unshared_now, whole);
    if let (Some(one), Some(other)) = (one, other) {
        // Where one of the machines does not tell, nothing is compared.
        if let (Some(one), Some(other)) = (one.identical, other.identical) {
            comparing.pages(|| of("identical"), one, other, false);
        }
        if let (Some(one), Some(other)) = (&one.causes, &other.causes) {
            for cause in Cause::ALL {
                comparing.pages(|| of(cause.as_str()), one.of(cause), other.of(cause), false);
            }
        }
    }
}

/// Ways to share: what they do must be the same; what they copy moves by some pages each time, as children of
/// multiprocessing's own do more than visit data.
fn alternatives(run: &Run, now: &Run, incomplete: bool, comparing: &mut Comparing) {
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
        let copied = |way: &Alternative| -> i64 {
            way.children.iter().map(|child| child.copied_pages).sum()
        };
        let (recorded, now) = (copied(one), copied(other));
        comparing.compared += 1;
        let children = one.children.len() as u64;
        let allowed = comparing
            .tolerance
            .of(recorded.unsigned_abs())
            .max(comparing.tolerance.pages * children);
        if recorded.abs_diff(now) > allowed {
            let piped = one.children.iter().filter_map(|child| child.piped_bytes);
            let through_pipes = piped.max().is_some_and(|most| most > one.size_bytes / 8);
            comparing.note(Difference {
                of: format!("{}: copied pages of all children", name(one)),
                recorded: Some(recorded.to_string()),
                now: Some(now.to_string()),
                weight: match through_pipes {
                    true => Weight::DoesNotCount,
                    false => Weight::Differs,
                },
                because: through_pipes.then(|| PIPED.to_owned()),
            });
        }
    }
}

fn name(way: &Alternative) -> String {
    let name = Alternative::name(&way.way, way.start_method);
    format!("{name} ({} bytes)", way.size_bytes)
}

/// What a way does and leaves, in words.
fn properties(way: &Alternative) -> String {
    use crate::model::AfterKill;
    let yes = |it: bool| if it { "yes" } else { "no" };
    let left: Vec<_> = way.left_after_kill.iter().map(|one| one.as_str()).collect();
    format!(
        "writes seen by parent: {}, by sibling: {}; container survives: {}, elements: {}; after a kill: {}; left: {}",
        yes(way.writes_seen_by_parent),
        way.writes_seen_by_sibling.map_or("unknown", yes),
        yes(way.container_survives),
        yes(way.elements_survive),
        match way.after_child_killed {
            AfterKill::Usable => "usable",
            AfterKill::Unusable => "unusable",
            AfterKill::Hangs { .. } => "hangs",
        },
        if left.is_empty() {
            "nothing".to_owned()
        } else {
            left.join(", ")
        },
    )
}
