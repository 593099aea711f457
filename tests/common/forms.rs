//! Every form of a report, and what in it could do harm.

use refcow::claims::Claims;
use refcow::compare::{self, TOLERANCE};
use refcow::merge::{self, NamedDocument};
use refcow::model::{self, By, Report};
use refcow::report::{self, Format, Style, render, render_by};
use refcow::reproduce::{Again, reproduction};
use serde_json::Value;

/// For whom a text is: what can do harm in it depends on that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum For {
    Terminal,
    Markdown,
    Spreadsheet,
    Program,
    /// HTML and SVG.
    Browser,
}

/// A report in every form that there is. A new one is one line more.
pub fn every_form(report: &Report) -> Vec<(String, For, Vec<u8>)> {
    let plain = |width| Style::Terminal {
        width,
        colours: false,
    };
    let facts = Claims::versions();
    let explained: Vec<_> = Claims::builtin().statements.iter().take(4).collect();
    let with_itself = compare::compare(report, report, TOLERANCE, &[], facts);
    let mut all = Vec::new();
    let mut of_style = |reader, style, format, width| {
        let mut add = |name: &str, bytes| all.push((name.to_owned(), reader, bytes));
        add("table", render(report, format).unwrap());
        add("by", render_by(report, &[By::Type], format).unwrap());
        add("document", report::render_document(report, style));
        add("claims", report::render_claims(report, &[], style));
        add(
            "explained",
            report::render_claims(report, &explained, style),
        );
        add("facts", report::render_facts(report, facts, style));
        add("advice", report::render_advice(report, style));
        add("comparison", report::render_comparison(&with_itself, style));
        let ways = match style {
            Style::Terminal { .. } => report::render_alternatives(report, width),
            Style::Markdown => report::render_alternatives_markdown(report),
        };
        add("ways", ways);
        add("own data", report::render_own_data(report, style));
    };
    for width in [None, Some(40)] {
        let table = Format::Table { width };
        of_style(For::Terminal, plain(width), table, width);
    }
    of_style(For::Markdown, Style::Markdown, Format::Markdown, None);
    let mut add = |name: &str, reader, bytes| all.push((name.to_owned(), reader, bytes));
    for by in By::ALL {
        let markdown = render_by(report, &[by], Format::Markdown).unwrap();
        add("by", For::Markdown, markdown);
        let csv = render_by(report, &[by], Format::Csv).unwrap();
        add("by", For::Spreadsheet, csv);
    }
    add(
        "csv",
        For::Spreadsheet,
        render(report, Format::Csv).unwrap(),
    );
    add(
        "pages.csv",
        For::Spreadsheet,
        report::render_pages(report).unwrap(),
    );
    add(
        "times.csv",
        For::Spreadsheet,
        report::render_times(report).unwrap(),
    );
    add(
        "claims.csv",
        For::Spreadsheet,
        report::render_claims_csv(report).unwrap(),
    );
    add(
        "ways.csv",
        For::Spreadsheet,
        report::render_ways_csv(report).unwrap(),
    );
    let charts = report::charts::charts(report).unwrap();
    for chart in &charts {
        add(&chart.name, For::Browser, chart.svg.clone().into_bytes());
    }
    let html = report::render_html(report, &charts).unwrap();
    add("page", For::Browser, html);
    let markdown = report::render_page_markdown(report, &charts).unwrap();
    add("page", For::Markdown, markdown);
    add("json", For::Program, render(report, Format::Json).unwrap());
    add(
        "comparison",
        For::Program,
        report::render_json(&with_itself).unwrap(),
    );
    add("annotations", For::Terminal, report::github(&with_itself));
    let again: Vec<_> = report.runs.iter().map(Again::Run).collect();
    let repeated = reproduction(report, &again, TOLERANCE);
    let answer = report::render_reproduction(&repeated, Some(40));
    add("answer", For::Terminal, answer);
    all
}

/// What a text could do to whoever opens it, if anything.
pub fn harm(reader: For, text: &[u8]) -> Option<String> {
    let text = match std::str::from_utf8(text) {
        Ok(text) => text,
        Err(error) => return Some(error.to_string()),
    };
    let holds = |text: &str, all: &[&str]| {
        let mut all = all.iter();
        all.find(|one| text.contains(**one))
            .map(|one| (*one).to_owned())
    };
    match reader {
        For::Terminal => text
            .chars()
            .find(|letter| letter.is_control() && *letter != '\n')
            .map(|letter| format!("{letter:?}")),
        For::Markdown => {
            let bare = without_escaped(&without_code(text));
            let acting = [
                "<script",
                "<img",
                "](javascript",
                "](http",
                "://evil",
                "www.evil",
                "`a`",
            ];
            holds(&bare, &acting).or_else(|| uneven_table(&bare))
        }
        For::Browser => holds(
            text,
            &[
                "<script>alert",
                "<img src=x",
                "\" onload=",
                "' onload=",
                "href=\"javascript:",
                "src=\"javascript:",
            ],
        ),
        For::Spreadsheet => {
            let mut cells = csv::ReaderBuilder::new();
            let mut cells = cells.has_headers(false).from_reader(text.as_bytes());
            let rows: Vec<_> = cells.records().map(Result::unwrap).collect();
            let formula = |cell: &&str| {
                cell.starts_with(['=', '+', '-', '@', '\t', '\r']) && cell.parse::<f64>().is_err()
                    || cell.contains(";=")
            };
            rows.iter().flatten().find(formula).map(str::to_owned)
        }
        For::Program => serde_json::from_str::<Value>(text)
            .err()
            .map(|error| error.to_string()),
    }
}

/// Markdown of which only that is left in which Markdown acts: not blocks of code, each of which
/// ends where its own fence stands again, nor summaries, which are HTML.
fn without_code(text: &str) -> String {
    let mut fence: Option<&str> = None;
    let mut kept = Vec::new();
    for line in text.lines() {
        match fence {
            Some(open) if line == open => fence = None,
            Some(_) => {}
            None if line.starts_with("<summary>") => {
                let text = line.trim_start_matches("<summary>").replace("<!-- -->", "");
                assert_eq!(text.matches('<').count(), 1, "{line}");
                assert!(text.ends_with("</summary>"), "{line}");
            }
            None if line.starts_with("```") => {
                fence = Some(line.trim_end_matches(char::is_alphabetic))
            }
            None => kept.push(line),
        }
    }
    assert!(fence.is_none(), "a block of code has no end");
    kept.join("\n")
}

/// Markdown without what is escaped in it.
fn without_escaped(text: &str) -> String {
    let mut bare = String::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => drop(letters.next()),
            _ => bare.push(letter),
        }
    }
    bare
}

/// A row of a table that has another number of cells than the one above it.
fn uneven_table(bare: &str) -> Option<String> {
    let cells = |line: &str| line.matches('|').count();
    let lines: Vec<&str> = bare.lines().collect();
    let mut pairs = lines.windows(2);
    let uneven = pairs.find(|pair| {
        pair.iter().all(|line| line.starts_with('|')) && cells(pair[0]) != cells(pair[1])
    });
    uneven.map(|pair| pair.join("\n"))
}

/// Fails if anything in any form of a report acts, or if the report does not come through its own
/// JSON.
pub fn harmless(report: &Report) {
    for (name, reader, bytes) in every_form(report) {
        if let Some(harm) = harm(reader, &bytes) {
            let text = String::from_utf8_lossy(&bytes);
            panic!("{name} for {reader:?} holds {harm}\n{text}");
        }
        if name == "json" {
            assert_eq!(model::read(&bytes).unwrap().0, *report);
        }
    }
    let named = |name: &str| NamedDocument {
        name: name.into(),
        schema_version: model::SCHEMA_VERSION.into(),
        report: report.clone(),
    };
    if let Ok(merged) = merge::merge(vec![named("a"), named("b")]) {
        assert!(
            merged
                .runs
                .iter()
                .all(|run| run.contents().next().is_none())
        );
    }
}
