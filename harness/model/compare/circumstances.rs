//! What tells two runs apart besides their figures, and how far figures may then lie apart.

use crate::{Environment, Measurement, Run, RunName, Tolerance, Warning};

/// Why pages of the region `rest`, and a heap's new ones, do not compare between builds.
pub const INTERPRETERS_OWN: &str =
    "the interpreter's own memory, which differs with the build and the packages";

/// Why the copies that are left when Python has ended do not compare between builds.
pub(super) const LEFT_AT_EXIT: &str = "Python gives back nearly all that it copies as it ends, and what is left differs with the build";

/// Between machines or builds, and where other data or other code was measured. Where regions
/// begin, and so what else lies on their first and last pages, differs there; and what a child
/// writes of the interpreter's own memory depends on what was imported.
pub const TOLERANCE: Tolerance = Tolerance {
    pages: 16,
    share: 0.02,
};

/// What tells a run from others.
pub(crate) fn name(run: &Run) -> RunName {
    RunName {
        version: run.python.version.clone(),
        executable: run.python.executable.display().to_string(),
        architecture: run.environment.architecture.clone(),
        kernel: run.environment.kernel.clone(),
    }
}

/// What differs between two runs besides the figures: whether they are of one machine and one
/// build.
pub(crate) fn differences(base: &Run, new: &Run) -> Vec<String> {
    let (one, other) = (&base.environment, &new.environment);
    let mut all = Vec::new();
    let mut differ = |what: &str, differs: bool| {
        if differs {
            all.push(what.to_owned());
        }
    };
    differ("Python", base.python.version != new.python.version);
    differ(
        "build of Python",
        // Of an older document it is not known.
        base.python.version == new.python.version
            && (base.python.build.is_none()
                || base.python.build != new.python.build
                || [&base.python.libpython, &new.python.libpython]
                    .iter()
                    .all(|one| one.is_some())
                    && base.python.libpython != new.python.libpython),
    );
    differ(
        "environment of Python",
        base.python.version == new.python.version
            && base.python.executable != new.python.executable,
    );
    differ("packages", one.packages != other.packages);
    differ("refcow", one.refcow_version != other.refcow_version);
    differ("architecture", one.architecture != other.architecture);
    differ("kernel", one.kernel != other.kernel);
    differ(
        "machine",
        (&one.cpu, one.cpus, one.memory_total_bytes)
            != (&other.cpu, other.cpus, other.memory_total_bytes),
    );
    differ("page size", one.page_size_bytes != other.page_size_bytes);
    differ(
        "huge pages",
        one.transparent_huge_pages != other.transparent_huge_pages,
    );
    differ(
        "variables of the environment (--env)",
        (&one.variables, one.all_variables) != (&other.variables, other.all_variables),
    );
    let random = |run: &Run| run.warnings.contains(&Warning::AddressesRandom);
    differ(
        "addresses (random in each run)",
        random(base) || random(new),
    );
    all
}

/// Why page counts of two machines do not compare; `None` if they do.
pub(crate) fn circumstances(base: &Environment, new: &Environment) -> Option<String> {
    if base.page_size_bytes != new.page_size_bytes {
        return Some(format!(
            "pages of {} and of {} bytes",
            base.page_size_bytes, new.page_size_bytes
        ));
    }
    let huge = |environment: &Environment| {
        let pages = &environment.transparent_huge_pages;
        match pages.disabled_in_subject {
            true => None,
            false => pages.enabled.clone(),
        }
    };
    let (one, other) = (huge(base), huge(new));
    (one != other).then(|| {
        let words = |setting: Option<String>| setting.unwrap_or_else(|| "off".into());
        format!("huge pages: {} and {}", words(one), words(other))
    })
}

/// What a dataset was made with, in words.
pub(crate) fn made_of(measurement: &Measurement) -> String {
    match measurement.made_of(u64::to_string, |bytes| format!("{bytes} bytes")) {
        words if words.is_empty() => "nothing set".to_owned(),
        words => words,
    }
}
