//! A document in Markdown.

use std::fmt::Write;

use crate::document::{Block, Document, Line, Piece};
use crate::text;

/// Prints a document.
pub(crate) fn markdown(document: &Document) -> String {
    let mut to = format!("# {}\n\n", text::prose(&document.title, 600));
    put(&mut to, &document.blocks);
    to.truncate(to.trim_end().len());
    to.push('\n');
    to
}

/// Prints parts of a document. Writing to a string cannot fail.
pub(crate) fn put(to: &mut String, blocks: &[Block]) {
    for block in blocks {
        let _ = match block {
            Block::Lead(_, text) => writeln!(to, "**{}**\n", line(text)),
            Block::Heading(level, text) => writeln!(to, "{} {}\n", "#".repeat(*level), line(text)),
            Block::Paragraph(text) => writeln!(to, "{}\n", line(text)),
            Block::List(items) if items.is_empty() => Ok(()),
            Block::List(items) => {
                let items: String =
                    items.iter().map(|item| format!("- {}\n", line(item))).collect();
                writeln!(to, "{items}")
            }
            Block::Table(head, rows) => {
                let rows: String = rows.iter().map(|cells| row(cells)).collect();
                writeln!(to, "{}|{}\n{rows}", row(head), "---|".repeat(head.len()))
            }
            // Folding would take HTML, of which a report in Markdown has none.
            Block::Folded(name, inner) => {
                let told = writeln!(to, "{}:\n", line(name));
                put(to, inner);
                told
            }
            Block::Console(lines, max) => writeln!(to, "{}", text::block(lines, "text", *max)),
            Block::Command(command) => writeln!(to, "{}", text::block(command, "sh", 20)),
            Block::Drawing(_) => Ok(()),
        };
    }
}

fn row(cells: &[Line]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| pieces(cell, text::code_cell)).collect();
    format!("| {} |\n", cells.join(" | "))
}

fn line(line: &Line) -> String {
    pieces(line, text::code)
}

fn pieces(line: &Line, code: fn(&str) -> String) -> String {
    let piece = |piece: &Piece| match piece {
        Piece::Own(text) => text.clone(),
        Piece::Text(text, max) => text::prose(text, *max),
        Piece::Strong(text, max) => format!("**{}**", text::prose(text, *max)),
        Piece::Code(text) | Piece::File(text) | Piece::Link(text, _) => code(text),
        Piece::Chip(words, _) => format!("{} ", code(words)),
        Piece::Trial(number) => number.to_string(),
        Piece::Word(_, word) => text::prose(word, 100),
    };
    line.0.iter().map(piece).collect()
}
