//! Documents in files.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::consistency;
use crate::merge::NamedDocument;
use crate::model::trees::Trees;
use crate::model::{self, DocumentError, MAX_DOCUMENT_BYTES};

/// Why a file is of no use.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum DocumentFileError {
    /// It cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    #[diagnostic(help("give the path of a file that --format json --output FILE wrote"))]
    Unreadable {
        path: PathBuf,
        /// What the kernel answered, or what it is instead.
        source: io::Error,
    },
    /// It is none of refcow's.
    #[error("{}: {source}", path.display())]
    Malformed {
        path: PathBuf,
        /// What is wrong with it, and where.
        source: DocumentError,
        /// What to do about it.
        #[help]
        help: Option<String>,
    },
}

/// Reads a document.
///
/// # Errors
/// When it cannot be read or is none.
pub fn read(path: &Path) -> Result<NamedDocument, DocumentFileError> {
    let bytes = read_bytes(path).map_err(|source| DocumentFileError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    let checked = model::read(&bytes).and_then(|(mut report, schema_version)| {
        consistency::check(&mut report, crate::COMMIT)?;
        Ok((report, schema_version))
    });
    match checked {
        Ok((report, schema_version)) => Ok(NamedDocument {
            name: path.display().to_string(),
            schema_version,
            report,
        }),
        Err(source) => Err(malformed(path, source)),
    }
}

/// A document of either kind.
#[derive(Debug)]
pub enum AnyDocument {
    /// What was measured.
    Report(Box<NamedDocument>),
    /// Trees of processes.
    Trees(Trees),
}

/// Reads a document, whatever it is of.
///
/// # Errors
/// As [`read`].
pub fn read_any(path: &Path) -> Result<AnyDocument, DocumentFileError> {
    let bytes = read_bytes(path).map_err(|source| DocumentFileError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    if !model::is_of_trees(&bytes) {
        return Ok(AnyDocument::Report(Box::new(read(path)?)));
    }
    match model::read_trees(&bytes) {
        Ok(trees) => Ok(AnyDocument::Trees(trees)),
        Err(source) => Err(malformed(path, source)),
    }
}

/// Reads a document of trees.
///
/// # Errors
/// When it cannot be read or is none.
pub fn read_trees(path: &Path) -> Result<Trees, DocumentFileError> {
    match read_any(path)? {
        AnyDocument::Trees(trees) => Ok(trees),
        AnyDocument::Report(_) => Err(malformed(path, DocumentError::NoTrees)),
    }
}

fn malformed(path: &Path, source: DocumentError) -> DocumentFileError {
    DocumentFileError::Malformed {
        path: path.to_owned(),
        help: miette::Diagnostic::help(&source).map(|help| help.to_string()),
        source,
    }
}

fn read_bytes(path: &Path) -> io::Result<Vec<u8>> {
    let there = fs::metadata(path)?;
    // A pipe or a device could be waited for without end.
    if !there.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let too_large = || {
        io::Error::other(format!(
            "it is larger than {}, the limit for a document",
            crate::numbers::bytes(MAX_DOCUMENT_BYTES)
        ))
    };
    if there.len() > MAX_DOCUMENT_BYTES {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    // It may grow meanwhile.
    let mut file = fs::File::open(path)?.take(MAX_DOCUMENT_BYTES + 1);
    file.read_to_end(&mut bytes)?;
    match bytes.len() as u64 > MAX_DOCUMENT_BYTES {
        true => Err(too_large()),
        false => Ok(bytes),
    }
}
