//! A drawing: shapes at whole pixels, as an SVG document and as an image.

use std::sync::{Arc, OnceLock};

use minijinja::HtmlEscape;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{self, fontdb};

use super::theme::{self, Colour};
use crate::report::Error;

/// How wide each chart is.
pub const WIDTH: i32 = 600;
/// Between a chart's edge and what it shows.
pub const MARGIN: i32 = 16;
/// Pixels of an image for one of its drawing's.
const SCALE: u16 = 2;
/// The font that comes with refcow, and what stands in for it where a page is shown without it: narrower on all systems.
const FONTS: &str = "DejaVu Sans, sans-serif";
/// No chart has room for a longer text.
const LONGEST: usize = 200;

/// How a text looks.
#[derive(Clone, Copy)]
pub struct Font {
    /// In pixels.
    pub size: i32,
    /// Whether it is a heading.
    pub bold: bool,
}

/// Of a chart.
pub const TITLE: Font = Font {
    size: 15,
    bold: true,
};
/// Of a part of a chart.
pub const HEADING: Font = Font {
    size: 12,
    bold: true,
};
/// All else.
pub const TEXT: Font = Font {
    size: 12,
    bold: false,
};

/// Which point of a text its place is.
#[derive(Clone, Copy)]
pub enum Anchor {
    /// Where it begins.
    Start,
    /// The middle.
    Middle,
    /// Where it ends.
    End,
}

enum Shape {
    Box {
        place: [(i32, i32); 2],
        colour: Colour,
    },
    Path {
        points: Vec<(i32, i32)>,
        width: u32,
        colour: Colour,
    },
    Dot {
        at: (i32, i32),
        colour: Colour,
    },
    Text {
        at: (i32, i32),
        text: String,
        font: Font,
        anchor: Anchor,
        colour: Colour,
    },
}

/// Shapes, the later ones over the earlier.
#[derive(Default)]
pub struct Sketch {
    shapes: Vec<Shape>,
    /// Whether it has lines that are neither upright nor level.
    slanted: bool,
}

impl Sketch {
    /// A filled box.
    pub fn area(&mut self, left: i32, top: i32, width: i32, height: i32, colour: Colour) {
        self.shapes.push(Shape::Box {
            place: [(left, top), (left + width, top + height)],
            colour,
        });
    }

    /// A line through points.
    pub fn path(&mut self, points: Vec<(i32, i32)>, width: u32, colour: Colour) {
        let level = |pair: &[(i32, i32)]| pair[0].0 == pair[1].0 || pair[0].1 == pair[1].1;
        self.slanted |= !points.windows(2).all(level);
        self.shapes.push(Shape::Path {
            points,
            width,
            colour,
        });
    }

    /// A small disc.
    pub fn dot(&mut self, at: (i32, i32), colour: Colour) {
        self.shapes.push(Shape::Dot { at, colour });
    }

    /// A line of text, so high that `at` is in the middle of its small letters.
    pub fn text(
        &mut self,
        at: (i32, i32),
        text: impl Into<String>,
        font: Font,
        anchor: Anchor,
        colour: Colour,
    ) {
        self.shapes.push(Shape::Text {
            at,
            text: text.into(),
            font,
            anchor,
            colour,
        });
    }

    /// The SVG document, so high, with what it shows in words.
    ///
    /// # Errors
    /// None that is known of.
    pub fn finish(self, height: i32, title: &str, alt: &str) -> Result<String, Error> {
        let mut svg = String::new();
        let size = (WIDTH.unsigned_abs(), height.unsigned_abs());
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        area.fill(&rgb(theme::BACKGROUND)).map_err(failed)?;
        for shape in self.shapes {
            match shape {
                Shape::Box { place, colour } => {
                    area.draw(&Rectangle::new(place, rgb(colour).filled()))
                }
                Shape::Path {
                    points,
                    width,
                    colour,
                } => area.draw(&PathElement::new(points, rgb(colour).stroke_width(width))),
                Shape::Dot { at, colour } => area.draw(&Circle::new(at, 3, rgb(colour).filled())),
                Shape::Text {
                    at,
                    text,
                    font,
                    anchor,
                    colour,
                } => {
                    let h_pos = match anchor {
                        Anchor::Start => HPos::Left,
                        Anchor::Middle => HPos::Center,
                        Anchor::End => HPos::Right,
                    };
                    let style = description(font, WRITTEN).color(&rgb(colour));
                    area.draw_text(&text, &style.pos(Pos::new(h_pos, VPos::Center)), at)
                }
            }
            .map_err(failed)?;
        }
        area.present().map_err(failed)?;
        drop(area);
        // What is the same of every shape is said once, or not at all. No text has these quotes: there they are escaped.
        for said in [
            &format!(" font-family=\"{FONTS}\"")[..],
            &format!(" font-size=\"{}\"", TEXT.size),
            " text-anchor=\"start\"",
            " opacity=\"1\"",
            " stroke=\"none\"",
        ] {
            svg = svg.replace(said, "");
        }
        // plotters draws no gaps.
        let supposed = format!("stroke=\"#{:06X}\"", theme::SUPPOSED.light);
        svg = svg.replace(&supposed, &format!("{supposed} stroke-dasharray=\"7 5\""));
        let edges = match self.slanted {
            true => "",
            false => " shape-rendering=\"crispEdges\"",
        };
        let head = format!(
            " role=\"img\" font-family=\"{FONTS}\" font-size=\"{}\"{edges}>\n<title>{}</title>\n<desc>{}</desc>\n",
            TEXT.size,
            HtmlEscape(title),
            HtmlEscape(alt)
        );
        Ok(joined(&svg).replacen(">\n", &head, 1))
    }
}

/// The same document with boxes of one colour that follow each other as one shape, which takes a quarter of the room.
fn joined(svg: &str) -> String {
    let mut joined = String::with_capacity(svg.len());
    let mut boxes: Vec<([&str; 4], &str, &str)> = Vec::new();
    let close = |boxes: &mut Vec<([&str; 4], &str, &str)>, joined: &mut String| {
        match &boxes[..] {
            [(.., line)] => joined.push_str(line),
            [] => {}
            [(_, fill, _), ..] => {
                joined.push_str("<path d=\"");
                for ([x, y, width, height], ..) in &boxes[..] {
                    joined.push_str(&format!("M{x} {y}h{width}v{height}h-{width}z"));
                }
                joined.push_str(&format!("\" fill=\"{fill}\"/>\n"));
            }
        }
        boxes.clear();
    };
    for line in svg.split_inclusive('\n') {
        // A text has no such line: its brackets are escaped.
        let quoted: Vec<&str> = line.split('"').collect();
        match quoted[..] {
            ["<rect x=", x, _, y, _, width, _, height, " fill=", fill, _] => {
                if boxes.last().is_some_and(|(_, last, _)| *last != fill) {
                    close(&mut boxes, &mut joined);
                }
                boxes.push(([x, y, width, height], fill, line));
            }
            _ => {
                close(&mut boxes, &mut joined);
                joined.push_str(line);
            }
        }
    }
    close(&mut boxes, &mut joined);
    joined
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error(error.to_string())
}

fn rgb(colour: Colour) -> RGBColor {
    let [_, red, green, blue] = colour.light.to_be_bytes();
    RGBColor(red, green, blue)
}

/// What plotters divides a font's size by when it writes it down.
const WRITTEN: f64 = 1.24;
/// The font's height, which plotters measures by, in its sizes.
const MEASURED: f64 = 1.164;

fn description(font: Font, factor: f64) -> FontDesc<'static> {
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
pub fn width(text: &str, font: Font) -> i32 {
    let size = description(font, MEASURED).box_size(text);
    size.map_or(0, |(width, _)| i32::try_from(width + 1).unwrap_or(i32::MAX))
}

/// A text as a chart can show it: letters that XML has, and no more of them than there is room for.
pub fn clean(text: &str) -> String {
    shortened(text, LONGEST)
}

/// The same with room for so many letters.
pub fn shortened(text: &str, longest: usize) -> String {
    let letters = text.chars().map(|letter| match letter {
        '\u{fffe}' | '\u{ffff}' => '\u{fffd}',
        letter if letter.is_control() => ' ',
        letter => letter,
    });
    let mut text: String = letters.take(longest + 1).collect();
    if text.chars().count() > longest {
        text.pop();
        text.push('…');
    }
    text
}

/// As much of a text as fits into a width.
pub fn fit(text: &str, room: i32, font: Font) -> String {
    let text = clean(text);
    if width(&text, font) <= room {
        return text;
    }
    let shown = |end: usize| text[..end].trim_end().to_owned() + "…";
    let ends: Vec<usize> = text.char_indices().map(|(end, _)| end).collect();
    let fitting = ends.partition_point(|end| width(&shown(*end), font) <= room);
    shown(ends[fitting.saturating_sub(1)])
}

/// A text in lines of a width; a word that is wider is cut short.
pub fn wrap(text: &str, room: i32, font: Font) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in clean(text).split(' ') {
        match lines.last_mut() {
            Some(line) if width(&format!("{line} {word}"), font) <= room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(fit(word, room, font)),
        }
    }
    lines
}

/// The picture of a document, twice as large.
///
/// # Errors
/// If it is no SVG document, or too large for the memory.
pub fn png(svg: &str) -> Result<Vec<u8>, Error> {
    static OPTIONS: OnceLock<usvg::Options<'static>> = OnceLock::new();
    let options = OPTIONS.get_or_init(|| {
        let mut fonts = fontdb::Database::new();
        for bytes in [dejavu::sans::regular(), dejavu::sans::bold()] {
            fonts.load_font_source(fontdb::Source::Binary(Arc::new(bytes)));
        }
        fonts.set_sans_serif_family("DejaVu Sans");
        usvg::Options {
            fontdb: Arc::new(fonts),
            ..usvg::Options::default()
        }
    });
    let tree = usvg::Tree::from_str(svg, options).map_err(failed)?;
    let scale = f32::from(SCALE);
    let size = tree.size().to_int_size();
    let pixels = |length: u32| length.saturating_mul(u32::from(SCALE));
    let (width, height) = (pixels(size.width()), pixels(size.height()));
    let mut picture =
        Pixmap::new(width, height).ok_or_else(|| Error("the picture is too large".into()))?;
    resvg::render(
        &tree,
        Transform::from_scale(scale, scale),
        &mut picture.as_mut(),
    );
    // Every chart has a background: no pixel is translucent.
    let rgb: Vec<u8> = picture
        .data()
        .chunks_exact(4)
        .flat_map(|pixel| [pixel[0], pixel[1], pixel[2]])
        .collect();
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    // Of what is flat, no filter and the least compression give a small picture, and in the shortest time.
    encoder.set_filter(png::Filter::NoFilter);
    encoder.set_deflate_compression(png::DeflateCompression::Level(1));
    let mut writer = encoder.write_header().map_err(failed)?;
    writer.write_image_data(&rgb).map_err(failed)?;
    writer.finish().map_err(failed)?;
    Ok(bytes)
}
