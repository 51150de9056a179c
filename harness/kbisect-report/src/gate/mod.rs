//! Reports of a check: of the matrix, and of the map where a range was tried.

mod html;
mod journal;
mod markdown;
mod svg;
mod words;

pub use html::html_check;
pub use journal::read_check;
pub use markdown::markdown_check;
pub use svg::svg_map;
pub use words::map_lines;

use kbisect_core::gate::GateResult;

use crate::format::{Format, RenderError};

impl Format {
    /// Writes the report of a check.
    ///
    /// # Errors
    /// [`RenderError`], when a check has none of this form.
    pub fn render_check(self, result: &GateResult) -> Result<String, RenderError> {
        Ok(match self {
            Self::Markdown => markdown_check(result),
            Self::Html => html_check(result),
            Self::Json => serde_json::to_string_pretty(result)? + "\n",
            Self::Junit => crate::junit_check(result),
            Self::Svg => svg_map(result).ok_or(RenderError::NoRange)?,
            Self::Text | Self::Ktap | Self::BisectLog => {
                return Err(RenderError::NotOfCheck(self));
            }
        })
    }
}
