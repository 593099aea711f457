//! The packages that a private environment gets, each in one version:
//! `python_fixtures/requirements.txt`.

pub(super) const REQUIREMENTS: &str = include_str!("../../python_fixtures/requirements.txt");
/// What takes the place of a pip that is too old.
pub(super) const NEWER_PIP: &str = include_str!("../../python_fixtures/pip.txt");
/// As an error names it.
pub(super) const REQUIREMENTS_NAME: &str = "python_fixtures/requirements.txt";

/// One pin of requirements.txt that holds for a series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pin<'a> {
    pub(super) name: &'a str,
    pub(super) version: &'a str,
}

/// The pins for one series. requirements.txt keeps to `NAME==VERSION ; python_version OP "X.Y"`,
/// with the hashes in lines of their own, which are for the installer; a test holds it to that
/// form.
pub(super) fn pins(requirements: &str, series: (u8, u8)) -> Vec<Pin<'_>> {
    requirements
        .lines()
        .map(|line| line.split(['#', '\\']).next().unwrap_or_default().trim())
        .filter(|line| !line.is_empty() && !line.starts_with("--hash="))
        .filter_map(|line| {
            let (pin, marker) = line.split_once(';').unwrap_or((line, ""));
            let (name, version) = pin.split_once("==")?;
            holds(marker, series)?.then_some(Pin {
                name: name.trim(),
                version: version.trim(),
            })
        })
        .collect()
}

/// Whether some Python gets this module with a private environment.
pub(super) fn is_pinned(module: &str) -> bool {
    REQUIREMENTS
        .lines()
        .any(|line| line.split("==").next() == Some(module))
}

/// Whether a marker holds. `None` for what is not in the form above.
fn holds(marker: &str, series: (u8, u8)) -> Option<bool> {
    if marker.trim().is_empty() {
        return Some(true);
    }
    let mut words = marker.split_whitespace();
    let (variable, operator, value) = (words.next()?, words.next()?, words.next()?);
    if variable != "python_version" || words.next().is_some() {
        return None;
    }
    let (major, minor) = value.trim_matches(['"', '\'']).split_once('.')?;
    let wanted: (u8, u8) = (major.parse().ok()?, minor.parse().ok()?);
    match operator {
        "==" => Some(series == wanted),
        ">=" => Some(series >= wanted),
        "<=" => Some(series <= wanted),
        "<" => Some(series < wanted),
        ">" => Some(series > wanted),
        _ => None,
    }
}

/// `numpy 2.4.6 and bitarray 3.12.3`.
pub(super) fn listed<'a>(pins: impl IntoIterator<Item = &'a Pin<'a>>) -> String {
    let pins: Vec<String> = pins
        .into_iter()
        .map(|pin| format!("{} {}", pin.name, pin.version))
        .collect();
    pins.join(" and ")
}

#[cfg(test)]
mod tests {
    use super::super::install::is_too_old;
    use super::*;

    #[test]
    fn every_series_has_one_pin_for_each_package() {
        for minor in 8..=20 {
            let pins = pins(REQUIREMENTS, (3, minor));
            let names: Vec<&str> = pins.iter().map(|pin| pin.name).collect();
            assert_eq!(names, ["numpy", "bitarray"], "3.{minor}");
        }
    }

    #[test]
    fn every_line_of_the_requirements_has_the_form_that_is_read_here() {
        for (pin, marker, _) in requirements() {
            assert!(pin.contains("=="), "{pin}");
            assert!(holds(&marker, (3, 8)).is_some(), "{pin}");
        }
    }

    /// Each pin with its marker and its hashes.
    fn requirements() -> Vec<(String, String, Vec<String>)> {
        let text = REQUIREMENTS.replace("\\\n", "");
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines
            .map(|line| {
                let mut words = line.split(" --hash=sha256:").map(str::trim);
                let (pin, marker) = words.next().unwrap().split_once(';').unwrap();
                let hashes = words.map(str::to_owned).collect();
                (pin.to_owned(), marker.to_owned(), hashes)
            })
            .collect()
    }

    /// The series that have wheels, each for two kinds of processors.
    #[test]
    fn every_pin_has_the_hash_of_each_wheel() {
        let mut all = std::collections::HashSet::new();
        for (pin, marker, hashes) in requirements() {
            let series = (8..=15).filter(|minor| holds(&marker, (3, *minor)) == Some(true));
            assert_eq!(hashes.len(), 2 * series.count(), "{pin}");
            for hash in hashes {
                let digits = hash.bytes().filter(u8::is_ascii_hexdigit).count();
                assert_eq!((hash.len(), digits), (64, 64), "{pin}: {hash}");
                assert!(all.insert(hash), "{pin}: twice");
            }
        }
        let newer: Vec<&str> = NEWER_PIP
            .lines()
            .filter(|line| !line.starts_with('#'))
            .collect();
        assert!(
            newer[0].starts_with("pip==") && newer[1].contains("--hash=sha256:"),
            "{newer:?}"
        );
        let version = newer[0].trim_start_matches("pip==").trim_end_matches(" \\");
        assert!(!is_too_old(version), "{version}");
    }

    #[test]
    fn markers_hold_as_pip_reads_them() {
        assert_eq!(holds("", (3, 8)), Some(true));
        assert_eq!(holds(r#" python_version == "3.8""#, (3, 8)), Some(true));
        // As numbers: 3.9 is before 3.10.
        assert_eq!(holds(r#" python_version >= "3.10""#, (3, 9)), Some(false));
        assert_eq!(holds(r#" python_version < '3.10'"#, (3, 9)), Some(true));
        assert_eq!(holds(r#" sys_platform == "linux""#, (3, 9)), None);
        assert_eq!(holds(r#" python_version >= "3.8" and x"#, (3, 9)), None);
    }
}
