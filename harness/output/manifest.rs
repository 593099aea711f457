//! Which files of a folder refcow wrote, and what they were then. A file that is otherwise now is
//! the user's.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::libc::{O_NOFOLLOW, O_NONBLOCK};
use serde::{Deserialize, Serialize};

use super::draft::Draft;
use super::error::OutputError;
use crate::model::sha256;

/// Its name in the folder.
pub const NAME: &str = "refcow-manifest.json";

/// The version of its shape.
const VERSION: u32 = 1;
/// A longer file is no manifest: one of a thousand charts is a third of this.
const MOST_BYTES: u64 = 1 << 20;
/// For whoever opens it.
const ABOUT: &str = "Files that refcow wrote here. A new report replaces or removes them only while they are as they were then.";

/// What refcow wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    about: String,
    version: u32,
    /// By their paths in the folder. Of one that is just being replaced the older content, and the
    /// newer.
    pub files: BTreeMap<String, Vec<Content>>,
}

/// What was written into a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Content {
    bytes: u64,
    sha256: String,
}

impl Content {
    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self {
            bytes: bytes.len() as u64,
            sha256: sha256(bytes),
        }
    }
}

/// What is where a file of a report would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileOwner {
    Nothing,
    /// As refcow wrote it.
    Ours,
    /// Something else.
    Theirs,
}

impl Manifest {
    /// One in which these files are.
    pub fn of(files: BTreeMap<String, Vec<Content>>) -> Self {
        Self {
            about: ABOUT.into(),
            version: VERSION,
            files,
        }
    }

    /// That of a folder; where there is none, nothing in it is refcow's.
    ///
    /// # Errors
    /// When there is one that cannot be read, or something else of its name.
    pub fn read(folder: &Path) -> Result<Self, OutputError> {
        let path = folder.join(NAME);
        let fail = |reason: String| OutputError::Manifest {
            path: path.clone(),
            reason,
        };
        let bytes = match read_file(&path, MOST_BYTES) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self::of(BTreeMap::new()));
            }
            Err(error) => return Err(fail(error.to_string())),
        };
        // Anything may stand in it: it is shown only as far as it is known.
        let read: Self = serde_json::from_slice(&bytes)
            .map_err(|error| fail(format!("line {} is not as refcow writes it", error.line())))?;
        match read.version {
            VERSION => Ok(read),
            _ => Err(fail("another version of refcow wrote it".into())),
        }
    }

    /// Takes the place of the one that is there.
    ///
    /// # Errors
    /// When the disk is full.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        let mut draft = Draft::beside(&folder.join(NAME))?;
        draft.fill(&text)?;
        draft.replace()
    }

    /// The files of both.
    pub fn and(mut self, other: &Self) -> Self {
        for (name, contents) in &other.files {
            let known = self.files.entry(name.clone()).or_default();
            for content in contents {
                if !known.contains(content) {
                    known.push(content.clone());
                }
            }
        }
        self
    }

    /// What is where this file would be.
    pub fn there(&self, folder: &Path, name: &str) -> FileOwner {
        let path = folder.join(name);
        match path.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => FileOwner::Nothing,
            _ if self.is_ours(&path, name) => FileOwner::Ours,
            _ => FileOwner::Theirs,
        }
    }

    /// Whether a file is one that refcow wrote, and still as it wrote it.
    fn is_ours(&self, path: &Path, name: &str) -> bool {
        let contents = self.files.get(name).map_or(&[][..], Vec::as_slice);
        let Ok(there) = path.symlink_metadata() else {
            return false;
        };
        // Not read for nothing: a file of the user's may be large.
        let mut contents = contents.iter().filter(|one| one.bytes == there.len());
        let first = contents.next();
        first.is_some_and(|first| {
            read_file(path, first.bytes).is_ok_and(|bytes| {
                let now = Content::of(&bytes);
                *first == now || contents.any(|content| *content == now)
            })
        })
    }
}

/// The bytes of a file of at most so many. Not of a pipe, which could be waited for without end,
/// nor of what a link leads to.
fn read_file(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    if !fs::symlink_metadata(path)?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut options = OpenOptions::new();
    let options = options.read(true).custom_flags(O_NOFOLLOW | O_NONBLOCK);
    let mut bytes = Vec::new();
    let mut file = options.open(path)?.take(most.saturating_add(1));
    file.read_to_end(&mut bytes)?;
    match bytes.len() as u64 > most {
        true => Err(io::Error::other("it is too long")),
        false => Ok(bytes),
    }
}
