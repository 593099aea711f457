//! A report as a page: one file of HTML, or Markdown. Templates arrange what `page` says, and
//! escape every value of it.

use std::sync::LazyLock;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value};

use super::charts::{self, Chart};
use super::error::Error;
use super::escape;
use super::page::Page;
use refcow_model::Report;
use refcow_model::numbers::unbroken;

/// Each by its name, whose ending decides how values are escaped.
const TEMPLATES: [(&str, &str); 4] = [
    ("page.html", include_str!("templates/page.html")),
    ("blocks.html", include_str!("templates/blocks.html")),
    ("page.css", include_str!("templates/page.css")),
    ("page.md", include_str!("templates/page.md")),
];

/// How a value is escaped in Markdown, as minijinja names it.
const MARKDOWN: &str = "markdown";

/// What makes another form of a text, for which it needs no more escaping.
type Filter = fn(&str) -> String;

/// One file that needs no other, and runs nothing.
///
/// # Errors
/// None that is known of.
pub fn render_html(report: &Report, charts: &[Chart]) -> Result<Vec<u8>, Error> {
    render("page.html", report, charts)
}

/// The same for a blog or a pull request. Charts are in the folder [`super::CHARTS`] beside it, as
/// `NAME.svg`.
///
/// # Errors
/// None that is known of.
pub fn render_page_markdown(report: &Report, charts: &[Chart]) -> Result<Vec<u8>, Error> {
    render("page.md", report, charts)
}

fn render(template: &str, report: &Report, charts: &[Chart]) -> Result<Vec<u8>, Error> {
    render_page(template, Page::of(report, charts))
}

/// A page in one of the templates.
///
/// # Errors
/// None that is known of.
pub(crate) fn render_page(template: &str, page: Page) -> Result<Vec<u8>, Error> {
    let (light, dark) = charts::css_variables();
    let context = minijinja::context! {
        page => Value::from(Serde(page)),
        light => light,
        dark => dark,
    };
    let template = ENVIRONMENT.get_template(template);
    let text = template.and_then(|template| template.render(context));
    let mut text = text.map_err(|error| Error(format!("{error:#}")))?;
    text.truncate(text.trim_end().len());
    text.push('\n');
    Ok(text.into_bytes())
}

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    let lines = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .build();
    environment.set_syntax(lines.expect("minijinja's own delimiters"));
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|name| match name.rsplit_once('.') {
        Some((_, "html")) => AutoEscape::Html,
        Some((_, "md")) => AutoEscape::Custom(MARKDOWN.into()),
        _ => AutoEscape::None,
    });
    environment.set_formatter(|output, state, value| {
        match state.auto_escape() {
            AutoEscape::Custom(name) if name == MARKDOWN && !value.is_safe() => {
                output.write_str(&escape::markdown(&value.to_string()))?;
            }
            AutoEscape::Custom(_) => output.write_str(&value.to_string())?,
            _ => return minijinja::escape_formatter(output, state, value),
        }
        Ok(())
    });
    let filters: [(&str, Filter); 4] = [
        ("html", escape::html),
        ("code", escape::code),
        ("block", escape::block),
        ("file", escape::file),
    ];
    for (name, filter) in filters {
        environment.add_filter(name, move |text: String| {
            Value::from_safe_string(filter(&text))
        });
    }
    // It is escaped after that as any other text.
    environment.add_filter("unbroken", |text: String| unbroken(&text));
    for (name, text) in TEMPLATES {
        let added = environment.add_template(name, text);
        added.expect("the templates are part of the program");
    }
    environment
});
