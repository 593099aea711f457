//! What could be done about what is copied: a table a visit, what came of it, and what each remedy
//! that helps means, with its code.

use super::beginning::beginning;
use super::columns::Columns;
use super::escape::{block, markdown as escaped};
use super::grid::made_of;
use super::labels::labels;
use super::style::{Style, wrapped};
use super::warnings::warnings;
use refcow_model::advice::{TimeOfVisit, copied_bytes, median, own_bytes, time_of_visit};
use refcow_model::numbers::{bytes, signed_bytes, time};
use refcow_model::remedies::{Remedy, remedy, title};
use refcow_model::{Advice, Compared, Measurement, Report, Run, Tried};

/// Columns of prose where nothing else is said: the tables are no wider.
const WIDTH: u16 = 80;

/// What the tables' words mean.
pub(super) const LEGEND: &str = "workers: what all of them copied and made. tree: memory of the parent and all workers \
together, each page counted once; at its peak, if each worker has its most at once. saved: how much less the tree takes than \
with the data as it is. visit: how long it takes. prepare: once, in the parent, before the fork. parent: its resident memory \
after that.";

/// The same of documents of earlier versions.
const EARLIER_LEGEND: &str = "copied, visit: of the child with the most. saved: how much less it copied than with the data \
as it is. prepare: once, in the parent, before the fork. parent: its resident memory after that.";

/// What the tables say of times that were taken while faults were recorded.
const RECORDED: &str =
    "Visits were timed while page faults were recorded, which adds time for each copied page.";

/// The same, if they were: in documents of earlier versions.
pub(super) fn recorded(report: &Report) -> Option<&'static str> {
    let advice = report.runs.iter().flat_map(|run| {
        let all = run.advice.iter();
        let earlier = all.filter(|advice| advice.tree.is_none() && advice.visit_seconds.is_empty());
        earlier.map(|advice| advice.measurement(&run.measurements, None))
    });
    let mut measured = advice.flatten().peekable();
    measured.peek()?;
    measured.all(Measurement::has_causes).then_some(RECORDED)
}

/// What the words of a report's tables mean.
pub(super) fn legend(report: &Report) -> &'static str {
    let mut all = report.runs.iter().flat_map(|run| &run.advice);
    match all.any(|advice| advice.tree.is_some()) {
        true => LEGEND,
        false => EARLIER_LEGEND,
    }
}

/// Renders all advice of a report.
pub fn render(report: &Report, style: Style) -> Vec<u8> {
    let mut text = beginning(report, style);
    for (run, label) in report.runs.iter().zip(labels(report)) {
        for advice in &run.advice {
            add_visit(&mut text, run, &label, advice, style);
        }
        for (reason, titles) in not_measured(run) {
            let words = format!("Not measured: {}: {reason}.", titles.join(", "));
            add(&mut text, &words, "", style);
        }
        if let Some(words) = nothing_returned(run) {
            add(&mut text, &words, "", style);
        }
        if let Style::Terminal { .. } = style
            && !text.ends_with("\n\n")
        {
            text.push('\n');
        }
    }
    let mut told: Vec<&str> = Vec::new();
    let mut shown = Vec::new();
    for (run, label) in report.runs.iter().zip(labels(report)) {
        for (name, all) in helping(run) {
            if !told.contains(&name) {
                told.push(name);
                add_remedy(&mut text, name, style);
            }
            let of = (report.runs.len() > 1).then_some(&label);
            add_code(&mut text, of, &all, &mut shown, style);
        }
    }
    if !told.is_empty() {
        add(&mut text, legend(report), "", style);
    }
    if let Some(words) = recorded(report) {
        add(&mut text, words, "", style);
    }
    for warning in warnings(report) {
        match style {
            Style::Terminal { .. } => add(&mut text, &format!("warning: {warning}"), "", style),
            Style::Markdown => {
                text.push_str(&format!("> Warning: {}\n\n", escaped(&warning)));
            }
        }
    }
    while text.ends_with("\n\n") {
        text.pop();
    }
    text.into_bytes()
}

fn add_visit(text: &mut String, run: &Run, label: &str, advice: &Advice, style: Style) {
    let Some(as_it_is) = advice.measurement(&run.measurements, None) else {
        return;
    };
    let head = head(advice, as_it_is, label);
    match style {
        Style::Terminal { .. } => add(text, &head, "", style),
        Style::Markdown => text.push_str(&format!("**{}**\n\n", escaped(&head))),
    }
    let measured = || {
        advice
            .remedies
            .iter()
            .filter(|one| one.saved_bytes.is_some())
    };
    if measured().next().is_some() {
        let columns = columns(run, advice, as_it_is, measured());
        match style {
            Style::Terminal { width, .. } => {
                text.push('\n');
                text.push_str(&columns.text(Some(width.unwrap_or(WIDTH))));
            }
            Style::Markdown => text.push_str(&format!("{}\n\n", columns.markdown())),
        }
    }
    add(text, &advice.finding, "", style);
    if let Style::Terminal { .. } = style {
        text.push('\n');
    }
}

/// What an advice is about.
pub(super) fn head(advice: &Advice, as_it_is: &Measurement, label: &str) -> String {
    let Advice { fixture, visit, .. } = advice;
    let children = match as_it_is.children.len() {
        1 => "1 child".to_owned(),
        number => format!("{number} children"),
    };
    let made_of = made_of(as_it_is).map_or_else(String::new, |words| format!(" ({words})"));
    let prepared = advice.prepare.as_deref();
    let prepared = prepared.map_or_else(String::new, |name| format!(", prepared by {name}"));
    format!("{fixture}{made_of}{prepared}, {visit}: {children} of CPython {label}")
}

/// The data as it is, and with each remedy that was measured.
pub(super) fn columns<'a>(
    run: &Run,
    advice: &Advice,
    as_it_is: &Measurement,
    measured: impl Iterator<Item = &'a Tried>,
) -> Columns {
    match advice.tree {
        Some(_) => columns_of_trees(run, advice, as_it_is, measured),
        None => columns_of_copies(run, advice, as_it_is, measured),
    }
}

fn memory(number: Option<u64>) -> String {
    number.map_or_else(String::new, bytes)
}

fn columns_of_trees<'a>(
    run: &Run,
    advice: &Advice,
    as_it_is: &Measurement,
    measured: impl Iterator<Item = &'a Tried>,
) -> Columns {
    let page = run.environment.page_size_bytes;
    let measured: Vec<&Tried> = measured.collect();
    let trees = advice
        .tree
        .into_iter()
        .chain(measured.iter().filter_map(|one| one.tree));
    // Where nothing is given back, the peak is the end.
    let has_peak = trees
        .clone()
        .any(|tree| tree.peak - tree.end > advice.peak_noise());
    let row = |name: &str, of: Option<&Measurement>, tried: Option<&Tried>| {
        let tree = tried.map_or(advice.tree, |tried| tried.tree);
        let saved = tried.and_then(|tried| Some(advice.tree?.saved_by(tried.tree?)));
        let mut row = vec![
            name.to_owned(),
            of.map_or_else(String::new, |one| bytes(own_bytes(one, page))),
            tree.map_or_else(String::new, |tree| bytes(tree.end)),
            saved.map_or_else(String::new, |saved| signed_bytes(saved.end)),
        ];
        if has_peak {
            row.push(tree.map_or_else(String::new, |tree| bytes(tree.peak)));
            row.push(saved.map_or_else(String::new, |saved| signed_bytes(saved.peak)));
        }
        row.push(match tried {
            None if advice.visit_seconds.is_empty() => String::new(),
            None => time(median(&advice.visit_seconds)),
            Some(tried) => match time_of_visit(&advice.visit_seconds, &tried.visit_seconds) {
                TimeOfVisit::Unknown => String::new(),
                TimeOfVisit::Same => "the same".to_owned(),
                TimeOfVisit::Times(ratio) => times(ratio),
                TimeOfVisit::Unclear(least, most) => format!("× {least:.1}–{most:.1}"),
            },
        });
        row.push(tried.map_or_else(String::new, |tried| {
            tried.prepare_seconds.map_or_else(String::new, time)
        }));
        row.push(memory(
            tried.map_or(advice.parent_bytes, |tried| tried.parent_bytes),
        ));
        row
    };
    let mut rows = vec![row("as it is", Some(as_it_is), None)];
    for tried in &measured {
        let of = advice.measurement(&run.measurements, Some(&tried.remedy));
        rows.push(row(title(&tried.remedy), of, Some(tried)));
    }
    let mut header = vec!["", "workers", "tree", "saved"];
    if has_peak {
        header.extend(["at its peak", "saved"]);
    }
    header.extend(["visit", "prepare", "parent"]);
    Columns {
        numbers: 1..header.len(),
        header: header.into_iter().map(str::to_owned).collect(),
        rows,
        leading: 1,
    }
}

/// Of documents of earlier versions.
fn columns_of_copies<'a>(
    run: &Run,
    advice: &Advice,
    as_it_is: &Measurement,
    measured: impl Iterator<Item = &'a Tried>,
) -> Columns {
    let page = run.environment.page_size_bytes;
    let seconds = |measurement: &Measurement| {
        let summary = measurement.summary(page);
        summary.map_or(0.0, |summary| *summary.seconds.end())
    };
    let header = ["", "copied", "saved", "visit", "", "prepare", "parent"];
    let base = seconds(as_it_is);
    let mut rows = vec![vec![
        "as it is".to_owned(),
        bytes(advice.copied_bytes),
        String::new(),
        time(base),
        String::new(),
        String::new(),
        memory(advice.parent_bytes),
    ]];
    for tried in measured {
        let of = advice.measurement(&run.measurements, Some(&tried.remedy));
        let visit = of.map_or(0.0, seconds);
        rows.push(vec![
            title(&tried.remedy).to_owned(),
            bytes(of.map_or(0, |one| copied_bytes(one, page))),
            tried.saved_bytes.map_or_else(String::new, signed_bytes),
            time(visit),
            match base > 0.0 {
                true => times(visit / base),
                false => String::new(),
            },
            tried.prepare_seconds.map_or_else(String::new, time),
            memory(tried.parent_bytes),
        ]);
    }
    Columns {
        header: header.map(str::to_owned).to_vec(),
        rows,
        leading: 1,
        numbers: 1..header.len(),
    }
}

/// How many times as long.
fn times(ratio: f64) -> String {
    match ratio {
        ..0.0095 => "× < 0.01".to_owned(),
        ..0.095 => format!("× {ratio:.2}"),
        ..9.95 => format!("× {ratio:.1}"),
        _ => format!("× {ratio:.0}"),
    }
}

/// Remedies that were not measured, by the reason; each with the visit, where it is only that
/// one's.
pub(super) fn not_measured(run: &Run) -> Vec<(&str, Vec<String>)> {
    let mut reasons: Vec<(&str, Vec<String>)> = Vec::new();
    let all = || run.advice.iter().filter(|one| !one.remedies.is_empty());
    for advice in all() {
        for tried in &advice.remedies {
            let Some(reason) = tried.does_not_apply.as_deref() else {
                continue;
            };
            // The sentence says it.
            if advice.tree.is_some() && advice.best().is_none() && advice.finding.contains(reason) {
                continue;
            }
            let everywhere = all().all(|other| {
                let mut of = other.remedies.iter();
                let same = of.find(|one| one.remedy == tried.remedy);
                same.is_some_and(|same| same.does_not_apply.as_deref() == Some(reason))
            });
            let title = match everywhere {
                true => title(&tried.remedy).to_owned(),
                false => format!("{} with {}", title(&tried.remedy), advice.visit),
            };
            match reasons.iter_mut().find(|(known, _)| *known == reason) {
                Some((_, titles)) if titles.contains(&title) => {}
                Some((_, titles)) => titles.push(title),
                None => reasons.push((reason, vec![title])),
            }
        }
    }
    reasons
}

/// The remedies that help most with a visit of a run, and the next that saves not much less by other
/// means; each with the visits that it helps with.
pub(super) fn helping(run: &Run) -> Vec<(&str, Vec<(&Advice, &Tried)>)> {
    let mut all: Vec<(&str, Vec<(&Advice, &Tried)>)> = Vec::new();
    for advice in &run.advice {
        let saved = |tried: &Tried| match advice.saved_of_tree(tried) {
            Some(saved) => Some(saved.together()),
            None => tried.saved_bytes,
        };
        let Some(most) = advice.best().and_then(saved) else {
            continue;
        };
        let much = |tried: &&Tried| {
            advice.helps(tried) && saved(tried).is_some_and(|saved| saved >= most / 2)
        };
        let all_of_visit = advice.remedies.iter().filter(much);
        // The same objects elsewhere are no other means.
        let is_variant =
            |tried: &&Tried| remedy(&tried.remedy).is_none_or(|one| one.after.is_none());
        let best = advice.best().into_iter();
        let others = all_of_visit.skip(1).filter(is_variant).take(1);
        for tried in best.chain(others) {
            match all.iter_mut().find(|(name, _)| *name == tried.remedy) {
                Some((_, visits)) => visits.push((advice, tried)),
                None => all.push((&tried.remedy, vec![(advice, tried)])),
            }
        }
    }
    all
}

/// The visits of which it is not known that they do the same with other objects, in a sentence.
pub(super) fn nothing_returned(run: &Run) -> Option<String> {
    let nothing = |tried: &Tried| tried.compared == Some(Compared::NothingReturned);
    let all = run.advice.iter();
    let all = all.filter(|advice| advice.remedies.iter().any(nothing));
    let visits: Vec<_> = all.map(|advice| &advice.visit[..]).collect();
    let returns = match visits.len() {
        0 => return None,
        1 => "returns",
        _ => "return",
    };
    Some(format!(
        "{} {returns} nothing, so refcow knows only that other objects raised no error.",
        visits.join(", ")
    ))
}

/// What a remedy is, and when it helps.
pub(super) fn explained(remedy: &Remedy) -> [(&'static str, &str); 4] {
    [
        ("what it is", &remedy.does),
        ("for the code", &remedy.changes),
        ("when", &remedy.applies),
        ("what stays", &remedy.leaves),
    ]
}

/// What was done with one data set, in sentences.
pub(super) fn done(tried: &Tried) -> Vec<String> {
    let mut all = Vec::new();
    if !tried.replaced.is_empty() {
        all.push(format!("Replaced: {}.", tried.replaced.join("; ")));
    }
    all.extend(tried.kept.iter().map(|words| format!("{words}.")));
    if let Some(peak) = tried
        .prepare_peak_bytes
        .filter(|_| !tried.replaced.is_empty())
    {
        all.push(format!(
            "While it was prepared, the parent had at most {}.",
            bytes(peak)
        ));
    }
    if let Some(growth) = tried.refreeze_bytes {
        all.push(format!(
            "A parent that goes on forking, and calls gc.unfreeze(), gc.collect() and gc.freeze() again while a worker \
             lives, takes {} more by that.",
            bytes(growth)
        ));
    }
    all
}

/// Code that was run, with the visits that it is for.
pub(super) fn code<'a>(all: &[(&'a Advice, &'a Tried)]) -> Vec<(&'a Tried, Vec<&'a str>)> {
    let mut codes: Vec<(&Tried, Vec<&str>)> = Vec::new();
    for (advice, tried) in all.iter().filter(|(_, tried)| !tried.code.is_empty()) {
        match codes.iter_mut().find(|(known, _)| known.code == tried.code) {
            Some((_, visits)) => visits.push(&advice.visit),
            None => codes.push((tried, vec![&advice.visit])),
        }
    }
    codes
}

fn add_remedy(text: &mut String, name: &str, style: Style) {
    let Some(known) = remedy(name) else {
        return;
    };
    let lines = explained(known);
    match style {
        Style::Terminal { .. } => {
            text.push_str(&format!("{}\n", known.title));
            for (what, words) in lines {
                add(text, &format!("{what}: {words}."), "  ", style);
            }
            text.push('\n');
        }
        Style::Markdown => {
            text.push_str(&format!("**{}**\n\n", known.title));
            for (what, words) in lines {
                // refcow's own words, in Markdown where they hold code.
                text.push_str(&format!("- {what}: {words}.\n"));
            }
            text.push('\n');
        }
    }
}

/// What was done, and the code, of one remedy and one interpreter. What was shown for an earlier one is not shown again.
fn add_code<'a>(
    text: &mut String,
    of: Option<&String>,
    all: &[(&'a Advice, &'a Tried)],
    shown: &mut Vec<(&'a Tried, Option<String>)>,
    style: Style,
) {
    for (tried, visits) in code(all) {
        let with = of.map_or_else(String::new, |label| format!(", with CPython {label}"));
        for words in done(tried) {
            add(text, &words, "  ", style);
        }
        let what = format!("Code that was run for {}{with}:", visits.join(", "));
        let earlier = shown.iter().find(|(known, _)| known.code == tried.code);
        if let Some((_, Some(label))) = earlier {
            let what = format!("{what} the same as with CPython {label}.");
            add(text, &what, "  ", style);
            continue;
        }
        add(text, &what, "  ", style);
        shown.push((tried, of.cloned()));
        match style {
            Style::Terminal { .. } => {
                text.push('\n');
                for line in &tried.code {
                    text.push_str(format!("    {line}").trim_end());
                    text.push('\n');
                }
                text.push('\n');
            }
            Style::Markdown => {
                text.push_str(&format!("{}\n\n", block(&tried.code.join("\n"))));
            }
        }
    }
}

/// Adds a sentence.
fn add(text: &mut String, words: &str, indent: &str, style: Style) {
    match style {
        Style::Terminal { width, .. } => {
            text.push_str(&wrapped(words, width.unwrap_or(WIDTH), indent));
        }
        Style::Markdown => text.push_str(&format!("{}\n\n", escaped(words))),
    }
}
