//! A document as a page of HTML: no script, nothing fetched.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::document::{Block, Document, Line, Piece, Tone};
use crate::text;

/// Prints a document that this version of kbisect made.
pub(crate) fn html(document: &Document, tool_version: &str) -> String {
    page(&document.title, tool_version, &put(&document.blocks))
}

/// A page around what it holds.
pub(crate) fn page(title: &str, tool_version: &str, content: &Markup) -> String {
    let (title, tool_version) = (text::line(title, 400), text::line(tool_version, 400));
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                // Should a text ever escape the escaping, nothing is fetched and nothing runs.
                meta http-equiv="Content-Security-Policy"
                    content="default-src 'none'; style-src 'unsafe-inline'";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="generator" content=(format!("kbisect {tool_version}"));
                title { (title) }
                style { (PreEscaped(include_str!("style.css"))) }
            }
            body {
                main {
                    h1 { (title) }
                    (content)
                    footer {
                        "Made by kbisect " (tool_version)
                        ", a tool: it may contain errors. The evidence is in the run's folder."
                    }
                }
            }
        }
    };
    page.into_string()
}

/// Prints parts of a document.
pub(crate) fn put(blocks: &[Block]) -> Markup {
    html! {
        @for block in blocks {
            @match block {
                Block::Lead(tone, text) => {
                    @let class = match tone {
                        Tone::Good => "verdict good",
                        Tone::Bad => "verdict bad",
                        Tone::Other => "verdict",
                    };
                    div class=(class) { p.lead { (line(text)) } }
                }
                Block::Heading(..=2, text) => h2 { (line(text)) }
                Block::Heading(_, text) => h3 { (line(text)) }
                Block::Paragraph(text) => p { (line(text)) }
                Block::List(items) => @if !items.is_empty() {
                    ul.plain { @for item in items { li { (line(item)) } } }
                }
                Block::Table(head, rows) => (table(head, rows))
                Block::Folded(name, inner) => details { summary { (line(name)) } (put(inner)) }
                Block::Console(lines, max) => pre { (text::lines(lines, *max)) }
                Block::Command(command) => pre { (text::lines(command, 20)) }
                Block::Drawing(drawing) => (PreEscaped(drawing))
            }
        }
    }
}

/// A table with a head. On a phone each row becomes a list; the cells carry their heads then.
fn table(head: &[Line], rows: &[Vec<Line>]) -> Markup {
    let plain = |piece: &Piece| {
        let (Piece::Own(text)
        | Piece::Text(text, _)
        | Piece::Strong(text, _)
        | Piece::Code(text)
        | Piece::Word(_, text)) = piece;
        text::line(text, 200)
    };
    let heads: Vec<String> = head.iter().map(|cell| cell.0.iter().map(plain).collect()).collect();
    html! {
        div.wide {
            table.stack {
                thead { tr { @for cell in head { th { (line(cell)) } } } }
                tbody {
                    @for row in rows {
                        tr {
                            @for (cell, name) in row.iter().zip(&heads) {
                                td data-h=[(!name.is_empty()).then_some(name)] { (line(cell)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The template escapes what is in a piece.
fn line(line: &Line) -> Markup {
    html! {
        @for piece in &line.0 {
            @match piece {
                Piece::Own(text) => (text)
                Piece::Text(text, max) => (text::line(text, *max))
                Piece::Strong(text, max) => b.bad-word { (text::line(text, *max)) }
                Piece::Code(text) => @if text.trim().is_empty() { "–" } @else {
                    code { (text::line(text, 2000)) }
                }
                Piece::Word(tone, word) => {
                    @let class = match tone {
                        Tone::Good => "good-word",
                        Tone::Bad => "bad-word",
                        Tone::Other => "other-word",
                    };
                    span class=(class) { (text::line(word, 100)) }
                }
            }
        }
    }
}
