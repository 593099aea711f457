//! Ways to share data with children, side by side.

use crate::model::Report;

/// For a terminal.
pub fn render(_report: &Report, _width: Option<u16>) -> Vec<u8> {
    Vec::new()
}

/// For a page.
pub fn render_markdown(_report: &Report) -> Vec<u8> {
    Vec::new()
}
