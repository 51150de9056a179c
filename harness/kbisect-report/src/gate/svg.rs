//! The map as a drawing: a row for each stable series, a box for each kernel.

use std::fmt::Write;

use kbisect_core::gate::{Answer, GateResult, Map, MapKernel, MapSeries};

use super::words;
use crate::text::line;

/// Boxes in a row.
const ROW: usize = 10;
/// Size of a box and of the gaps, in the drawing's units.
const BOX: (usize, usize) = (68, 24);
const GAP: usize = 4;
/// Where boxes begin.
const LEFT: usize = 64;
/// Height of a heading line.
const HEAD: usize = 28;

/// Colours of its own, since the file is shown inside pages that it knows nothing of.
const STYLE: &str = "\
text{font:12px system-ui,'Liberation Sans',Arial,sans-serif;fill:#1c2128}\
.h{font-size:15px;font-weight:600}.s{fill:#59636e}\
.k-good{fill:#e3f4ea;stroke:#18794e}.k-bad{fill:#fdeae8;stroke:#b42318}\
.k-none{fill:#f5f7f9;stroke:#59636e;stroke-dasharray:3 2}.turn{stroke:#b42318;stroke-width:3}\
@media (prefers-color-scheme:dark){text{fill:#e4e8ec}.s{fill:#9aa5b1}\
.k-good{fill:#12311f;stroke:#5fcf96}.k-bad{fill:#3d1613;stroke:#ff8a7d}\
.k-none{fill:#1c2229;stroke:#9aa5b1}.turn{stroke:#ff8a7d}}";

/// Draws the maps of a check as one SVG file; nothing when no range was asked for.
#[must_use]
pub fn svg_map(result: &GateResult) -> Option<String> {
    if result.maps.is_empty() {
        return None;
    }
    let mut body = String::new();
    let mut top = GAP;
    for map in &result.maps {
        top = draw(&mut body, map, top);
    }
    let stamp = words::began(result).unwrap_or_else(|| "no trial".to_owned());
    let foot = format!("kbisect {}, {stamp}", line(&result.plan.tool_version, 40));
    text(&mut body, (LEFT, top + 14), "s", &foot);
    let (width, height) = (LEFT + ROW * (BOX.0 + GAP) + GAP, top + HEAD);
    let title = escape(&words::heading(result));
    Some(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
         class=\"map\">\n<title>{title}</title>\n<style>{STYLE}</style>\n{body}</svg>\n"
    ))
}

fn draw(to: &mut String, map: &Map, top: usize) -> usize {
    let heading = format!("{}: {}", map.scenario, words::answers(map));
    text(to, (GAP, top + 18), "h", &heading);
    let mut top = top + HEAD;
    for series in &map.series {
        text(to, (GAP, top + 17), "h", &series.series);
        let mut before: Option<&MapKernel> = None;
        for (at, kernel) in series.kernels.iter().enumerate() {
            let x = LEFT + at % ROW * (BOX.0 + GAP);
            let y = top + at / ROW * (BOX.1 + GAP);
            kernel_box(to, series, kernel, (x, y));
            if !kernel.has_answer() {
                continue;
            }
            let turns = |change: &kbisect_core::gate::Change| {
                change.within_series && change.to == kernel.label
            };
            if before.is_some() && map.changes.iter().any(turns) {
                let (x, end) = (x - GAP / 2, y + BOX.1 + 2);
                let _ = writeln!(
                    to,
                    "<line class=\"turn\" x1=\"{x}\" y1=\"{}\" x2=\"{x}\" y2=\"{end}\"/>",
                    y - 2
                );
            }
            before = Some(kernel);
        }
        top += series.kernels.len().div_ceil(ROW) * (BOX.1 + GAP) + 2 * GAP;
    }
    let legend: Vec<String> =
        Answer::ALL.iter().map(|answer| format!("{} {}", answer.sign(), answer.word())).collect();
    text(
        to,
        (LEFT, top + 10),
        "s",
        &(legend.join(", ") + "; red bar: change point within a series"),
    );
    top + HEAD
}

fn kernel_box(to: &mut String, series: &MapSeries, kernel: &MapKernel, (x, y): (usize, usize)) {
    let class = match kernel.answer {
        Answer::Good => "k-good",
        Answer::Bad => "k-bad",
        Answer::Skip | Answer::LeftOut | Answer::None => "k-none",
    };
    // The series stands in front of the row.
    let short = kernel.label.strip_prefix(&series.series).unwrap_or(&kernel.label);
    let short = short.split(['~', '+']).next().unwrap_or(short);
    let mut tip = format!("{}: {}", kernel.package_version, kernel.answer.word());
    let why = kernel.symptom.as_ref().map(ToString::to_string).or_else(|| kernel.reason.clone());
    if let Some(why) = why {
        tip += &format!(": {why}");
    }
    let (width, height) = BOX;
    let _ = writeln!(
        to,
        "<g><title>{}</title><rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" \
         height=\"{height}\" rx=\"4\"/><text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{} {}</text></g>",
        escape(&line(&tip, 400)),
        x + width / 2,
        y + 16,
        kernel.answer.sign(),
        escape(&line(short, 9))
    );
}

fn text(to: &mut String, (x, y): (usize, usize), class: &str, text: &str) {
    let text = escape(&line(text, 110));
    let _ = writeln!(to, "<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{text}</text>");
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
