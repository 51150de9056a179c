//! What `nft list ruleset` writes and `nft -f` reads: tables with chains, or `add rule` lines.

use super::deed::Deed;
use super::rule::{Counter, Element, Map, Rule, Rules};

/// One word, and the line that it is on.
struct Token {
    text: String,
    line: usize,
    /// It stood in quotes: no keyword.
    quoted: bool,
}

/// Reads rules, sets and maps. What is none of them is passed over.
#[must_use]
pub fn read(text: &str) -> Rules {
    let mut reader = Reader { tokens: tokens(text), at: 0, found: Rules::default() };
    while reader.at < reader.tokens.len() {
        reader.top();
    }
    reader.found
}

/// Splits into words; the end of a line is a `;`, as it is for nft.
fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        let mut word = String::new();
        let mut add = |text: String, quoted: bool| {
            tokens.push(Token { text, line: number, quoted });
        };
        let mut chars = line.chars();
        while let Some(c) = chars.next() {
            match c {
                '"' => add(chars.by_ref().take_while(|c| *c != '"').collect(), true),
                '#' if word.is_empty() => break,
                '{' | '}' | ',' | ';' => {
                    if !word.is_empty() {
                        add(std::mem::take(&mut word), false);
                    }
                    add(c.to_string(), false);
                }
                c if c.is_whitespace() => {
                    if !word.is_empty() {
                        add(std::mem::take(&mut word), false);
                    }
                }
                c => word.push(c),
            }
        }
        // A backslash at the end goes on with the next line.
        let goes_on = word == "\\";
        if !word.is_empty() && !goes_on {
            add(word, false);
        }
        if !goes_on {
            add(";".to_owned(), false);
        }
    }
    tokens
}

struct Reader {
    tokens: Vec<Token>,
    at: usize,
    found: Rules,
}

impl Reader {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn is(&self, text: &str) -> bool {
        self.peek().is_some_and(|token| !token.quoted && token.text == text)
    }

    /// Takes the words up to the end of a statement or the brace that opens a block; braces within a
    /// statement belong to it. Gives them, and whether a block follows.
    fn statement(&mut self, blocks: bool) -> (Vec<Token>, bool) {
        let mut words: Vec<Token> = Vec::new();
        let mut depth = 0usize;
        while let Some(token) = self.tokens.get_mut(self.at) {
            let plain = !token.quoted;
            match token.text.as_str() {
                "{" if plain && depth == 0 && blocks => {
                    self.at += 1;
                    return (words, true);
                }
                "{" if plain => depth += 1,
                "}" if plain && depth == 0 => return (words, false),
                "}" if plain => depth -= 1,
                ";" if plain && depth == 0 => {
                    self.at += 1;
                    return (words, false);
                }
                // The end of a line within braces.
                ";" if plain => {
                    self.at += 1;
                    continue;
                }
                _ => {}
            }
            let taken = Token { text: std::mem::take(&mut token.text), ..*token };
            words.push(taken);
            self.at += 1;
        }
        (words, false)
    }

    /// Passes over the rest of a block.
    fn skip_block(&mut self) {
        let mut depth = 1usize;
        while let Some(token) = self.peek() {
            let plain = !token.quoted;
            depth = match token.text.as_str() {
                "{" if plain => depth + 1,
                "}" if plain => depth - 1,
                _ => depth,
            };
            self.at += 1;
            if depth == 0 {
                return;
            }
        }
    }

    fn top(&mut self) {
        if self.is("}") {
            self.at += 1;
            return;
        }
        let begin = self.at;
        let names = self.tokens[begin..].iter().take(6).map(|token| token.text.as_str());
        let names: Vec<&str> = names.collect();
        let is_rule = matches!(names.as_slice(), ["add" | "insert", "rule", ..]);
        let (words, block) = self.statement(!is_rule);
        let texts: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
        match texts.as_slice() {
            ["table", rest @ ..] | ["add", "table", rest @ ..] if block => {
                let (family, name) = table_name(rest);
                self.table(&family, &name);
            }
            ["add" | "insert", "rule", rest @ ..] => {
                let known = ["ip", "ip6", "inet", "arp", "bridge", "netdev"];
                let with = usize::from(rest.first().is_some_and(|word| known.contains(word)));
                if let [table, chain] = rest[with..rest.len().min(with + 2)] {
                    let family = if with == 1 { rest[0] } else { "ip" }.to_owned();
                    let (table, chain) = (table.to_owned(), chain.to_owned());
                    let words = words.into_iter().skip(2 + with + 2).collect();
                    self.rule(&family, &table, &chain, words);
                }
            }
            _ if block => self.skip_block(),
            _ => {}
        }
    }

    fn table(&mut self, family: &str, table: &str) {
        while self.at < self.tokens.len() {
            if self.is("}") {
                self.at += 1;
                return;
            }
            let (words, block) = self.statement(true);
            let texts: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
            match texts.as_slice() {
                ["chain", name] if block => self.chain(family, table, name),
                ["counter", name] if block => {
                    let name = (*name).to_owned();
                    self.counter(name);
                }
                ["map" | "set", name] if block => self.map(family, table, name),
                _ if block => self.skip_block(),
                _ => {}
            }
        }
    }

    fn chain(&mut self, family: &str, table: &str, chain: &str) {
        while self.at < self.tokens.len() {
            if self.is("}") {
                self.at += 1;
                return;
            }
            let (words, _) = self.statement(false);
            let first = words.first().map_or("", |word| word.text.as_str());
            if !words.is_empty() && !matches!(first, "type" | "policy" | "comment" | "devices") {
                self.rule(family, table, chain, words);
            }
        }
    }

    fn counter(&mut self, name: String) {
        let begin = self.at;
        self.skip_block();
        let words = &self.tokens[begin..self.at];
        let at = words.iter().position(|word| word.text == "packets");
        let packets = at.and_then(|at| words.get(at + 1)?.text.parse().ok());
        self.found.counters.push((name, packets.unwrap_or(0)));
    }

    fn rule(&mut self, family: &str, table: &str, chain: &str, words: Vec<Token>) {
        let Some(line) = words.first().map(|word| word.line) else { return };
        let at = |text: &str| words.iter().position(|word| !word.quoted && word.text == text);
        let text = |at: usize| words.get(at).map(|word| word.text.clone());
        let comment = at("comment").and_then(|at| text(at + 1));
        let counter = match at("counter") {
            None => Counter::None,
            Some(at) if text(at + 1).as_deref() == Some("name") => {
                text(at + 2).map_or(Counter::Own, Counter::Named)
            }
            Some(_) => Counter::Own,
        };
        // What stands in quotes is a name or a comment, and does nothing.
        let keywords: Vec<String> =
            words.iter().filter(|word| !word.quoted).map(|word| word.text.clone()).collect();
        self.found.rules.push(Rule {
            line,
            family: family.to_owned(),
            table: table.to_owned(),
            chain: chain.to_owned(),
            comment,
            counter,
            deed: Deed::of_nft(&keywords),
            words: words.into_iter().map(|word| word.text).collect(),
        });
    }

    fn map(&mut self, family: &str, table: &str, name: &str) {
        let mut map = Map {
            family: family.to_owned(),
            table: table.to_owned(),
            name: name.to_owned(),
            elements: Vec::new(),
        };
        while self.at < self.tokens.len() {
            if self.is("}") {
                self.at += 1;
                break;
            }
            let (words, block) = self.statement(true);
            let elements = words.first().is_some_and(|word| word.text == "elements") && block;
            if !elements {
                if block {
                    self.skip_block();
                }
                continue;
            }
            let begin = self.at;
            self.skip_block();
            // Elements go over several lines.
            let end = self.at.saturating_sub(1).max(begin);
            let ends_line = |token: &&Token| token.quoted || token.text != ";";
            let words: Vec<&Token> = self.tokens[begin..end].iter().filter(ends_line).collect();
            map.elements.extend(split(&words));
        }
        self.found.maps.push(map);
    }
}

/// `KEY : VALUE, KEY : VALUE`, or `KEY, KEY` of a set.
fn split(words: &[&Token]) -> Vec<Element> {
    let of = |words: &[&Token]| words.iter().map(|word| word.text.clone()).collect();
    let elements = words.split(|word| !word.quoted && word.text == ",");
    elements
        .filter(|element| !element.is_empty())
        .map(|element| {
            let colon = element.iter().position(|word| !word.quoted && word.text == ":");
            let end = colon.unwrap_or(element.len());
            Element { key: of(&element[..end]), value: of(element.get(end + 1..).unwrap_or(&[])) }
        })
        .collect()
}

fn table_name(words: &[&str]) -> (String, String) {
    match words {
        [name] => ("ip".to_owned(), (*name).to_owned()),
        [family, name, ..] => ((*family).to_owned(), (*name).to_owned()),
        [] => (String::new(), String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "flush ruleset\n# a note { \ntable inet gw {\n\tset bogons {\n\t\ttype ipv4_addr\n\t\t\
        flags interval\n\t\telements = { 10.0.0.0/8, 192.0.2.0/24,\n\t\t\t     203.0.113.7 }\n\t}\n\n\t\
        map fwd {\n\t\ttype inet_service : ipv4_addr . inet_service\n\t\telements = { 8443 : 10.0.0.5 . 443 }\n\t}\n\n\t\
        counter hits {\n\t\tpackets 3 bytes 4\n\t}\n\n\tchain pre {\n\t\ttype nat hook prerouting priority dstnat; \
        policy accept;\n\t\tiifname \"wan\" counter name \"hits\" dnat ip addr . port to tcp dport map @fwd \
        comment \"drop it\"\n\t\tct status dnat accept\n\t\tip saddr @bogons counter packets 1 bytes 2 drop\n\t\t\
        tcp dport { 80,\n\t\t\t443 } accept\n\t\tmeta l4proto tcp synproxy name \"sp\"\n\t}\n}\n\
        add rule ip nat post oifname wan masquerade\n";

    #[test]
    fn rules_sets_and_maps_are_told_apart() {
        let read = read(TEXT);
        let told: Vec<_> = read
            .rules
            .iter()
            .map(|rule| (rule.line, rule.table.as_str(), rule.chain.as_str(), rule.deed))
            .collect();
        assert_eq!(
            told,
            [
                (22, "gw", "pre", Some(Deed::Dnat)),
                (23, "gw", "pre", None),
                (24, "gw", "pre", Some(Deed::Drop)),
                (25, "gw", "pre", None),
                (27, "gw", "pre", Some(Deed::Synproxy)),
                (30, "nat", "post", Some(Deed::Masquerade)),
            ]
        );
        let first = &read.rules[0];
        assert_eq!(first.comment.as_deref(), Some("drop it"));
        assert_eq!(first.counter, Counter::Named("hits".to_owned()));
        assert_eq!(read.rules[2].counter, Counter::Own);
        assert_eq!(read.rules[3].counter, Counter::None);
        let names: Vec<(&str, usize)> =
            read.maps.iter().map(|map| (map.name.as_str(), map.elements.len())).collect();
        assert_eq!(names, [("bogons", 3), ("fwd", 1)]);
        assert_eq!(read.maps[1].elements[0].key, ["8443"]);
        assert_eq!(read.counters, [("hits".to_owned(), 3)]);
        assert_eq!(read.rules[2].packets(), 1);
        assert_eq!(read.maps[1].elements[0].value, ["10.0.0.5", ".", "443"]);
    }

    #[test]
    fn what_ends_too_early_is_read_without_harm() {
        for end in 0..TEXT.len() {
            if TEXT.is_char_boundary(end) {
                let _ = read(&TEXT[..end]);
                let _ = read(&TEXT[end..]);
            }
        }
        for text in
            ["}", "}}", "{{{", "table {", "table x { chain c { a { b", "add rule", "\"", "\\"]
        {
            let _ = read(text);
        }
    }
}
