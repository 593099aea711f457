//! What `claims.toml` says.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use super::{Error, FactStatement};
use crate::{StartMethod, Unit, Verdict, Version};

/// What the alternatives hand over if nobody says: enough to stand out from what a process needs anyway, and quick.
pub const HANDED_OVER_BYTES: u64 = 4 << 20;

/// The least: a page.
pub const LEAST_HANDED_OVER_BYTES: u64 = 4096;

/// Claims, facts about versions of Python, or both, and how much is measured for them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    /// Sizes of datasets, where they are not the fixture's own.
    #[serde(default)]
    sizes: BTreeMap<String, BySize>,
    /// What observations are given.
    #[serde(default)]
    observations: BTreeMap<String, ForObservation>,
    /// Bytes of the integers that the ways of sharing hand over.
    #[serde(default = "Bytes::some_pages")]
    pub alternatives: Bytes,
    /// The statements, in the article's order.
    #[serde(rename = "claim", default)]
    pub statements: Vec<Statement>,
    /// What is known of versions of Python.
    #[serde(rename = "fact", default)]
    pub facts: Vec<FactStatement>,
}

/// How thorough to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Effort {
    /// Small data: at most ten seconds.
    Quick,
    /// The article's data: at most a minute.
    #[default]
    Default,
    /// Large data.
    Full,
}

/// Sizes of one dataset; what is left out is the fixture's default.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct BySize {
    quick: Elements,
    default: Elements,
    full: Elements,
}

/// As `--count` and `--item-bytes`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Elements {
    /// Elements in each list.
    pub count: Option<u64>,
    /// Bytes of content in each element.
    pub item_bytes: Option<u64>,
}

/// What an observation needs besides its name.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ForObservation {
    fixture: Option<String>,
    bytes: Option<Bytes>,
}

/// An amount for each effort.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bytes {
    quick: u64,
    default: u64,
    full: u64,
}

/// One statement of the article.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// Its short name.
    pub id: String,
    /// What is said, in refcow's words.
    pub statement: String,
    /// What the article leaves out, in a few sentences.
    pub leaves_out: String,
    /// The verdict that refcow expects.
    expected: Verdict,
    /// From an interpreter of this series on, another one.
    #[serde(default)]
    expected_from: BTreeMap<String, Verdict>,
    /// What is measured: `FIXTURE/VISIT`, `FIXTURE+PREPARATION/VISIT`, `observed/NAME` or
    /// `alternatives/WAY/START_METHOD`.
    pub evidence: Vec<String>,
    /// What is taken from it.
    pub figures: Vec<FigureRule>,
    /// How the verdict follows: the first rule that applies. The last applies always.
    pub rules: Vec<Rule>,
}

/// How a figure is taken from the evidence.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FigureRule {
    /// Its name in rules.
    pub name: String,
    /// What it counts.
    pub unit: Unit,
    /// An expression over the evidence: `ints.iterate.share`, `observed.at_fork.pages`.
    pub is: String,
    /// What it is, for people.
    pub means: String,
}

/// A step from figures to a verdict.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// An expression over the figures.
    pub when: String,
    /// What then follows.
    pub verdict: Verdict,
    /// The figure that decides: a template over the figures.
    pub decided_by: String,
    /// Of `holds with limits`: the limit, a template too.
    pub limit: Option<String>,
}

/// Something that is measured for a claim.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Evidence {
    /// A visit to a dataset.
    Visit {
        /// The fixture: a name, or the path of a file.
        fixture: String,
        /// What the parent does before it forks.
        prepare: Option<String>,
        /// The visit.
        visit: String,
    },
    /// Something besides pages.
    Observed(String),
    /// A way of sharing, among the alternatives.
    Alternative {
        /// The way.
        way: String,
        /// How its children are started.
        start_method: StartMethod,
    },
}

impl Evidence {
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let none = || Error::Data(format!("{text:?} names no evidence"));
        let (what, name) = text.rsplit_once('/').ok_or_else(none)?;
        if let Some(way) = what.strip_prefix("alternatives/") {
            let start_method = name.parse().map_err(Error::Data)?;
            let way = way.into();
            return Ok(Self::Alternative { way, start_method });
        }
        Ok(match what {
            "observed" => Self::Observed(name.into()),
            data => {
                let (fixture, prepare) = match data.rsplit_once('+') {
                    Some((fixture, prepare)) => (fixture, Some(prepare.into())),
                    None => (data, None),
                };
                Self::Visit {
                    fixture: fixture.into(),
                    prepare,
                    visit: name.into(),
                }
            }
        })
    }
}

impl Claims {
    /// refcow's own.
    ///
    /// # Panics
    /// When the data that is part of the program is none, which tests exclude.
    pub fn builtin() -> &'static Self {
        static BUILTIN: OnceLock<Claims> = OnceLock::new();
        BUILTIN.get_or_init(|| {
            Self::parse(include_str!("claims.toml")).expect("claims.toml is part of the program")
        })
    }

    /// What refcow knows of versions of Python.
    ///
    /// # Panics
    /// When the data that is part of the program is none, which tests exclude.
    pub fn versions() -> &'static Self {
        static VERSIONS: OnceLock<Claims> = OnceLock::new();
        VERSIONS.get_or_init(|| {
            Self::parse(include_str!("versions.toml"))
                .expect("versions.toml is part of the program")
        })
    }

    /// Reads claims.
    ///
    /// # Errors
    /// When the text does not say any.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let claims: Self = toml::from_str(text).map_err(|error| Error::Data(error.to_string()))?;
        let Bytes {
            quick,
            default,
            full,
        } = claims.alternatives;
        if quick.min(default).min(full) < LEAST_HANDED_OVER_BYTES {
            return Err(Error::Data(format!(
                "alternatives hand over {LEAST_HANDED_OVER_BYTES} bytes or more"
            )));
        }
        for statement in &claims.statements {
            statement.check()?;
        }
        for fact in &claims.facts {
            fact.check()?;
        }
        Ok(claims)
    }

    /// One by its id.
    ///
    /// # Errors
    /// When there is none.
    pub fn find(&self, id: &str) -> Result<&Statement, Error> {
        let ids = self.statements.iter().map(|statement| &statement.id[..]);
        self.statements
            .iter()
            .find(|statement| statement.id == id)
            .ok_or_else(|| Error::UnknownClaim {
                id: id.to_owned(),
                offer: crate::suggest::offer(id, ids, "claims"),
            })
    }

    /// Those with these ids, in the article's order; all if none is given.
    ///
    /// # Errors
    /// When an id is unknown.
    pub fn choose(&self, ids: &[String]) -> Result<Vec<&Statement>, Error> {
        for id in ids {
            self.find(id)?;
        }
        let wanted = |statement: &&Statement| ids.is_empty() || ids.contains(&statement.id);
        Ok(self.statements.iter().filter(wanted).collect())
    }

    /// All that must be measured for these claims, each once, in the order of first need.
    ///
    /// # Errors
    /// When an id is unknown.
    pub fn evidence(&self, ids: &[String]) -> Result<Vec<Evidence>, Error> {
        let chosen = self.choose(ids)?;
        once_each(chosen.iter().flat_map(|statement| &statement.evidence))
    }

    /// The same for facts.
    ///
    /// # Errors
    /// When an id is unknown.
    pub fn evidence_of_facts(&self, ids: &[String]) -> Result<Vec<Evidence>, Error> {
        let chosen = self.choose_facts(ids)?;
        once_each(chosen.iter().flat_map(|fact| &fact.evidence))
    }

    /// The size of a fixture's dataset.
    pub fn elements(&self, fixture: &str, effort: Effort) -> Elements {
        let sizes = self.sizes.get(fixture).copied().unwrap_or_default();
        match effort {
            Effort::Quick => sizes.quick,
            Effort::Default => sizes.default,
            Effort::Full => sizes.full,
        }
    }

    /// The fixture and the bytes that an observation is given.
    pub fn for_observation(&self, name: &str, effort: Effort) -> (Option<&str>, Option<u64>) {
        match self.observations.get(name) {
            Some(given) => (
                given.fixture.as_deref(),
                given.bytes.map(|bytes| bytes.with(effort)),
            ),
            None => (None, None),
        }
    }
}

fn once_each<'a>(texts: impl Iterator<Item = &'a String>) -> Result<Vec<Evidence>, Error> {
    let mut all = Vec::new();
    for text in texts {
        let evidence = Evidence::parse(text)?;
        if !all.contains(&evidence) {
            all.push(evidence);
        }
    }
    Ok(all)
}

impl Bytes {
    /// Where a file of claims does not say.
    fn some_pages() -> Self {
        Self {
            quick: HANDED_OVER_BYTES,
            default: HANDED_OVER_BYTES,
            full: HANDED_OVER_BYTES,
        }
    }

    /// How many.
    pub fn with(self, effort: Effort) -> u64 {
        match effort {
            Effort::Quick => self.quick,
            Effort::Default => self.default,
            Effort::Full => self.full,
        }
    }
}

impl Statement {
    /// What is expected with an interpreter of this version.
    pub(crate) fn expected_with(&self, version: &str) -> Verdict {
        let here: Option<Version> = version.parse().ok();
        let later = self
            .expected_from
            .iter()
            .map(|(from, verdict)| (from.parse().ok(), *verdict))
            .filter(|(from, _): &(Option<Version>, _)| from.is_some() && *from <= here)
            .max_by(|(one, _), (other, _)| one.cmp(other));
        later.map_or(self.expected, |(_, verdict)| verdict)
    }
}
