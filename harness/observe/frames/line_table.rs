//! From a place in a code to its line.

use super::layout::LineTable;

/// The line of a place, which is counted in what the table counts. Instructions that the compiler
/// has added belong to no line: to the one before them, then.
pub(super) fn line(kind: LineTable, table: &[u8], first: u32, place: i64) -> u32 {
    let first = i64::from(first);
    let line = match kind {
        // It has not begun.
        _ if place < 0 => first,
        LineTable::Steps => by_steps(table, first, place),
        LineTable::Ranges => by_ranges(table, first, place * 2),
        LineTable::Locations => by_locations(table, first, place),
    };
    u32::try_from(line).unwrap_or(0)
}

fn by_steps(table: &[u8], first: i64, place: i64) -> i64 {
    let (mut line, mut start) = (first, 0);
    for step in table.chunks_exact(2) {
        start += i64::from(step[0]);
        if start > place {
            break;
        }
        line += i64::from(step[1].cast_signed());
    }
    line
}

fn by_ranges(table: &[u8], first: i64, place: i64) -> i64 {
    let (mut line, mut end) = (first, 0);
    for range in table.chunks_exact(2) {
        // The least number stands for no line.
        match range[1].cast_signed() {
            i8::MIN => {}
            step => line += i64::from(step),
        }
        end += i64::from(range[0]);
        if place < end {
            break;
        }
    }
    line
}

fn by_locations(table: &[u8], first: i64, place: i64) -> i64 {
    let (mut line, mut end) = (first, 0);
    let mut rest = table;
    while let [head, tail @ ..] = rest {
        // Only the first byte of an entry has its highest bit set.
        let length = tail.iter().take_while(|byte| *byte & 0x80 == 0).count();
        line += match head >> 3 & 15 {
            // The line's step comes first.
            13 | 14 => step(&tail[..length]),
            kind @ 10..=12 => i64::from(kind - 10),
            _ => 0,
        };
        end += i64::from(head & 7) + 1;
        if place < end {
            break;
        }
        rest = &tail[length..];
    }
    line
}

/// Six bits a byte, the lowest first, as long as bit 6 is set; the sign is the lowest bit of all.
fn step(bytes: &[u8]) -> i64 {
    let mut number: u64 = 0;
    for (byte, shift) in bytes.iter().zip((0..60).step_by(6)) {
        number |= u64::from(byte & 63) << shift;
        if byte & 64 == 0 {
            break;
        }
    }
    let size = (number >> 1).cast_signed();
    if number & 1 == 0 { size } else { -size }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_series_writes_its_lines_down_in_its_own_way() {
        // Bytes 0–5: line 10; 6–9: line 12; from 10 on: line 11.
        let steps = [6, 2, 4, 255];
        let of = |place| line(LineTable::Steps, &steps, 10, place);
        assert_eq!(
            [-1, 0, 5, 6, 9, 10, 40].map(of),
            [10, 10, 10, 12, 12, 11, 11]
        );
        // The same in units of two bytes; then no line of its own, then line 13.
        let ranges = [6, 0, 4, 2, 4, 128, 2, 1];
        let of = |place| line(LineTable::Ranges, &ranges, 10, place);
        assert_eq!(
            [-1, 0, 2, 3, 4, 5, 6, 7, 40].map(of),
            [10, 10, 10, 12, 12, 12, 12, 13, 13]
        );
        // Units 0–1: line 10, short; 2: two lines on, with a column; 3–4: 40 lines back, no column;
        // 5: none of its own; 6: long.
        let locations = [
            0x80 | 1,
            0x12,
            0x80 | 12 << 3,
            1,
            2,
            0x80 | 13 << 3 | 1,
            64 | 17,
            1,
            0x80 | 15 << 3,
            0x80 | 14 << 3,
            2,
            0,
            1,
            2,
        ];
        let of = |place| line(LineTable::Locations, &locations, 50, place);
        assert_eq!(
            [-1, 0, 1, 2, 3, 4, 5, 6, 9].map(of),
            [50, 50, 50, 52, 12, 12, 12, 13, 13]
        );
    }

    #[test]
    fn a_table_of_anything_has_some_line() {
        let bytes: Vec<u8> = (0..=255).rev().collect();
        for kind in [LineTable::Steps, LineTable::Ranges, LineTable::Locations] {
            for end in 0..bytes.len() {
                line(kind, &bytes[..end], u32::MAX, 1_000_000);
            }
        }
    }
}
