//! YAML as a tree with lines, within bounds. Aliases are refused: a few of them make gigabytes.

use saphyr_parser::{Event, Parser, ScalarStyle};

use super::error::{AdoptError, Expected};

/// Most bytes of a file.
pub(super) const MOST_BYTES: usize = 1 << 20;
/// Most values of a file.
const MOST_VALUES: usize = 50_000;
/// Most levels of lists and maps.
const MOST_LEVELS: usize = 16;

/// A value and the line that it begins on.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) value: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Text(String),
    /// Nothing, `~` or `null` without quotes.
    Nothing,
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

/// A list or map that is not closed yet.
enum Open {
    List(usize, Vec<Node>),
    /// With the key that waits for its value.
    Map(usize, Vec<(String, Node)>, Option<String>),
}

/// The documents of a file.
pub(super) fn documents(text: &str) -> Result<Vec<Node>, AdoptError> {
    if text.len() > MOST_BYTES {
        return Err(AdoptError::TooMuch { line: 1, most: MOST_BYTES, what: "bytes" });
    }
    let mut documents = Vec::new();
    let mut open: Vec<Open> = Vec::new();
    let mut values = 0;
    for item in Parser::new_from_str(text) {
        let (event, span) = item.map_err(|error| AdoptError::Yaml {
            line: error.marker().line(),
            said: error.info().to_owned(),
        })?;
        let line = span.start.line();
        let refused = |what| AdoptError::Refused { line, what };
        let node = match event {
            Event::Alias(_) => return Err(refused("aliases (`*NAME`)")),
            Event::Scalar(_, _, _, Some(tag))
            | Event::SequenceStart(_, Some(tag))
            | Event::MappingStart(_, Some(tag))
                if !tag.is_yaml_core_schema() =>
            {
                return Err(refused("tags (`!NAME`)"));
            }
            Event::Scalar(text, style, ..) => {
                let is_nothing = style == ScalarStyle::Plain && ["", "~", "null"].contains(&&*text);
                let value =
                    if is_nothing { Value::Nothing } else { Value::Text(text.into_owned()) };
                Some(Node { line, value })
            }
            Event::SequenceStart(..) => {
                open.push(Open::List(line, Vec::new()));
                None
            }
            Event::MappingStart(..) => {
                open.push(Open::Map(line, Vec::new(), None));
                None
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(Open::List(line, list)) => Some(Node { line, value: Value::List(list) }),
                Some(Open::Map(line, map, _)) => Some(Node { line, value: Value::Map(map) }),
                None => None,
            },
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => None,
        };
        if open.len() > MOST_LEVELS {
            return Err(AdoptError::TooMuch { line, most: MOST_LEVELS, what: "levels" });
        }
        let Some(node) = node else { continue };
        values += 1;
        if values > MOST_VALUES {
            return Err(AdoptError::TooMuch { line, most: MOST_VALUES, what: "values" });
        }
        match open.last_mut() {
            None => documents.push(node),
            Some(Open::List(_, list)) => list.push(node),
            Some(Open::Map(_, map, key @ None)) => match node.value {
                Value::Text(text) if map.iter().any(|(known, _)| *known == text) => {
                    return Err(AdoptError::Shape { line, expected: Expected::OneKey });
                }
                Value::Text(text) => *key = Some(text),
                _ => return Err(AdoptError::Shape { line, expected: Expected::TextKey }),
            },
            Some(Open::Map(_, map, key)) => {
                map.push((key.take().unwrap_or_default(), node));
            }
        }
    }
    Ok(documents)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_have_lines() {
        let found = documents("---\n- a: \"\"\n  b:\n---\n- |\n  x\n  y\n").expect("it is YAML");
        assert_eq!((found.len(), found[0].line, found[1].line), (2, 2, 5));
        let Value::List(list) = &found[0].value else { panic!("{found:?}") };
        let Value::Map(map) = &list[0].value else { panic!("{found:?}") };
        assert_eq!(map[0].1.value, Value::Text(String::new()));
        assert_eq!((&map[1].0, &map[1].1.value), (&"b".to_owned(), &Value::Nothing));
    }

    /// A billion laughs, and its kin.
    #[test]
    fn bombs_are_refused_before_they_are_loaded() {
        let bomb = "- &a [x, x]\n- &b [*a, *a]\n- [*b, *b]\n";
        assert_eq!(
            documents(bomb),
            Err(AdoptError::Refused { line: 2, what: "aliases (`*NAME`)" })
        );
        let deep = "[".repeat(50_000);
        assert!(matches!(
            documents(&deep),
            Err(AdoptError::TooMuch { what: "levels", .. } | AdoptError::Yaml { .. })
        ));
        let nested: String = (0..20).map(|n| format!("{}-\n", " ".repeat(n))).collect();
        assert!(matches!(documents(&nested), Err(AdoptError::TooMuch { what: "levels", .. })));
        let many = "- x\n".repeat(MOST_VALUES + 1);
        assert!(matches!(documents(&many), Err(AdoptError::TooMuch { what: "values", .. })));
        let long = "x".repeat(MOST_BYTES + 1);
        assert!(matches!(documents(&long), Err(AdoptError::TooMuch { what: "bytes", .. })));
        assert!(matches!(
            documents("- !!python/object:os.system x\n"),
            Err(AdoptError::Refused { .. }) | Ok(_)
        ));
        assert!(matches!(documents("- !run x\n"), Err(AdoptError::Refused { .. })));
        assert!(matches!(documents("a: 1\na: 2\n"), Err(AdoptError::Shape { .. })));
        assert!(matches!(documents("a: [1\n"), Err(AdoptError::Yaml { .. })));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read(text in "([-:*&!|>\\[\\]{}\"'# \n\ta-c\u{1}é]{0,40})") {
            let _ = documents(&text);
        }
    }
}
