//! Versions of Python, in their order.

use std::fmt;
use std::str::FromStr;

/// A version as `sys.version` begins: `3.11.7`, `3.15.0rc1`, `3.13.0+`; or the start of one: `3.12`.
///
/// A version with fewer numbers is the first of all that begin so: 3.12 is not after 3.12.0. A pre-release is before its
/// release, but not before its series: what came in 3.15 is expected of 3.15.0rc1.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    major: u32,
    minor: u32,
    /// Number, stage (alpha, beta, candidate, release) and serial.
    patch: Option<(u32, Stage, u32)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Stage {
    Alpha,
    Beta,
    Candidate,
    Release,
}

impl Version {
    /// The series: major and minor.
    pub fn series(&self) -> (u32, u32) {
        (self.major, self.minor)
    }
}

impl FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a version of Python");
        let number = |text: &str| text.parse::<u32>().map_err(|_| wrong());
        let mut parts = text.trim_end_matches('+').splitn(3, '.');
        let (Some(major), Some(minor)) = (parts.next(), parts.next()) else {
            return Err(wrong());
        };
        let patch = match parts.next() {
            None => None,
            Some(patch) => {
                let end = patch
                    .find(|c: char| !c.is_ascii_digit())
                    .unwrap_or(patch.len());
                let (digits, rest) = patch.split_at(end);
                let stages = [
                    ("rc", Stage::Candidate),
                    ("a", Stage::Alpha),
                    ("b", Stage::Beta),
                ];
                let staged = stages
                    .iter()
                    .find_map(|(name, stage)| Some((*stage, rest.strip_prefix(name)?)));
                let (stage, serial) = match staged {
                    Some((stage, serial)) => (stage, number(serial)?),
                    None if rest.is_empty() => (Stage::Release, 0),
                    None => return Err(wrong()),
                };
                Some((number(digits)?, stage, serial))
            }
        };
        Ok(Self {
            major: number(major)?,
            minor: number(minor)?,
            patch,
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)?;
        let Some((number, stage, serial)) = self.patch else {
            return Ok(());
        };
        write!(f, ".{number}")?;
        match stage {
            Stage::Alpha => write!(f, "a{serial}"),
            Stage::Beta => write!(f, "b{serial}"),
            Stage::Candidate => write!(f, "rc{serial}"),
            Stage::Release => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn numbers_compare_as_numbers_and_pre_releases_come_first() {
        let ordered = [
            "3.8",
            "3.8.18",
            "3.9.1",
            "3.10",
            "3.10.6",
            "3.10.13",
            "3.15",
            "3.15.0a7",
            "3.15.0b1",
            "3.15.0rc1",
            "3.15.0",
            "3.15.1",
        ];
        let versions: Vec<Version> = ordered.iter().map(|text| text.parse().unwrap()).collect();
        assert!(versions.is_sorted());
        let shown: Vec<_> = versions.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ordered);
        assert_eq!("3.13.0+".parse(), "3.13.0".parse::<Version>());
    }

    #[rstest]
    fn what_is_no_version_is_refused(
        #[values("", "3", "3.", "three", "3.12.x", "3.12.1.0", "3.12.1rc", "-3.1")] text: &str,
    ) {
        assert!(text.parse::<Version>().is_err());
    }
}
