//! JSON: a document as it is.

use serde::Serialize;

use super::error::Error;

/// The document, indented, with a line's end.
pub(crate) fn render(document: &impl Serialize) -> Result<Vec<u8>, Error> {
    let mut bytes =
        serde_json::to_vec_pretty(document).map_err(|error| Error(error.to_string()))?;
    bytes.push(b'\n');
    Ok(bytes)
}
