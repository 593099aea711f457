//! Colours: each has a name, and another shade on a dark page.

use refcow_model::{Cause, Fate, RegionName};

/// A colour of the charts. No two are alike in the light, so that the drawn one tells which it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Colour {
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
pub(super) const BACKGROUND: Colour = colour("background", 0xFFFFFF, 0x14181D);
/// Text.
pub(super) const INK: Colour = colour("ink", 0x1F2328, 0xE6EDF3);
/// Text of less weight.
pub(super) const MUTED: Colour = colour("muted", 0x57606A, 0x9DA7B3);
/// Lines that values are read off at.
pub(super) const LINE: Colour = colour("line", 0xD8DEE4, 0x343B43);
/// Bars.
pub(super) const BAR: Colour = colour("bar", 0x1F6FB2, 0x4C9BE0);

/// Behind it: new memory.
pub(super) const NEW: Colour = colour("new", 0xE08A2E, 0xE9A157);
/// Behind that: pages of files.
pub(super) const FILES: Colour = colour("files", 0xB9C2CC, 0x5B6672);

/// A line that shows what would be: it has gaps.
pub(super) const SUPPOSED: Colour = colour("supposed", 0x57606B, 0x9DA7B4);

/// What is still shared of the data: the colour of its region, paler or darker than all that is
/// copied.
const REGIONS: [(RegionName, Colour); 5] = [
    (RegionName::Header, colour("header", 0xF9CA8F, 0x464208)),
    (RegionName::Spine, colour("spine", 0xD3FBCB, 0x1B361C)),
    (RegionName::Payload, colour("payload", 0xD1D9E5, 0x064278)),
    (RegionName::Native, colour("native", 0xE1CEC9, 0x573841)),
    (RegionName::Segment, colour("segment", 0xDACAFF, 0x352D48)),
];
/// What is still shared of the process around the data.
const AROUND: Colour = colour("around", 0xE6E6E0, 0x33342F);

/// What was copied, by the cause of the first write: identical to the original; changed, or not
/// compared.
///
/// Found by a search for the colours that are farthest from each other for all eyes; the tests
/// below say how far.
const CAUSES: [[Colour; 2]; Cause::ALL.len()] = [
    [
        colour("refcount-identical", 0xDE3C09, 0xB27E4B),
        colour("refcount-changed", 0xAB1600, 0xF38300),
    ],
    [
        colour("gc-identical", 0x5E6CB2, 0x8088BA),
        colour("gc-changed", 0x0047A7, 0x94A3FC),
    ],
    [
        colour("buffer-identical", 0x466143, 0x8FC68A),
        colour("buffer-changed", 0x0B442F, 0x88FFB2),
    ],
    [
        colour("body-identical", 0xBE2D71, 0xF84084),
        colour("body-changed", 0x731A69, 0xDA8EAB),
    ],
    [
        colour("allocator-identical", 0x7E7A4D, 0xEBCB5E),
        colour("allocator-changed", 0x302200, 0xFEFC00),
    ],
    [
        colour("kernel-identical", 0x4800FC, 0x956FFF),
        colour("kernel-changed", 0x28004C, 0xD7C5FF),
    ],
    [
        colour("khugepaged-identical", 0x23848E, 0x14CAC5),
        colour("khugepaged-changed", 0x216A67, 0xCBF4FE),
    ],
    [
        colour("unattributed-identical", 0x363F45, 0x888988),
        colour("unattributed-changed", 0x1A1816, 0xF4F8EF),
    ],
];
/// What was copied before the visit began.
const ON_THE_WAY: Colour = colour("on-the-way", 0x121F2D, 0xBECEBB);

/// From little to much, each with the text on it.
pub(super) const HEAT: [(Colour, Colour); 6] = [
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
pub(super) const LINES: [Colour; 6] = [
    colour("line-1", 0x008FFE, 0xACB6E4),
    colour("line-2", 0xCF781A, 0xFF9D3D),
    colour("line-3", 0x2B7262, 0x04FDCA),
    colour("line-4", 0x3C002B, 0xC52476),
    colour("line-5", 0x4A4700, 0x756C00),
    colour("line-6", 0x5025B0, 0x9358FD),
];

/// The colour of a region's pages as long as they are shared.
pub(super) fn region(name: RegionName) -> Colour {
    let found = REGIONS.iter().find(|(known, _)| *known == name);
    found.map_or(AROUND, |(_, colour)| *colour)
}

/// The colour of a page.
pub(super) fn fate(of: RegionName, fate: Fate) -> Colour {
    match fate {
        Fate::Shared => region(of),
        Fate::OnTheWay => ON_THE_WAY,
        Fate::Copied { cause, identical } => {
            // Whether nobody recorded the cause or the record says nothing, it is not known.
            let cause = cause.unwrap_or(Cause::Unattributed);
            let place = Cause::ALL.iter().position(|one| *one == cause);
            let [same, changed] = CAUSES[place.unwrap_or(CAUSES.len() - 1)];
            if identical == Some(true) {
                same
            } else {
                changed
            }
        }
    }
}

/// Which colour of [`HEAT`] a part from 0 to 1 has: the first for nothing, and no other for
/// nothing.
pub(crate) fn heat(part: f64) -> usize {
    match part {
        ..=0.0 => 0,
        ..0.01 => 1,
        ..0.1 => 2,
        ..0.5 => 3,
        ..0.9 => 4,
        _ => 5,
    }
}

/// What the colours of [`HEAT`] stand for.
pub(super) const HEAT_WORDS: [&str; HEAT.len()] = [
    "none",
    "< 1 %",
    "< 10 %",
    "< 50 %",
    "< 90 %",
    "90 % and more",
];

/// All colours, each once.
pub(super) fn all() -> impl Iterator<Item = Colour> {
    let single = [
        BACKGROUND, INK, MUTED, LINE, BAR, NEW, FILES, SUPPOSED, HEAT_INK, AROUND, ON_THE_WAY,
    ]
    .into_iter();
    single
        .chain(REGIONS.map(|(_, colour)| colour))
        .chain(CAUSES.into_iter().flatten())
        .chain(HEAT.map(|(colour, _)| colour))
        .chain(LINES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use palette::color_difference::Ciede2000;
    use palette::{FromColor, LinSrgb, Srgb};
    use std::collections::BTreeSet;

    type Lab = palette::Lab<palette::white_point::D65, f64>;

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
        for copied in copied() {
            for (_, region) in REGIONS {
                apart(copied, region, 2.9);
            }
        }
        for colour in LINES.into_iter().chain([BAR]) {
            apart(colour, BACKGROUND, 3.0);
        }
    }

    fn copied() -> Vec<Colour> {
        let causes = CAUSES.into_iter().flatten();
        causes.chain([ON_THE_WAY]).collect()
    }

    /// How eyes see that lack one of the three kinds of cones, as matrices of linear sRGB: severity
    /// 1.0 in Machado, Oliveira and Fernandes, "A Physiologically-based Model for Simulation of
    /// Color Vision Deficiency", IEEE Transactions on Visualization and Computer Graphics 15 (6),
    /// 2009.
    const EYES: [(&str, [[f64; 3]; 3]); 4] = [
        (
            "all cones",
            [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
        ),
        (
            "protanopia",
            [
                [0.152286, 1.052583, -0.204868],
                [0.114503, 0.786281, 0.099216],
                [-0.003882, -0.048116, 1.051998],
            ],
        ),
        (
            "deuteranopia",
            [
                [0.367322, 0.860646, -0.227968],
                [0.280085, 0.672501, 0.047413],
                [-0.011820, 0.042940, 0.968881],
            ],
        ),
        (
            "tritanopia",
            [
                [1.255528, -0.076749, -0.178779],
                [-0.078411, 0.930809, 0.147602],
                [0.004733, 0.691367, 0.303900],
            ],
        ),
    ];

    fn seen(colour: u32, eyes: [[f64; 3]; 3]) -> Lab {
        let linear: LinSrgb<f64> = Srgb::from(colour).into_linear();
        let [red, green, blue] = eyes.map(|row| {
            let sum = row[0] * linear.red + row[1] * linear.green + row[2] * linear.blue;
            sum.clamp(0.0, 1.0)
        });
        Lab::from_color(LinSrgb::new(red, green, blue))
    }

    /// Whether any two of these colours are so far apart (CIEDE2000) for all eyes, on a light page
    /// and on a dark one.
    fn told_apart(colours: &[Colour], least: f64) {
        for (place, one) in colours.iter().enumerate() {
            for other in &colours[..place] {
                for (eyes, matrix) in EYES {
                    for (page, one, other) in [
                        ("light", one.light, other.light),
                        ("dark", one.dark, other.dark),
                    ] {
                        let distance = seen(one, matrix).difference(seen(other, matrix));
                        assert!(
                            distance >= least,
                            "{one:06X} {other:06X}, {page}, {eyes}: {distance:.2}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn distances_are_those_of_the_standard() {
        // Two of the pairs that Sharma, Wu and Dalal published with CIEDE2000 for those who write
        // it.
        for (one, other, expected) in [
            ([50.0, 2.6772, -79.7751], [50.0, 0.0, -82.7485], 2.0425),
            (
                [2.0776, 0.0795, -1.1350],
                [0.9033, -0.0636, -0.5514],
                0.9082,
            ),
        ] {
            let [one, other] = [one, other].map(|[l, a, b]: [f64; 3]| Lab::new(l, a, b));
            assert!((one.difference(other) - expected).abs() < 1e-4);
        }
    }

    #[test]
    fn all_eyes_tell_what_was_copied_why_and_where() {
        told_apart(&copied(), 10.0);
        told_apart(&REGIONS.map(|(_, colour)| colour), 9.0);
        for copied in copied() {
            for (_, region) in REGIONS {
                told_apart(&[copied, region], 15.0);
            }
        }
    }

    #[test]
    fn all_eyes_tell_the_parts_of_bars_the_steps_of_a_scale_and_lines() {
        told_apart(&[BACKGROUND, BAR, NEW, FILES], 10.0);
        for steps in HEAT.windows(2) {
            told_apart(&[steps[0].0, steps[1].0], 5.0);
        }
        told_apart(&LINES, 20.0);
    }

    #[test]
    fn only_nothing_has_the_colour_of_nothing() {
        assert_eq!(
            [0.0, 0.000_1, 0.05, 0.196, 0.75, 1.0].map(heat),
            [0, 1, 2, 3, 4, 5]
        );
    }
}
