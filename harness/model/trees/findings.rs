//! What is worth telling of a tree, with what to do about it: data of `findings.toml`, and the figures behind it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use minijinja::{Environment, UndefinedBehavior, context};
use serde::Deserialize;

use super::{
    AlikeFigures, CauseFigures, PagesAre, Phase, RecordedFigures, RecordedProcess, ThreadIs,
    TreeFigures, TreeFinding,
};
use crate::Cause;
use crate::numbers::{bytes, counted, share};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Findings {
    least_bytes: u64,
    least_share: f64,
    #[serde(rename = "finding")]
    all: Vec<KnownFinding>,
}

/// One that a tree may have.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct KnownFinding {
    id: String,
    of: FindingOf,
    says: String,
    remedy: String,
}

/// Which bytes it is about.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum FindingOf {
    /// Pages that were recorded.
    Pages(ChosenPages),
    /// Pages that workers wrote first while their interpreters were ending.
    Shutdown,
    /// Pages of workers in huge pages of their own.
    Huge,
    /// Pages that workers have alike, and would share with their parent.
    Alike,
    /// New pages by the lines at which all workers made some.
    MadeByAll,
    /// New memory: as much as the worker with least of it made, for each of them.
    NewInEach,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ChosenPages {
    are: Vec<PagesAre>,
    cause: Option<Cause>,
}

impl ChosenPages {
    fn has(&self, one: &CauseFigures) -> bool {
        self.are.contains(&one.pages_are)
            && (self.cause.is_none() || self.cause == one.cause)
            && one.phase != Some(Phase::Shutdown)
    }
}

/// A figure, in pages.
#[derive(Debug, Default)]
struct FindingFigure {
    pages: u64,
    /// What it is a part of.
    whole: u64,
    types: NamesOfPages,
    functions: NamesOfPages,
    by_other_threads: u64,
    workers: u64,
    /// Pages of each worker.
    each: u64,
    libraries: Vec<String>,
    modules: Vec<String>,
    lines: NamesOfPages,
}

/// Pages by a name.
type NamesOfPages = BTreeMap<String, u64>;

/// Names that a sentence tells at most.
const NAMED: usize = 3;

/// A name is told if it has this part of the pages.
const LEAST_NAMED: f64 = 0.1;

fn known() -> &'static Findings {
    static ALL: LazyLock<Findings> = LazyLock::new(|| {
        let text = include_str!("findings.toml");
        toml::from_str(text).expect("a test reads the findings")
    });
    &ALL
}

/// Of a tree whose pages have so many bytes, most bytes first.
pub fn findings(tree: &TreeFigures, page_bytes: u64) -> Vec<TreeFinding> {
    let known = known();
    let mut found: Vec<TreeFinding> = Vec::new();
    let mut is_alike_told = false;
    for one in &known.all {
        // What is alike says more of new memory.
        if is_alike_told && matches!(one.of, FindingOf::NewInEach) {
            continue;
        }
        let figure = one.of.figure(tree);
        let amount = figure.pages.saturating_mul(page_bytes);
        let part = figure.pages as f64 / figure.whole.max(1) as f64;
        if amount >= known.least_bytes && part >= known.least_share {
            is_alike_told |= matches!(one.of, FindingOf::Alike);
            let lists = figure.lists();
            let is_used = |name: &str| one.says.contains(&format!("{{{{ {name} }}}}"));
            let used = lists.iter().filter(|(name, _)| is_used(name));
            found.push(TreeFinding {
                id: one.id.clone(),
                bytes: amount,
                left_out: sum(used.map(|(_, list)| list.left_out)),
                says: said(&one.says, &figure, lists, page_bytes).unwrap_or_default(),
                remedy: one.remedy.clone(),
            });
        }
    }
    found.sort_by_key(|one| std::cmp::Reverse(one.bytes));
    found
}

impl FindingOf {
    fn figure(&self, tree: &TreeFigures) -> FindingFigure {
        match (self, &tree.recorded) {
            (Self::Pages(chosen), Some(recorded)) => of_causes(chosen, recorded),
            (Self::Shutdown, Some(recorded)) => shutdown(recorded),
            (Self::NewInEach, Some(recorded)) => new_in_each(recorded, &tree.alike),
            (Self::MadeByAll, Some(recorded)) => made_by_all(recorded),
            (Self::Alike, _) => alike(tree),
            (Self::Huge, _) => {
                let forked = || tree.processes.iter().filter(|one| one.depth > 0);
                FindingFigure {
                    pages: sum(forked().map(|one| one.huge_pages)),
                    whole: sum(forked().map(|one| one.anonymous_pages)),
                    ..FindingFigure::default()
                }
            }
            _ => FindingFigure::default(),
        }
    }
}

fn of_causes(chosen: &ChosenPages, recorded: &RecordedFigures) -> FindingFigure {
    let mut figure = FindingFigure {
        whole: sum(recorded.causes.iter().map(|one| one.pages)),
        ..FindingFigure::default()
    };
    for one in recorded.causes.iter().filter(|one| chosen.has(one)) {
        figure.pages = figure.pages.saturating_add(one.pages);
        let of_type = one.type_name.as_deref().unwrap_or("unknown");
        let names = [
            (&mut figure.types, of_type),
            (&mut figure.functions, &one.function),
        ];
        for (names, name) in names {
            let pages = names.entry(name.to_owned()).or_default();
            *pages = pages.saturating_add(one.pages);
        }
        if one.thread == ThreadIs::Other {
            figure.by_other_threads = figure.by_other_threads.saturating_add(one.pages);
        }
    }
    figure
}

/// Of what was forked: what to do about it is for workers.
fn shutdown(recorded: &RecordedFigures) -> FindingFigure {
    let forked = || recorded.processes.iter().filter(|one| one.depth > 0);
    let all = |one: &RecordedProcess| {
        let kinds = [
            one.copied_pages,
            one.rewritten_pages,
            one.new_pages,
            one.unknown_pages,
        ];
        sum(kinds.into_iter())
    };
    FindingFigure {
        pages: sum(forked().filter_map(|one| one.shutdown_pages)),
        whole: sum(forked().map(all)),
        ..FindingFigure::default()
    }
}

fn new_in_each(recorded: &RecordedFigures, alike: &[AlikeFigures]) -> FindingFigure {
    let workers: Vec<&RecordedProcess> = workers(recorded).collect();
    let least = workers.iter().map(|one| one.new_pages).min().unwrap_or(0);
    let number = workers.len() as u64;
    // What all of these have imported is known where all of them were compared.
    let compared = alike.iter().find(|one| one.workers == number);
    FindingFigure {
        pages: if number > 1 {
            least.saturating_mul(number)
        } else {
            0
        },
        whole: sum(recorded.causes.iter().map(|one| one.pages)),
        workers: number,
        each: least,
        libraries: compared.map_or_else(Vec::new, |one| one.libraries.clone()),
        modules: compared.map_or_else(Vec::new, of_packages),
        ..FindingFigure::default()
    }
}

fn made_by_all(recorded: &RecordedFigures) -> FindingFigure {
    let lines = recorded.made_by_all.iter();
    let lines: NamesOfPages = lines.map(|one| (one.line.clone(), one.pages)).collect();
    let workers = recorded.made_by_all.iter().map(|one| one.workers).max();
    FindingFigure {
        pages: sum(lines.values().copied()),
        whole: sum(recorded.causes.iter().map(|one| one.pages)),
        workers: workers.unwrap_or(0),
        lines,
        ..FindingFigure::default()
    }
}

/// Of the parent whose workers have most alike.
fn alike(tree: &TreeFigures) -> FindingFigure {
    let saved = |one: &AlikeFigures| {
        one.alike_pages
            .saturating_mul(one.workers.saturating_sub(1))
    };
    let Some(most) = tree.alike.iter().max_by_key(|one| saved(one)) else {
        return FindingFigure::default();
    };
    let forked = tree
        .processes
        .iter()
        .filter(|one| one.parent_pid == most.parent_pid);
    FindingFigure {
        pages: saved(most),
        whole: sum(forked.map(|one| one.anonymous_pages)),
        workers: most.workers,
        each: most.alike_pages,
        libraries: most.libraries.clone(),
        modules: of_packages(most),
        ..FindingFigure::default()
    }
}

fn of_packages(alike: &AlikeFigures) -> Vec<String> {
    packages(alike.modules.as_deref().unwrap_or_default())
}

/// Of modules, those that are in no package among them: whoever imports one imports what it is in.
pub fn packages(modules: &[String]) -> Vec<String> {
    let all: BTreeSet<&str> = modules.iter().map(String::as_str).collect();
    let is_within = |name: &str| {
        let mut outer = name;
        while let Some((package, _)) = outer.rsplit_once('.') {
            if all.contains(package) {
                return true;
            }
            outer = package;
        }
        false
    };
    let outer = modules.iter().filter(|name| !is_within(name));
    outer.cloned().collect()
}

/// Processes that were forked, and have forked none themselves while they were recorded.
fn workers(recorded: &RecordedFigures) -> impl Iterator<Item = &RecordedProcess> {
    let has_forked = |pid: i32| {
        recorded
            .processes
            .iter()
            .any(|one| one.parent_pid == pid && one.depth > 0)
    };
    let all = recorded.processes.iter();
    all.filter(move |one| one.depth > 0 && !has_forked(one.pid))
}

fn sum(pages: impl Iterator<Item = u64>) -> u64 {
    pages.fold(0, u64::saturating_add)
}

impl FindingFigure {
    /// Names that a sentence can use, each by its name there.
    fn lists(&self) -> [(&'static str, List); 5] {
        [
            ("libraries", List::first(&self.libraries)),
            ("modules", List::first(&self.modules)),
            ("lines", List::most(&self.lines, self.pages)),
            ("types", List::most(&self.types, self.pages)),
            ("functions", List::most(&self.functions, self.pages)),
        ]
    }
}

/// A sentence with its figures.
fn said(
    sentence: &str,
    figure: &FindingFigure,
    lists: [(&'static str, List); 5],
    page_bytes: u64,
) -> Result<String, minijinja::Error> {
    let amount = |pages: u64| bytes(pages.saturating_mul(page_bytes));
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let lists: BTreeMap<_, _> = lists
        .into_iter()
        .map(|(name, list)| (name, list.text))
        .collect();
    let figures = context! {
        bytes => amount(figure.pages),
        share => share(figure.pages as f64 / figure.whole.max(1) as f64),
        workers => figure.workers,
        each => amount(figure.each),
        other_threads => (figure.by_other_threads > 0).then(|| amount(figure.by_other_threads)),
    };
    environment.render_str(sentence, context! { ..figures, ..context! { ..lists } })
}

/// Names as a sentence tells them.
struct List {
    /// `a.so, b.so and 3 others`.
    text: String,
    /// How many these others are.
    left_out: u64,
}

impl List {
    /// The first of these.
    fn first(names: &[String]) -> Self {
        Self::of(&names[..names.len().min(NAMED)], names.len())
    }

    /// `int (60 %), str (25 %) and 3 others`: those with most pages.
    fn most(names: &NamesOfPages, pages: u64) -> Self {
        let mut all: Vec<(&String, &u64)> = names.iter().collect();
        all.sort_by_key(|(_, pages)| std::cmp::Reverse(**pages));
        let part = |of: u64| of as f64 / pages.max(1) as f64;
        let told = all.iter().take(NAMED).enumerate();
        let told = told.take_while(|(place, (_, of))| *place == 0 || part(**of) >= LEAST_NAMED);
        let told: Vec<String> = told
            .map(|(_, (name, of))| format!("{name} ({})", share(part(**of))))
            .collect();
        Self::of(&told, all.len())
    }

    /// The first of so many.
    fn of(told: &[String], all: usize) -> Self {
        let left_out = (all - told.len()) as u64;
        let text = match (left_out, told.split_last()) {
            (0, Some((last, []))) => last.clone(),
            (0, Some((last, rest))) => format!("{} and {last}", rest.join(", ")),
            (others, Some(_)) => {
                let others = counted(others, "other", "others");
                format!("{} and {others}", told.join(", "))
            }
            (_, None) => String::new(),
        };
        Self { text, left_out }
    }
}

#[cfg(test)]
pub(super) mod tests;
