//! Pages of a tree by why they were copied, and by what wrote.

use super::cells::{NOTHING, cut};
use crate::live::document::{CauseFigures, PagesAre, Phase, RecordedFigures, ThreadIs};
use crate::model::Cause;
use crate::numbers::{bytes, counted, share};
use crate::observe::page_size;
use crate::report::Columns;

/// What pages are told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum TreeBy {
    /// What was written first
    Cause,
    /// The type of the object that was written
    Type,
    /// The function that wrote
    Function,
    /// The Python line that was running, and the line of your own code that had called it
    Line,
    /// Whether the first thread of the process wrote, or another one
    Thread,
}

impl TreeBy {
    fn name(self) -> &'static str {
        match self {
            Self::Cause => "first write to",
            Self::Type => "type",
            Self::Function => "by",
            Self::Line => "line",
            Self::Thread => "thread",
        }
    }

    fn words(self, one: &CauseFigures) -> String {
        match self {
            Self::Cause => one.cause.map_or(NOTHING, Cause::as_str).to_owned(),
            Self::Type => one.type_name.clone().unwrap_or(NOTHING.to_owned()),
            Self::Function => one.function.clone(),
            Self::Line => line_of(one).unwrap_or(NOTHING.to_owned()),
            Self::Thread => match one.thread {
                ThreadIs::Main => "first",
                ThreadIs::Other => "other",
            }
            .to_owned(),
        }
    }
}

/// The innermost line, and the innermost one of the user's own code.
fn line_of(one: &CauseFigures) -> Option<String> {
    let line = one.line.as_ref()?;
    Some(match &one.own_line {
        Some(own) => format!("{line}, from {own}"),
        None => line.clone(),
    })
}

/// Tables one below the other.
#[derive(Debug, Default)]
pub(super) struct Tables {
    /// They.
    pub text: String,
    /// Whether rows stand for others.
    pub is_cut: bool,
    width: Option<u16>,
}

/// Copied pages and new ones, each by what the user has chosen. By line, only those of which it is known.
pub(super) fn grouped(recorded: &RecordedFigures, by: &[TreeBy], width: Option<u16>) -> Tables {
    let mut tables = Tables::new(width);
    tables.add_grouped(recorded, by, MOST_CAUSES);
    tables
}

/// What was written first on copied pages, and who made the new ones; with the lines that copied and made most, if they are known.
pub(super) fn of_all(recorded: &RecordedFigures, width: Option<u16>) -> Tables {
    let mut tables = Tables::new(width);
    tables.add_causes(recorded);
    if recorded.lines.is_some() {
        tables.add_grouped(recorded, &[TreeBy::Line], MOST_LINES);
    }
    tables
}

/// `copied, 1 in 7`.
fn looked_at(recorded: &RecordedFigures, name: &str) -> String {
    match &recorded.lines {
        Some(lines) if lines.one_in > 1 => format!("{name}, 1 in {}", lines.one_in),
        _ => name.to_owned(),
    }
}

/// As many rows of lines, which are long, where nobody asks for more of them.
const MOST_LINES: usize = 6;

/// As many rows of causes; the rest is one more.
const MOST_CAUSES: usize = 12;

impl Tables {
    fn new(width: Option<u16>) -> Self {
        Self {
            width,
            ..Self::default()
        }
    }

    fn add_grouped(&mut self, recorded: &RecordedFigures, by: &[TreeBy], most: usize) {
        let is_by_line = by.contains(&TreeBy::Line);
        let kinds: [(&str, &[PagesAre]); 2] = [
            ("copied", &[PagesAre::Copied, PagesAre::Rewritten]),
            ("new", &[PagesAre::New]),
        ];
        let headers: Vec<&str> = by.iter().map(|by| by.name()).collect();
        for (name, kinds) in kinds {
            let all = recorded.causes.iter();
            let all = all.filter(|one| kinds.contains(&one.pages_are));
            let all = all.filter(|one| !is_by_line || one.line.is_some());
            let name = match is_by_line {
                true => looked_at(recorded, name),
                false => name.to_owned(),
            };
            let words = |one: &CauseFigures| by.iter().map(|by| by.words(one)).collect();
            let header = [&[&name, "part"], &headers[..]].concat();
            self.add_ranked(all, header, most, words);
        }
    }

    fn add_causes(&mut self, recorded: &RecordedFigures) {
        let ending = |one: &&CauseFigures| one.phase == Some(Phase::Shutdown);
        let copied =
            |one: &&CauseFigures| matches!(one.pages_are, PagesAre::Copied | PagesAre::Rewritten);
        let made = |one: &&CauseFigures| one.pages_are == PagesAre::New;
        let of_copied = |one: &CauseFigures| {
            let cause = one.cause.map_or(NOTHING, Cause::as_str);
            let of_type = one.type_name.as_deref().unwrap_or(NOTHING);
            vec![cause.to_owned(), cut(of_type, 40), function(one)]
        };
        let causes = |name| vec![name, "part", "first write to", "type", "by"];
        let working = || recorded.causes.iter().filter(|one| !ending(one));
        let all = working().filter(copied);
        self.add_ranked(all, causes("copied"), MOST_CAUSES, of_copied);
        let header = vec!["new", "part", "made by"];
        let all = working().filter(made);
        self.add_ranked(all, header, MOST_CAUSES, |one| vec![function(one)]);
        let all = recorded.causes.iter().filter(ending).filter(copied);
        self.add_ranked(all, causes("copied at shutdown"), MOST_CAUSES, of_copied);
    }

    /// Pages by what their rows say, most first.
    fn add_ranked<'a>(
        &mut self,
        causes: impl Iterator<Item = &'a CauseFigures>,
        header: Vec<&str>,
        most: usize,
        words: impl Fn(&CauseFigures) -> Vec<String>,
    ) {
        let mut sums: Vec<(Vec<String>, u64)> = Vec::new();
        for one in causes {
            let words = words(one);
            match sums.iter_mut().find(|(known, _)| *known == words) {
                Some((_, pages)) => *pages += one.pages,
                None => sums.push((words, one.pages)),
            }
        }
        let all: u64 = sums.iter().map(|(_, pages)| pages).sum();
        if all == 0 {
            return;
        }
        sums.sort_by_key(|(_, pages)| std::cmp::Reverse(*pages));
        let rest: u64 = sums.iter().skip(most).map(|(_, pages)| pages).sum();
        let figures =
            |pages: u64| vec![bytes(pages * page_size()), share(pages as f64 / all as f64)];
        let mut rows: Vec<Vec<String>> = sums
            .iter()
            .take(most)
            .map(|(words, pages)| [figures(*pages), words.clone()].concat())
            .collect();
        if rest > 0 {
            self.is_cut = true;
            let others = counted((sums.len() - most) as u64, "other", "others");
            let mut words = vec![String::new(); header.len() - 2];
            words[0] = others;
            rows.push([figures(rest), words].concat());
        }
        let columns = Columns {
            header: header.into_iter().map(str::to_owned).collect(),
            rows,
            leading: 2,
            numbers: 0..2,
        };
        self.text += &columns.text(self.width);
    }
}

fn function(one: &CauseFigures) -> String {
    let thread = match one.thread {
        ThreadIs::Main => "",
        ThreadIs::Other => " (other thread)",
    };
    format!("{}{thread}", cut(&one.function, 48))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// What two threads of workers wrote, some of it at lines that are known.
    fn recorded() -> RecordedFigures {
        let cause = |are: &str, cause: &str, of_type: &str, thread: &str, pages: u64| json!({"pages_are": are, "cause": cause, "type": of_type, "function": "f", "thread": thread, "pages": pages});
        let at = |mut one: serde_json::Value, line: &str, own: Option<&str>| {
            one["line"] = json!(line);
            one["own_line"] = json!(own);
            one
        };
        let causes = [
            cause("copied", "refcount", "int", "main", 40),
            cause("copied", "gc", "list", "other", 30),
            cause("rewritten", "refcount", "str", "main", 10),
            cause("unknown", "refcount", "int", "main", 500),
            at(
                cause("copied", "refcount", "int", "main", 15),
                "dumps (json.py:1)",
                Some("main (app.py:7)"),
            ),
            at(
                cause("new", "refcount", "int", "other", 5),
                "load (app.py:3)",
                None,
            ),
        ];
        serde_json::from_value(json!({
            "seconds": 1.0, "lost_faults": 0, "with_kernel_writes": true, "executed": 0,
            "processes": [], "moments": [], "causes": causes,
            "lines": {"one_in": 7, "looked_at_pages": 20, "without_line": [], "not_traced_processes": 0, "not_traced": [],
                      "pauses": 0, "dropped": 0, "ended_early": false},
        }))
        .unwrap()
    }

    fn rows(by: &[TreeBy]) -> Vec<String> {
        let table = grouped(&recorded(), by, Some(120)).text;
        let rows = table.lines().filter(|row| !row.is_empty());
        let words = rows.map(|row| row.split_whitespace().collect::<Vec<_>>().join(" "));
        words.collect()
    }

    #[test]
    fn pages_are_grouped_by_what_is_chosen_and_unknown_ones_are_in_no_group() {
        let by_cause = [
            "copied part first write to",
            "260 KiB 68.4 % refcount",
            "120 KiB 31.6 % gc",
            "new part first write to",
            "20 KiB 100 % refcount",
        ];
        assert_eq!(rows(&[TreeBy::Cause]), by_cause);
        let by_both = [
            "copied part thread type",
            "220 KiB 57.9 % first int",
            "120 KiB 31.6 % other list",
            "40 KiB 10.5 % first str",
            "new part thread type",
            "20 KiB 100 % other int",
        ];
        assert_eq!(rows(&[TreeBy::Thread, TreeBy::Type]), by_both);
        assert_eq!(rows(&[TreeBy::Function])[1], "380 KiB 100 % f");
    }

    #[test]
    fn by_line_those_count_whose_line_is_known() {
        let expected = [
            "copied, 1 in 7 part line",
            "60 KiB 100 % dumps (json.py:1), from main (app.py:7)",
            "new, 1 in 7 part line",
            "20 KiB 100 % load (app.py:3)",
        ];
        assert_eq!(rows(&[TreeBy::Line]), expected);
    }
}
