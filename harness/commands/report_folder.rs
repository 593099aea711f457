//! The folder that `--report` asks for, and `refcow report`.

use std::path::Path;

use super::error::CommandError;
use crate::model::Report;
use crate::model::trees::Trees;
use crate::output::{FolderKind, ReportFolder};
use crate::report;

/// What may be in one.
const REPORT: FolderKind = FolderKind {
    folders: &[report::CHARTS],
    has: report::is_file,
};

/// A place for a report, if there is to be one, found writable before anything is measured.
pub fn open(place: Option<&Path>) -> Result<Option<ReportFolder>, CommandError> {
    let open = |place| ReportFolder::open(place, REPORT);
    Ok(place.map(open).transpose()?)
}

/// The same of trees.
pub fn write_trees(folder: Option<ReportFolder>, document: &Trees) -> Result<(), CommandError> {
    match folder {
        Some(folder) => Ok(folder.write(&report::trees::all(document)?)?),
        None => Ok(()),
    }
}

/// Writes all of a report, if there is a place for it.
pub fn write(folder: Option<ReportFolder>, document: &Report) -> Result<(), CommandError> {
    match folder {
        Some(folder) => Ok(folder.write(&report::all(document)?)?),
        None => Ok(()),
    }
}
