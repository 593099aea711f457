//! The report as a whole: what was found, on what, how, and by which command.

use super::block::Block;
use super::table::Table;
use crate::columns::Columns;
use crate::labels::{labels, pythons, ranges};
use crate::warnings::warnings;
use crate::{date, finding, own_data, tally};
use refcow_model::numbers::{count, signed};
use refcow_model::{CrossCheckSpread, Report, StatementInRuns, Verdict, by_verdict};
use refcow_model::{claims::Claims, shell};

/// Of the document.
pub(crate) fn title(report: &Report) -> String {
    let with = pythons(report);
    match with.is_empty() {
        true => "refcow".into(),
        false => format!("refcow: what fork() shares with {with}"),
    }
}

/// What was measured with, and on what.
pub(crate) fn measured_with(report: &Report) -> String {
    let mut parts = vec![pythons(report)];
    let environments = || report.runs.iter().map(|run| &run.environment);
    let mut machines: Vec<String> = Vec::new();
    for one in environments() {
        let cpu = one
            .cpu
            .as_ref()
            .map_or_else(String::new, |cpu| format!(", {cpu}"));
        let machine = format!("Linux {}, {}{cpu}", one.kernel, one.architecture);
        if !machines.contains(&machine) {
            machines.push(machine);
        }
    }
    parts.append(&mut machines);
    let mut versions: Vec<String> = Vec::new();
    for one in environments() {
        let version = format!("refcow {}", one.refcow_version);
        if !versions.contains(&version) {
            versions.push(version);
        }
    }
    parts.append(&mut versions);
    parts.extend(date::measured(report).map(|words| words.trim_end_matches('.').to_owned()));
    parts.retain(|part| !part.is_empty());
    parts.join(" · ")
}

/// The finding in a sentence, and what else there is to say.
pub(crate) fn findings(report: &Report) -> (String, Vec<String>) {
    let statements = report.statements();
    if !statements.is_empty() {
        return of_claims(report, &statements);
    }
    let labels = labels(report);
    let several = labels.len() > 1;
    // What several interpreters say alike is said once.
    let mut said: Vec<(String, Vec<usize>)> = Vec::new();
    let mut say = |place: usize, words: String| match said.iter_mut().find(|one| one.0 == words) {
        Some((_, places)) if places.contains(&place) => {}
        Some((_, places)) => places.push(place),
        None => said.push((words, vec![place])),
    };
    for (place, run) in report.runs.iter().enumerate() {
        for words in finding::of_run(run) {
            say(place, words);
        }
        for words in run.own_data.iter().filter_map(own_data::finding) {
            say(place, words);
        }
    }
    let all =
        said.into_iter().map(
            |(words, places)| match several && places.len() < labels.len() {
                true => format!("With CPython {}: {words}.", ranges(&places, &labels)),
                false => format!("{}.", finding::capital(&words)),
            },
        );
    let tally = report.fact_tally();
    let facts = tally.map(|tally| tally::of_facts(&tally, &pythons(report)));
    let mut all = facts.into_iter().chain(all);
    let first = all.next().unwrap_or_else(|| "Nothing was measured.".into());
    (first, all.collect())
}

fn of_claims(report: &Report, statements: &[StatementInRuns<'_>]) -> (String, Vec<String>) {
    let known = |one: &StatementInRuns<'_>| Claims::builtin().find(one.id).is_ok();
    let source = match statements.iter().all(known) {
        true => " of the article",
        false => "",
    };
    let groups = by_verdict(statements);
    let finding = tally::of_claims(statements.len(), source, &groups, &pythons(report));
    let newest = |one: &StatementInRuns<'_>| one.newest().map(|claim| claim.statement.clone());
    let refuted = groups
        .iter()
        .filter(|(verdict, _)| *verdict == Some(Verdict::DoesNotHold));
    let refuted = refuted
        .flat_map(|(_, all)| all)
        .filter_map(|one| newest(one));
    let refuted: Vec<String> = refuted
        .map(|statement| format!("Does not hold: {statement}"))
        .collect();
    (finding, refuted)
}

/// How it was measured, whether the instrument was right, and what limits the figures.
pub(crate) fn method(report: &Report) -> Vec<Block> {
    let mut blocks = vec![
        Block::text(
            "A fresh CPython process builds the data. It forks a witness, which only waits so that every page of \
             the parent has a second user, and then the children. While all of them wait, refcow reads from \
             /proc/PID/pagemap, from outside, which pages parent and child have in common. Then one child after \
             the other visits the data, and refcow reads again before any of them ends. A page that was in common \
             and is now the child's alone was copied. The bytes of each copy are compared with the original's. \
             Where page faults could be recorded, the first write to each page, and a map of all objects made \
             beforehand, show what was written there.",
        ),
        Block::Terms {
            terms: TERMS
                .map(|(term, means)| (term.to_owned(), means.to_owned()))
                .to_vec(),
        },
    ];
    if !report.runs.is_empty() {
        blocks.push(Block::heading("Calibration and cross-checks"));
        blocks.push(Block::text(
            "Before each run, a child without Python writes a known set of pages. If refcow had counted any other \
             number, there would be no report.",
        ));
        blocks.push(Block::Table(calibration(report)));
    }
    if let Some(checks) = report.cross_checks() {
        blocks.push(Block::text(cross_checks(&checks)));
    }
    let warnings = warnings(report);
    if !warnings.is_empty() {
        blocks.push(Block::heading("Warnings"));
        blocks.extend(warnings.into_iter().map(|text| Block::Warning { text }));
    }
    blocks
}

/// The words of all tables. docs/reference/glossary.md has them all.
const TERMS: [(&str, &str); 9] = [
    (
        "page",
        "the unit in which the kernel shares and copies memory: 4 KiB on most machines",
    ),
    (
        "shared page",
        "the same memory in parent and child when the child's visit begins",
    ),
    (
        "unshared page",
        "a shared page that was copied: the child has its own copy when its visit ends",
    ),
    (
        "identical copy",
        "an unshared page with the same bytes as the parent's: a useless copy",
    ),
    (
        "region",
        "header: the objects themselves, with their reference counts; spine: arrays of pointers and tables; payload: what \
         arrays and buffers hold; segment: shared memory; rest: everything else in the process",
    ),
    (
        "cause",
        "what the first write to an unshared page changed. refcount: an object's reference count; gc: the garbage \
         collector's header in front of an object; buffer: memory outside the object; body: another field of an \
         object; allocator: the allocator's own data; kernel: the kernel wrote; khugepaged: the kernel made a \
         huge page; unattributed: unknown",
    ),
    (
        "visit",
        "what a child does with the data: nothing (idle), iterate, read, …",
    ),
    (
        "USS",
        "unique set size: the memory that only this process has",
    ),
    (
        "PSS",
        "proportional set size: shared memory is divided among the processes that have it, so that a sum counts \
         it once. Libraries are shared with other programs, too, so it varies by some MiB when those start or end",
    ),
];

/// What a known set of writes was counted as, before each run.
fn calibration(report: &Report) -> Table {
    let rows = report.runs.iter().zip(labels(report)).map(|(run, label)| {
        vec![
            label,
            count(run.calibration.pages_written),
            count(run.calibration.pages_counted),
        ]
    });
    let header = ["CPython", "pages written", "pages counted"];
    Table::of(
        "Calibration",
        Columns {
            header: header.map(str::to_owned).to_vec(),
            rows: rows.collect(),
            leading: 1,
            numbers: 1..3,
        },
    )
}

fn cross_checks(checks: &CrossCheckSpread) -> String {
    let between = |spread: &refcow_model::Spread<i64>| match spread.start() == spread.end() {
        true => signed(*spread.end()),
        false => format!("{} to {}", signed(*spread.start()), signed(*spread.end())),
    };
    let uss = checks.uss_pages_minus_unshared.as_ref();
    format!(
        "Two coarser measurements, over all children: page faults less unshared pages {}; growth of the USS in \
         pages less unshared pages {}. They need not be 0: a fault may also map a page without a copy, or give \
         the child a new one.",
        between(&checks.faults_minus_unshared),
        uss.map_or_else(|| "unknown".into(), between),
    )
}

/// The command, and how to check a report.
pub(crate) fn repeat(report: &Report) -> Vec<Block> {
    let mut blocks = Vec::new();
    if report.command.is_empty() {
        blocks.push(Block::text(
            "The document does not name the command that made it: it was merged from several, or an older refcow \
             wrote it.",
        ));
    } else {
        let words = report.command.iter().map(String::as_str);
        blocks.push(Block::text("The same measurements again:"));
        blocks.push(Block::Code {
            text: shell::line("refcow", words),
        });
        blocks.push(Block::text("The same, compared with these figures:"));
        blocks.push(Block::Code {
            text: "refcow reproduce run.json".into(),
        });
    }
    if !report.sources.is_empty() {
        let rows = report.sources.iter().flat_map(|source| {
            let imports = source.imports.iter().map(|import| {
                let path = format!("{}: {}", source.path, import.path);
                vec![path, import.sha256.clone()]
            });
            std::iter::once(vec![source.path.clone(), source.sha256.clone()]).chain(imports)
        });
        let mut table = Table::of(
            "Files that the command names, and what they import from their own directory",
            Columns {
                header: ["file", "SHA-256"].map(str::to_owned).to_vec(),
                rows: rows.collect(),
                leading: 1,
                numbers: 0..0,
            },
        );
        for cell in table.rows_mut().flat_map(|row| &mut row.cells) {
            cell.code = true;
        }
        blocks.push(Block::Table(table));
        for source in &report.sources {
            if let Some(why) = &source.imports_unknown {
                let path = &source.path;
                blocks.push(Block::text(format!(
                    "It is unknown what {path} imports from its own directory: {why}."
                )));
            }
        }
    }
    blocks
}
