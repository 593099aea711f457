//! Who wrote first to the pages that were copied: sentences for each visit, and tables that cut the
//! pages another way.

use super::columns::Columns;
use super::finding::{edges, others};
use super::labels::labels;
use super::words::{LEAST, listed};
use refcow_model::numbers::{bytes, count, share, spread};
use refcow_model::{By, Group, Made, Measurement, NamedPages, Report, Run, Why, is_noise};

/// Rows of a table, before the rest of them becomes one.
const ROWS: usize = 20;
/// Regions of a visit that have a sentence.
const REGIONS: usize = 2;

/// Sentences about each visit: the two regions of which most was copied, what is new, and what else
/// it did. Nothing of noise.
pub(crate) fn sentences(run: &Run) -> Vec<String> {
    let page_size = run.environment.page_size_bytes;
    let several = run
        .measurements
        .iter()
        .any(|one| one.data() != run.measurements[0].data());
    run.measurements
        .iter()
        .flat_map(|measurement| {
            let visit = match several {
                true => format!("{}, {}", measurement.data(), measurement.visit),
                false => measurement.visit.clone(),
            };
            let Some(cost) = measurement.cost(page_size) else {
                return Vec::new();
            };
            let why = cost.child.why(page_size).into_iter();
            let known = why.take(REGIONS).filter(|why| !why.reasons.is_empty());
            let mut all: Vec<String> = known
                .map(|why| format!("{visit}: {}", sentence(&why, page_size)))
                .collect();
            let new = cost.child.new_pages.filter(|new| !is_noise(*new));
            if let Some(new) = new.filter(|_| !cost.child.made.is_empty()) {
                all.push(format!(
                    "{visit}: {}",
                    made(&cost.child.made, new, page_size)
                ));
            }
            let others = edges(&cost, page_size, |_| true).into_iter().chain(others(
                measurement,
                &cost,
                true,
            ));
            all.extend(others.map(|words| format!("{visit}: {}.", lower(&words))));
            all
        })
        .collect()
}

/// A sentence that goes on behind a colon.
fn lower(words: &str) -> String {
    let mut letters = words.chars();
    match letters.next() {
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => String::new(),
    }
}

fn sentence(why: &Why, page_size: u64) -> String {
    let large = why.bytes >= refcow_model::SMALLEST_WHOLE_BYTES;
    let causes: Vec<_> = why
        .reasons
        .iter()
        .map(|reason| {
            let part = match large {
                true => share(reason.pages as f64 / why.pages as f64),
                false => bytes(reason.pages.saturating_mul(page_size)),
            };
            format!("{part} {}", reason.cause.as_str())
        })
        .collect();
    let mut sentence = format!(
        "{} of {}: {}",
        bytes(why.bytes),
        why.region.as_str(),
        causes.join(", ")
    );
    sentence += &who(&why.objects, &why.functions, why.pages, page_size);
    match why.identical {
        Some(identical) if identical == why.pages => sentence += "; all copies are identical",
        Some(0) => sentence += "; no copy is identical",
        Some(identical) => {
            let identical = bytes(identical.saturating_mul(page_size));
            sentence += &format!("; {identical} of the copies are identical");
        }
        None => {}
    }
    sentence + "."
}

/// `; written: array.array (320 KiB) and list (4 KiB); by listiter_next`.
fn who(objects: &NamedPages, functions: &NamedPages, pages: u64, page_size: u64) -> String {
    let mut words = String::new();
    for (what, names) in [("of", objects), ("by", functions)] {
        if let Some(list) = listed(names, pages, page_size) {
            words += &format!("; {what} {list}");
        }
    }
    words
}

/// Who made new memory.
fn made(all: &[Made], pages: u64, page_size: u64) -> String {
    let named = |name: fn(&Made) -> Option<String>| {
        let mut names = NamedPages::new();
        for one in all {
            let name = name(one);
            match names.iter_mut().find(|known| known.0 == name) {
                Some((_, sum)) => *sum = one.pages.saturating_add(*sum),
                None => names.push((name, one.pages)),
            }
        }
        names.sort_by_key(|(_, pages)| std::cmp::Reverse(*pages));
        names
    };
    let objects = named(|one| match (&one.of_type, one.key(By::Line)) {
        (of_type, None) => of_type.clone(),
        (of_type, Some(line)) => Some(match of_type {
            Some(name) => format!("{name} in {line}"),
            None => format!("no known object in {line}"),
        }),
    });
    let functions = named(|one| one.function.clone());
    format!(
        "{} new{}.",
        bytes(pages.saturating_mul(page_size)),
        who(&objects, &functions, pages, page_size)
    )
}

/// One table.
pub(crate) struct Cut {
    /// What was measured.
    pub title: String,
    /// Whose pages these are.
    pub subtitle: String,
    /// A column that says what the pages have in common, then the visits.
    pub columns: Columns,
}

/// A table for each dataset and interpreter, and one of new memory where it is known who made it.
pub(crate) fn cuts(report: &Report, by: &[By]) -> Vec<Cut> {
    let labels = labels(report);
    let runs = report.runs.iter().zip(labels);
    runs.flat_map(|(run, label)| {
        let page_size = run.environment.page_size_bytes;
        let datasets = run.measurements.chunk_by(Measurement::has_data_of);
        datasets.flat_map(move |group| {
            let copied = group.iter().map(|one| one.groups(by, page_size)).collect();
            let made: Vec<_> = group
                .iter()
                .map(|one| one.made_groups(by, page_size))
                .collect();
            let known = made.iter().flatten().any(|groups| !groups.is_empty());
            let made = known.then(|| cut(&label, group, by, made, "new memory"));
            let copied = cut(
                &label,
                group,
                by,
                copied,
                "all copied pages, those of the process around the data included,",
            );
            std::iter::once(copied).chain(made)
        })
    })
    .collect()
}

fn cut(
    label: &str,
    group: &[Measurement],
    by: &[By],
    visits: Vec<Option<Vec<Group>>>,
    what: &str,
) -> Cut {
    let first = &group[0];
    // Most first, of all visits together.
    let mut keys: Vec<(&[Option<String>], u64)> = Vec::new();
    for group in visits.iter().flatten().flatten() {
        let pages = *group.pages.end();
        match keys.iter_mut().find(|(key, _)| *key == group.key) {
            Some((_, sum)) => *sum = pages.saturating_add(*sum),
            None => keys.push((&group.key, pages)),
        }
    }
    keys.sort_by_key(|(_, pages)| std::cmp::Reverse(*pages));
    let none = vec![None; by.len()];
    if keys.is_empty() {
        keys.push((&none, 0));
    }
    let worth_it = |(key, _): &&(&[Option<String>], u64)| {
        let groups = visits.iter().flatten().flatten();
        let mut of_key = groups.filter(|group| group.key == *key);
        of_key.any(|group| group.share >= LEAST)
    };
    // Those of many pages in one visit come first, but a few may be a large part of another.
    keys.sort_by_key(|key| !worth_it(&key));
    let shown = match keys.iter().filter(worth_it).count().clamp(1, ROWS) {
        // One more is no longer than a row that says that there is one more.
        shown if shown + 1 >= keys.len() => keys.len(),
        shown => shown,
    };
    let mut rows = Vec::new();
    let cell = |visit: &Option<Vec<Group>>, key: &[Option<String>]| match visit {
        None => "unknown".to_owned(),
        Some(groups) => {
            let found = groups.iter().find(|group| group.key == key);
            found.map_or_else(|| bytes(0), told)
        }
    };
    for (key, _) in &keys[..shown] {
        let names = key.iter().zip(by);
        let mut row: Vec<String> = names
            .map(|(name, by)| name.clone().unwrap_or_else(|| unknown(*by).to_owned()))
            .collect();
        row.extend(visits.iter().map(|visit| cell(visit, key)));
        rows.push(row);
    }
    if shown < keys.len() {
        let others = &keys[shown..];
        let mut row = vec![String::new(); by.len()];
        row[0] = format!("{} more", count(others.len() as u64));
        row.extend(visits.iter().map(|visit| {
            let Some(groups) = visit else {
                return "unknown".to_owned();
            };
            let of_others = groups
                .iter()
                .filter(|group| others.iter().any(|(key, _)| *key == group.key));
            // Not all of them need be of the same child, so that their sum would be nobody's.
            let part = of_others.map(|group| group.told_share).sum::<Option<f64>>();
            part.map_or_else(|| "< 64 KiB".to_owned(), share)
        }));
        rows.push(row);
    }
    let mut header: Vec<String> = by.iter().map(|by| head(*by).to_owned()).collect();
    header.extend(group.iter().map(|measurement| measurement.visit.clone()));
    let children = first.children.len();
    Cut {
        title: format!("{}, shared by {}", first.data(), first.sharing),
        subtitle: format!(
            "{what} of {}",
            match children {
                1 => format!("1 worker of CPython {label}"),
                _ => format!("each of {children} workers of CPython {label}"),
            }
        ),
        columns: Columns {
            numbers: by.len()..header.len(),
            leading: by.len(),
            header,
            rows,
        },
    }
}

/// `484 KiB, 99.2 %`; without the part where all is too little for one.
fn told(group: &Group) -> String {
    let size = spread(&group.bytes, bytes);
    match group.told_share {
        Some(part) => format!("{size}, {}", share(part)),
        None => size,
    }
}

/// Whether a cell says that there is nothing.
pub(crate) fn is_nothing(cell: &str) -> bool {
    cell == bytes(0) || cell == share(0.0)
}

/// The head of a column.
fn head(by: By) -> &'static str {
    match by {
        By::Type => "type",
        By::Region => "region",
        By::Cause => "cause",
        By::Function => "function that wrote",
        By::Line => "Python line",
        By::Package => "package",
    }
}

/// How pages are named of which that is not known.
fn unknown(by: By) -> &'static str {
    match by {
        By::Type => "(no known object)",
        By::Function => "(no page fault)",
        By::Line => "(no line)",
        By::Package => "(no package)",
        By::Region | By::Cause => "(unknown)",
    }
}
