//! What stands in the cells of tables.

use crate::report::wrapped;

/// Columns of prose where there is no terminal. Tables are as wide there as they need.
const READABLE: u16 = 80;

/// Sentences, in lines.
pub(super) fn prose(words: &str, width: Option<u16>, indent: &str) -> String {
    wrapped(words, width.unwrap_or(READABLE), indent)
}

/// Where nothing can be.
pub(super) const NOTHING: &str = "–";

/// At most so many characters.
pub(in crate::live) fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", text[..end].trim_end()),
        None => text.to_owned(),
    }
}
