//! Which pages of an address space fork shares copy-on-write, and which are shared by nature.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io::Read;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use procfs::process::{MMPermissions, MMapPath, MemoryMap, MemoryMaps, Process};
use procfs::{FromRead, ProcResult};

use super::{Error, PageSet, page_size, reading};

/// Addresses of which no page counts: there a process that is measured keeps what it needs for
/// being measured. Far from where the kernel puts programs, heaps, mappings and stacks.
pub const UNCOUNTED: Range<u64> = 0x2000_0000_0000..0x2100_0000_0000;

/// The parts of an address space that matter to sharing, in page numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mappings {
    /// Every mapping that can hold pages, in ascending order, for
    /// [`page_states`](super::page_states).
    pub ranges: Vec<Range<u64>>,
    /// Private mappings: copied on write after a fork.
    pub private: PageSet,
    /// Private mappings that are writable now. Of the others only the anonymous pages count: a
    /// read-only page of a file is shared through the page cache, with or without a fork.
    pub writable: PageSet,
    /// Shared mappings.
    pub shared: PageSet,
    /// Private mappings of files.
    pub of_files: PageSet,
    /// Those of them that are writable and hold data, not a program or a library: of their pages
    /// fork copies no entries (it leaves that to page faults), so that a child shares by way of the
    /// page cache what it has not touched yet.
    pub by_page_cache: PageSet,
    /// The stack of the first thread.
    pub stack: PageSet,
}

impl Mappings {
    fn of(maps: &[MemoryMap]) -> Self {
        let file = |map: &MemoryMap| (map.dev, map.inode);
        let executable = |map: &&MemoryMap| map.perms.contains(MMPermissions::EXECUTE);
        let programs: HashSet<_> = maps.iter().filter(executable).map(file).collect();
        let mut mappings = Self::default();
        for map in maps {
            mappings.add(map, programs.contains(&file(map)));
        }
        mappings
    }

    fn add(&mut self, map: &MemoryMap, of_a_program: bool) {
        // The kernel's own pages are in every process and in no pagemap that means anything.
        if matches!(
            map.pathname,
            MMapPath::Vdso | MMapPath::Vvar | MMapPath::Vsyscall
        ) || matches!(&map.pathname, MMapPath::Other(name) if name.starts_with("vvar"))
        {
            return;
        }
        // Nor can anybody touch a reservation (`PROT_NONE`), and reading a pagemap takes time for
        // every page of it.
        let access = MMPermissions::READ | MMPermissions::WRITE | MMPermissions::EXECUTE;
        if !map.perms.intersects(access) || UNCOUNTED.contains(&map.address.0) {
            return;
        }
        let pages = map.address.0 / page_size()..map.address.1 / page_size();
        self.ranges.push(pages.clone());
        if map.perms.contains(MMPermissions::SHARED) {
            self.shared.insert_range(pages);
        } else {
            let writable = map.perms.contains(MMPermissions::WRITE);
            if writable {
                self.writable.insert_range(pages.clone());
            }
            match &map.pathname {
                MMapPath::Stack => {
                    self.stack.insert_range(pages.clone());
                }
                // Anonymous memory by another name (`mmap_zero` in drivers/char/mem.c).
                MMapPath::Path(path) if path == Path::new("/dev/zero") => {}
                MMapPath::Path(_) => {
                    self.of_files.insert_range(pages.clone());
                    if writable && !of_a_program {
                        self.by_page_cache.insert_range(pages.clone());
                    }
                }
                _ => {}
            }
            self.private.insert_range(pages);
        }
    }
}

/// Reads `/proc/PID/maps`, whatever bytes the names in it are made of.
///
/// # Errors
/// When the process is gone or may not be read.
pub fn memory_maps(pid: i32) -> Result<Vec<MemoryMap>, Error> {
    maps_of(pid, "maps")
}

/// The same of `smaps`.
pub(super) fn detailed_maps(pid: i32) -> Result<Vec<MemoryMap>, Error> {
    maps_of(pid, "smaps")
}

fn maps_of(pid: i32, file: &'static str) -> Result<Vec<MemoryMap>, Error> {
    let mut bytes = Vec::new();
    Process::new(pid)
        .and_then(|process| {
            let mut opened = process.open_relative(file)?;
            opened.read_to_end(&mut bytes)?;
            parse(&bytes)
        })
        .map_err(reading(pid, file))
}

/// procfs takes UTF-8 alone, and so it is given characters in the place of what is none. The path
/// is then made of the bytes.
fn parse(bytes: &[u8]) -> ProcResult<Vec<MemoryMap>> {
    let mut maps = MemoryMaps::from_read(String::from_utf8_lossy(bytes).as_bytes())?.0;
    let strange = bytes
        .split(|byte| *byte == b'\n')
        .filter(|line| std::str::from_utf8(line).is_err());
    for line in strange {
        // Address, permissions, offset, device, inode, and behind spaces the path.
        let mut path = line;
        for _ in 0..5 {
            let space = path.iter().position(|byte| *byte == b' ');
            path = path[space.unwrap_or(path.len())..].trim_ascii_start();
        }
        let address = line.split(|byte| *byte == b'-').next();
        let start = address
            .and_then(|address| std::str::from_utf8(address).ok())
            .and_then(|address| u64::from_str_radix(address, 16).ok());
        let map = maps.iter_mut().find(|map| Some(map.address.0) == start);
        if let Some(map) = map
            && path.first() == Some(&b'/')
        {
            map.pathname = MMapPath::Path(OsStr::from_bytes(path).into());
        }
    }
    Ok(maps)
}

/// The parts of an address space as [`Mappings`] has them.
///
/// # Errors
/// When the process is gone or may not be read.
pub fn mappings(pid: i32) -> Result<Mappings, Error> {
    Ok(Mappings::of(&memory_maps(pid)?))
}

/// Page numbers of the private mappings but for those of code, in ascending order: what a process
/// has written is there. Takes a part of the time that [`mappings`] does.
pub(super) fn private_memory(pid: i32) -> Result<Vec<Range<u64>>, Error> {
    let mut bytes = Vec::new();
    Process::new(pid)
        .and_then(|process| Ok(process.open_relative("maps")?.read_to_end(&mut bytes)?))
        .map_err(reading(pid, "maps"))?;
    // `7f0000000000-7f0000021000 rw-p …`
    let range = |line: &[u8]| {
        let mut words = line.split(|byte| *byte == b' ');
        let (addresses, permissions) = (words.next()?, words.next()?);
        let (start, end) = std::str::from_utf8(addresses).ok()?.split_once('-')?;
        let number = |text| u64::from_str_radix(text, 16).ok();
        let (start, end) = (number(start)?, number(end)?);
        (permissions.starts_with(b"r")
            && permissions.ends_with(b"p")
            && !permissions.contains(&b'x')
            && !UNCOUNTED.contains(&start))
        .then(|| start / page_size()..end / page_size())
    };
    Ok(bytes
        .split(|byte| *byte == b'\n')
        .filter_map(range)
        .collect())
}

/// A mapping whose bytes can be executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeMapping {
    /// Its addresses.
    pub range: Range<u64>,
    /// Where in the file it begins, in bytes.
    pub offset: u64,
    /// As the kernel gives it: the file, with ` (deleted)` behind it if that has been removed or
    /// replaced; a name in brackets (`[vdso]`); empty for anonymous memory.
    pub path: PathBuf,
}

/// Reads the executable mappings from `/proc/PID/maps`, in ascending order.
///
/// # Errors
/// When the process is gone or may not be read.
pub fn code_mappings(pid: i32) -> Result<Vec<CodeMapping>, Error> {
    Ok(memory_maps(pid)?.iter().filter_map(code).collect())
}

fn code(map: &MemoryMap) -> Option<CodeMapping> {
    map.perms
        .contains(MMPermissions::EXECUTE)
        .then(|| CodeMapping {
            range: map.address.0..map.address.1,
            offset: map.offset,
            path: match &map.pathname {
                MMapPath::Path(path) => path.clone(),
                MMapPath::Vdso => "[vdso]".into(),
                MMapPath::Vsyscall => "[vsyscall]".into(),
                MMapPath::Heap => "[heap]".into(),
                MMapPath::Stack | MMapPath::TStack(_) => "[stack]".into(),
                MMapPath::Other(name) => format!("[{name}]").into(),
                MMapPath::Vsys(_) => "/SYSV".into(),
                MMapPath::Anonymous | MMapPath::Vvar | MMapPath::Rollup => PathBuf::new(),
            },
        })
}

/// A set as ranges, in ascending order. It takes as long as there are ranges, not pages: a program
/// may have reserved a terabyte.
pub fn ranges(set: &PageSet) -> Vec<Range<u64>> {
    let mut ranges: Vec<Range<u64>> = Vec::new();
    for (high, pages) in set.bitmaps() {
        let first_of_bitmap = u64::from(high) << u32::BITS;
        let mut pages = pages.iter();
        while let Some(run) = pages.next_range() {
            let first = first_of_bitmap + u64::from(*run.start());
            let end = first_of_bitmap + u64::from(*run.end()) + 1;
            // The bitmaps' borders are nobody's.
            match ranges.last_mut() {
                Some(last) if last.end == first => last.end = end,
                _ => ranges.push(first..end),
            }
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mappings_of(text: &str) -> Mappings {
        Mappings::of(&parse(text.as_bytes()).unwrap())
    }

    #[test]
    fn a_path_is_of_any_bytes() {
        let text = b"10000-12000 r-xp 00003000 08:02 1 /tmp/b\xff d/lib.so (deleted)\n\
            12000-13000 rw-p 00000000 00:00 0 [anon:\xfe]\n13000-14000 rw-p 00000000 00:00 0 \n";
        let maps = parse(text).unwrap();
        assert_eq!(maps.len(), 3);
        let code = code(&maps[0]).unwrap();
        let path = OsStr::from_bytes(b"/tmp/b\xff d/lib.so (deleted)");
        assert_eq!(code.path, path);
        assert_eq!(maps[2].pathname, MMapPath::Anonymous);
    }

    fn line(first: u64, pages: u64, rest: &str) -> String {
        let page = page_size();
        format!("{:x}-{:x} {rest}\n", first * page, (first + pages) * page)
    }

    #[test]
    fn a_set_as_ranges_has_no_borders_but_its_own() {
        let set_of = |all: &[Range<u64>]| {
            let mut set = PageSet::new();
            for range in all {
                set.insert_range(range.clone());
            }
            set
        };
        // Across containers of 2^16, and bitmaps of 2^32; a terabyte of pages.
        let apart = [
            3..4,
            9..12,
            65_530..65_540,
            (1 << 28)..(1 << 29),
            u64::from(u32::MAX) - 1..(1 << 32) + 7,
        ];
        assert_eq!(ranges(&set_of(&apart)), apart);
        assert_eq!(ranges(&PageSet::new()), []);
    }

    proptest! {
        #[test]
        fn a_set_is_its_ranges(pages in proptest::collection::btree_set(0u64..400_000, 0..300)) {
            let set: PageSet = pages.iter().copied().collect();
            let ranges = ranges(&set);
            proptest::prop_assert!(ranges.windows(2).all(|two| two[0].end < two[1].start));
            let again: Vec<u64> = ranges.into_iter().flatten().collect();
            proptest::prop_assert_eq!(again, pages.into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn private_shared_and_the_kernels_own_are_told_apart() {
        let text = [
            line(16, 1, "r-xp 00000000 08:02 1 /usr/lib/libpython.so"),
            line(17, 2, "rw-p 00001000 08:02 1 /usr/lib/libpython.so"),
            line(32, 1, "rw-p 00000000 00:00 0 [heap]"),
            line(64, 4, "rw-s 00000000 00:01 2 /dev/shm/psm_1 (deleted)"),
            line(70, 9, "---p 00000000 00:00 0 "),
            line(80, 1, "r--p 00000000 00:00 0 [vvar]"),
            line(81, 1, "r--p 00000000 00:00 0 [vvar_vclock]"),
            line(82, 1, "r-xp 00000000 00:00 0 [vdso]"),
            line(UNCOUNTED.start / page_size(), 8, "rw-p 00000000 00:00 0 "),
        ]
        .concat();
        let mappings = mappings_of(&text);
        assert_eq!(ranges(&mappings.private), [16..19, 32..33]);
        assert_eq!(ranges(&mappings.writable), [17..19, 32..33]);
        assert_eq!(ranges(&mappings.shared), [64..68]);
        assert_eq!(mappings.ranges, [16..17, 17..19, 32..33, 64..68]);
    }

    #[test]
    fn a_private_file_is_shared_by_the_page_cache_unless_a_program_is_in_it() {
        let text = [
            line(16, 1, "r-xp 00000000 08:02 1 /usr/lib/libpython.so"),
            line(17, 2, "rw-p 00001000 08:02 1 /usr/lib/libpython.so"),
            line(32, 4, "rw-p 00000000 08:02 7 /tmp/data (deleted)"),
            line(36, 4, "r--p 00000000 08:02 8 /tmp/read"),
            line(40, 4, "rw-s 00000000 08:02 9 /tmp/shared"),
            line(50, 4, "rw-p 00000000 00:05 4 /dev/zero"),
            line(60, 2, "rw-p 00000000 00:00 0 [stack]"),
        ]
        .concat();
        let mappings = mappings_of(&text);
        assert_eq!(ranges(&mappings.by_page_cache), [32..36]);
        assert_eq!(ranges(&mappings.of_files), [16..19, 32..40]);
        assert_eq!(ranges(&mappings.stack), [60..62]);
    }

    #[test]
    fn code_is_what_can_be_executed_by_its_path_or_name() {
        let text = "\
            10000-12000 r-xp 00003000 08:02 1 /usr/lib/libpython.so\n\
            12000-13000 rw-p 00005000 08:02 1 /usr/lib/libpython.so\n\
            20000-21000 r-xp 00000000 08:02 2 /tmp/plugin.so (deleted)\n\
            30000-31000 rwxp 00000000 00:00 0 \n\
            40000-41000 r-xp 00000000 00:00 0 [vdso]\n\
            50000-51000 r-xp 00000000 00:00 0 [uprobes]\n";
        let maps = parse(text.as_bytes()).unwrap();
        let found: Vec<_> = maps.iter().filter_map(code).collect();
        let code = |start, end, offset, path: &str| CodeMapping {
            range: start..end,
            offset,
            path: path.into(),
        };
        let expected = [
            code(0x10000, 0x12000, 0x3000, "/usr/lib/libpython.so"),
            code(0x20000, 0x21000, 0, "/tmp/plugin.so (deleted)"),
            code(0x30000, 0x31000, 0, ""),
            code(0x40000, 0x41000, 0, "[vdso]"),
            code(0x50000, 0x51000, 0, "[uprobes]"),
        ];
        assert_eq!(found, expected);
    }

    proptest! {
        #[test]
        fn any_text_is_a_map_or_an_error(text in "[0-9a-f rwxps:/\\-\\[\\]\\n]{0,200}", byte in any::<u8>()) {
            let mut bytes = text.into_bytes();
            bytes.push(byte);
            let _ = parse(&bytes);
        }
    }
}
