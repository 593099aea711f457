//! Variables of the user's environment that measured processes get (`--env`, `--env-all`).
//!
//! Without them a measured process finds none of the user's but HOME, TMPDIR and LD_LIBRARY_PATH:
//! what a shell happens to export would otherwise be in the heap that is measured, and in no
//! report.

use std::collections::BTreeMap;
use std::ffi::OsString;

/// The `PYTHONHASHSEED` of all measured processes: strings and bytes have the same hashes in each
/// run, and sets the same order.
pub const HASH_SEED: u64 = 0;

/// What the command line asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variables {
    /// `--env`, in the order of the words.
    pub given: Vec<Variable>,
    /// `--env-all`.
    pub all: bool,
}

/// `--env NAME[=VALUE]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    pub name: String,
    /// Its value; `None`: what refcow itself found.
    pub value: Option<String>,
}

/// Why measured processes cannot get them.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum VariablesError {
    /// There is no such variable.
    #[error("--env {name}: this variable is not set here")]
    #[diagnostic(help("set it before you start refcow, or say its value: --env {name}=VALUE"))]
    NotSet { name: String },
    /// With it nothing could be measured.
    #[error("--env {name}: {why}")]
    #[diagnostic(help("{help}"))]
    Refused {
        name: String,
        /// What it would do.
        why: &'static str,
        /// What to do in its place.
        help: &'static str,
    },
}

/// Variables by which the dynamic linker or Python would be another than refcow has started.
const REFUSED: [(&[&str], &str, &str); 4] = [
    (
        &["LD_PRELOAD", "LD_AUDIT", "LD_TRACE_LOADED_OBJECTS"],
        "refcow itself is loaded into the interpreter by the dynamic linker, and this would keep it out",
        "load a library of your own in build(): ctypes.CDLL(PATH)",
    ),
    (
        &["PYTHONHOME", "PYTHONPLATLIBDIR", "PYTHONEXECUTABLE"],
        "it says where Python finds its own library, and --python has chosen that",
        "choose the interpreter or the environment with --python",
    ),
    (
        &["PYTHONHASHSEED"],
        "refcow sets it to 0, so that hashes, and the order of sets, are the same in each run",
        "leave it out; the order in which your data is made can be a parameter of build() (--set)",
    ),
    (
        &["REFCOW_SUBJECT"],
        "it is refcow's own",
        "choose another name",
    ),
];

/// Debug hooks, which put bytes of their own around each block, and an allocator of Python 3.13's.
const UNKNOWN_BLOCKS: (&str, &str) = (
    "refcow cannot find objects in the blocks that Python allocates so",
    "choose an allocator that it knows, without debug hooks: PYTHONMALLOC=malloc or pymalloc",
);

impl Variable {
    /// `NAME` or `NAME=VALUE`.
    ///
    /// # Errors
    /// What is no name of a variable, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text, None),
        };
        match name.is_empty() || text.contains('\0') {
            true => Err("a variable is given by NAME or NAME=VALUE".into()),
            false => Ok(Self {
                name: name.to_owned(),
                value,
            }),
        }
    }
}

impl Variables {
    /// All of them with their values, each name once. Of `--env-all` without what would be refused.
    ///
    /// # Errors
    /// A variable that is not set, or with which nothing could be measured.
    pub fn resolve(&self) -> Result<Vec<(OsString, OsString)>, VariablesError> {
        let mut found: BTreeMap<OsString, OsString> = BTreeMap::new();
        if self.all {
            found.extend(std::env::vars_os().filter(|(name, value)| {
                let (name, value) = (name.to_string_lossy(), value.to_string_lossy());
                refused(&name, &value).is_none()
            }));
        }
        for Variable { name, value } in &self.given {
            let value = match value {
                Some(value) => value.into(),
                None => std::env::var_os(name)
                    .ok_or_else(|| VariablesError::NotSet { name: name.clone() })?,
            };
            if let Some((why, help)) = refused(name, &value.to_string_lossy()) {
                let name = name.clone();
                return Err(VariablesError::Refused { name, why, help });
            }
            found.insert(name.into(), value);
        }
        Ok(found.into_iter().collect())
    }

    /// Those that were given by name, for a document: a value only where the command line has it.
    pub fn given(&self) -> BTreeMap<String, Option<String>> {
        let given = self.given.iter().cloned();
        given.map(|one| (one.name, one.value)).collect()
    }
}

/// What a variable would do that nobody wants, and what to do in its place.
fn refused(name: &str, value: &str) -> Option<(&'static str, &'static str)> {
    let seed = HASH_SEED.to_string();
    if name == "PYTHONHASHSEED" && value == seed {
        return None;
    }
    let unknown_blocks = match name {
        "PYTHONMALLOC" => value.ends_with("debug") || value == "mimalloc",
        "PYTHONDEVMODE" => !value.is_empty(),
        _ => false,
    };
    if unknown_blocks {
        return Some(UNKNOWN_BLOCKS);
    }
    let mut all = REFUSED.iter();
    let (_, why, help) = all.find(|(names, ..)| names.contains(&name))?;
    Some((why, help))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(words: &[&str], all: bool) -> Result<Vec<(OsString, OsString)>, VariablesError> {
        let given = words.iter().map(|word| Variable::parse(word).unwrap());
        let given = given.collect();
        Variables { given, all }.resolve()
    }

    #[test]
    fn the_last_value_counts_and_may_hold_anything() {
        let found = resolved(&["A=1", "B=", "A==2 x"], false).unwrap();
        assert_eq!(
            found,
            [("A".into(), "=2 x".into()), ("B".into(), "".into())]
        );
    }

    #[test]
    fn what_has_no_name_or_no_value_is_refused() {
        assert!(Variable::parse("").is_err());
        assert!(Variable::parse("=1").is_err());
        let error = resolved(&["REFCOW_TEST_IS_NOT_SET"], false).unwrap_err();
        assert!(matches!(error, VariablesError::NotSet { .. }));
    }

    #[test]
    fn what_would_make_it_another_program_is_refused() {
        for word in [
            "LD_PRELOAD=x",
            "PYTHONHOME=/x",
            "PYTHONHASHSEED=1",
            "REFCOW_SUBJECT=x",
            "PYTHONMALLOC=malloc_debug",
            "PYTHONDEVMODE=1",
        ] {
            let error = resolved(&[word], true).unwrap_err();
            assert!(matches!(error, VariablesError::Refused { .. }), "{word}");
        }
        assert_eq!(resolved(&["PYTHONHASHSEED=0"], false).unwrap().len(), 1);
    }
}
