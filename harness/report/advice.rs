//! What could be done about what is copied: a table a visit, what came of it, and what each remedy
//! that helps means.

use super::beginning::beginning;
use super::columns::Columns;
use super::escape::markdown as escaped;
use super::grid::made_of;
use super::labels::labels;
use super::style::{Style, wrapped};
use super::warnings::warnings;
use refcow_model::advice::copied_bytes;
use refcow_model::numbers::{bytes, signed_bytes, time};
use refcow_model::remedies::{Remedy, remedy, title};
use refcow_model::{Advice, Compared, Measurement, Report, Run, Tried};

/// Columns of prose where nothing else is said: the tables are no wider.
const WIDTH: u16 = 80;

/// What the tables' words mean.
pub(super) const LEGEND: &str = "copied, visit: of the child with the most. saved: how much less it copied than \
with the data as it is. prepare: once, in the parent, before the fork. parent: its resident memory after that.";

/// What the tables say of times that were taken while faults were recorded.
const RECORDED: &str =
    "Visits were timed while page faults were recorded, which adds time for each copied page.";

/// The same, if they were.
pub(super) fn recorded(report: &Report) -> Option<&'static str> {
    let advice = report.runs.iter().flat_map(|run| {
        let all = run.advice.iter();
        all.map(|advice| advice.measurement(&run.measurements, None))
    });
    let mut measured = advice.flatten().peekable();
    measured.peek()?;
    measured.all(Measurement::has_causes).then_some(RECORDED)
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
    for name in report.runs.iter().flat_map(helping) {
        if !told.contains(&name) {
            told.push(name);
            add_remedy(&mut text, name, style);
        }
    }
    if !told.is_empty() {
        add(&mut text, LEGEND, "", style);
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
                text.push_str(&columns.text(width));
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
    format!("{fixture}{made_of}, {visit}: {children} of CPython {label}")
}

/// The data as it is, and with each remedy that was measured.
pub(super) fn columns<'a>(
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
    let memory = |number: Option<u64>| number.map_or_else(String::new, bytes);
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

/// The remedies that help with a visit of a run, and not much less than the best.
pub(super) fn helping(run: &Run) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for advice in &run.advice {
        let Some(most) = advice.best().and_then(|best| best.saved_bytes) else {
            continue;
        };
        let much = |tried: &&Tried| tried.saved_bytes.is_some_and(|saved| saved >= most / 2);
        for tried in advice.remedies.iter().filter(much) {
            if !names.contains(&&tried.remedy[..]) {
                names.push(&tried.remedy);
            }
        }
    }
    names
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
pub(super) fn explained(remedy: &Remedy) -> [(&'static str, &str); 3] {
    [
        ("what it is", &remedy.does),
        ("for the code", &remedy.changes),
        ("when", &remedy.applies),
    ]
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

/// Adds a sentence.
fn add(text: &mut String, words: &str, indent: &str, style: Style) {
    match style {
        Style::Terminal { width, .. } => {
            text.push_str(&wrapped(words, width.unwrap_or(WIDTH), indent));
        }
        Style::Markdown => text.push_str(&format!("{}\n\n", escaped(words))),
    }
}
