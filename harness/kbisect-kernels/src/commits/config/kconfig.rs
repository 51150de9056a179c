//! Reader of Kconfig files (Documentation/kbuild/kconfig-language.rst), as far as it takes to know which
//! options there are and what they depend on.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::expression::Expression;

/// Deepest nesting of files and blocks.
const DEEPEST: usize = 64;
/// Most conditions of one block.
const MOST_CONDITIONS: usize = 64;
/// Most definitions of options; a kernel has 20,000.
const MOST_DEFINITIONS: usize = 200_000;

/// All options by name, without `CONFIG_`.
pub type Options = BTreeMap<String, Vec<Definition>>;

/// One of the places that define an option. Any of them will do.
#[derive(Clone, Debug, Default)]
pub struct Definition {
    /// Whether it can be set; others are selected, or follow from a default.
    pub prompt: bool,
    /// When it can be set.
    pub prompt_if: Option<Expression>,
    /// Whether it has a value other than `n` by itself.
    pub default: bool,
    /// Conditions, all of which must hold.
    pub depends: Vec<Rc<Expression>>,
    /// What it sets too, and when.
    pub selects: Vec<(String, Option<Expression>)>,
}

/// Reads a tree of Kconfig files from `first` on; `read` gives a file's text, if it can be had.
pub fn read(first: &str, mut read: impl FnMut(&str) -> Option<String>) -> Options {
    let mut reader = Reader { options: Options::new(), blocks: Vec::new(), definitions: 0 };
    if let Some(text) = read(first) {
        reader.file(&text, 0, &mut read);
    }
    reader.options
}

/// A menu, a choice, or an `if`.
#[derive(Default)]
struct Block {
    conditions: Vec<Rc<Expression>>,
}

/// What attributes belong to.
enum Subject {
    /// The newest definition of this option.
    Option(String),
    /// The innermost block.
    Block,
    /// What has no options in it.
    Other,
}

struct Reader {
    options: Options,
    blocks: Vec<Block>,
    definitions: usize,
}

impl Reader {
    fn file(&mut self, text: &str, depth: usize, read: &mut impl FnMut(&str) -> Option<String>) {
        let outside = self.blocks.len();
        let mut subject = Subject::Other;
        let mut lines = Lines::new(text);
        while let Some(line) = lines.next() {
            let line = line.trim();
            let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            let rest = rest.trim();
            match word {
                "config" | "menuconfig" => subject = self.begin(rest),
                "menu" | "choice" => {
                    self.open(Block::default());
                    subject = Subject::Block;
                }
                "if" => {
                    let condition = Rc::new(Expression::parse(rest));
                    self.open(Block { conditions: vec![condition] });
                    subject = Subject::Other;
                }
                // A file cannot close what another one opened.
                "endmenu" | "endchoice" | "endif" => {
                    if self.blocks.len() > outside {
                        self.blocks.pop();
                    }
                    subject = Subject::Other;
                }
                "comment" | "mainmenu" => subject = Subject::Other,
                "source" => {
                    subject = Subject::Other;
                    let path = source_path(rest);
                    let text = if depth < DEEPEST { read(&path) } else { None };
                    if let Some(text) = text {
                        self.file(&text, depth + 1, read);
                    }
                }
                "help" | "---help---" => lines.skip_help(),
                _ => self.attribute(&subject, word, rest),
            }
        }
        self.blocks.truncate(outside);
    }

    fn open(&mut self, block: Block) {
        // Those that are too deep are counted all the same, so that their ends are theirs.
        self.blocks.push(block);
    }

    fn begin(&mut self, name: &str) -> Subject {
        if name.is_empty() || self.definitions >= MOST_DEFINITIONS {
            return Subject::Other;
        }
        self.definitions += 1;
        let around = self.blocks.iter().take(DEEPEST).flat_map(|block| &block.conditions);
        let definition = Definition { depends: around.cloned().collect(), ..Definition::default() };
        self.options.entry(name.to_owned()).or_default().push(definition);
        Subject::Option(name.to_owned())
    }

    fn attribute(&mut self, subject: &Subject, word: &str, rest: &str) {
        let depends = || rest.strip_prefix("on").map(|rest| Rc::new(Expression::parse(rest)));
        let definition = match subject {
            Subject::Option(name) => {
                let definition = self.options.get_mut(name).and_then(|all| all.last_mut());
                let Some(definition) = definition else { return };
                definition
            }
            Subject::Block => {
                if let ("depends", Some(block)) = (word, self.blocks.last_mut()) {
                    let room = MOST_CONDITIONS.saturating_sub(block.conditions.len());
                    block.conditions.extend(depends().into_iter().take(room));
                }
                return;
            }
            Subject::Other => return,
        };
        match word {
            "bool" | "tristate" | "string" | "int" | "hex" | "prompt" if !rest.is_empty() => {
                definition.prompt = true;
                definition.prompt_if = condition(rest).map(Expression::parse);
            }
            "default" | "def_bool" | "def_tristate" => {
                let value = rest.split_whitespace().next().unwrap_or_default();
                definition.default |= value.trim_matches('"') != "n";
            }
            "depends" => definition.depends.extend(depends()),
            "select" => {
                let name = rest.split_whitespace().next().unwrap_or_default();
                let when = condition(rest).map(Expression::parse);
                definition.selects.push((name.to_owned(), when));
            }
            _ => {}
        }
    }
}

/// What stands behind `if`, outside of quotes.
fn condition(text: &str) -> Option<&str> {
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match quote {
            Some(open) if c == open => quote = None,
            None if c == '"' || c == '\'' => quote = Some(c),
            None if c.is_whitespace() => {
                let rest = text[at..].trim_start();
                if let Some(rest) = rest.strip_prefix("if").filter(|rest| {
                    rest.starts_with(|c: char| c.is_whitespace() || c == '(' || c == '!')
                }) {
                    return Some(rest.trim());
                }
            }
            _ => {}
        }
    }
    None
}

/// The path of a `source` line. Kernels up to 4.17 write the architecture as `$SRCARCH`.
fn source_path(text: &str) -> String {
    let path = text.split('#').next().unwrap_or_default().trim().trim_matches(['"', '\'']);
    path.replace("$(SRCARCH)", "x86").replace("$SRCARCH", "x86").replace("$(srctree)/", "")
}

/// Lines with continuations joined.
struct Lines<'a> {
    lines: std::iter::Peekable<std::str::Lines<'a>>,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        Self { lines: text.lines().peekable() }
    }

    fn next(&mut self) -> Option<String> {
        let mut line = self.lines.next()?.to_owned();
        while let Some(begin) = line.strip_suffix('\\') {
            let Some(more) = self.lines.next() else { break };
            line = format!("{begin} {}", more.trim());
        }
        Some(line)
    }

    /// A help text ends at the first line that is indented less than its first one.
    fn skip_help(&mut self) {
        let mut least = None;
        while let Some(line) = self.lines.peek() {
            let indent = indent(line);
            if !line.trim().is_empty() && indent < *least.get_or_insert(indent.max(1)) {
                return;
            }
            self.lines.next();
        }
    }
}

/// Columns before the first letter; a tab goes to the next multiple of 8.
fn indent(line: &str) -> usize {
    let mut column = 0;
    for c in line.chars() {
        match c {
            '\t' => column = (column / 8 + 1) * 8,
            ' ' => column += 1,
            _ => break,
        }
    }
    column
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Options {
        read("Kconfig", |path| (path == "Kconfig").then(|| text.to_owned()))
    }

    fn depends(options: &Options, name: &str) -> Vec<Expression> {
        options[name][0].depends.iter().map(|it| Expression::clone(it)).collect()
    }

    #[test]
    fn blocks_around_an_option_are_its_dependencies() {
        let options = parsed(
            "menu \"Net\"\n\tdepends on NET\nif INET\nconfig A\n\ttristate \"A if you like\" if EXPERT\n\
             \tdepends on B || \\\n\t\tC\n\tselect S if D\n\thelp\n\t  config FAKE\n\n\t  if X\n\
             endif # INET\nconfig Z\n\tdef_bool y\nendmenu\nconfig OUT\n\tbool\n\tdefault n\n",
        );
        let all = depends(&options, "A");
        assert_eq!(all.len(), 3, "{all:?}");
        assert_eq!(all[2], Expression::parse("B || C"));
        let a = &options["A"][0];
        assert!(a.prompt && !a.default);
        assert_eq!(a.prompt_if, Some(Expression::parse("EXPERT")));
        assert_eq!(a.selects, [("S".to_owned(), Some(Expression::parse("D")))]);
        assert_eq!(depends(&options, "Z"), [Expression::parse("NET")]);
        assert!(options["Z"][0].default && !options["Z"][0].prompt);
        assert!(depends(&options, "OUT").is_empty());
        assert!(!options["OUT"][0].default && !options["OUT"][0].prompt);
        assert!(!options.contains_key("FAKE"), "that is a help text");
    }

    #[test]
    fn files_are_followed_with_the_blocks_around_them() {
        let files = [
            ("Kconfig", "if NET\nsource \"net/Kconfig\"\nendif\nsource arch/$SRCARCH/Kconfig\n"),
            ("net/Kconfig", "endif\nendif\nconfig A\n\tbool \"a\"\nif OPEN\n"),
            ("arch/x86/Kconfig", "config B\n\tbool \"b\"\nsource \"Kconfig\"\n"),
        ];
        let mut reads = 0;
        let options = read("Kconfig", |path| {
            reads += 1;
            let found = files.iter().find(|(name, _)| *name == path)?;
            Some(found.1.to_owned())
        });
        assert_eq!(depends(&options, "A"), [Expression::parse("NET")]);
        assert!(depends(&options, "B").is_empty(), "what a file opens ends with it");
        assert!(reads <= 3 * DEEPEST, "a circle ends: {reads}");
    }
}
