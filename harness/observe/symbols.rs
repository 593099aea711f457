//! From an instruction's address to the function that holds it.
//!
//! Symbol tables only: `.symtab` of a file that was not stripped, `.dynsym` of every shared
//! library. An address belongs to a function only within the size that the table gives it. A
//! stripped library still has its exported functions, and the nearest one before an address is as a
//! rule another function's neighbour, not the one that runs.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use cpp_demangle::{DemangleOptions, Symbol};
use object::read::ReadCache;
use object::{Object, ObjectSegment, ObjectSymbol, SegmentFlags, SymbolKind, elf};

use crate::CodeMapping;

/// Where an instruction stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code {
    /// The file name of the mapped object, as `libpython3.11.so.1.0`; `[vdso]` and the like are the
    /// kernel's own, `anonymous code` was written at run time, and `unmapped code` was no code when
    /// the mappings were read.
    pub module: String,
    /// The function, without parameters, and without what compilers append (`.cold`, `.part.0`, …).
    /// `None`: the tables do not tell, or the file is not there any more.
    pub function: Option<String>,
    /// Its address in the file as `objdump` shows it; the offset in the mapping where there is no
    /// file that can be read, and the address itself in no mapping.
    pub offset: u64,
}

impl Code {
    /// The function, or else `module+0x1234`.
    pub fn name(&self) -> String {
        match &self.function {
            Some(function) => function.clone(),
            None => format!("{}+{:#x}", self.module, self.offset),
        }
    }
}

/// The code of one process. Files are read when an address first falls into one, and kept for all
/// processes.
#[derive(Clone, Debug)]
pub struct Symbols {
    /// In ascending order.
    maps: Vec<Mapped>,
}

#[derive(Clone, Debug)]
struct Mapped {
    map: CodeMapping,
    /// `None` until it is asked for.
    file: Option<Arc<ObjectFile>>,
}

impl Symbols {
    /// From the executable mappings of a process.
    pub fn of(mut maps: Vec<CodeMapping>) -> Self {
        maps.sort_by_key(|map| map.range.start);
        let maps = maps.into_iter().map(|map| Mapped { map, file: None });
        Self {
            maps: maps.collect(),
        }
    }

    /// Where the instruction at this address stands. Reads the object file, with this process's
    /// rights and in its mount namespace; what cannot be read has no functions.
    pub fn locate(&mut self, instruction: u64) -> Code {
        let after = self
            .maps
            .partition_point(|one| one.map.range.start <= instruction);
        let Some(Mapped { map, file }) = self.maps[..after]
            .last_mut()
            .filter(|one| one.map.range.contains(&instruction))
        else {
            return Code {
                module: "unmapped code".to_owned(),
                function: None,
                offset: instruction,
            };
        };
        let file = file.get_or_insert_with(|| cached(&map.path));
        let in_file = instruction - map.range.start + map.offset;
        let offset = file.address(in_file);
        Code {
            module: module(&map.path),
            function: offset.and_then(|address| file.functions.at(address)),
            offset: offset.unwrap_or(in_file),
        }
    }
}

/// What the kernel appends to the path of a file that is mapped and has no name any more (d_path in
/// fs/d_path.c).
const DELETED: &str = " (deleted)";

fn module(path: &Path) -> String {
    if path.as_os_str().is_empty() {
        return "anonymous code".to_owned();
    }
    let name = path.file_name().unwrap_or(path.as_os_str());
    let name = name.to_string_lossy();
    name.strip_suffix(DELETED).unwrap_or(&name).to_owned()
}

/// What tells one state of a file from another: path, device, inode, size, and time of
/// modification.
type Identity = (PathBuf, u64, u64, u64, i64, i64);

/// The file's tables, read once in this process; empty ones for what is no file, cannot be read, or
/// is no ELF file.
fn cached(path: &Path) -> Arc<ObjectFile> {
    static READ: Mutex<Option<HashMap<Identity, Arc<ObjectFile>>>> = Mutex::new(None);
    // A name in brackets is no path, and what stands at that of a deleted file now is not what
    // runs.
    let gone = path
        .as_os_str()
        .as_encoded_bytes()
        .ends_with(DELETED.as_bytes());
    if gone || !path.is_absolute() {
        return Arc::default();
    }
    // Not a device or a pipe, which may not end.
    let Some((file, data)) = regular(path) else {
        return Arc::default();
    };
    let identity = (
        path.to_owned(),
        data.dev(),
        data.ino(),
        data.len(),
        data.mtime(),
        data.mtime_nsec(),
    );
    let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
    let read = read.get_or_insert_default();
    Arc::clone(
        read.entry(identity)
            .or_insert_with(|| Arc::new(ObjectFile::read(file).unwrap_or_default())),
    )
}

fn regular(path: &Path) -> Option<(File, Metadata)> {
    if !path.metadata().ok()?.is_file() {
        return None;
    }
    let file = File::open(path).ok()?;
    let data = file.metadata().ok()?;
    Some((file, data))
}

/// What is wanted of an ELF file.
#[derive(Debug, Default)]
struct ObjectFile {
    /// Of each loaded, executable segment: where it stands in the file, and the address of its
    /// first byte.
    segments: Vec<(Range<u64>, u64)>,
    functions: Functions,
}

impl ObjectFile {
    fn read(file: File) -> object::Result<Self> {
        // Reads the tables and nothing else of the file.
        let data = ReadCache::new(file);
        let object = object::File::parse(&data)?;
        let segments = object.segments().filter_map(|segment| {
            let SegmentFlags::Elf { p_flags } = segment.flags() else {
                return None;
            };
            let (start, length) = segment.file_range();
            (p_flags & elf::PF_X != 0 && length > 0)
                .then(|| (start..start.saturating_add(length), segment.address()))
        });
        let functions = object
            .symbols()
            .chain(object.dynamic_symbols())
            // STT_FUNC and STT_GNU_IFUNC.
            .filter(|symbol| symbol.kind() == SymbolKind::Text && !symbol.is_undefined())
            .filter_map(|symbol| {
                Some(FunctionRange {
                    start: symbol.address(),
                    end: symbol.address().checked_add(symbol.size())?,
                    local: symbol.is_local(),
                    name: without_suffixes(symbol.name().ok()?).to_owned(),
                })
            });
        Ok(Self {
            segments: segments.collect(),
            functions: Functions::new(functions.collect()),
        })
    }

    /// The address in the file of the byte at this place of it.
    fn address(&self, in_file: u64) -> Option<u64> {
        let mut segments = self.segments.iter();
        let (bytes, address) = segments.find(|(bytes, _)| bytes.contains(&in_file))?;
        (in_file - bytes.start).checked_add(*address)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct FunctionRange {
    start: u64,
    end: u64,
    local: bool,
    name: String,
}

/// Functions by address.
#[derive(Debug, Default)]
struct Functions {
    /// By start; of those that start together the best name last.
    sorted: Vec<FunctionRange>,
    /// For each, the highest end of it and all before it.
    reach: Vec<u64>,
}

impl Functions {
    fn new(mut all: Vec<FunctionRange>) -> Self {
        all.retain(|function| function.end > function.start && !function.name.is_empty());
        all.sort_by(|one, other| {
            let preference = |function: &FunctionRange| (function.local, function.name.len());
            let alike = preference(other).cmp(&preference(one));
            let alike = alike.then_with(|| Reverse(&one.name).cmp(&Reverse(&other.name)));
            one.start.cmp(&other.start).then(alike)
        });
        all.dedup();
        let reach = all.iter().scan(0, |reach, function| {
            *reach = function.end.max(*reach);
            Some(*reach)
        });
        Self {
            reach: reach.collect(),
            sorted: all,
        }
    }

    /// The innermost function that holds the address; of several names for one the global one, then
    /// the shortest, then the first of the alphabet.
    fn at(&self, address: u64) -> Option<String> {
        let after = self
            .sorted
            .partition_point(|function| function.start <= address);
        let function = (0..after)
            .rev()
            // Beyond this none reaches so far.
            .take_while(|index| self.reach[*index] > address)
            .map(|index| &self.sorted[index])
            .find(|function| function.end > address)?;
        Some(demangled(&function.name))
    }
}

/// What compilers append to the name of a function that they have split, cloned or made local: it
/// differs from build to build. `@` begins the version of a symbol.
fn without_suffixes(name: &str) -> &str {
    const APPENDED: [&str; 7] = [
        "cold",
        "constprop",
        "isra",
        "llvm",
        "localalias",
        "lto_priv",
        "part",
    ];
    let name = name.split_once('@').map_or(name, |(name, _)| name);
    let dots = name.match_indices('.').skip_while(|(at, _)| *at == 0);
    let mut ends = dots.filter(|(at, _)| {
        let rest = &name[at + 1..];
        let word = rest.split_once('.').map_or(rest, |(word, _)| word);
        APPENDED.contains(&word)
    });
    ends.next().map_or(name, |(at, _)| &name[..at])
}

/// A name of Rust's or C++'s as it stands in the source, without hash or parameters; others as they
/// are.
fn demangled(name: &str) -> String {
    // First, as Rust's older names look like C++'s but for the hash.
    if let Ok(rust) = rustc_demangle::try_demangle(name) {
        return format!("{rust:#}");
    }
    let options = DemangleOptions::new().no_params().no_return_type();
    let cpp = name.starts_with("_Z").then(|| Symbol::new(name).ok());
    cpp.flatten()
        .and_then(|symbol| symbol.demangle_with_options(&options).ok())
        .unwrap_or_else(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code_mappings;
    use rstest::rstest;

    fn function(range: Range<u64>, name: &str, local: bool) -> FunctionRange {
        FunctionRange {
            start: range.start,
            end: range.end,
            local,
            name: name.to_owned(),
        }
    }

    fn own() -> Symbols {
        let pid = std::process::id().try_into().unwrap();
        Symbols::of(code_mappings(pid).unwrap())
    }

    #[rstest]
    #[case(0xfff, None)]
    #[case(0x1000, Some("PyList_New"))]
    #[case(0x103f, Some("PyList_New"))]
    // What a stripped library has no name for lies between what it exports.
    #[case(0x1040, None)]
    #[case(0x1fff, None)]
    #[case(0x2000, Some("PyList_Append"))]
    #[case(0x2010, None)]
    #[case(u64::MAX, None)]
    fn an_address_is_in_a_function_only_within_its_size(
        #[case] address: u64,
        #[case] expected: Option<&str>,
    ) {
        let functions = Functions::new(vec![
            function(0x2000..0x2010, "PyList_Append", false),
            function(0x1000..0x1040, "PyList_New", false),
            // A label without a size holds nothing.
            function(0x1040..0x1040, "_label", false),
        ]);
        assert_eq!(functions.at(address).as_deref(), expected);
    }

    #[test]
    fn the_innermost_function_wins_and_the_outer_one_goes_on_behind_it() {
        let functions = Functions::new(vec![
            function(0x100..0x200, "outer", false),
            function(0x120..0x130, "inner", true),
            function(0x140..0x141, "tiny", true),
        ]);
        let names: Vec<_> = [0x11f, 0x120, 0x130, 0x140, 0x141, 0x1ff]
            .map(|address| functions.at(address).unwrap())
            .into();
        assert_eq!(names, ["outer", "inner", "outer", "tiny", "outer", "outer"]);
        assert_eq!(functions.at(0x200), None);
    }

    #[test]
    fn of_several_names_the_same_is_chosen_in_any_order() {
        let all = [
            function(0..8, "a", true),
            function(0..8, "__getpid", false),
            function(0..8, "getpie", false),
            function(0..8, "getpid", false),
            function(0..8, "getpid", false),
        ];
        for turn in 0..all.len() {
            let mut all = all.clone();
            all.rotate_left(turn);
            assert_eq!(Functions::new(all.to_vec()).at(4).unwrap(), "getpid");
        }
    }

    #[rstest]
    #[case("listiter_next", "listiter_next")]
    #[case("list_dealloc.cold", "list_dealloc")]
    #[case("gc_collect_main.lto_priv.0", "gc_collect_main")]
    #[case("subtract_refs.isra.0.constprop.0", "subtract_refs")]
    #[case("visit.part.0.cold", "visit")]
    #[case("memcpy@@GLIBC_2.14", "memcpy")]
    // Not what a compiler appends.
    #[case("_PyEval.partial", "_PyEval.partial")]
    #[case(".cold", ".cold")]
    #[case("_ZN5numpy4sortIiEEvPiS1_", "numpy::sort<int>")]
    #[case("_ZN7refcore4page17h0123456789abcdefE", "refcore::page")]
    #[case("_RNvC6mycrat4work", "mycrat::work")]
    #[case("_Zest", "_Zest")]
    fn names_are_those_of_the_source(#[case] symbol: &str, #[case] expected: &str) {
        assert_eq!(demangled(without_suffixes(symbol)), expected);
    }

    #[test]
    fn a_place_in_the_file_becomes_an_address_by_the_program_headers() {
        let file = ObjectFile {
            segments: vec![(0x1000..0x2000, 0x4000), (0x2000..0x2800, 0x9000)],
            functions: Functions::new(vec![function(0x9010..0x9020, "far", false)]),
        };
        assert_eq!(file.address(0x1fff), Some(0x4fff));
        assert_eq!(file.address(0x2010), Some(0x9010));
        assert_eq!(file.address(0x2800), None);
        assert_eq!(file.address(0), None);

        let mut symbols = Symbols::of(vec![CodeMapping {
            range: 0x7000_0000..0x7000_1000,
            offset: 0x2000,
            path: "/nowhere/libfar.so".into(),
        }]);
        symbols.maps[0].file = Some(Arc::new(file));
        let code = symbols.locate(0x7000_0010);
        assert_eq!(code.name(), "far");
        assert_eq!((code.module.as_str(), code.offset), ("libfar.so", 0x9010));
        assert_eq!(symbols.locate(0x7000_0020).name(), "libfar.so+0x9020");
    }

    #[test]
    fn functions_of_this_program_and_of_the_c_library_are_found() {
        let mut symbols = own();
        let own = symbols.locate(without_suffixes as *const () as u64);
        assert_eq!(own.name(), "refcow_observe::symbols::without_suffixes");
        let theirs = symbols.locate(nix::libc::getpid as *const () as u64);
        // Under a name that every C library exports, by `.dynsym` if it is stripped.
        assert_eq!(theirs.name(), "getpid");
        assert!(theirs.module.contains("libc"), "{theirs:?}");
    }

    #[test]
    fn a_file_is_read_once_for_all_processes() {
        let program = std::env::current_exe().unwrap();
        assert!(Arc::ptr_eq(&cached(&program), &cached(&program)));
    }

    #[rstest]
    #[case("[vdso]", "[vdso]+0x10")]
    #[case("", "anonymous code+0x10")]
    #[case("/usr/lib/libx.so (deleted)", "libx.so+0x10")]
    #[case("/memfd:jit (deleted)", "memfd:jit+0x10")]
    #[case("/nowhere/libx.so", "libx.so+0x10")]
    #[case("/dev/zero", "zero+0x10")]
    fn code_without_a_file_has_no_function(#[case] path: &str, #[case] expected: &str) {
        let mut symbols = Symbols::of(vec![CodeMapping {
            range: 0x1000..0x2000,
            offset: 0,
            path: path.into(),
        }]);
        let code = symbols.locate(0x1010);
        assert_eq!((code.name().as_str(), code.function), (expected, None));
        assert_eq!(symbols.locate(0x2000).name(), "unmapped code+0x2000");
        assert_eq!(symbols.locate(0xfff).name(), "unmapped code+0xfff");
    }

    #[test]
    fn a_deleted_file_is_not_taken_for_the_one_that_stands_there_now() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lib.so (deleted)");
        std::fs::copy(std::env::current_exe().unwrap(), &path).unwrap();
        assert!(cached(&path).segments.is_empty());
    }

    #[test]
    fn bytes_that_are_no_object_file_have_no_functions() {
        let folder = tempfile::tempdir().unwrap();
        let mut program = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        program.truncate(5_000);
        for (name, bytes) in [
            ("cut", &program[..]),
            ("text", b"#!/bin/sh\n"),
            ("none", b""),
        ] {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            assert!(cached(&path).functions.sorted.is_empty(), "{name}");
        }
    }
}
