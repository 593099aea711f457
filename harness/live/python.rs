//! Which CPython a process runs, by the files that it has mapped: no process is asked.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use object::read::ReadCache;
use object::{
    Object as _, ObjectSection as _, ObjectSegment as _, ObjectSymbol, SegmentFlags, elf,
};

use crate::observe::{self, CodeMapping, code_mappings};

/// A CPython.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LivePython {
    /// Of version 3.`minor`; `None` where the file does not say.
    pub minor: Option<u8>,
    /// Built without the GIL: its objects look otherwise.
    pub free_threaded: bool,
    /// The file that holds the interpreter.
    pub file: PathBuf,
    /// Where the interpreter's own variable is in it.
    runtime: Runtime,
}

/// Where `_PyRuntime` is: its address as the file has it, and a byte of the code with its place in the file and its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Runtime {
    address: u64,
    code: (u64, u64),
}

impl LivePython {
    /// `CPython 3.13`.
    pub fn title(&self) -> String {
        let suffix = if self.free_threaded { "t" } else { "" };
        match self.minor {
            Some(minor) => format!("CPython 3.{minor}{suffix}"),
            None => "CPython".to_owned(),
        }
    }

    /// Its minor version, if refcow knows what objects and `_PyRuntime` of that look like.
    pub fn known_minor(&self) -> Option<u8> {
        self.minor.filter(|minor| (8..=15).contains(minor))
    }

    /// Why nothing is said of its objects, if it is not such a version.
    pub fn objects_unseen(&self) -> Option<String> {
        let unknown = self.known_minor().is_none();
        unknown.then(|| "refcow knows those of CPython 3.8 to 3.15".to_owned())
    }

    /// The address of `_PyRuntime` in a process that runs it.
    pub fn runtime(&self, pid: i32) -> Option<u64> {
        let maps = code_mappings(pid).ok()?;
        let map = maps.iter().find(|map| map.path == self.file)?;
        let (place, address) = self.runtime.code;
        // In the file's addresses, the first byte of the mapping; how far the process has moved it, and so all others.
        let first = address.wrapping_sub(place).wrapping_add(map.offset);
        let moved = map.range.start.wrapping_sub(first);
        Some(self.runtime.address.wrapping_add(moved))
    }
}

/// The CPython of a process; `None`: it runs none.
///
/// # Errors
/// When the process is gone or may not be read.
pub fn python_of(pid: i32) -> Result<Option<LivePython>, observe::Error> {
    let maps = code_mappings(pid)?;
    let named = |map: &&CodeMapping| {
        let name = map.path.file_name().map(|name| name.to_string_lossy());
        name.is_some_and(|name| name.starts_with("libpython"))
    };
    // What loads Python as a library may have symbols of its own, too.
    let libraries = maps.iter().filter(named).map(|map| &map.path);
    let program = PathBuf::from(format!("/proc/{pid}/exe"));
    for path in libraries {
        if let Some(python) = opened(pid, path).and_then(|file| interpreter_in(file, path)) {
            return Ok(Some(python));
        }
    }
    let path = std::fs::read_link(&program).unwrap_or_else(|_| program.clone());
    Ok(File::open(&program)
        .ok()
        .and_then(|file| interpreter_in(file, &path)))
}

/// A file as the process sees it.
fn opened(pid: i32, path: &Path) -> Option<File> {
    let own = format!("/proc/{pid}/root");
    let inside = Path::new(&own).join(path.strip_prefix("/").ok()?);
    let file = File::open(inside).or_else(|_| File::open(path)).ok()?;
    file.metadata().ok()?.is_file().then_some(file)
}

/// By device, inode and time of change.
type KnownFiles = HashMap<(u64, u64, i64), Option<(Option<u8>, bool, Runtime)>>;

/// The interpreter in a file; `None` if there is none in it.
fn interpreter_in(file: File, path: &Path) -> Option<LivePython> {
    static KNOWN: Mutex<Option<KnownFiles>> = Mutex::new(None);
    let data = file.metadata().ok()?;
    let identity = (data.dev(), data.ino(), data.ctime());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let known = known.get_or_insert_default();
    let (minor, free_threaded, runtime) = (*known.entry(identity).or_insert_with(|| read(file)))?;
    Some(LivePython {
        minor,
        free_threaded,
        file: path.to_owned(),
        runtime,
    })
}

/// The minor version, whether it is built without the GIL, and where it has its variable.
fn read(file: File) -> Option<(Option<u8>, bool, Runtime)> {
    let data = ReadCache::new(file);
    let object = object::File::parse(&data).ok()?;
    let exported = runtime_among(object.dynamic_symbols());
    let is_static = object.dynamic_symbols().next().is_none();
    let address = match exported {
        None if is_static => runtime_among(object.symbols()),
        exported => exported,
    }?;
    let code = object.segments().find_map(|segment| {
        let SegmentFlags::Elf { p_flags } = segment.flags() else {
            return None;
        };
        let (place, length) = segment.file_range();
        (p_flags & elf::PF_X != 0 && length > 0).then(|| (place, segment.address()))
    })?;
    let runtime = Runtime { address, code };
    let constants = object.section_by_name(".rodata")?;
    let constants = constants.data().unwrap_or_default();
    let minor = minor_in(constants);
    // What its extension modules are called by ends so: `.cpython-313t-x86_64-linux-gnu.so`.
    let tag = minor.map(|minor| format!("cpython-3{minor}t-"));
    let is_in = |tag: String| {
        constants
            .windows(tag.len())
            .any(|bytes| bytes == tag.as_bytes())
    };
    let free_threaded = minor >= Some(13) && tag.is_some_and(is_in);
    Some((minor, free_threaded, runtime))
}

/// The address of the interpreter's own variable, which there is since 3.7, and which extension modules need: so a stripped program has it,
/// too.
fn runtime_among<'data>(
    mut symbols: impl Iterator<Item = impl ObjectSymbol<'data>>,
) -> Option<u64> {
    let found = symbols.find(|symbol| {
        symbol.is_definition() && symbol.name_bytes().is_ok_and(|name| name == b"_PyRuntime")
    });
    found.map(|symbol| symbol.address())
}

/// From the tag of byte code (`sys.implementation.cache_tag`), which is among the constants: `cpython-313`.
fn minor_in(constants: &[u8]) -> Option<u8> {
    const TAG: &[u8] = b"cpython-3";
    let mut rest = constants;
    while let Some(place) = rest.iter().position(|byte| *byte == TAG[0]) {
        rest = &rest[place..];
        if let Some(behind) = rest.strip_prefix(TAG) {
            let digits = behind.iter().take_while(|byte| byte.is_ascii_digit());
            let digits: Vec<u8> = digits.copied().collect();
            let minor = std::str::from_utf8(&digits).ok()?.parse().ok();
            if minor.is_some() && behind.get(digits.len()) == Some(&0) {
                return minor;
            }
        }
        rest = &rest[1..];
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_among_the_constants_tells_the_version() {
        assert_eq!(minor_in(b"cc\0cpython-\0cpython-38\0x"), Some(8));
        assert_eq!(minor_in(b"cpython-313-x86_64\0cpython-313\0"), Some(13));
        assert_eq!(minor_in(b"cpython-3"), None);
        assert_eq!(minor_in(b""), None);
    }

    #[test]
    fn a_version_whose_objects_nobody_knows_says_so() {
        let of = |minor| LivePython {
            minor,
            free_threaded: false,
            file: PathBuf::new(),
            runtime: Runtime {
                address: 0,
                code: (0, 0),
            },
        };
        for (minor, title) in [
            (Some(7), "CPython 3.7"),
            (Some(16), "CPython 3.16"),
            (None, "CPython"),
        ] {
            assert_eq!(of(minor).title(), title);
            assert!(of(minor).objects_unseen().is_some(), "{title}");
        }
        for minor in 8..=15 {
            assert_eq!(of(Some(minor)).objects_unseen(), None);
        }
    }

    #[test]
    fn what_is_no_python_has_none() {
        let own = std::process::id().cast_signed();
        assert_eq!(python_of(own).unwrap(), None);
    }
}
