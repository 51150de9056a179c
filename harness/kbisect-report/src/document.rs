//! A report as a tree: each section is built once, and each form prints it.

/// A document.
pub(crate) struct Document {
    /// Its title, which may have text from elsewhere.
    pub(crate) title: String,
    /// Its parts.
    pub(crate) blocks: Vec<Block>,
}

/// A part of a document.
pub(crate) enum Block {
    /// What it comes to, before all else.
    Lead(Tone, Line),
    /// A heading of this level; the title has the first.
    Heading(usize, Line),
    Paragraph(Line),
    List(Vec<Line>),
    Table(Vec<Line>, Vec<Vec<Line>>),
    /// Parts that are folded away behind a line where the form can do that.
    Folded(Line, Vec<Block>),
    /// Lines of a console, a trace or a state, of which so many are shown.
    Console(String, usize),
    /// A command to paste.
    Command(String),
    /// A figure in HTML, whose texts were escaped where it was drawn; for forms that show pictures.
    Drawing(String),
}

/// What is said of a kernel, by which a form may colour it.
#[derive(Clone, Copy)]
pub(crate) enum Tone {
    Good,
    Bad,
    Other,
}

/// A line: pieces one after the other.
#[derive(Default)]
pub(crate) struct Line(pub(crate) Vec<Piece>);

/// A piece of a line.
pub(crate) enum Piece {
    /// Our own words.
    Own(String),
    /// Text from elsewhere, of which so many characters are shown.
    Text(String, usize),
    /// The same, in strong letters: what must not be missed.
    Strong(String, usize),
    /// Code, paths and ids.
    Code(String),
    /// A verdict.
    Word(Tone, String),
    /// A few words that many lines have, and the sentence that they stand for.
    Chip(String, String),
    /// The number of a trial: a place that can be linked to.
    Trial(u32),
    /// Text from elsewhere, and an address of ours where more is known of it.
    Link(String, String),
    /// A file or a folder of the run: a link where the form lies beside it.
    File(String),
}

/// Our own words.
pub(crate) fn own(text: impl ToString) -> Line {
    Line::default().own(text)
}

/// Text from elsewhere, of which so many characters are shown.
pub(crate) fn text(text: &str, max: usize) -> Line {
    Line::default().text(text, max)
}

/// Code, paths and ids.
pub(crate) fn code(text: &str) -> Line {
    Line::default().code(text)
}

impl Line {
    pub(crate) fn own(self, text: impl ToString) -> Self {
        self.with(Piece::Own(text.to_string()))
    }

    pub(crate) fn text(self, text: &str, max: usize) -> Self {
        self.with(Piece::Text(text.to_owned(), max))
    }

    pub(crate) fn strong(self, text: &str, max: usize) -> Self {
        self.with(Piece::Strong(text.to_owned(), max))
    }

    pub(crate) fn code(self, text: &str) -> Self {
        self.with(Piece::Code(text.to_owned()))
    }

    pub(crate) fn word(self, tone: Tone, word: &str) -> Self {
        self.with(Piece::Word(tone, word.to_owned()))
    }

    pub(crate) fn chip(self, words: String, sentence: String) -> Self {
        self.with(Piece::Chip(words, sentence))
    }

    pub(crate) fn trial(self, number: u32) -> Self {
        self.with(Piece::Trial(number))
    }

    /// Text from elsewhere, as a link where there is an address for it.
    pub(crate) fn link(self, text: &str, address: Option<String>) -> Self {
        match address {
            Some(address) => self.with(Piece::Link(text.to_owned(), address)),
            None => self.code(text),
        }
    }

    pub(crate) fn file(self, path: &str) -> Self {
        self.with(Piece::File(path.to_owned()))
    }

    fn with(mut self, piece: Piece) -> Self {
        self.0.push(piece);
        self
    }
}

/// A heading of a section.
pub(crate) fn heading(words: &str) -> Block {
    Block::Heading(2, own(words))
}

/// A table whose heads are our own words.
pub(crate) fn table<const N: usize>(
    head: [&str; N],
    rows: impl IntoIterator<Item = Vec<Line>>,
) -> Block {
    Block::Table(head.map(own).into(), rows.into_iter().collect())
}

/// A list of paragraphs from elsewhere.
pub(crate) fn list<'a>(texts: impl IntoIterator<Item = &'a String>) -> Block {
    Block::List(texts.into_iter().map(|item| text(item, PARAGRAPH)).collect())
}

/// Most characters of a text in a cell.
pub(crate) const CELL: usize = 300;
/// Most characters of a text in a paragraph.
pub(crate) const PARAGRAPH: usize = 1200;
