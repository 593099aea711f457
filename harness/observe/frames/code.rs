//! What a code object says of itself: its file, its function and its lines.

use std::collections::HashMap;
use std::sync::Arc;

use super::layout::CodeObject;
use super::line_table;
use super::memory::{ReadMemory, field, is_address};

/// What tells the code of a user.
pub type IsOwn = Box<dyn Fn(&str) -> bool + Send>;

/// The longest name and table that are read.
const LONGEST_TEXT: u64 = 4096;
const LONGEST_TABLE: u64 = 4 << 20;

/// Code that was read.
pub(super) struct KnownCode {
    /// What its struct says: if that is another, it is another code at the same address.
    pub(super) fields: Vec<u8>,
    file: Arc<str>,
    function: Arc<str>,
    first_line: u32,
    table: Vec<u8>,
    /// Whether it is the user's own.
    pub(super) is_own: bool,
    /// By place in the code.
    lines: HashMap<i64, Arc<str>>,
}

/// The code of which these are the fields.
pub(super) fn known_code(
    layout: &CodeObject,
    fields: Vec<u8>,
    is_own: &IsOwn,
    read: &mut impl ReadMemory,
) -> Option<KnownCode> {
    let of = |at: u64| {
        let at = usize::try_from(at - layout.first()).ok()?;
        fields
            .get(at..at + 8)?
            .try_into()
            .ok()
            .map(u64::from_ne_bytes)
    };
    let file: Arc<str> = text(layout, of(layout.file)?, read)?.into();
    let function = text(layout, of(layout.function)?, read)?.into();
    let first_line = u32::try_from(of(layout.first_line)? & 0xffff_ffff).ok()?;
    let table = of(layout.line_table)?;
    let length = field(read, table, layout.bytes_length)?;
    if !is_address(table) || length > LONGEST_TABLE {
        return None;
    }
    let mut bytes = vec![0; usize::try_from(length).ok()?];
    if !read(table + layout.bytes_content, &mut bytes) {
        return None;
    }
    Some(KnownCode {
        is_own: is_own(&file),
        file,
        function,
        first_line,
        table: bytes,
        lines: HashMap::new(),
        fields,
    })
}

impl KnownCode {
    /// What stands for a place in it: `FUNCTION (FILE:LINE)`.
    pub(super) fn line(&mut self, layout: &CodeObject, place: i64) -> Arc<str> {
        if let Some(line) = self.lines.get(&place) {
            return Arc::clone(line);
        }
        let line = line_table::line(layout.line_table_is, &self.table, self.first_line, place);
        let Self { file, function, .. } = self;
        let line: Arc<str> = format!("{function} ({file}:{line})").into();
        self.lines.insert(place, Arc::clone(&line));
        line
    }
}

/// What a str says.
fn text(layout: &CodeObject, object: u64, read: &mut impl ReadMemory) -> Option<String> {
    /// Bits of its state: one, two or four bytes a letter, all in the object itself, all of ASCII.
    const COMPACT: u64 = 1 << 5;
    const ASCII: u64 = 1 << 6;
    if !is_address(object) {
        return None;
    }
    let length = field(read, object, layout.text_length)?;
    let state = field(read, object, layout.text_state)?;
    if length > LONGEST_TEXT || state & COMPACT == 0 {
        return None;
    }
    // Behind the head of one that is not of ASCII stand the length and the address of its UTF-8.
    let head = layout.ascii_head + if state & ASCII == 0 { 16 } else { 0 };
    let head = head
        + if layout.text_has_wide_head && state & ASCII == 0 {
            8
        } else {
            0
        };
    let width = state >> 2 & 7;
    if ![1, 2, 4].contains(&width) {
        return None;
    }
    let mut bytes = vec![0; usize::try_from(length * width).ok()?];
    if !read(object + head, &mut bytes) {
        return None;
    }
    let letters = bytes.chunks(usize::try_from(width).ok()?).map(|letter| {
        let number = letter
            .iter()
            .rev()
            .fold(0, |number, byte| number << 8 | u32::from(*byte));
        char::from_u32(number).unwrap_or(char::REPLACEMENT_CHARACTER)
    });
    Some(letters.collect())
}
