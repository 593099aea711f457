//! What a terminal shows of a tree that is recorded: as much as it has room for.

use textwrap::core::display_width;
use textwrap::{WordSeparator, WordSplitter};

use crate::live::table::cut;
use crate::numbers::{bytes, counted, share};
use crate::observe::page_size;
use crate::report::{Columns, wrapped};

/// As many rows of a table are shown while a tree is recorded.
const MOST: usize = 8;
/// Lines of Python are long.
const MOST_LINES: usize = 4;
/// More than a name that somebody reads has.
const MOST_LETTERS: usize = 200;

/// Columns and rows of a terminal that does not say how many it has.
pub(super) const USUAL: (u16, u16) = (80, 24);
/// On a narrower one the picture is broken.
pub(super) const LEAST: u16 = 20;

/// Pages by what they have in common, most first.
#[derive(Clone, Debug, Default)]
pub(super) struct Ranked {
    /// Pages, and the words.
    pub rows: Vec<(u64, Vec<String>)>,
}

/// A picture.
#[derive(Debug)]
pub(super) struct Picture {
    /// What is recorded.
    pub title: String,
    /// How far it is.
    pub moment: String,
    /// By what was written first, of which type, and by which function.
    pub causes: Ranked,
    /// By line of Python.
    pub lines: Ranked,
    /// A row for each process that lives.
    pub processes: Vec<Vec<String>>,
    /// How it is ended.
    pub end: &'static str,
}

impl Ranked {
    /// Of pages in any order.
    pub(super) fn of(mut rows: Vec<(u64, Vec<String>)>) -> Self {
        rows.sort_by(|one, other| other.0.cmp(&one.0).then_with(|| one.1.cmp(&other.1)));
        Self { rows }
    }

    /// The first rows. Words that do not fit beside the figures and the `kept` first ones stand below them.
    fn text(&self, most: usize, header: &[&str], kept: usize, width: usize) -> String {
        if most == 0 || self.rows.is_empty() {
            return String::new();
        }
        let all: u64 = self.rows.iter().map(|(pages, _)| pages).sum();
        let row = |(pages, words): &(u64, Vec<String>)| {
            let figures = [
                bytes(pages * page_size()),
                share(*pages as f64 / all as f64),
            ];
            let words = words.iter().map(|word| cut(word, MOST_LETTERS));
            figures.into_iter().chain(words).collect::<Vec<_>>()
        };
        let rows: Vec<Vec<String>> = self.rows.iter().take(most).map(row).collect();
        let columns = Columns {
            header: header.iter().map(|name| (*name).to_owned()).collect(),
            rows,
            leading: 2,
            numbers: 0..2,
        };
        let beside = columns.text(None);
        if beside.lines().all(|line| display_width(line) <= width) {
            return beside;
        }
        let beside = 2 + kept;
        // Of what has no type, the function alone.
        let told = |row: &Vec<String>| match &row[beside..] {
            [of_type, function] if of_type == "–" => format!("by {function}"),
            words => words.join(", by "),
        };
        let below = columns.rows.iter().map(told);
        let below: Vec<String> = below.collect();
        let narrow = Columns {
            header: columns.header[..beside].to_vec(),
            rows: columns
                .rows
                .iter()
                .map(|row| row[..beside].to_vec())
                .collect(),
            ..columns.clone()
        };
        let table = narrow.text(None);
        if table.lines().any(|line| display_width(line) > width) {
            return columns.text(Some(width as u16));
        }
        let mut text = String::new();
        for (place, line) in table.lines().enumerate() {
            text += line;
            text.push('\n');
            if let Some(words) = place.checked_sub(1).and_then(|row| below.get(row)) {
                text += &broken(words, width, "    ");
            }
        }
        text
    }
}

impl Picture {
    /// For a terminal of so many columns and rows. No line is as wide as it: of one that the terminal breaks, the next picture would leave a part.
    pub(super) fn text(&self, (columns, rows): (u16, u16)) -> String {
        let width = usize::from(columns.max(LEAST)) - 1;
        let rows = usize::from(rows);
        let (mut causes, mut lines, mut processes) = (MOST, MOST_LINES, MOST);
        let text = loop {
            let text = self.with(causes, lines, processes, width);
            if text.lines().count() <= rows {
                break text;
            }
            // The longest of them gets shorter.
            let longest = causes.max(lines).max(processes);
            let shortened = [&mut processes, &mut lines, &mut causes];
            match shortened.into_iter().find(|number| **number == longest) {
                Some(number) if longest > 0 => *number -= 1,
                _ => break text,
            }
        };
        let all: Vec<&str> = text.lines().collect();
        // What is told last is how it is ended.
        all[all.len().saturating_sub(rows.max(1))..].join("\n")
    }

    fn with(&self, causes: usize, lines: usize, processes: usize, width: usize) -> String {
        let mut text = broken(&cut(&self.title, MOST_LETTERS), width, "");
        text += &wrapped(&self.moment, width as u16, "");
        text.push('\n');
        let header = ["copied", "part", "first write to", "type", "by"];
        text += &self.causes.text(causes, &header, 1, width);
        let header = ["looked at", "part", "line"];
        text += &self.lines.text(lines, &header, 0, width);
        text += &self.of_processes(processes, width);
        text + self.end
    }

    fn of_processes(&self, most: usize, width: usize) -> String {
        if most == 0 || self.processes.is_empty() {
            return String::new();
        }
        let columns = Columns {
            header: ["process", "copied", "new", "a second"]
                .map(str::to_owned)
                .to_vec(),
            rows: self.processes.iter().take(most).cloned().collect(),
            leading: 1,
            numbers: 1..4,
        };
        let mut text = columns.text(Some(width as u16));
        if let Some(others @ 1..) = self.processes.len().checked_sub(most) {
            text += &format!("{}\n", counted(others as u64, "other", "others"));
        }
        text
    }
}

/// In lines of at most so many columns; a word that is longer is broken.
fn broken(words: &str, width: usize, indent: &str) -> String {
    let options = textwrap::Options::new(width)
        .initial_indent(indent)
        .subsequent_indent(indent)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation);
    textwrap::fill(words, options) + "\n"
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn ranked(rows: &[(u64, &[&str])]) -> Ranked {
        let row = |(pages, words): &(u64, &[&str])| {
            let words = words.iter().map(|word| (*word).to_owned()).collect();
            (*pages, words)
        };
        Ranked::of(rows.iter().map(row).collect())
    }

    /// A server with as many workers.
    fn picture(workers: usize) -> Picture {
        let process = |pid: usize| {
            ["", "16.1 MiB", "1.2 MiB", "3 MiB"].map(|cell| match cell {
                "" => pid.to_string(),
                cell => cell.to_owned(),
            })
        };
        Picture {
            title: "gunicorn: master [web_app:app], CPython 3.11".to_owned(),
            moment: format!(
                "12.0 s: {workers} processes, copied 64.1 MiB, new 20 MiB (+3.1 MiB a second), memory of all 120 MiB"
            ),
            causes: ranked(&[
                (5888, &["refcount", "int", "_PyEval_EvalFrameDefault"]),
                (
                    6758,
                    &[
                        "refcount",
                        "shop.catalogue.products.ProductWithVariants",
                        "_PyEval_EvalFrameDefault",
                    ],
                ),
                (
                    20,
                    &[
                        "unattributed",
                        "–",
                        "std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >::_M_assign",
                    ],
                ),
            ]),
            lines: ranked(&[(
                900,
                &["basket (/srv/www/production/current/shop/web_app.py:23)"],
            )]),
            processes: (1..=workers).map(|pid| process(pid).to_vec()).collect(),
            end: "q or Ctrl-C ends it",
        }
    }

    fn without_blanks(text: &str) -> String {
        text.split_whitespace().collect()
    }

    #[rstest]
    fn no_name_is_cut_and_no_line_is_as_wide_as_the_terminal(
        #[values(40, 60, 80, 120, 250)] columns: u16,
    ) {
        let text = picture(4).text((columns, 200));
        let widest = text.lines().map(display_width).max();
        assert!(widest < Some(usize::from(columns)), "{text}");
        let said = without_blanks(&text);
        for name in [
            "gunicorn: master [web_app:app], CPython 3.11",
            "shop.catalogue.products.ProductWithVariants",
            "_PyEval_EvalFrameDefault",
            "std::allocator<char> >::_M_assign",
            "basket (/srv/www/production/current/shop/web_app.py:23)",
            "memory of all 120 MiB",
        ] {
            assert!(said.contains(&without_blanks(name)), "{name}: {text}");
        }
        assert!(text.ends_with("\nq or Ctrl-C ends it"), "{text}");
    }

    #[test]
    fn a_terminal_that_is_too_narrow_for_figures_side_by_side_has_them_in_parts() {
        let text = picture(4).text((20, 200));
        let widest = text.lines().map(display_width).max();
        assert!(widest < Some(20), "{text}");
        assert!(text.ends_with("\nq or Ctrl-C ends it"), "{text}");
    }

    #[test]
    fn names_that_do_not_fit_beside_their_figures_stand_below_them() {
        let text = picture(1).text((60, 50));
        let expected = "\
  copied    part  first write to
26.4 MiB  53.4 %  refcount
    shop.catalogue.products.ProductWithVariants, by
    _PyEval_EvalFrameDefault
  23 MiB  46.5 %  refcount
    int, by _PyEval_EvalFrameDefault
  80 KiB  0.16 %  unattributed
    by std::__cxx11::basic_string<char,
";
        assert!(text.contains(expected), "{text}");
        let text = picture(1).text((250, 50));
        assert!(
            text.contains("  refcount        shop.catalogue.products.ProductWithVariants"),
            "{text}"
        );
    }

    #[rstest]
    fn a_terminal_of_few_rows_shows_less_of_each_table_and_how_it_is_ended(
        #[values(1, 2, 4, 8, 12, 16, 24, 40)] rows: u16,
        #[values(60, 120)] columns: u16,
    ) {
        let text = picture(64).text((columns, rows));
        assert!(text.lines().count() <= usize::from(rows), "{text}");
        assert!(text.ends_with("q or Ctrl-C ends it"), "{text}");
        if rows >= 8 {
            assert!(text.starts_with("gunicorn: master"), "{text}");
        }
        if rows >= 24 {
            for part in ["first write to", "looked at", "process", " others\n"] {
                assert!(text.contains(part), "{part}: {text}");
            }
        }
    }

    #[test]
    fn of_what_nothing_is_known_nothing_is_shown() {
        let nothing = Picture {
            causes: Ranked::default(),
            lines: Ranked::default(),
            processes: Vec::new(),
            ..picture(0)
        };
        let text = nothing.text(USUAL);
        let last = text.lines().skip(3).collect::<Vec<_>>();
        assert_eq!(last, ["", "q or Ctrl-C ends it"], "{text}");
    }
}
