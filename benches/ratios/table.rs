//! The ratios at the end of a run.

use std::fmt;

/// One line for each ratio.
#[derive(Default)]
pub struct RatioTable(Vec<[String; 5]>);

impl RatioTable {
    /// `what` was `value`, which may be `limit` at most.
    pub fn add(&mut self, what: &str, value: f64, limit: f64, unit: &str, figures: String) {
        let met = if value <= limit { "yes" } else { "NO" };
        self.push([
            what.into(),
            format!("{value:.2}{unit}"),
            format!("{limit:.2}{unit}"),
            met.into(),
            figures,
        ]);
    }

    /// `what` was `value`, of which nothing is demanded.
    pub fn tell(&mut self, what: &str, value: f64, unit: &str, figures: String) {
        self.push([
            what.into(),
            format!("{value:.2}{unit}"),
            "-".into(),
            "-".into(),
            figures,
        ]);
    }

    /// `what` could not be had.
    pub fn absent(&mut self, what: &str, limit: f64, unit: &str, reason: impl fmt::Display) {
        let reason = reason.to_string();
        let first = reason.lines().next().unwrap_or_default();
        self.push([
            what.into(),
            "absent".into(),
            format!("{limit:.2}{unit}"),
            "-".into(),
            first.into(),
        ]);
    }

    /// Shown at once as well: the end of the run is minutes away.
    fn push(&mut self, row: [String; 5]) {
        println!("{}\n", row.join("  "));
        self.0.push(row);
    }
}

impl fmt::Display for RatioTable {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = comfy_table::Table::new();
        table
            .load_style(comfy_table::presets::ASCII_MARKDOWN)
            .set_header(["what", "measured", "limit", "met", "figures"])
            .add_rows(&self.0);
        write!(to, "{table}")
    }
}
