//! A row of a comparison.

use crate::{Row, RowKey, RowValue, Status};

pub(super) fn row(
    key: RowKey,
    base: Option<RowValue>,
    new: Option<RowValue>,
    status: Status,
) -> Row {
    Row {
        key,
        base,
        new,
        status,
        because: None,
        other_data: Vec::new(),
        facts: Vec::new(),
    }
}
