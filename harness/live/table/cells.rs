//! What stands in the cells of tables.

/// Where nothing can be.
pub(super) const NOTHING: &str = "–";

/// At most so many characters.
pub(in crate::live) fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", text[..end].trim_end()),
        None => text.to_owned(),
    }
}
