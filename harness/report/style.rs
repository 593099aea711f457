//! For whom a report is written, and text in lines of a width.

/// Columns of a pipe or a file, which have no width of their own: a log is read at this width.
pub(crate) const READABLE: u16 = 80;

/// For whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// A terminal so many columns wide; `None` for a pipe.
    Terminal {
        /// Columns.
        width: Option<u16>,
        /// Whether verdicts are coloured.
        colours: bool,
    },
    /// A page or a pull request.
    Markdown,
}

/// For a terminal without colours.
pub(crate) fn plain(width: Option<u16>) -> Style {
    Style::Terminal {
        width,
        colours: false,
    }
}

/// Adds a sentence, in lines no longer than the terminal's.
pub(crate) fn say(text: &mut String, width: Option<u16>, sentence: &str) {
    match width {
        Some(width) => text.push_str(&wrapped(sentence, width, "")),
        None => {
            text.push_str(sentence);
            text.push('\n');
        }
    }
}

/// Words in lines of at most so many columns, each with its end.
pub fn wrapped(words: &str, width: u16, indent: &str) -> String {
    // Paths stay whole, for whoever copies them.
    let options = textwrap::Options::new(usize::from(width))
        .initial_indent(indent)
        .subsequent_indent(indent)
        .word_separator(textwrap::WordSeparator::AsciiSpace)
        .word_splitter(textwrap::WordSplitter::NoHyphenation)
        .break_words(false);
    let mut text = textwrap::fill(words, options).trim_end().to_owned();
    text.push('\n');
    text
}
