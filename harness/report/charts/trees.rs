//! A tree of processes: what is still shared of the memory of the one that has forked the others,
//! and what they copied and made over time.

use super::chart::{Chart, ChartKind, Charts, head, listed};
use super::memory::{Axes, MemoryLine, field};
use super::sketch::{Anchor, MARGIN, Sketch, WIDTH};
use super::text::{HEADING, TEXT, clean};
use super::theme;
use crate::error::Error;
use refcow_model::numbers::{bytes, count, counted, duration, share};
use refcow_model::trees::{
    AddressMap, MapRegion, MapRegionName, MomentFigures, RecordedFigures, TreeFigures, Trees,
};

/// Squares side by side, and pixels from one to the next.
const ACROSS: usize = 94;
const EDGE: i32 = 6;
/// Charts of each kind.
const MOST: usize = 8;
/// Points of one line.
const POINTS: usize = 120;

/// All charts of a document.
///
/// # Errors
/// None that is known of.
pub fn of_trees(trees: &Trees) -> Result<Vec<Chart>, Error> {
    let mut all = Charts::default();
    for tree in trees.trees.iter().take(MOST) {
        if let Some(map) = &tree.map {
            draw_map(tree, map, trees.page_bytes, &mut all)?;
        }
    }
    for tree in trees.trees.iter().take(MOST) {
        if let Some(recorded) = &tree.recorded
            && recorded.moments.len() > 1
        {
            growth(tree, recorded, trees.page_bytes, &mut all)?;
            workers(tree, recorded, trees.page_bytes, &mut all)?;
        }
    }
    Ok(all.charts)
}

fn command(tree: &TreeFigures) -> String {
    clean(tree.command())
}

/// What a cell is drawn in: how much of it is no longer shared, or that the process itself has
/// unshared most.
fn colour(shared: char, by: char) -> theme::Colour {
    if by == 'p' {
        return theme::BAR;
    }
    let unshared = match shared {
        'a' => 0.0,
        '0' => 1.0,
        digit => 1.0 - (f64::from(digit.to_digit(10).unwrap_or(0)) + 0.5) / 10.0,
    };
    theme::HEAT[theme::heat(unshared)].0
}

fn draw_map(
    tree: &TreeFigures,
    map: &AddressMap,
    page_bytes: u64,
    charts: &mut Charts,
) -> Result<(), Error> {
    let amount = |pages: u64| bytes(pages.saturating_mul(page_bytes));
    let title = format!(
        "Memory of process {} that workers still share: {}",
        map.pid,
        command(tree)
    );
    let workers = counted(map.workers, "process was", "processes were");
    let notes = vec![format!(
        "each square is {} of its memory; {workers} forked from it",
        amount(map.pages_per_cell)
    )];
    let parts: Vec<String> = map
        .regions
        .iter()
        .map(|region| {
            let whole = region
                .shared
                .chars()
                .filter(|letter| *letter == 'a')
                .count();
            let part = whole as f64 / region.shared.len().max(1) as f64;
            format!(
                "{}: {}, {} of it shared by all",
                name(region.name),
                amount(region.pages),
                share(part)
            )
        })
        .collect();
    let alt = format!("{title} ({}). {}.", notes.join("; "), listed(parts));
    charts.add(
        ChartKind::Pages,
        "shared-by-workers",
        title,
        alt,
        |title, alt| {
            let mut sketch = Sketch::default();
            let mut top = head(&mut sketch, title, &notes);
            for region in &map.regions {
                top = draw_region(&mut sketch, top, region, &amount(region.pages));
            }
            let steps = theme::HEAT.iter().zip([
                "shared by all",
                "",
                "over 90 %",
                "over 50 %",
                "over 10 %",
                "less, or none",
            ]);
            let mut entries: Vec<_> = steps
                .filter(|(_, words)| !words.is_empty())
                .map(|((colour, _), words)| (*colour, words.to_owned()))
                .collect();
            entries.push((theme::BAR, "unshared by the process itself".to_owned()));
            let bottom = sketch.legend(top + 4, &entries);
            sketch.finish(bottom + MARGIN, title, alt)
        },
    )
}

fn name(region: MapRegionName) -> &'static str {
    match region {
        MapRegionName::Heap => "heap of the C library",
        MapRegionName::Anonymous => "mappings: objects of Python, large blocks",
        MapRegionName::Files => "variables of libraries",
        MapRegionName::Stack => "stack",
    }
}

fn draw_region(sketch: &mut Sketch, top: i32, region: &MapRegion, amount: &str) -> i32 {
    let words = name(region.name);
    sketch.text((MARGIN, top + 8), words, HEADING, Anchor::Start, theme::INK);
    sketch.text(
        (WIDTH - MARGIN, top + 8),
        amount,
        TEXT,
        Anchor::End,
        theme::MUTED,
    );
    let top = top + 20;
    let cells = region.shared.chars().zip(region.unshared_by.chars());
    let place = |cell: usize| {
        let (row, column) = (cell / ACROSS, cell % ACROSS);
        let along = |number: usize| i32::try_from(number).unwrap_or(0) * EDGE;
        (MARGIN + along(column), top + along(row))
    };
    // Of one colour side by side, one box.
    let mut runs: Vec<(usize, usize, theme::Colour)> = Vec::new();
    for (cell, (shared, by)) in cells.enumerate() {
        let colour = colour(shared, by);
        match runs.last_mut() {
            Some((_, end, last)) if *last == colour && cell % ACROSS != 0 => *end = cell + 1,
            _ => runs.push((cell, cell + 1, colour)),
        }
    }
    let mut bottom = top;
    for (start, end, colour) in runs {
        let (left, above) = place(start);
        let wide = i32::try_from(end - start).unwrap_or(0) * EDGE;
        sketch.area(left, above, wide - 1, EDGE - 1, colour);
        bottom = above + EDGE;
    }
    bottom + 10
}

/// Points of lines over time: not all of many, but the last.
fn over_time(
    moments: &[MomentFigures],
    value: impl Fn(&MomentFigures) -> Option<u64>,
) -> Vec<(u64, f64)> {
    let each = moments.len().div_ceil(POINTS);
    let shown = moments
        .iter()
        .enumerate()
        .filter(|(place, _)| place % each == 0 || place + 1 == moments.len());
    shown
        .filter_map(|(_, moment)| Some(((moment.seconds * 1000.0) as u64, value(moment)? as f64)))
        .collect()
}

/// Time in milliseconds.
const TIME: Axes = Axes {
    name: "seconds since the recording began",
    step: round_step,
    mark: |millis| format!("{}", millis as f64 / 1000.0),
    memory: |number| bytes(number.max(0.0) as u64),
};

/// About a fifth, as 1, 2 or 5 times a power of ten.
fn round_step(last: u64) -> u64 {
    let least = (last / 5).max(1);
    let ten = 10_u64.pow(least.ilog10());
    let steps = [1, 2, 5].map(|times: u64| times.saturating_mul(ten));
    steps
        .into_iter()
        .find(|step| *step >= least)
        .unwrap_or(ten.saturating_mul(10))
}

fn line(name: String, colour: theme::Colour, points: Vec<(u64, f64)>) -> Option<MemoryLine> {
    let (_, last) = points.last()?;
    Some(MemoryLine {
        name,
        figures: vec![bytes(*last as u64)],
        colour,
        points,
        supposed: Vec::new(),
    })
}

fn growth(
    tree: &TreeFigures,
    recorded: &RecordedFigures,
    page_bytes: u64,
    charts: &mut Charts,
) -> Result<(), Error> {
    let moments = &recorded.moments;
    let of = |pages: u64| Some(pages.saturating_mul(page_bytes));
    let lines: Vec<MemoryLine> = [
        line(
            "memory of all".to_owned(),
            theme::LINES[2],
            over_time(moments, |one| one.memory_bytes),
        ),
        line(
            "copied".to_owned(),
            theme::LINES[1],
            over_time(moments, |one| {
                of(one.copied_pages.saturating_add(one.rewritten_pages))
            }),
        ),
        line(
            "new".to_owned(),
            theme::LINES[0],
            over_time(moments, |one| of(one.new_pages)),
        ),
    ]
    .into_iter()
    .flatten()
    .collect();
    let title = format!("Copied and new memory over time: {}", command(tree));
    let notes = vec![
        "all processes together; what is copied and made counts also after it was given back"
            .to_owned(),
    ];
    add(charts, "growth", title, notes, lines, recorded.seconds)
}

/// Of the processes that copied and made most.
fn workers(
    tree: &TreeFigures,
    recorded: &RecordedFigures,
    page_bytes: u64,
    charts: &mut Charts,
) -> Result<(), Error> {
    let mut all: Vec<_> = recorded
        .processes
        .iter()
        .filter(|one| one.depth > 0)
        .collect();
    all.sort_by_key(|one| std::cmp::Reverse(one.copied_pages.saturating_add(one.new_pages)));
    let shown = all.len().min(theme::LINES.len());
    let lines: Vec<MemoryLine> = all[..shown]
        .iter()
        .zip(theme::LINES)
        .filter_map(|(one, colour)| {
            let points = over_time(&recorded.moments, |moment| {
                let now = moment
                    .by_process
                    .iter()
                    .find(|other| other.pid == one.pid)?;
                Some(
                    now.copied_pages
                        .saturating_add(now.new_pages)
                        .saturating_mul(page_bytes),
                )
            });
            line(format!("{}", one.pid), colour, points)
        })
        .collect();
    if lines.is_empty() {
        return Ok(());
    }
    let title = format!("Each process, copied and new: {}", command(tree));
    let mut notes = vec!["while it lived and was seen at a moment".to_owned()];
    if all.len() > shown {
        notes.push(format!(
            "the {shown} of {} with most",
            count(all.len() as u64)
        ));
    }
    add(charts, "workers", title, notes, lines, recorded.seconds)
}

fn add(
    charts: &mut Charts,
    name: &str,
    title: String,
    notes: Vec<String>,
    lines: Vec<MemoryLine>,
    seconds: f64,
) -> Result<(), Error> {
    let labels: Vec<String> = lines
        .iter()
        .map(|line| format!("{}: {}", line.name, line.figures.join(", ")))
        .collect();
    let alt = format!(
        "{title} ({}), in {}. {}.",
        notes.join("; "),
        duration(seconds),
        listed(labels)
    );
    charts.add(ChartKind::Tree, name, title, alt, |title, alt| {
        let mut sketch = Sketch::default();
        let top = head(&mut sketch, title, &notes) + 8;
        let bottom = field(&mut sketch, top, &lines, &TIME);
        sketch.finish(bottom, title, alt)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_of_time_are_round() {
        let marks = [0, 4_000, 4_521, 20_000, 86_400_000].map(round_step);
        assert_eq!(marks, [1, 1_000, 1_000, 5_000, 20_000_000]);
        assert_eq!((TIME.mark)(1_500), "1.5");
    }

    #[test]
    fn what_less_than_all_share_is_darker_the_fewer_do() {
        let steps = ['a', '9', '5', '4', '1', '0'].map(|shared| {
            let colour = colour(shared, 'w');
            theme::HEAT.iter().position(|(known, _)| *known == colour)
        });
        assert_eq!(steps, [0, 2, 3, 4, 4, 5].map(Some));
        assert_eq!(colour('0', 'p'), theme::BAR);
    }
}
