//! The rows of verdicts and facts.

use std::collections::HashSet;

use super::row::row;
use crate::claims::{Claims, Direction};
use crate::{Outcome, Row, RowKey, RowValue, Run, Status, Verdict, Version};

/// Rows of what is told by its id: those of the base, then those that only the new run has.
fn rows_by_id<T: Clone>(
    base: &[(String, T)],
    new: &[(String, T)],
    key: impl Fn(&str) -> RowKey,
    value: impl Fn(T) -> RowValue,
    compare: impl Fn(T, T) -> Status,
) -> Vec<Row> {
    let find = |all: &[(String, T)], id: &str| {
        let mut all = all.iter();
        all.find(|(known, _)| known == id)
            .map(|(_, value)| value.clone())
    };
    let mut seen = HashSet::new();
    let ids = base.iter().chain(new).map(|(id, _)| &id[..]);
    ids.filter(|id| seen.insert(*id))
        .map(|id| {
            let (one, other) = (find(base, id), find(new, id));
            let status = match (&one, &other) {
                (Some(one), Some(other)) => compare(one.clone(), other.clone()),
                (Some(_), None) => Status::OnlyInBase,
                (None, _) => Status::OnlyInNew,
            };
            Row {
                because: (status == Status::NotComparable)
                    .then(|| "it could not be tested in one of them".to_owned()),
                ..row(key(id), one.map(&value), other.map(&value), status)
            }
        })
        .collect()
}

pub(super) fn verdict_rows(base: &Run, new: &Run) -> Vec<Row> {
    let all = |run: &Run| -> Vec<(String, (Verdict, Verdict))> {
        let claims = run.claims.iter();
        claims
            .map(|claim| (claim.id.clone(), (claim.verdict, claim.expected)))
            .collect()
    };
    rows_by_id(
        &all(base),
        &all(new),
        |id| RowKey::Claim { id: id.to_owned() },
        |(verdict, expected)| RowValue::Claim { verdict, expected },
        |(one, expected), (other, expected_then)| {
            if one == other {
                return Status::Unchanged;
            }
            if [one, other].contains(&Verdict::NotTestableHere) {
                return Status::NotComparable;
            }
            match (one == expected, other == expected_then) {
                (true, true) => Status::ChangedAsExpected,
                (false, true) => Status::Improved,
                _ => Status::Regressed,
            }
        },
    )
}

/// What the facts say of each. Of two versions that are on two sides of a change that was
/// predicted, each says something else, as it should.
pub(super) fn fact_rows(base: &Run, new: &Run, facts: &Claims) -> Vec<Row> {
    let all = |run: &Run| -> Vec<(String, (Outcome, Option<String>))> {
        let facts = run.facts.iter();
        facts
            .map(|fact| (fact.id.clone(), (fact.outcome, fact.found.clone())))
            .collect()
    };
    let mut rows = rows_by_id(
        &all(base),
        &all(new),
        |id| RowKey::Fact { id: id.to_owned() },
        |(outcome, found)| RowValue::Fact { outcome, found },
        |(one, _), (other, _)| match (one, other) {
            _ if one == other => Status::Unchanged,
            (Outcome::NotTestableHere, _) | (_, Outcome::NotTestableHere) => Status::NotComparable,
            (_, Outcome::AsPredicted) => Status::Improved,
            _ => Status::Regressed,
        },
    );
    if let (Some(from), Some(to)) = (base.python.order(), new.python.order()) {
        for row in rows
            .iter_mut()
            .filter(|row| row.status == Status::Unchanged)
        {
            let predicted = matches!(
                row.new,
                Some(RowValue::Fact {
                    outcome: Outcome::AsPredicted,
                    ..
                })
            );
            if predicted && !explaining(facts, row, &from, &to).is_empty() {
                row.status = Status::ChangedAsExpected;
            }
        }
    }
    rows
}

/// The ids of the facts that tell of such a change.
pub(super) fn explaining(facts: &Claims, row: &Row, from: &Version, to: &Version) -> Vec<String> {
    let direction = match row.status {
        Status::More => Direction::More,
        Status::Fewer => Direction::Fewer,
        _ => Direction::Other,
    };
    let all = facts.explaining(&row.key, direction, from, to);
    all.iter().map(|fact| fact.id.clone()).collect()
}
