//! The machines and programs that the figures depend on: what is the same for all runs once.

use super::block::Block;
use super::table::Table;
use crate::columns::Columns;
use crate::labels::{labels, ranges};
use refcow_model::numbers::{bytes, count};
use refcow_model::{Report, Run};

/// A name and a value, as many as a run has.
type Fields = Vec<(String, String)>;

/// The field that tells runs apart.
const INTERPRETER: &str = "interpreter";

/// One table, a row a value.
pub(super) fn section(report: &Report) -> Vec<Block> {
    if report.runs.is_empty() {
        return Vec::new();
    }
    let labels = labels(report);
    let of_runs: Vec<Fields> = report.runs.iter().map(fields).collect();
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in of_runs.iter().flatten() {
        // Of several it stands beside each value.
        let told = name == INTERPRETER && labels.len() > 1;
        if !told && !names.contains(&&name[..]) {
            names.push(name);
        }
    }
    let mut rows = Vec::new();
    for name in names {
        // Runs with the same value together.
        let mut values: Vec<(&str, Vec<usize>)> = Vec::new();
        for (place, fields) in of_runs.iter().enumerate() {
            let found = fields.iter().find(|(known, _)| known == name);
            let value = found.map_or("–", |(_, value)| value);
            match values.iter_mut().find(|(known, _)| *known == value) {
                Some((_, places)) => places.push(place),
                None => values.push((value, vec![place])),
            }
        }
        let several = values.len() > 1;
        for (index, (value, places)) in values.into_iter().enumerate() {
            let with = match several {
                true => ranges(&places, &labels),
                false => "all".to_owned(),
            };
            let name = if index == 0 { name } else { "" };
            rows.push(vec![name.to_owned(), with, value.to_owned()]);
        }
    }
    let mut header = vec!["", "with CPython", ""];
    let mut leading = 2;
    if labels.len() == 1 {
        header.remove(1);
        leading = 1;
        for row in &mut rows {
            row.remove(1);
        }
    }
    let mut table = Table::of(
        "What the figures depend on",
        Columns {
            header: header.into_iter().map(str::to_owned).collect(),
            rows,
            leading,
            numbers: 0..0,
        },
    );
    for row in table.rows_mut() {
        for cell in &mut row.cells {
            cell.classes.push("any");
        }
    }
    vec![Block::Table(table)]
}

fn fields(run: &Run) -> Fields {
    let environment = &run.environment;
    let mut fields: Fields = Vec::new();
    let mut say = |name: &str, value: String| {
        // A row without a value would be a title.
        let value = if value.is_empty() {
            "–".into()
        } else {
            value
        };
        fields.push((name.to_owned(), value));
    };
    say(INTERPRETER, run.python.version.clone());
    if let Some(build) = &run.python.build {
        say("its build", build.clone());
    }
    say("its program", run.python.executable.display().to_string());
    if let Some(libpython) = &run.python.libpython {
        say("its library", libpython.display().to_string());
    }
    say("refcow", environment.refcow_version.clone());
    if let Some(commit) = &environment.refcow_commit {
        say("refcow's commit", commit.clone());
    }
    say("kernel", format!("Linux {}", environment.kernel));
    say("architecture", environment.architecture.clone());
    if let Some(cpu) = &environment.cpu {
        say("processor", cpu.clone());
    }
    say("processors to run on", count(environment.cpus));
    say("memory", bytes(environment.memory_total_bytes));
    say(
        "memory available",
        bytes(environment.memory_available_bytes),
    );
    say("page", bytes(environment.page_size_bytes));
    let pages = &environment.transparent_huge_pages;
    say(
        "transparent huge pages",
        match &pages.enabled {
            None => "none in this kernel".into(),
            Some(enabled) if pages.disabled_in_subject => {
                format!("{enabled}; off in the measured processes")
            }
            Some(enabled) => format!("{enabled}, also in the measured processes"),
        },
    );
    say(
        "kernel samepage merging",
        match environment.ksm.running {
            None => "none in this kernel".into(),
            Some(true) => "on".into(),
            Some(false) => "off".into(),
        },
    );
    let root = environment.privileges.root;
    say("run as root", if root { "yes" } else { "no" }.into());
    say(
        "page frame numbers",
        match environment.privileges.page_frame_numbers {
            true => "readable: pages were counted in two ways",
            false => "not readable: pages were counted in one way",
        }
        .into(),
    );
    for (package, version) in &environment.packages {
        let hash = environment.package_sha256.get(package);
        let hash = hash.map_or_else(String::new, |hash| format!(", SHA-256 {hash}"));
        say(&format!("package {package}"), format!("{version}{hash}"));
    }
    for (setting, value) in &environment.kernel_settings {
        say(setting, value.clone());
    }
    for (name, seed) in &environment.seeds {
        say(name, seed.to_string());
    }
    for (name, value) in &environment.variables {
        let value = value.clone();
        let value = value.unwrap_or_else(|| "as in the user's environment".into());
        say(&format!("variable {name}"), value);
    }
    if environment.all_variables {
        say("other variables", "as in the user's environment".into());
    }
    fields
}
