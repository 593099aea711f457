//! Answers kept from run to run, each for as long as the files it depends on stay as they are.
//!
//! One file of JSON under the user's cache folder for each kind of answer. A cache that is missing,
//! broken, made by another refcow or not writable is an empty one, never an error: everything in it
//! can be asked anew. It is written beside its place and renamed, so that several refcows at once
//! read whole files; of two that write at the same time one wins, and what the other had to add is
//! asked once more.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use etcetera::BaseStrategy as _;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::error::PythonError;
use super::trust;

/// More than the answers of a hundred interpreters: what is larger is not refcow's.
const SIZE_LIMIT_BYTES: u64 = 16 << 20;
/// Then it starts anew. A machine has some tens of interpreters.
const ANSWERS_LIMIT: usize = 1000;

/// The user's cache folder for refcow, whether it is there or not. Programs in it are started, and
/// answers name programs: it is none if another user could write there.
pub(super) fn folder() -> Result<PathBuf, PythonError> {
    let user = etcetera::choose_base_strategy().map_err(|_| PythonError::NoHome)?;
    let folder = user.cache_dir().join("refcow");
    match trust::check(&folder) {
        Ok(()) => Ok(folder),
        Err(why) => Err(PythonError::CacheNotTrusted { folder, why }),
    }
}

/// Makes a folder in the cache for this user alone, with those above it that are missing.
///
/// # Errors
/// [`PythonError::Cache`] and [`PythonError::CacheNotTrusted`].
pub(super) fn make(folder: &Path) -> Result<(), PythonError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|source| PythonError::Cache {
        path: folder.to_owned(),
        source,
    })?;
    // Another user may have made it first, in a folder that all may write to.
    trust::check(folder).map_err(|why| PythonError::CacheNotTrusted {
        folder: folder.to_owned(),
        why,
    })
}

/// A file as it was: rewritten, replaced or touched, it differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    /// Of the inode: a copy that keeps the time of its original (`cp -p`, `tar`) still changes
    /// this.
    changed: (i64, i64),
}

/// The files that an answer depends on, as they were. `None`: there was nothing at that path, and
/// there may be nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct WatchedFiles(BTreeMap<String, Option<Stamp>>);

impl WatchedFiles {
    /// Adds a file or folder as it is now. Links are followed: what they lead to counts. `None`:
    /// the path is no text, and has no place in JSON.
    pub(super) fn add(&mut self, path: &Path) -> Option<()> {
        let name = path.to_str()?;
        self.0.entry(name.to_owned()).or_insert_with(|| stamp(path));
        Some(())
    }

    fn unchanged(&self) -> bool {
        self.0
            .iter()
            .all(|(path, was)| stamp(Path::new(path)) == *was)
    }

    /// Whether nothing of it has changed since `time`. What is looked at after the question was put
    /// may have been another file when the answer was made.
    fn older_than(&self, time: SystemTime) -> bool {
        let Ok(time) = time.duration_since(UNIX_EPOCH) else {
            return false;
        };
        let time = (
            i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
            i64::from(time.subsec_nanos()),
        );
        self.0.values().flatten().all(|file| file.changed < time)
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = fs::metadata(path).ok()?;
    Some(Stamp {
        device: metadata.dev(),
        inode: metadata.ino(),
        bytes: metadata.size(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    })
}

/// All answers to one kind of question.
#[derive(Debug)]
pub(super) struct Cache {
    /// `None`: this user has no home.
    file: Option<PathBuf>,
    /// What put the questions: another program's answers mean something else.
    asked_by: String,
    known: BTreeMap<String, Remembered>,
    new: Mutex<BTreeMap<String, Remembered>>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Remembered {
    answer: Value,
    watched: WatchedFiles,
}

#[derive(Debug, Serialize, Deserialize)]
struct CacheText {
    asked_by: String,
    answers: BTreeMap<String, Remembered>,
}

impl Cache {
    /// The answers in the file of this name, to questions that `script` puts.
    pub(super) fn open(name: &str, script: &str) -> Self {
        Self::open_in(folder().ok().map(|folder| folder.join(name)), script)
    }

    fn open_in(file: Option<PathBuf>, script: &str) -> Self {
        let asked_by = format!("refcow {} {}", env!("CARGO_PKG_VERSION"), digest([script]));
        let known = file.as_deref().map(|file| read(file, &asked_by));
        Self {
            known: known.unwrap_or_default(),
            file,
            asked_by,
            new: Mutex::default(),
        }
    }

    /// The answer to a question, if it is known and nothing that it depends on has changed.
    pub(super) fn get<T: DeserializeOwned>(&self, question: &str) -> Option<T> {
        let kept = self.known.get(question)?;
        if !kept.watched.unchanged() {
            return None;
        }
        T::deserialize(&kept.answer).ok()
    }

    /// Keeps an answer to a question that was put at `asked`, unless what it depends on has changed
    /// since.
    pub(super) fn keep(
        &self,
        question: String,
        answer: &impl Serialize,
        watched: WatchedFiles,
        asked: SystemTime,
    ) {
        if let Ok(answer) = serde_json::to_value(answer)
            && watched.older_than(asked)
        {
            let mut new = self.new.lock().unwrap_or_else(PoisonError::into_inner);
            new.insert(question, Remembered { answer, watched });
        }
    }

    fn write(&self, new: BTreeMap<String, Remembered>) -> io::Result<()> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        let folder = file.parent().unwrap_or(Path::new("/"));
        make(folder).map_err(io::Error::other)?;
        // Another run may have added something since.
        let mut answers = read(file, &self.asked_by);
        answers.retain(|_, kept| kept.watched.unchanged());
        if answers.len() > ANSWERS_LIMIT {
            answers.clear();
        }
        answers.extend(new);
        let contents = CacheText {
            asked_by: self.asked_by.clone(),
            answers,
        };
        let mut beside = tempfile::Builder::new()
            .prefix(".new-")
            .tempfile_in(folder)?;
        beside.write_all(&serde_json::to_vec(&contents)?)?;
        beside.persist(file)?;
        Ok(())
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        let new = std::mem::take(self.new.get_mut().unwrap_or_else(PoisonError::into_inner));
        if !new.is_empty() {
            // A cache that cannot be written is none.
            let _ = self.write(new);
        }
    }
}

fn read(path: &Path, asked_by: &str) -> BTreeMap<String, Remembered> {
    bytes(path)
        .and_then(|bytes| serde_json::from_slice::<CacheText>(&bytes).ok())
        .filter(|contents| contents.asked_by == asked_by)
        .map(|contents| contents.answers)
        .unwrap_or_default()
}

/// The file's bytes, if nobody else can have written them. An answer names a program that is
/// started later.
fn bytes(path: &Path) -> Option<Vec<u8>> {
    // Opening a FIFO would wait for the other side.
    if !fs::metadata(path).ok()?.is_file() {
        return None;
    }
    let file = File::open(path).ok()?;
    let metadata = file.metadata().ok()?;
    if metadata.len() > SIZE_LIMIT_BYTES || trust::check(path).is_err() {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(SIZE_LIMIT_BYTES).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// A name for a list of texts.
pub(super) fn digest<T: AsRef<[u8]>>(parts: impl IntoIterator<Item = T>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_ref());
        // No two lists of parts may make one text.
        hash.update([0]);
    }
    hash.finalize()
        .iter()
        .take(5)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::Duration;

    /// A cache of its own with one file to depend on.
    struct CacheFolder(tempfile::TempDir);

    impl CacheFolder {
        fn new() -> Self {
            let place = Self(tempfile::tempdir().unwrap());
            fs::write(place.program(), "one").unwrap();
            place
        }

        fn program(&self) -> PathBuf {
            self.0.path().join("program")
        }

        fn file(&self) -> PathBuf {
            self.0.path().join("cache/answers.json")
        }

        fn open(&self, script: &str) -> Cache {
            Cache::open_in(Some(self.file()), script)
        }

        fn watched(&self) -> WatchedFiles {
            let mut watched = WatchedFiles::default();
            watched.add(&self.program()).unwrap();
            watched.add(&self.0.path().join("absent")).unwrap();
            watched
        }

        /// A cache that knows `yes` to `question`.
        fn filled() -> Self {
            let place = Self::new();
            place.keep("question", later());
            assert_eq!(place.answer().as_deref(), Some("yes"));
            place
        }

        fn keep(&self, question: &str, asked: SystemTime) {
            self.open("script")
                .keep(question.to_owned(), &"yes", self.watched(), asked);
        }

        fn answer(&self) -> Option<String> {
            self.open("script").get("question")
        }
    }

    /// The files of these tests have only just been made.
    fn later() -> SystemTime {
        SystemTime::now() + Duration::from_secs(60)
    }

    #[test]
    fn an_answer_holds_until_a_file_changes() {
        let place = CacheFolder::filled();
        fs::write(place.program(), "two").unwrap();
        assert_eq!(place.answer(), None);

        let place = CacheFolder::filled();
        fs::write(place.0.path().join("absent"), "").unwrap();
        assert_eq!(place.answer(), None);

        let place = CacheFolder::filled();
        fs::remove_file(place.program()).unwrap();
        assert_eq!(place.answer(), None);

        // The same bytes, size and time of modification, in another file.
        let place = CacheFolder::filled();
        let copy = place.0.path().join("copy");
        fs::copy(place.program(), &copy).unwrap();
        let modified = fs::metadata(place.program()).unwrap().modified().unwrap();
        let file = File::options().write(true).open(&copy).unwrap();
        file.set_modified(modified).unwrap();
        fs::rename(copy, place.program()).unwrap();
        assert_eq!(place.answer(), None);
    }

    #[test]
    fn what_changed_while_it_was_asked_is_not_kept() {
        let place = CacheFolder::new();
        place.keep("question", SystemTime::now() - Duration::from_secs(60));
        assert_eq!(place.answer(), None);
        assert!(!place.file().exists());
    }

    #[test]
    fn another_script_puts_other_questions() {
        let place = CacheFolder::filled();
        assert_eq!(place.open("another").get::<String>("question"), None);
        // And an answer of another form is none.
        assert_eq!(place.open("script").get::<u32>("question"), None);
    }

    #[test]
    fn what_is_no_cache_is_an_empty_one_and_is_replaced() {
        for broken in ["", "{", "[]", "{\"answers\":{}}", "\u{0}"] {
            let place = CacheFolder::filled();
            fs::write(place.file(), broken).unwrap();
            assert_eq!(place.answer(), None, "{broken:?}");
            place.keep("question", later());
            assert_eq!(place.answer().as_deref(), Some("yes"), "{broken:?}");
        }
        // One that others can write is not believed.
        let place = CacheFolder::filled();
        fs::set_permissions(place.file(), fs::Permissions::from_mode(0o666)).unwrap();
        assert_eq!(place.answer(), None);
        // Something else of that name is left alone.
        let place = CacheFolder::new();
        fs::create_dir_all(place.file().join("inside")).unwrap();
        place.keep("question", later());
        assert_eq!(place.answer(), None);
        let left: Vec<_> = fs::read_dir(place.file().parent().unwrap())
            .unwrap()
            .collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }

    #[test]
    fn a_user_without_a_home_has_no_cache() {
        let place = CacheFolder::new();
        let cache = Cache::open_in(None, "script");
        cache.keep("question".to_owned(), &"yes", place.watched(), later());
        assert_eq!(cache.get::<String>("question"), None);
    }

    #[test]
    fn what_two_runs_have_learnt_is_kept_and_what_changed_is_dropped() {
        let place = CacheFolder::new();
        let keep = |cache: &Cache, question: &str, watched| {
            cache.keep(question.to_owned(), &"yes", watched, later());
        };
        let (one, two) = (place.open("script"), place.open("script"));
        keep(&one, "one", place.watched());
        keep(&two, "two", place.watched());
        drop(one);
        drop(two);
        let both = place.open("script");
        assert!(both.get::<String>("one").is_some() && both.get::<String>("two").is_some());

        fs::write(place.program(), "changed").unwrap();
        keep(&both, "three", place.watched());
        drop(both);
        let now = place.open("script");
        assert_eq!(now.known.keys().collect::<Vec<_>>(), ["three"]);
    }
}
