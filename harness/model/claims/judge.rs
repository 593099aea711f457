//! From evidence to figures, from figures to a verdict. Expressions and sentences are minijinja's.

use std::collections::{BTreeMap, HashSet};
use std::sync::LazyLock;

use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;

use super::error::ClaimsError;
use super::statement::{Evidence, FigureRule, Statement};
use crate::numbers;
use crate::{Figure, Run, Value, Verdict, Warning, named, sha256};

/// Figures by name. What could not be had is not among them.
pub type Figures = BTreeMap<String, Figure>;

/// What follows from figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// The verdict.
    pub verdict: Verdict,
    /// Which rule applied, counted from 0.
    pub rule: Option<usize>,
    /// The figure that decides, in a sentence.
    pub decided_by: Option<String>,
    /// The limit, in a sentence.
    pub limit: Option<String>,
    /// Of a claim that is not testable: the figures that are not there.
    pub lacking: Option<String>,
}

/// A language in which what is not there is an error, never nothing.
static LANGUAGE: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut language = Environment::new();
    // A thousand times what any of refcow's own expressions takes; nothing interrupts one.
    language.set_fuel(Some(100_000));
    language.set_undefined_behavior(UndefinedBehavior::Strict);
    language.add_filter("bytes", numbers::bytes);
    language.add_filter("about", numbers::about_bytes);
    language.add_filter("count", numbers::count);
    language.add_filter("share", numbers::share);
    language.add_filter("time", numbers::time);
    language
});

/// Grows by one whenever the same rules come to other words or figures: when what `context` hands
/// them, or how a filter writes a number, changes. Documents from before are then judged by rules
/// that are not these.
const LANGUAGE_VERSION: u32 = 1;

/// What tells rules from any others.
pub(super) fn rules_sha256(rules: &impl Serialize) -> String {
    let text = serde_json::to_vec(&(LANGUAGE_VERSION, rules)).unwrap_or_default();
    sha256(&text)
}

/// Refuses an expression or a template that is none, or that needs another figure than these.
pub(super) struct Checked<'a> {
    owner: &'a str,
    names: Vec<&'a str>,
}

impl<'a> Checked<'a> {
    /// Checks the expressions of figures themselves.
    pub(super) fn figures(owner: &'a str, figures: &'a [FigureRule]) -> Result<Self, ClaimsError> {
        for FigureRule { is, .. } in figures {
            let compiled = LANGUAGE.compile_expression(is);
            compiled.map_err(|error| fault(owner, is, &error.to_string()))?;
        }
        Ok(Self {
            owner,
            names: figures.iter().map(|rule| &rule.name[..]).collect(),
        })
    }

    /// An expression over the figures.
    pub(super) fn condition(&self, text: &str) -> Result<(), ClaimsError> {
        match LANGUAGE.compile_expression(text) {
            Ok(compiled) => self.known(text, compiled.undeclared_variables(false)),
            Err(error) => Err(fault(self.owner, text, &error.to_string())),
        }
    }

    /// A template over the figures.
    pub(super) fn sentence(&self, text: &str) -> Result<(), ClaimsError> {
        match LANGUAGE.template_from_str(text) {
            Ok(compiled) => self.known(text, compiled.undeclared_variables(false)),
            Err(error) => Err(fault(self.owner, text, &error.to_string())),
        }
    }

    fn known(&self, text: &str, needed: HashSet<String>) -> Result<(), ClaimsError> {
        match needed.iter().find(|name| !self.names.contains(&&name[..])) {
            Some(name) => Err(fault(
                self.owner,
                text,
                &format!("there is no figure `{name}`"),
            )),
            None => Ok(()),
        }
    }
}

/// Takes figures from the evidence. What it does not give is not among them.
///
/// # Errors
/// When an expression is none.
pub(super) fn take_figures(
    owner: &str,
    rules: &[FigureRule],
    evidence: &minijinja::Value,
) -> Result<Figures, ClaimsError> {
    let mut figures = Figures::new();
    for rule in rules {
        let Some(found) = evaluate(owner, &rule.is, evidence)? else {
            continue;
        };
        let value = serde_json::to_value(&found)
            .and_then(serde_json::from_value::<Value>)
            .map_err(|error| fault(owner, &rule.is, &error.to_string()))?;
        let unit = rule.unit;
        figures.insert(rule.name.clone(), Figure { value, unit });
    }
    Ok(figures)
}

/// The figures as conditions and sentences see them.
pub(super) fn values(figures: &Figures) -> minijinja::Value {
    let values: BTreeMap<_, _> = figures
        .iter()
        .map(|(name, figure)| (name, &figure.value))
        .collect();
    minijinja::Value::from(minijinja::value::Serde(values))
}

/// The names of the figures that are not there.
pub(super) fn lacking(rules: &[FigureRule], figures: &Figures) -> String {
    let names = rules.iter().map(|rule| &rule.name[..]);
    let lacking: Vec<_> = names.filter(|name| !figures.contains_key(*name)).collect();
    lacking.join(", ")
}

/// Why these figures are not there: what kept their evidence from being measured.
pub(super) fn why_lacking(evidence: &[String], lacking: &str, run: &Run) -> String {
    let reasons: Vec<String> = run
        .warnings
        .iter()
        .filter_map(|warning| match warning {
            Warning::NotMeasured {
                fixture,
                visit,
                reason,
            } => Some((fixture, visit.as_deref(), reason)),
            _ => None,
        })
        .filter(|(what, visit, _)| evidence.iter().any(|one| is_of(one, what, *visit)))
        .map(|(what, visit, reason)| format!("{}: {reason}", named(what, visit)))
        .collect();
    if reasons.is_empty() {
        format!("not to be had here: {lacking}")
    } else {
        reasons.join("; ")
    }
}

/// Whether evidence is of what a warning names: of all of a fixture, or of one visit.
fn is_of(evidence: &str, what: &str, visit: Option<&str>) -> bool {
    match (evidence.strip_prefix("alternatives/"), visit) {
        (Some(way), _) => way == what,
        (None, None) => evidence.split('/').any(|part| is_named(part, what)),
        (None, Some(visit)) => match evidence.rsplit_once('/') {
            Some((data, of)) => of == visit && is_of(data, what, None),
            None => false,
        },
    }
}

/// Whether the last part of a fixture's name in evidence is this name.
fn is_named(part: &str, name: &str) -> bool {
    let part = part.split('+').next().unwrap_or(part);
    part.strip_suffix(".py").unwrap_or(part) == name
}

/// Whether the run has all of this evidence, or says why not.
pub(super) fn is_settled(evidence: &[String], run: &Run) -> bool {
    let told = |evidence: &str| {
        run.warnings.iter().any(|warning| match warning {
            Warning::NotMeasured { fixture, visit, .. } => {
                is_of(evidence, fixture, visit.as_deref())
            }
            _ => false,
        })
    };
    let is_there = |evidence: &str| match Evidence::parse(evidence) {
        Ok(Evidence::Visit {
            fixture,
            prepare,
            visit,
        }) => run.measurements.iter().any(|one| {
            let name = fixture.rsplit('/').next().unwrap_or(&fixture);
            is_named(name, &one.fixture) && one.prepare == prepare && one.visit == visit
        }),
        Ok(Evidence::Observed(name)) => run.observations.iter().any(|one| one.name == name),
        Ok(Evidence::Alternative { way, start_method }) => run
            .alternatives
            .iter()
            .any(|one| one.way == way && one.start_method == start_method),
        Err(_) => false,
    };
    let mut all = evidence.iter();
    all.all(|one| is_there(one) || told(one))
}

/// What an expression comes to; `None` if it needs something that is not there.
pub(super) fn evaluate(
    owner: &str,
    expression: &str,
    values: &minijinja::Value,
) -> Result<Option<minijinja::Value>, ClaimsError> {
    let fault = |error: &minijinja::Error| fault(owner, expression, &error.to_string());
    let compiled = LANGUAGE
        .compile_expression(expression)
        .map_err(|error| fault(&error))?;
    // Asked for first: an operator has its own words for what it cannot add up.
    for path in compiled.undeclared_variables(true) {
        if !is_there(values, &path) {
            return Ok(None);
        }
    }
    match compiled.eval(values) {
        Ok(value) if value.is_none() => Ok(None),
        Ok(value) => Ok(Some(value)),
        Err(error) => Err(fault(&error)),
    }
}

/// A template filled in; `None` if it needs something that is not there.
pub(super) fn sentence(
    owner: &str,
    template: &str,
    values: &minijinja::Value,
) -> Result<Option<String>, ClaimsError> {
    let fault = |error: minijinja::Error| fault(owner, template, &error.to_string());
    let compiled = LANGUAGE.template_from_str(template).map_err(fault)?;
    // A filter, like an operator, has its own words for what is not there.
    for name in compiled.undeclared_variables(false) {
        if !is_there(values, &name) {
            return Ok(None);
        }
    }
    compiled.render(values).map(Some).map_err(fault)
}

fn fault(owner: &str, text: &str, reason: &str) -> ClaimsError {
    ClaimsError::Data(format!("{owner}: {text:?}: {reason}"))
}

impl Statement {
    /// Refuses what could not be judged, before anything is measured for it.
    ///
    /// # Errors
    /// When an expression or a template is none, or needs a figure that the statement does not
    /// name.
    pub(super) fn check(&self) -> Result<(), ClaimsError> {
        let checked = Checked::figures(&self.id, &self.figures)?;
        for rule in &self.rules {
            checked.condition(&rule.when)?;
            checked.sentence(&rule.decided_by)?;
            rule.limit
                .as_deref()
                .map_or(Ok(()), |limit| checked.sentence(limit))?;
        }
        match self.rules.last() {
            Some(last) if last.when == "true" => Ok(()),
            _ => Err(ClaimsError::Data(format!(
                "{}: the last rule must apply always (when = \"true\")",
                self.id
            ))),
        }
    }

    /// The verdict that follows from these figures, and from nothing else.
    ///
    /// # Errors
    /// When a rule is none.
    pub fn judge(&self, figures: &Figures) -> Result<Judged, ClaimsError> {
        let values = values(figures);
        for (number, rule) in self.rules.iter().enumerate() {
            let Some(applies) = evaluate(&self.id, &rule.when, &values)? else {
                return Ok(self.not_testable(figures));
            };
            if !applies.is_true() {
                continue;
            }
            let Some(decided_by) = sentence(&self.id, &rule.decided_by, &values)? else {
                return Ok(self.not_testable(figures));
            };
            let limit = match &rule.limit {
                None => None,
                Some(limit) => match sentence(&self.id, limit, &values)? {
                    None => return Ok(self.not_testable(figures)),
                    limit => limit,
                },
            };
            return Ok(Judged {
                verdict: rule.verdict,
                rule: Some(number),
                decided_by: Some(decided_by),
                limit,
                lacking: None,
            });
        }
        Err(ClaimsError::Data(format!("no rule of {} applies", self.id)))
    }

    /// What follows for it from the evidence of a run.
    pub(super) fn claim(
        &self,
        context: &minijinja::Value,
        run: &Run,
    ) -> Result<crate::Claim, ClaimsError> {
        let figures = take_figures(&self.id, &self.figures, context)?;
        let judged = self.judge(&figures)?;
        let why = judged
            .lacking
            .as_deref()
            .map(|lacking| why_lacking(&self.evidence, lacking, run));
        Ok(crate::Claim {
            id: self.id.clone(),
            statement: self.statement.clone(),
            verdict: judged.verdict,
            expected: self.expected_with(&run.python.version),
            decided_by: judged.decided_by,
            limit: judged.limit,
            not_testable_because: why,
            figures,
            evidence: self.evidence.clone(),
            rules_sha256: Some(rules_sha256(self)),
        })
    }

    fn not_testable(&self, figures: &Figures) -> Judged {
        Judged {
            verdict: Verdict::NotTestableHere,
            rule: None,
            decided_by: None,
            limit: None,
            lacking: Some(lacking(&self.figures, figures)),
        }
    }
}

/// Whether a path of names, `ints.iterate.share`, leads to a value.
fn is_there(values: &minijinja::Value, path: &str) -> bool {
    let mut here = values.clone();
    for name in path.split('.') {
        match here.get_attr(name) {
            Ok(next) if !next.is_undefined() && !next.is_none() => here = next,
            _ => return false,
        }
    }
    true
}
