//! How many statements and facts came to what, in a sentence.

use refcow_model::numbers::{count, counted, one_or_several};
use refcow_model::{FactTally, StatementInRuns, Verdict, VerdictStatements, by_verdict};

/// How many statements came to each verdict, in a line: `13 statements, CPython 3.11.7: 8 hold, 3
/// with limits, 2 do not`.
pub(super) fn summary_of_claims(statements: &[StatementInRuns<'_>], pythons: &str) -> String {
    let groups = by_verdict(statements);
    let of = |verdict| groups.iter().find(|group| group.0 == verdict);
    let parts = [
        (Some(Verdict::Holds), "holds", "hold"),
        (Some(Verdict::HoldsWithLimits), "with limits", "with limits"),
        (Some(Verdict::DoesNotHold), "does not", "do not"),
        (None, "depends on the version", "depend on the version"),
        (
            Some(Verdict::NotTestableHere),
            "not testable here",
            "not testable here",
        ),
    ];
    let parts = parts.into_iter().filter_map(|(verdict, one, several)| {
        let number = of(verdict)?.1.len() as u64;
        Some(counted(number, one, several))
    });
    let parts: Vec<String> = parts.collect();
    let all = counted(statements.len() as u64, "statement", "statements");
    let claims = || {
        statements
            .iter()
            .map(|one| one.claims.iter().copied().flatten())
    };
    let unexpected =
        claims().filter(|claims| claims.clone().any(|one| one.verdict != one.expected));
    let unexpected = match unexpected.count() as u64 {
        0 => String::new(),
        number => format!("; {} not as expected", count(number)),
    };
    format!("{all}, {pythons}: {}{unexpected}", parts.join(", "))
}

/// How many statements came to each verdict.
pub(super) fn of_claims(
    all: usize,
    source: &str,
    groups: &[VerdictStatements<'_, '_>],
    pythons: &str,
) -> String {
    // What holds first, and last what is not known.
    let (untested, tested): (Vec<_>, Vec<_>) = groups
        .iter()
        .partition(|(verdict, _)| *verdict == Some(Verdict::NotTestableHere));
    let parts: Vec<String> = tested
        .iter()
        .rev()
        .chain(&untested)
        .map(|(verdict, statements)| {
            let number = statements.len() as u64;
            let word = |one, several| one_or_several(number, one, several);
            let words = match verdict {
                Some(Verdict::Holds) => word("holds", "hold"),
                Some(Verdict::HoldsWithLimits) => word("holds with limits", "hold with limits"),
                Some(Verdict::DoesNotHold) => word("does not hold", "do not hold"),
                Some(Verdict::NotTestableHere) => "could not be tested here",
                None => word("depends on the version", "depend on the version"),
            };
            format!("{} {words}", count(number))
        })
        .collect();
    format!(
        "Of {}{source}, tested with {pythons}: {}.",
        counted(all as u64, "statement", "statements"),
        parts.join(", ")
    )
}

/// How many facts came true.
pub(super) fn of_facts(tally: &FactTally<'_>, pythons: &str) -> String {
    let all = tally.as_predicted + tally.otherwise.len() + tally.not_testable.len();
    let mut sentence = format!(
        "Of {} about versions of Python, {} as predicted on {pythons}",
        counted(all as u64, "fact", "facts"),
        counted(tally.as_predicted as u64, "is", "are")
    );
    for (words, ids) in [
        ("not so", &tally.otherwise),
        ("not testable here", &tally.not_testable),
    ] {
        if !ids.is_empty() {
            sentence += &format!("; {words}: {}", ids.join(", "));
        }
    }
    sentence + "."
}
