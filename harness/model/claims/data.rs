//! What `claims.toml` says.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::Deserialize;

use super::error::ClaimsError;
use super::statement::{Direction, Evidence, FactStatement, Statement};
use crate::{RowKey, Version};

/// What the alternatives hand over if nobody says: enough to stand out from what a process needs
/// anyway, and quick.
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
            let text = concat!(
                include_str!("versions.toml"),
                include_str!("free_threaded.toml")
            );
            Self::parse(text).expect("both are part of the program")
        })
    }

    /// Reads claims.
    ///
    /// # Errors
    /// When the text does not say any.
    pub fn parse(text: &str) -> Result<Self, ClaimsError> {
        let claims: Self =
            toml::from_str(text).map_err(|error| ClaimsError::Data(error.to_string()))?;
        let Bytes {
            quick,
            default,
            full,
        } = claims.alternatives;
        if quick.min(default).min(full) < LEAST_HANDED_OVER_BYTES {
            return Err(ClaimsError::Data(format!(
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
    pub fn find(&self, id: &str) -> Result<&Statement, ClaimsError> {
        let ids = self.statements.iter().map(|statement| &statement.id[..]);
        self.statements
            .iter()
            .find(|statement| statement.id == id)
            .ok_or_else(|| ClaimsError::UnknownClaim {
                id: id.to_owned(),
                offer: crate::suggest::offer(id, ids, "claims"),
            })
    }

    /// Those with these ids, in the article's order; all if none is given.
    ///
    /// # Errors
    /// When an id is unknown.
    pub fn choose(&self, ids: &[String]) -> Result<Vec<&Statement>, ClaimsError> {
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
    pub fn evidence(&self, ids: &[String]) -> Result<Vec<Evidence>, ClaimsError> {
        let chosen = self.choose(ids)?;
        once_each(chosen.iter().flat_map(|statement| &statement.evidence))
    }

    /// The same for facts.
    ///
    /// # Errors
    /// When an id is unknown.
    pub fn evidence_of_facts(&self, ids: &[String]) -> Result<Vec<Evidence>, ClaimsError> {
        let chosen = self.choose_facts(ids)?;
        once_each(chosen.iter().flat_map(|fact| &fact.evidence))
    }

    /// The facts with these ids, in their own order; all if none is given.
    ///
    /// # Errors
    /// When an id is unknown.
    pub(crate) fn choose_facts(&self, ids: &[String]) -> Result<Vec<&FactStatement>, ClaimsError> {
        for id in ids {
            if !self.facts.iter().any(|fact| fact.id == *id) {
                let known = self.facts.iter().map(|fact| &fact.id[..]);
                return Err(ClaimsError::UnknownFact {
                    id: id.clone(),
                    offer: crate::suggest::offer(id, known, "facts"),
                });
            }
        }
        let wanted = |fact: &&FactStatement| ids.is_empty() || ids.contains(&fact.id);
        Ok(self.facts.iter().filter(wanted).collect())
    }

    /// The facts that tell of a change of this row from one version to another, whichever is the
    /// older.
    pub(crate) fn explaining(
        &self,
        row: &RowKey,
        direction: Direction,
        from: &Version,
        to: &Version,
    ) -> Vec<&FactStatement> {
        let direction = match direction {
            Direction::More if from > to => Direction::Fewer,
            Direction::Fewer if from > to => Direction::More,
            direction => direction,
        };
        let between = (from.min(to), from.max(to));
        self.facts
            .iter()
            .filter(|fact| fact.explains(row, direction, between))
            .collect()
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

fn once_each<'a>(texts: impl Iterator<Item = &'a String>) -> Result<Vec<Evidence>, ClaimsError> {
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
