//! What all runs of a report say together: of the article's statements, of facts, of ways of sharing, of the instrument.

use super::spread::{Spread, spread};
use super::{Alternative, Claim, Contents, Outcome, Report, Run, Verdict};

/// A statement, with the claim of each run about it, in their order.
#[derive(Clone, Debug, PartialEq)]
pub struct StatementInRuns<'a> {
    /// Its short name.
    pub id: &'a str,
    /// Of each run; `None` of one that was not asked.
    pub claims: Vec<Option<&'a Claim>>,
}

/// The two cruder instruments' differences from the count, over all children of all runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrossCheckSpread {
    /// Minor faults less unshared pages.
    pub faults_minus_unshared: Spread<i64>,
    /// Growth of the USS in pages less unshared pages; `None` where no child's is known.
    pub uss_pages_minus_unshared: Option<Spread<i64>>,
}

/// How many facts came true.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FactTally<'a> {
    /// Those that were as predicted by each run that could test them.
    pub as_predicted: usize,
    /// Those that were not, by any.
    pub otherwise: Vec<&'a str>,
    /// Those that no run could test.
    pub not_testable: Vec<&'a str>,
}

impl Report {
    /// The statements in the order in which the runs have them.
    pub fn statements(&self) -> Vec<StatementInRuns<'_>> {
        let ids = distinct(self.runs.iter().flat_map(|run| &run.claims), |claim| {
            &claim.id[..]
        });
        let of = |id: &str| {
            let runs = self.runs.iter();
            runs.map(|run| run.claims.iter().find(|claim| claim.id == id))
                .collect()
        };
        ids.into_iter()
            .map(|id| StatementInRuns { id, claims: of(id) })
            .collect()
    }

    /// What came of the facts; `None` without any.
    pub fn fact_tally(&self) -> Option<FactTally<'_>> {
        let all = || self.runs.iter().flat_map(|run| &run.facts);
        let mut tally = FactTally::default();
        for id in distinct(all(), |fact| &fact.id[..]) {
            let any = |outcome| all().any(|fact| fact.id == id && fact.outcome == outcome);
            match (any(Outcome::Otherwise), any(Outcome::AsPredicted)) {
                (true, _) => tally.otherwise.push(id),
                (false, true) => tally.as_predicted += 1,
                (false, false) => tally.not_testable.push(id),
            }
        }
        (tally != FactTally::default()).then_some(tally)
    }

    /// How far the cross-checks are from the count; `None` without a child.
    pub fn cross_checks(&self) -> Option<CrossCheckSpread> {
        let measurements = || self.runs.iter().flat_map(|run| &run.measurements);
        let checks = || {
            let children = measurements().flat_map(|one| &one.children);
            children.map(|child| child.cross_checks)
        };
        Some(CrossCheckSpread {
            faults_minus_unshared: spread(checks().map(|one| one.faults_minus_unshared))?,
            uss_pages_minus_unshared: spread(
                checks().filter_map(|one| one.uss_pages_minus_unshared),
            ),
        })
    }
}

impl<'a> StatementInRuns<'a> {
    /// The claim that speaks for all: of the last run that has one.
    pub fn newest(&self) -> Option<&'a Claim> {
        self.claims.iter().rev().copied().flatten().next()
    }

    /// The verdict of all runs that could put it to the test; `None` where it depends on the run. It is not testable here
    /// if none could.
    pub fn verdict(&self) -> Option<Verdict> {
        let tested = |claim: &&Claim| claim.verdict != Verdict::NotTestableHere;
        let all = self.claims.iter().copied().flatten();
        let mut verdicts = all.filter(tested).map(|claim| claim.verdict);
        let Some(first) = verdicts.next() else {
            return Some(Verdict::NotTestableHere);
        };
        verdicts.all(|verdict| verdict == first).then_some(first)
    }

    /// A claim of each verdict and expectation, with the places of the runs that came to the same.
    pub fn by_verdict(&self) -> Vec<(&'a Claim, Vec<usize>)> {
        let mut groups: Vec<(&Claim, Vec<usize>)> = Vec::new();
        for (place, claim) in self.claims.iter().enumerate() {
            let Some(claim) = claim else { continue };
            let same = |known: &&mut (&Claim, Vec<usize>)| {
                (known.0.verdict, known.0.expected) == (claim.verdict, claim.expected)
            };
            match groups.iter_mut().find(same) {
                Some((_, places)) => places.push(place),
                None => groups.push((claim, vec![place])),
            }
        }
        groups
    }
}

impl Run {
    /// The ways by which a child copied the least and the most of handed integers, each with the bytes of the child with the
    /// most; the first of equals. `None` where no way was measured.
    pub fn extreme_ways(&self) -> Option<[(&Alternative, i64); 2]> {
        let page = self.environment.page_size_bytes;
        let ints = self.alternatives.iter();
        let ints = ints.filter(|one| one.contents == Contents::Ints);
        let copied: Vec<_> = ints
            .filter_map(|one| Some((one, *one.summary(page)?.copied_bytes.end())))
            .collect();
        let least = copied.iter().min_by_key(|(_, bytes)| *bytes)?;
        // The last of equals is the greatest to `max_by_key`.
        let most = copied.iter().rev().max_by_key(|(_, bytes)| *bytes)?;
        Some([*least, *most])
    }
}

/// Statements of one verdict; `None` of those whose verdict depends on the run.
pub type VerdictStatements<'s, 'a> = (Option<Verdict>, Vec<&'s StatementInRuns<'a>>);

/// The statements by their verdicts: what does not hold, what depends on the run, what holds in part, what holds, what was
/// not tested.
pub fn by_verdict<'s, 'a>(statements: &'s [StatementInRuns<'a>]) -> Vec<VerdictStatements<'s, 'a>> {
    let order = [
        Some(Verdict::DoesNotHold),
        None,
        Some(Verdict::HoldsWithLimits),
        Some(Verdict::Holds),
        Some(Verdict::NotTestableHere),
    ];
    let groups = order.into_iter().map(|verdict| {
        let of = statements.iter().filter(|one| one.verdict() == verdict);
        (verdict, of.collect::<Vec<_>>())
    });
    groups.filter(|(_, all)| !all.is_empty()).collect()
}

/// The keys of all, each once, in their order.
fn distinct<'a, T: 'a>(
    all: impl Iterator<Item = &'a T>,
    key: impl Fn(&'a T) -> &'a str,
) -> Vec<&'a str> {
    let mut keys = Vec::new();
    for one in all {
        if !keys.contains(&key(one)) {
            keys.push(key(one));
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn claim(verdict: Verdict, expected: Verdict) -> Claim {
        Claim {
            id: "one".into(),
            statement: String::new(),
            verdict,
            expected,
            decided_by: None,
            limit: None,
            not_testable_because: None,
            figures: BTreeMap::new(),
            evidence: Vec::new(),
            rules_sha256: None,
        }
    }

    #[test]
    fn a_run_that_could_not_test_a_statement_says_nothing_of_it() {
        use Verdict::{DoesNotHold, Holds, NotTestableHere};
        let of = |verdicts: &[Verdict]| {
            let claims: Vec<Claim> = verdicts.iter().map(|one| claim(*one, Holds)).collect();
            let claims = claims.iter().map(Some).collect();
            StatementInRuns { id: "one", claims }.verdict()
        };
        assert_eq!(of(&[NotTestableHere, Holds]), Some(Holds));
        assert_eq!(of(&[NotTestableHere]), Some(NotTestableHere));
        assert_eq!(of(&[Holds, DoesNotHold]), None);
    }

    #[test]
    fn runs_of_one_verdict_stand_together_if_it_was_expected_of_both() {
        use Verdict::{DoesNotHold, Holds};
        let all = [
            claim(Holds, Holds),
            claim(DoesNotHold, Holds),
            claim(Holds, Holds),
            claim(Holds, DoesNotHold),
        ];
        let claims = all.iter().map(Some).chain([None]).collect();
        let statement = StatementInRuns { id: "one", claims };
        let places: Vec<_> = statement
            .by_verdict()
            .into_iter()
            .map(|(_, places)| places)
            .collect();
        assert_eq!(places, [vec![0, 2], vec![1], vec![3]]);
        assert_eq!(statement.newest(), Some(&all[3]));
    }
}
