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
    let (content, sections) = with_anchors(&content.0);
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
                    (index(&sections))
                    (PreEscaped(content))
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

/// Gives each section's heading a place that can be linked to; lists these and the headings, escaped as they are.
fn with_anchors(content: &str) -> (String, Vec<(String, String)>) {
    let (mut to, mut sections) = (String::with_capacity(content.len()), Vec::new());
    let mut rest = content;
    while let Some((before, after)) = rest.split_once("<h2>") {
        let Some((heading, after)) = after.split_once("</h2>") else { break };
        let id = format!("{}-{}", slug(heading), sections.len() + 1);
        to += &format!("{before}<h2 id=\"{id}\"><a href=\"#{id}\">{heading}</a></h2>");
        sections.push((id, heading.to_owned()));
        rest = after;
    }
    (to + rest, sections)
}

fn slug(heading: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    heading.chars().take(40).map(letter).collect()
}

/// The sections of a page.
fn index(sections: &[(String, String)]) -> Markup {
    html! {
        @if sections.len() > 2 {
            nav aria-label="Sections" {
                @for (id, heading) in sections { a href=(format!("#{id}")) { (PreEscaped(heading)) } }
            }
        }
    }
}

/// Where a file of the run is, seen from a page in its folder; nothing for a path that leads elsewhere.
fn beside(path: &str) -> Option<String> {
    let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    let is_below = path.trim_end_matches('/').split('/').all(plain) && !path.contains(':');
    is_below.then(|| text::uri(path))
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
                Block::Console(lines, max) => (pre(lines, *max))
                Block::Command(command) => (pre(command, 20))
                Block::Drawing(drawing) => (PreEscaped(drawing))
            }
        }
    }
}

/// Lines in letters of one width. What is too wide for the page can be scrolled by the keyboard as well.
pub(crate) fn pre(lines: &str, max: usize) -> Markup {
    html! { pre tabindex="0" { (text::lines(lines, max)) } }
}

/// A table with a head. On a phone each row becomes a list; the cells carry their heads then.
fn table(head: &[Line], rows: &[Vec<Line>]) -> Markup {
    let plain = |piece: &Piece| {
        let (Piece::Own(text)
        | Piece::Text(text, _)
        | Piece::Strong(text, _)
        | Piece::Code(text)
        | Piece::File(text)
        | Piece::Link(text, _)
        | Piece::Chip(text, _)
        | Piece::Word(_, text)) = piece
        else {
            return String::new();
        };
        text::line(text, 200)
    };
    let heads: Vec<String> = head.iter().map(|cell| cell.0.iter().map(plain).collect()).collect();
    html! {
        div.wide tabindex="0" {
            table.stack {
                @if heads.iter().any(|name| !name.is_empty()) {
                    thead {
                        tr {
                            @for (cell, name) in head.iter().zip(&heads) {
                                @if name.is_empty() { td {} } @else { th scope="col" { (line(cell)) } }
                            }
                        }
                    }
                }
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
                Piece::Chip(words, sentence) => {
                    span.chip title=(text::line(sentence, 400)) { (text::line(words, 100)) } " "
                }
                Piece::Trial(number) => {
                    @let id = format!("trial-{number}");
                    a id=(id) href=(format!("#{id}")) { (number) }
                }
                Piece::Link(text, address) => {
                    a href=(address) rel="noopener noreferrer" { (text::line(text, 300)) }
                }
                Piece::File(path) => @match beside(path) {
                    Some(href) => a href=(href) { code { (text::line(path, 2000)) } },
                    None => code { (text::line(path, 2000)) },
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_linked_to_only_below_the_page() {
        assert_eq!(beside("trials/001-6.12 x").as_deref(), Some("trials/001-6.12%20x"));
        for wrong in
            ["", "/etc/passwd", "../x", "a/../../x", "javascript:alert(1)", "//host/x", "a//b"]
        {
            assert_eq!(beside(wrong), None, "{wrong}");
        }
        assert_eq!(beside("a\"onclick=x").as_deref(), Some("a%22onclick%3Dx"));
    }

    #[test]
    fn sections_get_places_that_can_be_linked_to() {
        let (page, sections) = with_anchors("<h2>What &lt;b&gt;</h2><p>x</p><h2>Trials</h2>");
        assert!(
            page.starts_with(
                "<h2 id=\"what--lt-b-gt--1\"><a href=\"#what--lt-b-gt--1\">What &lt;b&gt;</a></h2>"
            ),
            "{page}"
        );
        assert_eq!(sections[1], ("trials-2".to_owned(), "Trials".to_owned()));
    }
}
