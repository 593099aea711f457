//! A drawing: shapes at whole pixels, as an SVG document and as an image.

use std::sync::{Arc, OnceLock};

use minijinja::HtmlEscape;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{self, fontdb};

use super::text::{FONTS, Font, TEXT, description, width};
use super::theme::{self, Colour};
use crate::error::Error;
use refcow_model::numbers::unbroken;

/// How wide each chart is.
pub(super) const WIDTH: i32 = 600;
/// Between a chart's edge and what it shows.
pub(super) const MARGIN: i32 = 16;
/// Pixels of an image for one of its drawing's.
const SCALE: u16 = 2;
/// What plotters divides a font's size by when it writes it down.
const WRITTEN: f64 = 1.24;

/// Which point of a text its place is.
#[derive(Clone, Copy)]
pub(super) enum Anchor {
    /// Where it begins.
    Start,
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
pub(super) struct Sketch {
    shapes: Vec<Shape>,
    /// Whether it has lines that are neither upright nor level.
    slanted: bool,
}

impl Sketch {
    /// A filled box.
    pub(super) fn area(&mut self, left: i32, top: i32, width: i32, height: i32, colour: Colour) {
        self.shapes.push(Shape::Box {
            place: [(left, top), (left + width, top + height)],
            colour,
        });
    }

    /// A line through points.
    pub(super) fn path(&mut self, points: Vec<(i32, i32)>, width: u32, colour: Colour) {
        let level = |pair: &[(i32, i32)]| pair[0].0 == pair[1].0 || pair[0].1 == pair[1].1;
        self.slanted |= !points.windows(2).all(level);
        self.shapes.push(Shape::Path {
            points,
            width,
            colour,
        });
    }

    /// A small disc.
    pub(super) fn dot(&mut self, at: (i32, i32), colour: Colour) {
        self.shapes.push(Shape::Dot { at, colour });
    }

    /// A line of text, so high that `at` is in the middle of its small letters.
    pub(super) fn text(
        &mut self,
        at: (i32, i32),
        text: impl Into<String>,
        font: Font,
        anchor: Anchor,
        colour: Colour,
    ) {
        self.shapes.push(Shape::Text {
            at,
            text: unbroken(&text.into()),
            font,
            anchor,
            colour,
        });
    }

    /// What colours mean, in lines; gives where they end.
    pub(super) fn legend(&mut self, mut top: i32, entries: &[(Colour, String)]) -> i32 {
        let mut left = MARGIN;
        for (colour, text) in entries {
            let wide = 18 + width(text, TEXT) + 16;
            if left > MARGIN && left + wide > WIDTH - MARGIN + 16 {
                left = MARGIN;
                top += 18;
            }
            self.area(left, top + 1, 12, 12, *colour);
            self.text((left + 18, top + 8), text, TEXT, Anchor::Start, theme::INK);
            left += wide;
        }
        top + 20
    }

    /// The SVG document, so high, with what it shows in words.
    ///
    /// # Errors
    /// None that is known of.
    pub(super) fn finish(self, height: i32, title: &str, alt: &str) -> Result<String, Error> {
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
        // What is the same of every shape is said once, or not at all. No text has these quotes:
        // there they are escaped.
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

/// The same document with boxes of one colour that follow each other as one shape, which takes a
/// quarter of the room.
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
    // Of what is flat, no filter and the least compression give a small picture, and in the
    // shortest time.
    encoder.set_filter(png::Filter::NoFilter);
    encoder.set_deflate_compression(png::DeflateCompression::Level(1));
    let mut writer = encoder.write_header().map_err(failed)?;
    writer.write_image_data(&rgb).map_err(failed)?;
    writer.finish().map_err(failed)?;
    Ok(bytes)
}
