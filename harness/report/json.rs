//! JSON: the report as it is.

use super::Error;
use crate::model::Report;

/// The document, indented, with a line's end.
pub fn render(report: &Report) -> Result<Vec<u8>, Error> {
    let mut bytes = serde_json::to_vec_pretty(report).map_err(|error| Error(error.to_string()))?;
    bytes.push(b'\n');
    Ok(bytes)
}
