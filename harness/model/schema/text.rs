//! Text that may be anybody's, made harmless for a terminal and a document.

/// Whether a letter would do something else on a terminal, or in a log that commands are read from, than be shown:
/// controls, line ends among them, and what turns the direction of writing (Unicode's UAX #9).
pub(super) fn is_no_letter(letter: char) -> bool {
    letter.is_control() || matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A text of the user's as a document may hold it: what is no letter is written as an escape.
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        match is_no_letter(letter) {
            true => shown.extend(letter.escape_unicode()),
            false => shown.push(letter),
        }
    }
    shown
}

/// The first line of what an error says, which may be an exception of the user's with any text: it has to fit into a document.
pub fn one_line(text: &str) -> String {
    /// More than anybody reads of a warning.
    const MOST_LETTERS: usize = 2_000;
    let line = text.lines().next().unwrap_or_default();
    let mut letters = line.chars();
    let begin: String = letters.by_ref().take(MOST_LETTERS).collect();
    let end = if letters.next().is_some() { "…" } else { "" };
    printable(&begin) + end
}

/// A text as [`printable`], of several lines, which stay lines, as tabs stay tabs: a traceback.
pub fn printable_lines(text: &str) -> String {
    text.split_inclusive(['\n', '\t'])
        .map(|piece| match piece.strip_suffix(['\n', '\t']) {
            Some(shown) => printable(shown) + &piece[shown.len()..],
            None => printable(piece),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stay_lines_and_controls_are_shown() {
        let shown = printable_lines("a\tb\n\u{1b}[31m c\r\n");
        assert_eq!(shown, "a\tb\n\\u{1b}[31m c\\u{d}\n");
    }

    #[test]
    fn what_an_error_says_fits_into_a_document() {
        assert_eq!(one_line("a\u{1b}[1m b\nc"), "a\\u{1b}[1m b");
        let long = one_line(&"\u{7}".repeat(1 << 20));
        assert!(long.ends_with("\\u{7}…") && long.len() < 20_000);
        assert_eq!(one_line(""), "");
    }
}
