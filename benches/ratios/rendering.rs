//! A folder with the page, its tables and its charts, of the claims on every interpreter of this machine.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use criterion::Criterion;
use refcow::model;
use tempfile::TempDir;

use crate::BenchResult;
use crate::subject::refcow;
use crate::table::RatioTable;
use crate::turns::{self, median};

const LIMIT_SECONDS: f64 = 1.0;
/// What a page may weigh on its way to a reader.
const LIMIT_MB: f64 = 1.0;

pub fn run(criterion: &mut Criterion, table: &mut RatioTable) -> BenchResult<()> {
    let what = "rendering all formats of claims with --python all";
    let mut document = None;
    let ours = || turn(&mut document);
    // Against a limit, not against anybody.
    let nobody = || Ok(Duration::ZERO);
    let mut ten = std::mem::take(criterion).sample_size(10);
    let turns = turns::take(&mut ten, what, ours, nobody);
    *criterion = ten.sample_size(50);
    let Some((turns, document)) = turns?.zip(document) else {
        return Ok(());
    };
    let seconds = median(&turns.ours).as_secs_f64();
    let figures = format!(
        "{} interpreters, a document of {:.1} MB; seconds (median of {} turns)",
        document.interpreters,
        megabytes(document.bytes),
        turns.ours.len()
    );
    table.add(what, seconds, LIMIT_SECONDS, " s", figures);
    let page = fs::metadata(document.place.path().join("out/index.html"))?.len();
    let figures = format!("{page} bytes");
    table.add("its page", megabytes(page), LIMIT_MB, " MB", figures);
    Ok(())
}

/// What is rendered, in a place of its own.
struct RenderedDocument {
    place: TempDir,
    interpreters: usize,
    bytes: u64,
}

/// Renders it; the first time it is measured before that, which takes minutes.
fn turn(document: &mut Option<RenderedDocument>) -> BenchResult<Duration> {
    let document = match document {
        Some(document) => document,
        None => document.insert(measure()?),
    };
    let start = Instant::now();
    let status = Command::new(env!("CARGO_BIN_EXE_refcow"))
        .args(["report", "run.json", "--output", "out"])
        .current_dir(document.place.path())
        .stdout(Stdio::null())
        .status()?;
    let time = start.elapsed();
    if !status.success() {
        return Err(format!("refcow report: {status}").into());
    }
    Ok(time)
}

fn measure() -> BenchResult<RenderedDocument> {
    let output = refcow(&["claims", "--python", "all"]).output()?;
    // 1: a claim has another verdict than it is known for. That is no matter here.
    if !matches!(output.status.code(), Some(0 | 1)) {
        return Err(format!("refcow claims --python all: {}", output.status).into());
    }
    let (report, _) = model::read(&output.stdout)?;
    let place = tempfile::tempdir()?;
    fs::write(place.path().join("run.json"), &output.stdout)?;
    Ok(RenderedDocument {
        place,
        interpreters: report.runs.len(),
        bytes: output.stdout.len() as u64,
    })
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
