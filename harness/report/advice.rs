//! What could be done about what is copied: a table a visit, what came of it, and what each remedy that helps means.

use super::claims::escaped;
use super::columns::Columns;
use super::table::wrapped;
use super::{Style, labels, warnings};
use crate::advice::{copied_bytes, signed};
use crate::model::{Advice, Compared, Measurement, Report, Run, Tried};
use crate::numbers::{bytes, time};
use crate::remedies::{remedy, title};

/// Columns of prose where nothing else is said: the tables are no wider.
const WIDTH: u16 = 80;

/// Renders all advice of a report.
pub fn render(report: &Report, style: Style) -> Vec<u8> {
    let mut text = String::new();
    for (run, label) in report.runs.iter().zip(labels(report)) {
        for advice in &run.advice {
            add_visit(&mut text, run, &label, advice, style);
        }
        for (reason, titles) in not_measured(run) {
            let words = format!("Not measured: {}: {reason}.", titles.join(", "));
            add(&mut text, &words, "", style);
        }
        match &silent(run)[..] {
            [] => {}
            visits => {
                let returns = if visits.len() == 1 {
                    "returns"
                } else {
                    "return"
                };
                let words = format!(
                    "{} {returns} nothing: that other objects serve as well is known only so far as it raised no error.",
                    visits.join(", ")
                );
                add(&mut text, &words, "", style);
            }
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
        let legend = "copied, visit: by the child with the most. saved: what it copied less than of the data as it \
                      is. prepare: in the parent, once, before the fork. parent: its resident memory then.";
        add(&mut text, legend, "", style);
    }
    for warning in warnings(report) {
        match style {
            Style::Terminal { .. } => add(&mut text, &format!("warning: {warning}"), "", style),
            Style::Markdown => text.push_str(&format!("> Warning: {warning}\n\n")),
        }
    }
    while text.ends_with("\n\n") {
        text.pop();
    }
    text.into_bytes()
}

/// One visit.
fn add_visit(text: &mut String, run: &Run, label: &str, advice: &Advice, style: Style) {
    let Some(as_it_is) = advice.measurement(&run.measurements, None) else {
        return;
    };
    let Advice { fixture, visit, .. } = advice;
    let children = match as_it_is.children.len() {
        1 => "1 child".to_owned(),
        number => format!("{number} children"),
    };
    let made_of = as_it_is.made_of(|number| number.to_string(), |size| bytes(*size));
    let made_of = match &made_of[..] {
        "" => String::new(),
        made_of => format!(" ({made_of})"),
    };
    let head = format!("{fixture}{made_of}, {visit}: {children} of CPython {label}");
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

fn columns<'a>(
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
            tried.saved_bytes.map_or_else(String::new, signed),
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

/// Remedies that were not measured, by the reason; each with the visit, where it is only that one's.
fn not_measured(run: &Run) -> Vec<(&str, Vec<String>)> {
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
fn helping(run: &Run) -> Vec<&str> {
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

/// The visits of which it is not known that they do the same with other objects.
fn silent(run: &Run) -> Vec<&str> {
    let nothing = |tried: &Tried| tried.compared == Some(Compared::NothingReturned);
    let all = run.advice.iter();
    let all = all.filter(|advice| advice.remedies.iter().any(nothing));
    all.map(|advice| &advice.visit[..]).collect()
}

/// What a remedy is.
fn add_remedy(text: &mut String, name: &str, style: Style) {
    let Some(known) = remedy(name) else {
        return;
    };
    let lines = [
        ("what it is", &known.does),
        ("for the code", &known.changes),
        ("when", &known.applies),
    ];
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
                text.push_str(&format!("- {what}: {}.\n", escaped(words)));
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
