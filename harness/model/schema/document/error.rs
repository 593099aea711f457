//! Why a document is refused.

use crate::printable;

/// Why a text is no document that this refcow can work with.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum DocumentError {
    /// Not JSON, cut off, or of another shape.
    #[error("this is not a refcow JSON file: {0}")]
    #[diagnostic(help("save a run with --format json --output FILE"))]
    Malformed(String),
    /// JSON of somebody else's.
    #[error("this is not a refcow JSON file: it has no schema_version")]
    #[diagnostic(help("save a run with --format json --output FILE"))]
    Foreign,
    /// Another kind of document.
    #[error(
        "this is a run of `refcow measure` or the like, and no recording of `refcow run` or `attach`"
    )]
    #[diagnostic(help("give two documents of one kind"))]
    NoTrees,
    /// Written by a later refcow.
    #[error("it has schema version {found}, and this refcow reads {reads} and older")]
    #[diagnostic(help("{}", needed(written_by)))]
    Newer {
        /// Its version.
        found: u64,
        /// The newest that this refcow reads.
        reads: u32,
        /// The refcow that wrote it, if it says so.
        written_by: Option<String>,
    },
    /// It has more of something than any run has.
    #[error("no run can have this value: {place}: {what}")]
    #[diagnostic(help("refcow writes no such document: measure again"))]
    Excessive {
        /// A path in the document.
        place: String,
        /// What there is too much of.
        what: String,
    },
    /// It contradicts itself.
    #[error("it contradicts itself: {place}: {what}")]
    #[diagnostic(help("refcow writes no such document: measure again"))]
    Inconsistent {
        /// A path in the document.
        place: String,
        /// What cannot be.
        what: String,
    },
}

fn needed(written_by: &Option<String>) -> String {
    match written_by {
        Some(version) if version == env!("CARGO_PKG_VERSION") => {
            format!("you need a newer build of refcow {version}")
        }
        Some(version) => format!("you need refcow {version} or newer"),
        None => "you need a newer refcow".to_owned(),
    }
}

/// An error whose text may quote the document, which may be anybody's.
pub(super) fn malformed(place: &str, error: &dyn std::fmt::Display) -> DocumentError {
    let said = match place {
        "" => error.to_string(),
        _ => format!("{place}: {error}"),
    };
    DocumentError::Malformed(printable(&said))
}
