//! Texts of charts: their fonts, how wide they are, and what becomes of long ones.

use std::collections::HashMap;
use std::sync::OnceLock;

use plotters::prelude::*;

use refcow_model::numbers::unbroken;

/// The font that comes with refcow, and what stands in for it where a page is shown without it:
/// narrower on all systems.
pub(super) const FONTS: &str = "DejaVu Sans, sans-serif";
/// No chart has room for a longer text.
const LONGEST: usize = 201;
/// Characters of what stands below a title.
const LONGEST_NOTE: usize = 4_000;

/// How a text looks.
#[derive(Clone, Copy)]
pub(super) struct Font {
    /// In pixels.
    pub size: i32,
    /// Whether it is a heading.
    pub bold: bool,
}

/// Of a chart.
pub(super) const TITLE: Font = Font {
    size: 15,
    bold: true,
};
/// Of a part of a chart.
pub(super) const HEADING: Font = Font {
    size: 12,
    bold: true,
};
/// All else.
pub(super) const TEXT: Font = Font {
    size: 12,
    bold: false,
};

/// The font's height, which plotters measures by, in its sizes.
const MEASURED: f64 = 1.164;

pub(super) fn description(font: Font, factor: f64) -> FontDesc<'static> {
    static REGISTERED: OnceLock<()> = OnceLock::new();
    REGISTERED.get_or_init(|| {
        for (style, bytes) in [
            (FontStyle::Normal, dejavu::sans::regular()),
            (FontStyle::Bold, dejavu::sans::bold()),
        ] {
            // It is a font: every drawing needs it, so that no test passes without.
            let _ = plotters::style::register_font(FONTS, style, bytes);
        }
    });
    let style = match font.bold {
        true => FontStyle::Bold,
        false => FontStyle::Normal,
    };
    FontDesc::new(
        FontFamily::Name(FONTS),
        f64::from(font.size) * factor,
        style,
    )
}

/// How wide a text is.
pub(super) fn width(text: &str, font: Font) -> i32 {
    let size = description(font, MEASURED).box_size(text);
    size.map_or(0, |(width, _)| i32::try_from(width + 1).unwrap_or(i32::MAX))
}

/// A text as a chart can show it: characters that XML has, numbers beside their units, and of a
/// text for which no chart has room its beginning and its end, in which names differ.
pub(super) fn clean(text: &str) -> String {
    let characters = text.chars().count();
    if characters <= LONGEST {
        return unbroken(&shown(text.chars()));
    }
    let half = (LONGEST - 1) / 2;
    let beginning = shown(text.chars().take(half));
    let end = shown(text.chars().skip(characters - half));
    unbroken(&format!("{beginning}…{end}"))
}

/// As much of a text as has room for so many characters.
pub(super) fn shortened(text: &str, longest: usize) -> String {
    let mut text = shown(text.chars().take(longest + 1));
    if text.chars().count() > longest {
        text.pop();
        text.push('…');
    }
    text
}

fn shown(characters: impl Iterator<Item = char>) -> String {
    let characters = characters.map(|character| match character {
        '\u{fffe}' | '\u{ffff}' => '\u{fffd}',
        character if character.is_control() => ' ',
        character => character,
    });
    characters.collect()
}

/// Names of things that are not the same, as a chart can show them: no two are alike.
pub(super) fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut given: HashMap<String, usize> = HashMap::new();
    let names = names.map(|name| {
        let name = clean(name);
        let number = given.entry(name.clone()).or_default();
        *number += 1;
        match *number {
            1 => name,
            number => format!("{name} ({number})"),
        }
    });
    names.collect()
}

/// A figure, or as much of it as fits into a width.
pub(super) fn fit(text: &str, room: i32, font: Font) -> String {
    let text = clean(text);
    if width(&text, font) <= room {
        return text;
    }
    let shown = |end: usize| text[..end].trim_end().to_owned() + "…";
    let ends: Vec<usize> = text.char_indices().map(|(end, _)| end).collect();
    let fitting = ends.partition_point(|end| width(&shown(*end), font) <= room);
    shown(ends[fitting.saturating_sub(1)])
}

/// A text in lines of a width. What is wider without a space is broken, behind a sign that parts
/// names if there is one.
pub(super) fn wrap(text: &str, room: i32, font: Font) -> Vec<String> {
    let text = unbroken(&shortened(text, LONGEST_NOTE));
    // To measure takes most of the time that a chart takes, and no character is wider than this.
    let widest = font.size * 5 / 4;
    if i32::try_from(text.chars().count()).is_ok_and(|number| number * widest <= room) {
        return vec![text];
    }
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        if let Some(line) = lines.last_mut()
            && width(&format!("{line} {word}"), font) <= room
        {
            line.push(' ');
            line.push_str(word);
            continue;
        }
        let mut rest = word;
        while width(rest, font) > room {
            let ends: Vec<usize> = rest.char_indices().map(|(end, _)| end).skip(1).collect();
            let fitting = ends.partition_point(|end| width(&rest[..*end], font) <= room);
            let Some(&end) = ends.get(fitting.saturating_sub(1)) else {
                break;
            };
            let parted = rest[..end].rfind(['_', '-', '.', '/', ':', ',', '\u{a0}']);
            let parted =
                parted.map(|place| place + rest[place..].chars().next().map_or(1, char::len_utf8));
            let end = parted.filter(|place| *place > end / 2).unwrap_or(end);
            lines.push(rest[..end].to_owned());
            rest = &rest[end..];
        }
        lines.push(rest.to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_broken_and_not_cut() {
        let name = "visit_the_first_of_all_tables.by_key_and_value";
        let lines = wrap(name, 100, TEXT);
        assert!(lines.len() > 2, "{lines:?}");
        assert_eq!(lines.concat(), name);
        assert!(
            lines.iter().all(|line| width(line, TEXT) <= 100),
            "{lines:?}"
        );
        assert!(lines[0].ends_with('_'), "{lines:?}");
    }

    #[test]
    fn a_line_does_not_end_between_a_number_and_its_unit() {
        let text = "a list of 64 KiB of content";
        for room in 60..200 {
            let lines = wrap(text, room, TEXT);
            assert!(lines.iter().all(|line| !line.ends_with("64")), "{lines:?}");
        }
    }

    #[test]
    fn names_that_differ_stay_different() {
        let long = |end: &str| format!("{}{}{end}", "a".repeat(300), "b".repeat(300));
        let (one, other) = (long("one"), long("other"));
        let names = distinct([&one[..], &other, "c", &long("one")].into_iter());
        assert!(names[0].ends_with("one") && names[1].ends_with("other"));
        assert_eq!(names[2], "c");
        assert_eq!(names[3], format!("{} (2)", names[0]));
    }
}
