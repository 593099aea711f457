//! What changes from one version of Python to the next, each with the fact that tells of it.

use super::escape::markdown as escaped;
use super::labels::{labels, legend};
use super::style::{READABLE, Style, wrapped};
use refcow_model::claims::Claims;
use refcow_model::compare;
use refcow_model::numbers::{bytes, count, share, signed};
use refcow_model::{
    ComparedRuns, Outcome, Paid, RegionName, Report, Row, RowKey, RowValue, change_share,
};

/// The changes from one interpreter to the next.
pub(crate) struct ChangeStep {
    /// `3.8.18 → 3.9.18`; several, where nothing changed.
    pub title: String,
    /// What changed.
    pub lines: Vec<ChangeLine>,
}

/// A sentence, or one that belongs under the one before.
pub(crate) struct ChangeLine {
    /// 1, or 2 for one that belongs under another.
    pub depth: usize,
    /// The sentence.
    pub words: String,
}

/// Of several interpreters, every change between neighbours, the versions in ascending order.
pub(crate) fn between_neighbours(report: &Report) -> Vec<ChangeStep> {
    let facts = Claims::versions();
    let all = compare::neighbours(report, facts);
    let labels = labels(report);
    let told: Vec<(&ComparedRuns, &str, Vec<ChangeLine>)> = all
        .iter()
        .zip(labels.windows(2))
        .map(|(runs, pair)| (runs, &pair[1][..], of_runs(runs, facts)))
        .collect();
    let mut from = labels.first().cloned().unwrap_or_default();
    let mut steps = Vec::new();
    // Steps without a change stand together.
    let mut told = told.into_iter().peekable();
    while let Some((runs, label, mut lines)) = told.next() {
        let mut title = format!("{from} → {label}");
        let mut last = label;
        if lines.is_empty() {
            let mut compared = !runs.rows.is_empty();
            while let Some((runs, label, _)) = told.next_if(|(.., lines)| lines.is_empty()) {
                title += &format!(" → {label}");
                last = label;
                compared |= !runs.rows.is_empty();
            }
            let words = match compared {
                true => "nothing by more than noise",
                false => "nothing was compared: no pages, verdicts or facts",
            };
            lines.push(ChangeLine {
                depth: 1,
                words: words.to_owned(),
            });
        }
        steps.push(ChangeStep { title, lines });
        from = last.to_owned();
    }
    steps
}

/// What counts as a change.
pub(crate) fn note() -> String {
    let tolerance = compare::TOLERANCE;
    format!(
        "Differences of up to {} pages or {} count as noise between builds, except a change from all pages to \
         none. What only the interpreter's own memory explains is no change.",
        tolerance.pages,
        share(tolerance.share)
    )
}

/// Adds these changes, if there are several interpreters.
pub(crate) fn add_between_neighbours(text: &mut String, report: &Report, style: Style) {
    if report.runs.len() < 2 {
        return;
    }
    if !text.ends_with("\n\n") {
        text.push('\n');
    }
    *text += match style {
        Style::Markdown => "### Changes\n",
        Style::Terminal { .. } => "Changes between neighbours\n",
    };
    for words in legend(report) {
        *text += &line(style, 0, &words);
    }
    for step in between_neighbours(report) {
        *text += &match style {
            Style::Markdown => format!("\n**{}**\n\n", escaped(&step.title)),
            Style::Terminal { width, .. } => {
                format!("\n{}", wrapped(&step.title, width.unwrap_or(READABLE), ""))
            }
        };
        for ChangeLine { depth, words } in step.lines {
            *text += &line(style, depth, &words);
        }
    }
    text.push('\n');
    *text += &line(style, 0, &note());
}

/// The changes of two runs, those that a fact tells of under that.
fn of_runs(runs: &ComparedRuns, facts: &Claims) -> Vec<ChangeLine> {
    let rows = || runs.rows.iter();
    let own = |row: &&Row| {
        row.key.region() == Some(RegionName::Rest)
            && row.because.as_deref() == Some(compare::INTERPRETERS_OWN)
    };
    let rest: Vec<&Row> = rows().filter(own).collect();
    let mut lines = Vec::new();
    let mut say = |depth, words| lines.push(ChangeLine { depth, words });
    for fact in &facts.facts {
        // Of a cost the regions say more.
        let told = rows().filter(|row| {
            !matches!(row.key, RowKey::Cost { .. })
                && row.status.is_change()
                && row.facts.contains(&fact.id)
        });
        let told: Vec<&Row> = told.collect();
        if !told.is_empty() {
            say(
                1,
                format!("{}: {} [{}]", fact.id, fact.statement, fact.source),
            );
            for change in merged(&told) {
                say(2, change);
            }
        }
    }
    let unknown = unknown(runs);
    if !unknown.is_empty() {
        say(1, format!("{NO_KNOWN_REASON}:"));
        for change in unknown {
            say(2, change);
        }
    }
    if let Some(words) = of_the_interpreter(&rest) {
        say(1, words);
    }
    lines
}

/// What is said of a change of which no fact tells, and behind which no other data or code is.
pub(crate) const NO_KNOWN_REASON: &str = "no known reason";

/// The changes of which no fact tells: of what is judged; and of the data's pages, where what a
/// worker pays does not compare.
fn unknown(runs: &ComparedRuns) -> Vec<String> {
    let no_fact = |row: &&Row| row.status.is_change() && row.facts.is_empty();
    let mut all: Vec<(&Row, Vec<&Row>)> = Vec::new();
    for (judged, explaining) in runs.judged() {
        let of_data = |row: &&Row| row.key.region().is_some_and(RegionName::is_data);
        if judged.status.is_change() {
            if judged.facts.is_empty() {
                all.push((judged, explaining.iter().filter(no_fact).collect()));
            }
        } else {
            let rows: Vec<&Row> = explaining.iter().filter(no_fact).filter(of_data).collect();
            all.extend(rows.into_iter().map(|row| (row, Vec::new())));
        }
    }
    let change = |(judged, explaining): &(&Row, Vec<&Row>)| {
        let parts: Vec<_> = explaining.iter().copied().map(part_change).collect();
        let why = match parts.is_empty() {
            true => String::new(),
            false => format!(": {}", parts.join(", ")),
        };
        let part = judged.key.part();
        let part = part.map_or_else(String::new, |part| format!(" {part}"));
        format!(
            "{part}: {}{why}",
            transition(judged.base.as_ref(), judged.new.as_ref())
        )
    };
    together(&all, |(judged, _)| &judged.key, change)
}

/// `header 121 of 130 → 0 of 128 pages`: one row of those that explain a cost.
pub(crate) fn part_change(row: &Row) -> String {
    let part = row.key.part().unwrap_or_default();
    format!("{part} {}", transition(row.base.as_ref(), row.new.as_ref()))
}

/// Pages of the region `rest` in one sentence: every version has others, and nobody's data is in
/// them.
fn of_the_interpreter(rows: &[&Row]) -> Option<String> {
    let differences = rows
        .iter()
        .filter_map(|row| match (row.base.as_ref()?, row.new.as_ref()?) {
            (
                RowValue::Pages { unshared: one, .. },
                RowValue::Pages {
                    unshared: other, ..
                },
            ) => Some(*other as i64 - *one as i64),
            _ => None,
        });
    let least = differences.clone().min()?;
    let most = differences.max()?;
    let range = match least == most {
        true => signed(most),
        false => format!("{} to {}", signed(least), signed(most)),
    };
    let visits = match rows.len() {
        1 => "1 visit".to_owned(),
        number => format!("{} visits", count(number as u64)),
    };
    Some(format!(
        "the interpreter's own pages (rest): {range} copied in {visits}"
    ))
}

/// A sentence a change; visits that changed alike in one.
pub(crate) fn merged(rows: &[&Row]) -> Vec<String> {
    let change = |row: &&Row| {
        let part = row.key.part();
        let part = part.map_or_else(String::new, |name| format!(" {name}"));
        let transition = transition(row.base.as_ref(), row.new.as_ref());
        format!("{part}: {transition}")
    };
    let (of_facts, others): (Vec<&Row>, Vec<&Row>) = rows
        .iter()
        .partition(|row| matches!(&row.key, RowKey::Fact { id } if row.facts.contains(id)));
    // Told under the fact itself.
    let own = of_facts
        .into_iter()
        .map(|row| transition(row.base.as_ref(), row.new.as_ref()));
    own.chain(together(&others, |row| &row.key, change))
        .collect()
}

/// What each of these is about, and its change; visits of one dataset that changed alike together.
fn together<T>(
    all: &[T],
    key: impl Fn(&T) -> &RowKey,
    change: impl Fn(&T) -> String,
) -> Vec<String> {
    let mut groups: Vec<(&RowKey, Vec<&str>, String)> = Vec::new();
    for one in all {
        let (key, change) = (key(one), change(one));
        let alike = groups.iter_mut().find(|(first, _, of_first)| {
            key.visit().is_some() && first.data() == key.data() && *of_first == change
        });
        match (alike, key.visit()) {
            (Some((_, more, _)), Some(visit)) => more.push(visit),
            _ => groups.push((key, Vec::new(), change)),
        }
    }
    groups
        .into_iter()
        .map(|(key, more, change)| {
            let mut subjects = vec![key.subject()];
            subjects.extend(more.into_iter().map(str::to_owned));
            subjects.join(", ") + &change
        })
        .collect()
}

/// `121 of 130 → 0 of 128 pages`, `holds → does not hold`.
pub(crate) fn transition(base: Option<&RowValue>, new: Option<&RowValue>) -> String {
    match (base, new) {
        (
            Some(RowValue::Pages { unshared, of }),
            Some(RowValue::Pages {
                unshared: then,
                of: of_then,
            }),
        ) => format!(
            "{} of {} → {} of {} pages",
            count(*unshared),
            count(*of),
            count(*then),
            count(*of_then)
        ),
        (
            Some(RowValue::Cost { worker, .. }),
            Some(RowValue::Cost {
                worker: worker_then,
                ..
            }),
        ) => format!(
            "a worker {} {}",
            verb(worker),
            bytes_then(worker.sum, worker_then.sum)
        ),
        _ => format!("{} → {}", value(base), value(new)),
    }
}

/// What of a worker's memory is in a figure.
fn verb(paid: &Paid) -> &'static str {
    match paid.new {
        Some(_) => "copied and made",
        None => "copied",
    }
}

/// `24.6 MiB → 52 KiB (−99.8 %)`.
pub(crate) fn bytes_then(base: u64, new: u64) -> String {
    let change = change_of(base, new).map_or_else(String::new, |change| format!(" ({change})"));
    format!("{} → {}{change}", bytes(base), bytes(new))
}

/// `−99.8 %`, unless so little is compared that a page more or less would make it another, or
/// nothing changed.
pub(crate) fn change_of(base: u64, new: u64) -> Option<String> {
    let share = change_share(base, new)?;
    let sign = if share < 0.0 { "−" } else { "+" };
    Some(format!(
        "{sign}{}",
        refcow_model::numbers::share(share.abs())
    ))
}

/// One side of it.
pub(crate) fn value(value: Option<&RowValue>) -> String {
    match value {
        None => "–".into(),
        Some(RowValue::Pages { unshared, of }) => {
            format!("{} of {} pages", count(*unshared), count(*of))
        }
        Some(RowValue::Memory { bytes: size }) => bytes(*size),
        Some(RowValue::Cost { worker, .. }) => bytes(worker.sum),
        Some(RowValue::Claim { verdict, expected }) if verdict == expected => verdict.to_string(),
        Some(RowValue::Claim { verdict, expected }) => {
            format!("{verdict} (expected: {expected})")
        }
        Some(RowValue::Fact {
            outcome: Outcome::AsPredicted,
            found: Some(found),
        }) => found.clone(),
        Some(RowValue::Fact { outcome, .. }) => outcome.to_string(),
    }
}

fn line(style: Style, depth: usize, words: &str) -> String {
    match style {
        Style::Terminal { width, .. } => {
            let indent = "  ".repeat(depth);
            wrapped(words, width.unwrap_or(READABLE), &indent)
        }
        Style::Markdown if depth == 0 => format!("{}\n", escaped(words)),
        Style::Markdown => format!("{}- {}\n", "  ".repeat(depth - 1), escaped(words)),
    }
}
