//! Colours: each has a name, and another shade on a dark page.

use crate::model::{Cause, Fate, RegionName};

/// A colour of the charts. No two are alike in the light, so that the drawn one tells which it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour {
    /// Of its CSS variable, behind `--refcow-`.
    pub name: &'static str,
    /// Red, green and blue on a light page, and in every file.
    pub light: u32,
    /// On a dark page.
    pub dark: u32,
}

const fn colour(name: &'static str, light: u32, dark: u32) -> Colour {
    Colour { name, light, dark }
}

/// Behind everything.
pub const BACKGROUND: Colour = colour("background", 0xFFFFFF, 0x14181D);
/// Text.
pub const INK: Colour = colour("ink", 0x1F2328, 0xE6EDF3);
/// Text of less weight.
pub const MUTED: Colour = colour("muted", 0x57606A, 0x9DA7B3);
/// Lines that values are read off at.
pub const LINE: Colour = colour("line", 0xD8DEE4, 0x343B43);
/// Bars.
pub const BAR: Colour = colour("bar", 0x1F6FB2, 0x4C9BE0);

/// Behind it: new memory.
pub const NEW: Colour = colour("new", 0xE08A2E, 0xE9A157);
/// Behind that: pages of files.
pub const FILES: Colour = colour("files", 0xB9C2CC, 0x5B6672);

/// A line that shows what would be: it has gaps.
pub const SUPPOSED: Colour = colour("supposed", 0x57606B, 0x9DA7B4);

/// What is still shared: the colour of its region.
const REGIONS: [Colour; RegionName::ALL.len()] = [
    colour("header", 0xF7CD69, 0x3E2E0A),
    colour("spine", 0xB6DCAA, 0x21351B),
    colour("payload", 0xB2D6F4, 0x13324C),
    colour("native", 0xF3C6C6, 0x4A1A1C),
    colour("segment", 0xE0C9F1, 0x44215D),
    colour("modules", 0xC5E3DF, 0x123833),
    colour("interpreter", 0xD6DBEE, 0x29304B),
    colour("libraries", 0xE3DCCB, 0x383223),
    colour("stack", 0xE6E6E0, 0x33342F),
    colour("rest", 0xCED2D7, 0x2D3134),
];

/// What was copied, by cause (the last: not known): identical to the original, changed, not compared.
///
/// Three shades of one hue, each at least three times as light or dark as the next one and as what is shared.
const CAUSES: [[Colour; 3]; Cause::ALL.len() + 1] = [
    [
        colour("refcount-identical", 0xC74F00, 0xD65600),
        colour("refcount-changed", 0x4A1E00, 0xFFD8BD),
        colour("refcount-copied", 0xFF8432, 0xFF9248),
    ],
    [
        colour("gc-identical", 0x0079C5, 0x0083D5),
        colour("gc-changed", 0x002E4A, 0xBCE5FF),
        colour("gc-copied", 0x2AAEFF, 0x42B6FE),
    ],
    [
        colour("buffer-identical", 0x00865A, 0x009160),
        colour("buffer-changed", 0x003222, 0x00FEAA),
        colour("buffer-copied", 0x00BD7E, 0x00C583),
    ],
    [
        colour("body-identical", 0xCD388F, 0xD24B99),
        colour("body-changed", 0x4E1436, 0xF5D7E9),
        colour("body-copied", 0xE28ABD, 0xE495C2),
    ],
    [
        colour("allocator-identical", 0x8B7400, 0x957C00),
        colour("allocator-changed", 0x332A00, 0xFFDF3C),
        colour("allocator-copied", 0xC4A400, 0xCDAA01),
    ],
    [
        colour("kernel-identical", 0x7E61D7, 0x876CDA),
        colour("kernel-changed", 0x2E1B6A, 0xE2DBF6),
        colour("kernel-copied", 0xAD9BE6, 0xB5A4E7),
    ],
    [
        colour("khugepaged-identical", 0x00808A, 0x008B95),
        colour("khugepaged-changed", 0x003034, 0x8CF5FF),
        colour("khugepaged-copied", 0x00B3C0, 0x00BBC9),
    ],
    [
        colour("unattributed-identical", 0x6E767D, 0x787F87),
        colour("unattributed-changed", 0x292B2E, 0xDEE0E1),
        colour("unattributed-copied", 0xA1A6AC, 0xAAAEB2),
    ],
    [
        colour("unknown-identical", 0x757575, 0x7F7F7F),
        colour("unknown-changed", 0x2B2B2B, 0xE0E0E0),
        colour("unknown-copied", 0xA6A6A6, 0xAEAEAF),
    ],
];

/// From little to much, each with the text on it.
pub const HEAT: [(Colour, Colour); 6] = [
    (colour("heat-0", 0xF6F8FA, 0x1C2128), INK),
    (colour("heat-1", 0xFDE9DA, 0x421C03), INK),
    (colour("heat-2", 0xFBCFAF, 0x5E2905), INK),
    (colour("heat-3", 0xF8AD7A, 0x7A3306), INK),
    (colour("heat-4", 0xB94F08, 0xF0A06A), HEAT_INK),
    (colour("heat-5", 0x8A3B05, 0xF9BF96), HEAT_INK),
];
/// Text on much.
const HEAT_INK: Colour = colour("heat-ink", 0xFFFFFE, 0x14181C);

/// Lines of a chart that has several.
pub const LINES: [Colour; 6] = [
    colour("line-1", 0x0072B2, 0x56B4E9),
    colour("line-2", 0xC24E00, 0xF28E4B),
    colour("line-3", 0x007F5C, 0x2CC79B),
    colour("line-4", 0xA8467F, 0xDB8DBB),
    colour("line-5", 0x7A6600, 0xD9BC2B),
    colour("line-6", 0x5B4BB5, 0xA99DED),
];

/// The colour of a region's pages as long as they are shared.
pub fn region(name: RegionName) -> Colour {
    let place = RegionName::ALL.iter().position(|one| *one == name);
    REGIONS[place.unwrap_or(REGIONS.len() - 1)]
}

/// The colour of a page.
pub fn fate(of: RegionName, fate: Fate) -> Colour {
    let (cause, identical) = match fate {
        Fate::Shared => return region(of),
        // Whoever has written there, it is a copy.
        Fate::OnTheWay => (None, None),
        Fate::Copied { cause, identical } => (cause, identical),
    };
    let place = Cause::ALL.iter().position(|one| Some(*one) == cause);
    let [same, changed, not_compared] = CAUSES[place.unwrap_or(CAUSES.len() - 1)];
    match identical {
        Some(true) => same,
        Some(false) => changed,
        None => not_compared,
    }
}

/// All colours, each once.
pub fn all() -> impl Iterator<Item = Colour> {
    let single = [
        BACKGROUND, INK, MUTED, LINE, BAR, NEW, FILES, SUPPOSED, HEAT_INK,
    ]
    .into_iter();
    single
        .chain(REGIONS)
        .chain(CAUSES.into_iter().flatten())
        .chain(HEAT.map(|(colour, _)| colour))
        .chain(LINES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// WCAG's contrast ratio.
    fn contrast(one: u32, other: u32) -> f64 {
        let luminance = |colour: u32| {
            let part = |shift: u32| {
                let value = f64::from(colour >> shift & 0xFF) / 255.0;
                match value <= 0.04045 {
                    true => value / 12.92,
                    false => ((value + 0.055) / 1.055).powf(2.4),
                }
            };
            0.2126 * part(16) + 0.7152 * part(8) + 0.0722 * part(0)
        };
        let (one, other) = (luminance(one), luminance(other));
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    /// Whether two colours are so far apart, in the light and in the dark.
    fn apart(one: Colour, other: Colour, least: f64) {
        for (mode, ratio) in [
            ("light", contrast(one.light, other.light)),
            ("dark", contrast(one.dark, other.dark)),
        ] {
            assert!(ratio >= least, "{one:?} {other:?} {mode}: {ratio:.2}");
        }
    }

    #[test]
    fn no_two_colours_are_alike() {
        let all: Vec<_> = all().collect();
        let names: BTreeSet<_> = all.iter().map(|colour| colour.name).collect();
        let drawn: BTreeSet<_> = all.iter().map(|colour| colour.light).collect();
        assert_eq!((names.len(), drawn.len()), (all.len(), all.len()));
    }

    #[test]
    fn text_can_be_read() {
        apart(INK, BACKGROUND, 7.0);
        apart(MUTED, BACKGROUND, 4.5);
        for (cell, text) in HEAT {
            apart(cell, text, 4.5);
        }
    }

    #[test]
    fn what_is_copied_stands_out_of_what_is_shared() {
        for [identical, changed, _] in CAUSES {
            apart(identical, changed, 3.0);
            for region in REGIONS {
                apart(identical, region, 2.9);
                apart(changed, region, 7.0);
            }
        }
        for colour in LINES.into_iter().chain([BAR]) {
            apart(colour, BACKGROUND, 3.0);
        }
    }
}
