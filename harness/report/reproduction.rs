//! Whether a document could be repeated: the answer first, then what is not the same.

use super::style::{READABLE, wrapped};
use refcow_model::numbers::count;
use refcow_model::{Difference, Repeated, Reproduction, RunName, Weight};

/// So many differences of a weight are told of a run; JSON has all.
fn told(weight: Weight) -> usize {
    match weight {
        Weight::DoesNotCount => 4,
        _ => 12,
    }
}

/// For a terminal or a pipe.
pub fn render(reproduction: &Reproduction, width: Option<u16>) -> Vec<u8> {
    let width = width.unwrap_or(READABLE);
    let mut text = wrapped(&answer(reproduction), width, "");
    for run in &reproduction.runs {
        if run.not_comparable.is_none() && run.differences.is_empty() && run.differs.is_empty() {
            continue;
        }
        text.push('\n');
        text += &wrapped(&names(reproduction, run), width, "");
        for line in of_run(run) {
            text += &wrapped(&line, width, "  ");
        }
    }
    for (number, line) in tolerances(reproduction).iter().enumerate() {
        if number == 0 {
            text.push('\n');
        }
        text += &wrapped(line, width, "");
    }
    text.into_bytes()
}

/// The answer, with what it rests on.
fn answer(reproduction: &Reproduction) -> String {
    let told = |weight| reproduction.differences(weight).count() as u64;
    let mut parts = Vec::new();
    if let Some(why) = &reproduction.not_comparable {
        parts.push(why.clone());
    }
    let missing = reproduction.runs.iter();
    let missing = missing.filter(|run| run.not_comparable.is_some()).count() as u64;
    let of = reproduction.runs.len() as u64;
    if missing > 0 {
        parts.push(format!(
            "{} of {} runs could not be measured again",
            count(missing),
            count(of)
        ));
    }
    if reproduction.compared() > 0 {
        parts.push(format!(
            "{} figures and verdicts compared",
            count(reproduction.compared())
        ));
    }
    for (weight, words) in [
        (Weight::NotComparable, "cannot be compared"),
        (Weight::Differs, "differ"),
        (
            Weight::WithinTolerance,
            "differ by no more than the tolerance",
        ),
    ] {
        match told(weight) {
            0 => {}
            1 => parts.push(format!("1 {}", words.replace("differ", "differs"))),
            number => parts.push(format!("{} {words}", count(number))),
        }
    }
    if parts.len() == 1 && reproduction.compared() > 0 {
        let words = match told(Weight::DoesNotCount) {
            0 => "all are the same",
            _ => "all that count are the same",
        };
        parts.push(words.into());
    }
    format!("{}: {}", reproduction.answer, parts.join(", "))
}

/// How far figures could be apart, and what was not looked at: of an answer to anything.
fn tolerances(reproduction: &Reproduction) -> Vec<String> {
    if reproduction.compared() == 0 {
        return Vec::new();
    }
    let mut lines = Vec::new();
    if let Some(part) = reproduction.memory_tolerance {
        lines.push(format!(
            "Memory of whole processes (PSS, RSS) may differ by up to {:.0} %: it depends on other processes, too.",
            part * 100.0
        ));
    }
    lines.extend(reproduction.not_compared.iter().map(|one| {
        // The same field of several lists is one name; JSON has the paths.
        let mut names: Vec<&str> = Vec::new();
        for field in &one.fields {
            let mut parts = field.rsplit('.');
            let last = parts.next().unwrap_or(field);
            // `bytes` alone could be of anything.
            let name = match parts.next() {
                Some(of) if !of.ends_with(']') => &field[field.len() - last.len() - of.len() - 1..],
                _ => last,
            };
            if !names.contains(&name) {
                names.push(name);
            }
        }
        format!("Not compared: {} ({}).", names.join(", "), one.because)
    }));
    lines
}

/// A recorded run, and that of now where it is of something else. Programs are named where versions
/// do not tell them apart.
fn names(reproduction: &Reproduction, run: &Repeated) -> String {
    let Repeated { recorded, now, .. } = run;
    let mut all = reproduction.runs.iter();
    let alone = all.all(|one| one == run || one.recorded.version != recorded.version);
    let same_program = |now: &RunName| now.executable == recorded.executable;
    let with_program = !alone || !now.as_ref().is_none_or(same_program);
    let name = |run: &RunName| {
        let program = match with_program {
            true => format!(", {}", run.executable),
            false => String::new(),
        };
        format!(
            "CPython {}{program} (Linux {}, {})",
            run.version, run.kernel, run.architecture
        )
    };
    match now {
        Some(now) if now != recorded => format!("{} → {}", name(recorded), name(now)),
        _ => name(recorded),
    }
}

fn of_run(run: &Repeated) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(why) = &run.not_comparable {
        lines.push(format!("not comparable: {why}"));
    }
    if !run.differs.is_empty() {
        lines.push(format!("not the same: {}", run.differs.join(", ")));
    }
    for weight in Weight::ALL {
        let all = run.differences.iter();
        let all: Vec<_> = all.filter(|one| one.weight == weight).collect();
        let word = match weight {
            Weight::NotComparable => "not comparable",
            Weight::Differs => "differs",
            Weight::WithinTolerance => "within tolerance",
            Weight::DoesNotCount => "does not count",
        };
        let most = told(weight);
        let told = all.iter().take(most);
        lines.extend(told.map(|one| format!("{word}: {}", difference(one))));
        if all.len() > most {
            let more = count((all.len() - most) as u64);
            lines.push(format!("{word}: {more} more, which --format json has"));
        }
    }
    lines
}

fn difference(difference: &Difference) -> String {
    let or_none = |value: &Option<String>| value.clone().unwrap_or_else(|| "absent".into());
    let because = difference.because.as_ref();
    let both = match (&difference.recorded, &difference.now) {
        (None, None) => String::new(),
        (recorded, now) => format!(": {} recorded, {} now", or_none(recorded), or_none(now)),
    };
    let because = because.map_or_else(String::new, |why| format!(" ({why})"));
    format!("{}{both}{because}", difference.of)
}
