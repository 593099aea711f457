//! Claims and facts of a document, judged anew from what it measured: whether they say what follows
//! from that.

use serde::Serialize;
use serde_json::Value;

use super::context;
use super::data::Claims;
use super::error::ClaimsError;
use super::judge::rules_sha256;
use crate::{DocumentError, Report, Run, Warning};

/// Fields of a claim that do not follow from a run: the user may expect something else
/// (`--expect`), and a document of an earlier version does not have the last.
const NO_CONSEQUENCE: [&str; 2] = ["expected", "rules_sha256"];

/// What became of one claim or fact.
enum Anew {
    /// It says what follows.
    Same,
    /// It was judged by other rules.
    OtherRules,
    /// It does not say what follows: where, and what is there.
    Contradicts(String, String),
}

/// Refuses a document whose claims or facts do not follow from what it measured. What this refcow
/// has no rules for is named in a warning of its run.
///
/// # Errors
/// With the place of the first that does not follow.
pub fn check(report: &mut Report) -> Result<(), DocumentError> {
    for (number, run) in report.runs.iter_mut().enumerate() {
        run.warnings
            .retain(|warning| !matches!(warning, Warning::OtherRules { .. }));
        let others =
            others(run, Claims::builtin(), Claims::versions()).map_err(|(place, what)| {
                DocumentError::Inconsistent {
                    place: format!("runs[{number}].{place}"),
                    what,
                }
            })?;
        if !others.is_empty() {
            run.warnings.push(Warning::OtherRules { of: others });
        }
    }
    Ok(())
}

/// Whether all claims and facts of a run follow from it, but for those of other rules.
pub(crate) fn agrees(run: &Run) -> bool {
    others(run, Claims::builtin(), Claims::versions()).is_ok()
}

/// Where claims or facts of a run do not follow from it by these rules, which are those that it was
/// judged by, and what is there.
pub fn contradiction(run: &Run, rules: &Claims) -> Option<String> {
    let found = others(run, rules, rules).err();
    found.map(|(place, what)| format!("{place}: {what}"))
}

/// The ids of what was judged by other rules.
fn others(run: &Run, claims: &Claims, facts: &Claims) -> Result<Vec<String>, (String, String)> {
    if run.claims.is_empty() && run.facts.is_empty() {
        return Ok(Vec::new());
    }
    let context = context::of(run);
    let mut others = Vec::new();
    let mut look = |place: String, id: &String, anew: Anew| match anew {
        Anew::Same => Ok(()),
        Anew::OtherRules => {
            others.push(id.clone());
            Ok(())
        }
        Anew::Contradicts(field, what) => Err((format!("{place}{field}"), what)),
    };
    for (index, claim) in run.claims.iter().enumerate() {
        let known = claims.statements.iter().find(|one| one.id == claim.id);
        let anew = known.map_or(Anew::OtherRules, |known| {
            let rules = claim.rules_sha256.as_deref() == Some(&rules_sha256(known));
            anew(claim, rules, known.claim(&context, run))
        });
        look(format!("claims[{index}]"), &claim.id, anew)?;
    }
    for (index, fact) in run.facts.iter().enumerate() {
        let known = facts.facts.iter().find(|one| one.id == fact.id);
        let anew = known.map_or(Anew::OtherRules, |known| {
            let rules = fact.rules_sha256.as_deref() == Some(&rules_sha256(known));
            anew(fact, rules, known.fact(&context, run))
        });
        look(format!("facts[{index}]"), &fact.id, anew)?;
    }
    Ok(others)
}

/// Compares what a document says with what follows by the rules of the same id, which may be those
/// that it was judged by.
fn anew<T: Serialize>(said: &T, by_these_rules: bool, follows: Result<T, ClaimsError>) -> Anew {
    let difference = match follows {
        Ok(follows) => match (serde_json::to_value(said), serde_json::to_value(follows)) {
            (Ok(said), Ok(follows)) => difference(&said, &follows),
            (Err(error), _) | (_, Err(error)) => Some((String::new(), error.to_string())),
        },
        // Evidence that no measurement gives.
        Err(error) => Some((String::new(), error.to_string())),
    };
    match difference {
        None => Anew::Same,
        Some((field, what)) if by_these_rules => Anew::Contradicts(field, what),
        Some(_) => Anew::OtherRules,
    }
}

/// Where two values first differ, and what is there in place of what.
fn difference(said: &Value, follows: &Value) -> Option<(String, String)> {
    if let (Value::Object(said), Value::Object(follows)) = (said, follows) {
        let names = follows.keys().chain(said.keys());
        let names = names.filter(|name| !NO_CONSEQUENCE.contains(&&name[..]));
        let null = Value::Null;
        let mut all = names.map(|name| {
            let of =
                |fields: &serde_json::Map<String, Value>| fields.get(name).unwrap_or(&null).clone();
            let (field, what) = difference(&of(said), &of(follows))?;
            Some((format!(".{name}{field}"), what))
        });
        return all.find_map(|found| found);
    }
    let shown = |value: &Value| match value {
        Value::Null => "nothing".to_owned(),
        other => other.to_string().chars().take(300).collect(),
    };
    (said != follows).then(|| {
        let what = format!(
            "{}, but {} follows from the measurements",
            shown(said),
            shown(follows)
        );
        (String::new(), what)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_first_difference_has_a_place() {
        let said = json!({"a": {"b": 1}, "expected": 1, "c": "x"});
        let found = |follows: Value| difference(&said, &follows);
        assert_eq!(found(json!({"a": {"b": 1}, "c": "x", "expected": 2})), None);
        let (place, what) = found(json!({"a": {"b": 2}, "c": "y"})).unwrap();
        assert_eq!(place, ".a.b");
        assert_eq!(what, "1, but 2 follows from the measurements");
        let (place, what) = found(json!({"a": {"b": 1}})).unwrap();
        assert_eq!((&place[..], &what[..11]), (".c", "\"x\", but no"));
    }

    #[test]
    fn other_rules_have_another_sum() {
        let sums: std::collections::BTreeSet<String> = Claims::builtin()
            .statements
            .iter()
            .map(rules_sha256)
            .chain(Claims::versions().facts.iter().map(rules_sha256))
            .collect();
        let all = Claims::builtin().statements.len() + Claims::versions().facts.len();
        assert_eq!(sums.len(), all);
    }
}
