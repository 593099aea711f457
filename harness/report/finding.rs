//! A run in a sentence: what the visit that costs most costs a worker, and why.

use super::words::{NAMED, NEARLY_ALL, and, because, contents, neighbours, part_of, places};
use refcow_model::numbers::{bytes, count, counted, signed_bytes};
use refcow_model::{CausedPages, Cost, Measurement, Processes, Report, Run, Why, is_noise};

/// The visit in which Python ends.
const EXIT: &str = "exit";

/// A second region matters if it has at least this part of all copies.
const MATTERS: f64 = 0.05;

/// From this part on a reason is the main one.
const MAINLY: f64 = 0.5;

/// What was found, a line an interpreter.
pub fn findings(report: &Report) -> Vec<String> {
    let labels = super::labels::labels(report);
    let several = labels.len() > 1;
    let all = report.runs.iter().zip(labels);
    all.map(|(run, label)| {
        let parts = parts(run);
        let with = match several {
            true => format!("Found with CPython {label}"),
            false => "Found".to_owned(),
        };
        match parts.is_empty() {
            true => format!("{with}: nothing was measured."),
            false => format!("{with}: {}.", parts.join(". ")),
        }
    })
    .collect()
}

/// Of each way of sharing the visit that costs most, that of all first: sentences, the first of
/// each without a capital letter unless it follows another, none with a full stop at its end.
pub(super) fn parts(run: &Run) -> Vec<String> {
    let page_size = run.environment.page_size_bytes;
    let mut most: Vec<(&Measurement, Cost<'_>)> = Vec::new();
    for measurement in &run.measurements {
        let Some(cost) = measurement.cost(page_size) else {
            continue;
        };
        match most
            .iter_mut()
            .find(|(known, _)| known.sharing == measurement.sharing)
        {
            // The first of equals, so that the sentence does not depend on the order of later
            // visits.
            Some(known) if cost.total_bytes > known.1.total_bytes => *known = (measurement, cost),
            Some(_) => {}
            None => most.push((measurement, cost)),
        }
    }
    // Those of one cost stay in their order.
    most.sort_by_key(|(_, cost)| std::cmp::Reverse(cost.total_bytes));
    let first = run.measurements.first();
    let several_data = || {
        let mut all = run.measurements.iter();
        all.any(|one| first.is_some_and(|first| one.data() != first.data()))
    };
    let mut all = most.iter().enumerate().map(|(place, (measurement, cost))| {
        let of = match (run.measurements.len(), several_data()) {
            (..=1, _) => String::new(),
            (_, false) => format!(" in {}", measurement.visit),
            (_, true) => format!(" in {} of {}", measurement.visit, measurement.data()),
        };
        let sentences = sentences(measurement, cost, &of, page_size);
        match place {
            0 => sentences,
            _ => capital(&sentences),
        }
    });
    let mut parts: Vec<String> = all.by_ref().collect();
    parts.retain(|part| !part.is_empty());
    parts
}

/// With a capital letter in front.
pub(super) fn capital(words: &str) -> String {
    let mut letters = words.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => String::new(),
    }
}

/// What a visit cost, in sentences, without a full stop at the end.
fn sentences(measurement: &Measurement, cost: &Cost<'_>, of: &str, page_size: u64) -> String {
    let why = cost.child.why(page_size);
    let ends_python = measurement.visit == EXIT;
    let (worker, no_worker) = match measurement.children.len() {
        1 => ("the worker", "the worker did not copy"),
        _ => ("each worker", "no worker copied"),
    };
    let up_to = if cost.alike { "" } else { "up to " };
    let new = cost.bytes.new.unwrap_or(0);
    let at_end = cost.bytes.copied.saturating_add(new);
    let most = cost.peak_bytes.max(cost.ever_copied_bytes);
    // What was given back again is what there is to say, if it is most of all.
    let gave_back = most.filter(|most| *most / 2 >= at_end);

    let copies = |subject: &str, of: &str| copies(subject, cost, &why, of, up_to, ends_python);
    let (mut first, mut told_new) = (String::new(), false);
    let forked = cost
        .forked_bytes
        .map_or(0, |(copied, new)| copied.saturating_add(new));
    let forked_most = forked > at_end.max(most.unwrap_or(0));
    let (worker, of) = match &cost.child.processes {
        Some(processes) if forked_most => {
            let started = started(&format!("{worker} started"), of, processes, cost);
            first += &format!("{started}. ");
            ("It itself", "")
        }
        _ => (worker, of),
    };
    let no_page = match forked_most {
        true => "It itself did not copy",
        false => no_worker,
    };
    // What was there at once is what a look saw: there may have been more between two looks.
    if let Some(most) = gave_back {
        // What was copied over all the time need not have been there at once.
        let in_all = cost
            .ever_copied_bytes
            .filter(|ever| cost.peak_bytes.is_none_or(|peak| peak < *ever));
        first += &match (in_all, cost.peak_bytes) {
            (Some(ever), peak) => {
                let at_once = peak.map_or(String::new(), |peak| {
                    format!(
                        "; at least {} of copies and new memory was there at once",
                        bytes(peak)
                    )
                });
                let ever = bytes(ever);
                format!(
                    "{worker} copied {up_to}{ever} in all{of}, and gave most of it back{at_once}"
                )
            }
            (None, _) => format!(
                "{worker} had at least {} of copies and new memory at once{of}, and gave most of it back",
                bytes(most)
            ),
        };
        first += &match cost.copied {
            true => format!(". {}", copies("At the end it had copied", "")),
            false => format!("; at the end it had {} of copies", bytes(cost.bytes.copied)),
        };
    } else if cost.new == Some(true) && new > cost.bytes.copied {
        told_new = true;
        first += &format!(
            "{worker} made {up_to}{} of new memory{of}{}",
            bytes(new),
            makers(cost, page_size)
        );
        first += &match cost.copied {
            true => format!(", and {}", copies("copied", "")),
            false if cost.bytes.copied == 0 => ", and copied no page".to_owned(),
            false => format!(
                ", and copied nothing but noise ({})",
                bytes(cost.bytes.copied)
            ),
        };
    } else if cost.copied {
        first += &copies(&format!("{worker} copied"), of);
    } else {
        first += &match cost.bytes.copied {
            0 => format!("{no_page} a page{of}"),
            copied => format!("{no_page} anything but noise{of} ({})", bytes(copied)),
        };
    }
    if !told_new {
        match cost.new {
            Some(true) => first += &format!("; {} new{}", bytes(new), makers(cost, page_size)),
            Some(false) => first += "; nothing new",
            None => {}
        }
    }
    if let (None, Some(peak)) = (gave_back, cost.peak_bytes) {
        first += &format!(
            "; at the peak it had at least {} of copies and new memory",
            bytes(peak)
        );
    }
    if let Some(file) = cost
        .bytes
        .file
        .filter(|file| !is_noise(file / page_size.max(1)))
    {
        first += &format!("; {} of files mapped", bytes(file));
    }
    if let Some(growth) = cost.bytes.uss_growth
        && at_end > 0
        && (cost.copied || cost.new == Some(true))
    {
        first += &format!("; USS {}", growth_words(growth));
    }
    let mut sentences = vec![first];
    sentences.extend(second_region(cost, &why, ends_python));
    sentences.extend(edges(cost, page_size, |pages| !is_noise(pages)));
    sentences.extend(others(measurement, cost, !forked_most));
    sentences.join(". ")
}

fn growth_words(growth: i64) -> String {
    match growth {
        0 => "did not grow".to_owned(),
        1.. => format!("grew by {}", bytes(growth.unsigned_abs())),
        _ => format!("fell by {}", bytes(growth.unsigned_abs())),
    }
}

/// `each worker copied 15.3 MiB (98 % of the objects' pages) because using a str writes its
/// reference count: keys.py:9`.
fn copies(
    subject: &str,
    cost: &Cost<'_>,
    why: &[Why],
    of: &str,
    up_to: &str,
    ends_python: bool,
) -> String {
    let all = bytes(cost.bytes.copied);
    let Some(first) = why.first() else {
        // A few pages in each of several regions.
        return format!("{subject} {up_to}{all}{of}, a few pages here and there");
    };
    let part = part_of(first.region, first.share);
    let nearly_all = first.bytes as f64 >= (1.0 - MATTERS) * cost.bytes.copied as f64;
    let mut words = match nearly_all {
        true => format!("{subject} {up_to}{all}{of} ({part})"),
        false => format!(
            "{subject} {up_to}{all}{of}: {} ({part})",
            bytes(first.bytes)
        ),
    };
    words += &reason(first, ends_python);
    words
}

/// ` because …: FILE:LINE, FUNCTION`, as far as that is known.
fn reason(why: &Why, ends_python: bool) -> String {
    let Some(first) = why.reasons.first() else {
        return "; what wrote to them was not recorded".to_owned();
    };
    let at = |places: Option<String>| places.map_or_else(String::new, |at| format!(": {at}"));
    let whole = why.pages as f64;
    let part = |reason: &CausedPages| reason.pages as f64 / whole;
    let clause = |reason: &CausedPages| because(reason, why.region, ends_python);
    // What nobody knows is told if it is most of it; else what is known is.
    let known = match clause(first) {
        None if part(first) < MAINLY => why.reasons.iter().find(|one| clause(one).is_some()),
        _ => Some(first),
    };
    let first = known.unwrap_or(first);
    let places = at(places(&first.lines, &first.functions, first.pages));
    let Some(clause) = clause(first) else {
        return format!("; refcow does not know what was written there{places}");
    };
    let how = match part(first) {
        NEARLY_ALL.. => "",
        MAINLY.. => "mainly ",
        _ => "partly ",
    };
    format!(" {how}because {clause}{places}")
}

/// The other region that matters.
fn second_region(cost: &Cost<'_>, why: &[Why], ends_python: bool) -> Option<String> {
    let second = why.get(1)?;
    let matters = second.bytes as f64 >= MATTERS * cost.bytes.copied as f64;
    matters.then(|| {
        format!(
            "Another {} ({}) was copied{}",
            bytes(second.bytes),
            part_of(second.region, second.share),
            match second.reasons.is_empty() {
                // The first sentence has said so.
                true => String::new(),
                false => reason(second, ends_python),
            }
        )
    })
}

/// Who made new memory, in brackets.
fn makers(cost: &Cost<'_>, page_size: u64) -> String {
    let [types, functions, lines] = &cost.made;
    let pages = cost.bytes.new.unwrap_or(0) / page_size.max(1);
    let of_type = types.first().and_then(|(name, _)| name.clone());
    let at = places(lines, functions, pages);
    match (of_type, at) {
        (None, None) => String::new(),
        (Some(name), None) => format!(" (mostly for {name})"),
        (None, Some(at)) => format!(" ({at})"),
        (Some(name), Some(at)) => format!(" (mostly for {name}: {at})"),
    }
}

/// How many processes a visit started, and what they copied.
fn started(subject: &str, of: &str, processes: &Processes, cost: &Cost<'_>) -> String {
    let number = processes.number;
    let followed = processes.followed.len() as u64;
    let mut words = format!("{subject} {}{of}", counted(number, "process", "processes"));
    if let Some((copied, new)) = cost.forked_bytes {
        let who = match (followed == number, number) {
            (true, 1) => "which".to_owned(),
            (true, _) => "which together".to_owned(),
            (false, _) => format!("of which {} together", count(followed)),
        };
        words += &format!(
            ", {who} copied {} and made {} of new memory",
            bytes(copied),
            bytes(new)
        );
    }
    if let Some(peak) = processes.peak_bytes {
        let who = if number == 1 { "it" } else { "they" };
        words += &format!("; at the peak {who} had at least {} of both", bytes(peak));
    }
    if let Some(reason) = &processes.not_followed {
        let left = number.saturating_sub(followed);
        words += &match followed {
            0 if number == 1 => format!("; what that one copied is not known: {reason}"),
            0 => format!("; what they copied is not known: {reason}"),
            _ if left == 1 => format!("; what the other one copied is not known: {reason}"),
            _ => format!(
                "; what the other {} copied is not known: {reason}",
                count(left)
            ),
        };
    }
    words
}

/// What was copied for neighbours of the data, if that is at least so many pages of a region.
pub(super) fn edges(cost: &Cost<'_>, page_size: u64, least: impl Fn(u64) -> bool) -> Vec<String> {
    let edges = cost.child.edges().into_iter();
    let edges = edges.filter(|edge| least(edge.pages));
    edges
        .map(|edge| {
            format!(
                "At the edge of {}, {} more was copied for {}",
                edge.region.as_str(),
                bytes(edge.pages.saturating_mul(page_size)),
                neighbours(&edge.types, edge.pages)
            )
        })
        .collect()
}

/// What else a visit did that costs memory: imports, processes, copies before it began; and what is
/// not known.
pub(super) fn others(measurement: &Measurement, cost: &Cost<'_>, processes: bool) -> Vec<String> {
    let mut all = Vec::new();
    let child = cost.child;
    if !child.imported.is_empty() {
        all.push(format!("It imported {}", imports(&child.imported)));
    }
    if let Some(forked) = child.processes.as_ref().filter(|_| processes) {
        all.push(started("It started", "", forked, cost));
    }
    if !cost.on_the_way.is_empty() {
        let regions = cost.on_the_way.iter();
        let regions: Vec<String> = regions
            .map(|(region, size)| format!("{} of {}", bytes(*size), contents(*region)))
            .collect();
        let regions = and(regions).unwrap_or_default();
        all.push(format!(
            "Between the fork and the visit it had already copied {regions}"
        ));
    }
    // Data of no size, data that nobody has touched yet, data that `build` kept for itself: the
    // pages say only that none was shared.
    if child.dataset().pages == 0 {
        all.push(format!(
            "refcow could not locate the data of {}: no shared page is known to belong to it",
            measurement.fixture
        ));
    }
    if child.lost_faults > 0 {
        all.push(format!(
            "The kernel lost {}, so some causes are not known",
            counted(child.lost_faults, "record", "records")
        ));
    }
    all
}

/// `json, decimal, fractions and 40 more modules`.
pub(super) fn imports(modules: &[String]) -> String {
    match modules.len() {
        // One more is no longer than that there is one more.
        0..=NAMED => and(modules.to_vec()).unwrap_or_default(),
        number => format!(
            "{} and {}",
            modules[..NAMED].join(", "),
            counted((number - NAMED) as u64, "more module", "more modules")
        ),
    }
}

/// What was found in a run that put no statement to the test: of what was asked for, without a full
/// stop.
pub(super) fn of_run(run: &Run) -> Vec<String> {
    if !run.advice.is_empty() {
        let all = run.advice.iter();
        return all
            .map(|advice| {
                let finding = advice.finding.trim_end_matches('.');
                format!("{finding} ({}, {})", advice.fixture, advice.visit)
            })
            .collect();
    }
    let mut all: Vec<String> = run
        .extreme_ways()
        .map(|[(least, least_bytes), (most, most_bytes)]| {
            format!(
                "of {} handed over, a child copied the most by {} ({}): {}; the least by {} ({}): {}",
                bytes(most.size_bytes),
                most.title,
                most.start_method,
                signed_bytes(most_bytes),
                least.title,
                least.start_method,
                signed_bytes(least_bytes),
            )
        })
        .into_iter()
        .collect();
    all.extend(parts(run));
    all
}
