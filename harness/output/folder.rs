//! A folder of files that belong together: all of them new, or all of them as they were.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use tempfile::TempDir;

use super::Error;

/// A place for a folder, found writable before anything was measured.
#[derive(Debug)]
pub struct Folder {
    /// Its name in the end, links followed.
    path: PathBuf,
    /// What is written until then. Removed if that never comes.
    draft: TempDir,
    /// Whether the draft is beside the folder, and can take its place at once. Else it is in it: a folder that is a mount
    /// point, or whose parent is not the user's, cannot be replaced, but what is in it can.
    beside: bool,
}

/// Permissions of a folder, less the user's umask: a report is no secret.
const MODE: u32 = 0o777;

impl Folder {
    /// Opens the place, without changing what is there. `known` says of a name in it whether it is one of those that a
    /// folder of this kind consists of.
    ///
    /// # Errors
    /// When it can be told already that writing will fail, or something else is in the folder.
    pub fn open(path: &Path, known: impl Fn(&str) -> bool) -> Result<Self, Error> {
        let fail = |source| Error::NotAFolder {
            path: path.to_owned(),
            source,
        };
        let there = match fs::metadata(path) {
            Ok(there) if !there.is_dir() => return Err(fail(io::ErrorKind::NotADirectory.into())),
            Ok(there) => Some(there),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(fail(error)),
        };
        let path = match there {
            // A link stays a link.
            Some(_) => fs::canonicalize(path).map_err(fail)?,
            // One that leads nowhere is in the way.
            None if path.symlink_metadata().is_ok() => {
                return Err(fail(io::ErrorKind::AlreadyExists.into()));
            }
            None => path.to_owned(),
        };
        for entry in there.iter().flat_map(|_| fs::read_dir(&path)).flatten() {
            let name = entry.map_err(fail)?.file_name();
            let name = name.to_string_lossy();
            // What another run is writing, or has left when it was killed.
            if !known(&name) && !name.starts_with(super::DRAFT) {
                return Err(Error::Occupied {
                    path,
                    other: name.into_owned(),
                });
            }
        }
        let parent = match path.parent() {
            Some(parent) if parent != Path::new("") => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        let draft = |place: &Path| {
            let mut builder = tempfile::Builder::new();
            builder.prefix(super::DRAFT);
            builder.permissions(fs::Permissions::from_mode(MODE));
            builder.tempdir_in(place)
        };
        let replaceable = match &there {
            None => true,
            // Of a mount point, the two are on different devices, or it is the root.
            Some(there) => {
                fs::metadata(&parent).is_ok_and(|parent| parent.dev() == there.dev())
                    && path.parent().is_some()
            }
        };
        if replaceable {
            match draft(&parent) {
                Ok(draft) => {
                    return Ok(Self {
                        path,
                        draft,
                        beside: true,
                    });
                }
                Err(error) if there.is_none() => return Err(fail(error)),
                Err(_) => {}
            }
        }
        Ok(Self {
            draft: draft(&path).map_err(fail)?,
            path,
            beside: false,
        })
    }

    /// Writes all files, each with its path in the folder, and gives the folder its name. What else was in it of its kind
    /// is gone then.
    ///
    /// # Errors
    /// When the disk is full. What was there is then as it was.
    pub fn write(self, files: &[(String, Vec<u8>)]) -> Result<(), Error> {
        let path = self.path.clone();
        self.place(files)
            .map_err(|source| Error::NotWritten { path, source })
    }

    fn place(self, files: &[(String, Vec<u8>)]) -> io::Result<()> {
        let draft = self.draft.path();
        for (name, bytes) in files {
            let file = draft.join(name);
            if let Some(folder) = file.parent() {
                fs::create_dir_all(folder)?;
            }
            let mut file = File::create(&file)?;
            file.write_all(bytes)?;
            file.sync_all()?;
        }
        if !self.beside {
            return self.one_by_one(files);
        }
        match renameat_with(CWD, draft, CWD, &self.path, RenameFlags::NOREPLACE) {
            Ok(()) => {
                // It has another name now.
                let _ = self.draft.keep();
                return Ok(());
            }
            Err(rustix::io::Errno::EXIST) => {}
            // A file system that knows no flags (NFS): onto nothing, or an empty folder.
            Err(error) => match fs::rename(draft, &self.path) {
                Ok(()) => {
                    let _ = self.draft.keep();
                    return Ok(());
                }
                Err(_) if self.path.exists() => {}
                Err(_) => return Err(error.into()),
            },
        }
        match renameat_with(CWD, draft, CWD, &self.path, RenameFlags::EXCHANGE) {
            // The draft's name is that of the older folder now, which goes.
            Ok(()) => self.draft.close(),
            // It cannot be replaced (it is a process's working folder on some file systems, or there are no flags).
            Err(_) => self.one_by_one(files),
        }
    }

    /// Each file in its turn. Who is killed between two of them leaves some of the older ones.
    fn one_by_one(self, files: &[(String, Vec<u8>)]) -> io::Result<()> {
        for (name, _) in files {
            let target = self.path.join(name);
            if let Some(folder) = target.parent() {
                fs::create_dir_all(folder)?;
            }
            fs::rename(self.draft.path().join(name), target)?;
        }
        self.draft.close()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(words: &[(&str, &str)]) -> Vec<(String, Vec<u8>)> {
        let all = words.iter();
        all.map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec()))
            .collect()
    }

    fn names(folder: &Path) -> Vec<String> {
        let all = fs::read_dir(folder).unwrap();
        let mut all: Vec<_> = all
            .map(|one| one.unwrap().file_name().into_string().unwrap())
            .collect();
        all.sort_unstable();
        all
    }

    #[test]
    fn a_new_folder_takes_the_place_of_an_older_one() {
        let root = tempfile::tempdir().unwrap();
        let place = root.path().join("out");
        for text in ["first", "second"] {
            let folder = Folder::open(&place, |name| name == "a" || name == "charts").unwrap();
            let other = format!("charts/{text}");
            folder.write(&files(&[("a", text), (&other, "")])).unwrap();
            assert_eq!(fs::read_to_string(place.join("a")).unwrap(), text);
            assert_eq!(names(&place.join("charts")), [text]);
            assert_eq!(names(root.path()), ["out"]);
        }
    }

    #[test]
    fn what_is_not_written_changes_nothing() {
        let root = tempfile::tempdir().unwrap();
        let place = root.path().join("out");
        drop(Folder::open(&place, |_| true).unwrap());
        assert!(names(root.path()).is_empty());
        fs::create_dir(&place).unwrap();
        fs::write(place.join("a"), "older").unwrap();
        let folder = Folder::open(&place, |_| true).unwrap();
        // A name that is too long for a file.
        let wrong = "x".repeat(300);
        folder
            .write(&files(&[("a", "new"), (&wrong, "")]))
            .unwrap_err();
        assert_eq!(fs::read_to_string(place.join("a")).unwrap(), "older");
        assert_eq!(names(root.path()), ["out"]);
    }

    #[test]
    fn a_folder_with_something_else_in_it_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("notes.txt"), "mine").unwrap();
        let error = Folder::open(root.path(), |name| name == "a").unwrap_err();
        assert!(error.to_string().contains("notes.txt"), "{error}");
        assert!(Folder::open(&root.path().join("notes.txt"), |_| true).is_err());
        assert!(Folder::open(&root.path().join("no/where"), |_| true).is_err());
    }

    #[test]
    fn a_folder_that_cannot_be_replaced_is_filled() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder {
            path: root.path().to_owned(),
            draft: tempfile::tempdir_in(root.path()).unwrap(),
            beside: false,
        };
        fs::write(root.path().join("a"), "older").unwrap();
        folder
            .write(&files(&[("a", "new"), ("charts/b", "")]))
            .unwrap();
        assert_eq!(names(root.path()), ["a", "charts"]);
        assert_eq!(fs::read_to_string(root.path().join("a")).unwrap(), "new");
    }
}
