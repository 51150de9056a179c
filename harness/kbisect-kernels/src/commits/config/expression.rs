//! Conditions of Kconfig files (Documentation/kbuild/kconfig-language.rst, "expressions").

/// Deepest nesting that is read.
const DEEPEST: usize = 32;
/// Most words of one expression.
const MOST_WORDS: usize = 500;

/// A condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expression {
    /// A symbol is set.
    Symbol(String),
    /// A symbol has a value, or another one: `IPV6=n`.
    Compared {
        /// Left side.
        symbol: String,
        /// Right side.
        value: String,
        /// `=`, not `!=`.
        equal: bool,
    },
    /// `!`
    Not(Box<Expression>),
    /// `&&`
    All(Vec<Expression>),
    /// `||`
    Any(Vec<Expression>),
    /// What cannot be told from here: a test of the compiler, `VERSION >= 5`, what is not understood.
    Unknown,
}

impl Expression {
    /// Reads an expression; what cannot be read is [`Expression::Unknown`].
    pub fn parse(text: &str) -> Self {
        let words = words(text);
        if words.len() > MOST_WORDS {
            return Self::Unknown;
        }
        let mut reader = Reader { words: &words, at: 0 };
        match reader.any(0) {
            Some(expression) if reader.at == words.len() => expression,
            _ => Self::Unknown,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Word {
    /// `&&`, `||`, `!`, `(`, `)`, `=`, `!=`.
    Sign(&'static str),
    /// `<`, `>=` and so on.
    Order,
    Name(String),
    /// A text in quotes, or `$(...)`.
    Opaque,
}

const SIGNS: [&str; 7] = ["&&", "||", "!=", "!", "(", ")", "="];

fn words(text: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = if first == '#' {
            break;
        } else if let Some(sign) = SIGNS.into_iter().find(|sign| rest.starts_with(sign)) {
            words.push(Word::Sign(sign));
            sign.len()
        } else if first == '<' || first == '>' {
            words.push(Word::Order);
            1 + usize::from(rest[1..].starts_with('='))
        } else if first == '"' || first == '\'' {
            let length = rest[1..].find(first).map_or(rest.len(), |end| end + 2);
            let inside = rest[1..length].trim_end_matches(first);
            words.push(match inside {
                "y" | "m" | "n" => Word::Name(inside.to_owned()),
                _ => Word::Opaque,
            });
            length
        } else if first == '$' {
            words.push(Word::Opaque);
            macro_length(rest)
        } else {
            let is_end = |c: char| c.is_whitespace() || "&|!()=<>\"'$#".contains(c);
            let length = rest.find(is_end).unwrap_or(rest.len()).max(first.len_utf8());
            words.push(Word::Name(rest[..length].to_owned()));
            length
        };
        rest = rest[length..].trim_start();
    }
    words
}

/// Length of `$(name,argument,$(...))`, or of `$NAME`.
fn macro_length(text: &str) -> usize {
    let mut open = 0_usize;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '(' => open += 1,
            ')' if open <= 1 => return at + usize::from(open == 1),
            ')' => open -= 1,
            _ if open == 0 && !(c.is_ascii_alphanumeric() || c == '_') => return at,
            _ => {}
        }
    }
    text.len()
}

struct Reader<'a> {
    words: &'a [Word],
    at: usize,
}

impl Reader<'_> {
    fn takes(&mut self, sign: &str) -> bool {
        let there = matches!(self.words.get(self.at), Some(Word::Sign(it)) if *it == sign);
        self.at += usize::from(there);
        there
    }

    fn any(&mut self, depth: usize) -> Option<Expression> {
        let mut parts = vec![self.all(depth)?];
        while self.takes("||") {
            parts.push(self.all(depth)?);
        }
        Some(if parts.len() == 1 { parts.remove(0) } else { Expression::Any(parts) })
    }

    fn all(&mut self, depth: usize) -> Option<Expression> {
        let mut parts = vec![self.one(depth)?];
        while self.takes("&&") {
            parts.push(self.one(depth)?);
        }
        Some(if parts.len() == 1 { parts.remove(0) } else { Expression::All(parts) })
    }

    fn one(&mut self, depth: usize) -> Option<Expression> {
        if depth >= DEEPEST {
            return None;
        }
        if self.takes("!") {
            return Some(Expression::Not(Box::new(self.one(depth + 1)?)));
        }
        if self.takes("(") {
            let inside = self.any(depth + 1)?;
            return self.takes(")").then_some(inside);
        }
        let left = self.operand()?;
        let equal = match self.words.get(self.at) {
            Some(Word::Sign("=")) => Some(true),
            Some(Word::Sign("!=")) => Some(false),
            Some(Word::Order) => None,
            _ => return Some(left.map_or(Expression::Unknown, Expression::Symbol)),
        };
        self.at += 1;
        let right = self.operand()?;
        Some(match (left, right, equal) {
            (Some(symbol), Some(value), Some(equal)) => {
                Expression::Compared { symbol, value, equal }
            }
            _ => Expression::Unknown,
        })
    }

    /// A name, or nothing known.
    fn operand(&mut self) -> Option<Option<String>> {
        let operand = match self.words.get(self.at)? {
            Word::Name(name) => Some(name.clone()),
            Word::Opaque => None,
            Word::Sign(_) | Word::Order => return None,
        };
        self.at += 1;
        Some(operand)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbol(name: &str) -> Expression {
        Expression::Symbol(name.to_owned())
    }

    fn compared(symbol: &str, value: &str, equal: bool) -> Expression {
        Expression::Compared { symbol: symbol.to_owned(), value: value.to_owned(), equal }
    }

    #[test]
    fn and_binds_closer_than_or() {
        let expected = Expression::Any(vec![
            symbol("A"),
            Expression::All(vec![symbol("B"), Expression::Not(Box::new(symbol("C")))]),
        ]);
        assert_eq!(Expression::parse("A || B && !C"), expected);
        assert_eq!(Expression::parse("(A||(B&&!C)) # why"), expected);
    }

    #[test]
    fn values_are_compared() {
        let expected = Expression::Any(vec![symbol("IPV6"), compared("IPV6", "n", true)]);
        assert_eq!(Expression::parse("IPV6 || IPV6=n"), expected);
        assert_eq!(Expression::parse("A != \"m\""), compared("A", "m", false));
    }

    #[test]
    fn what_only_the_build_knows_is_unknown() {
        for text in
            ["$(cc-option,-mfoo=$(x))", "GCC_VERSION >= 90000", "\"$(ARCH)\" = \"x86\"", "$X"]
        {
            assert_eq!(Expression::parse(text), Expression::Unknown, "{text}");
        }
        let both = Expression::All(vec![symbol("A"), Expression::Unknown]);
        assert_eq!(Expression::parse("A && $(success,test -e (x))"), both);
    }

    #[test]
    fn nonsense_and_depth_end_in_unknown() {
        let deep = format!("{}A{}", "(".repeat(10_000), ")".repeat(10_000));
        let shallow = format!("{}A{}", "(".repeat(100), ")".repeat(100));
        for text in ["", "A &&", "A B", "(A", "= A", "é ü", "\"", &deep, &shallow, &"!".repeat(400)]
        {
            assert_eq!(Expression::parse(text), Expression::Unknown, "{text}");
        }
    }
}
