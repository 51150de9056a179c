//! A validator for the part of JSON Schema (draft 2020-12) that the checked-in schemas use. A keyword
//! that it does not know fails the test, so that nothing goes unchecked.

use serde_json::Value;

/// Every way in which `value` breaks `schema`.
pub fn problems(schema: &Value, value: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    check(schema, schema, value, "$", &mut problems);
    problems
}

fn check(root: &Value, schema: &Value, value: &Value, at: &str, problems: &mut Vec<String>) {
    let keywords = match schema {
        Value::Bool(true) => return,
        Value::Object(keywords) => keywords,
        other => panic!("{at}: no schema: {other}"),
    };
    let fits = |schema: &Value| {
        let mut found = Vec::new();
        check(root, schema, value, at, &mut found);
        found.is_empty()
    };
    let mut wrong = |message: String| problems.push(format!("{at}: {message}"));
    let mut deeper: Vec<(&Value, &Value, String)> = Vec::new();
    for (keyword, rule) in keywords {
        match keyword.as_str() {
            "$schema" | "$id" | "$defs" | "title" | "description" | "default" | "format" => {}
            "$ref" => {
                let pointer = rule.as_str().unwrap().strip_prefix('#').unwrap();
                let target = root.pointer(pointer).unwrap_or_else(|| panic!("no {pointer}"));
                deeper.push((target, value, at.to_owned()));
            }
            "type" => {
                let names = rule.as_array().cloned().unwrap_or_else(|| vec![rule.clone()]);
                if !names.iter().any(|name| is_of(value, name.as_str().unwrap())) {
                    wrong(format!("{value} is not of type {rule}"));
                }
            }
            "const" if value != rule => wrong(format!("{value} is not {rule}")),
            "enum" if !rule.as_array().unwrap().contains(value) => {
                wrong(format!("{value} is none of {rule}"));
            }
            "const" | "enum" => {}
            "anyOf" if !rule.as_array().unwrap().iter().any(fits) => {
                wrong(format!("{value} fits none of the alternatives"));
            }
            "oneOf" => {
                let fitting = rule.as_array().unwrap().iter().filter(|schema| fits(schema)).count();
                if fitting != 1 {
                    wrong(format!("{value} fits {fitting} of the alternatives"));
                }
            }
            "anyOf" => {}
            "required" => {
                for name in rule.as_array().unwrap() {
                    let name = name.as_str().unwrap();
                    if value.is_object() && value.get(name).is_none() {
                        wrong(format!("`{name}` is missing"));
                    }
                }
            }
            "properties" => {
                for (name, schema) in rule.as_object().unwrap() {
                    if let Some(member) = value.get(name) {
                        deeper.push((schema, member, format!("{at}.{name}")));
                    }
                }
            }
            "additionalProperties" => {
                let known = schema.get("properties").and_then(Value::as_object);
                for (name, member) in value.as_object().into_iter().flatten() {
                    if known.is_some_and(|known| known.contains_key(name)) {
                        continue;
                    }
                    match rule {
                        Value::Bool(false) => wrong(format!("`{name}` is unknown")),
                        rule => deeper.push((rule, member, format!("{at}.{name}"))),
                    }
                }
            }
            "propertyNames" => {
                for name in value.as_object().into_iter().flat_map(|object| object.keys()) {
                    pattern(rule["pattern"].as_str().unwrap(), name, &mut wrong);
                }
            }
            "pattern" => {
                if let Some(text) = value.as_str() {
                    pattern(rule.as_str().unwrap(), text, &mut wrong);
                }
            }
            "items" => {
                for (index, element) in value.as_array().into_iter().flatten().enumerate() {
                    deeper.push((rule, element, format!("{at}[{index}]")));
                }
            }
            "minimum" if value.as_f64().is_some_and(|n| n < rule.as_f64().unwrap()) => {
                wrong(format!("{value} is below {rule}"));
            }
            "maximum" if value.as_f64().is_some_and(|n| n > rule.as_f64().unwrap()) => {
                wrong(format!("{value} is above {rule}"));
            }
            "minLength" if length(value) < rule.as_u64() => wrong(format!("{value} is too short")),
            "maxLength" if length(value) > rule.as_u64() => wrong(format!("{value} is too long")),
            "minItems" | "minProperties" if size(value) < rule.as_u64() => {
                wrong(format!("{value} has too few"));
            }
            "maxItems" if size(value) > rule.as_u64() => wrong(format!("{value} has too many")),
            "maxItems" | "minimum" | "maximum" | "minLength" | "maxLength" | "minItems"
            | "minProperties" => {}
            other => panic!("{at}: keyword `{other}` is not known to this validator"),
        }
    }
    for (schema, value, at) in deeper {
        check(root, schema, value, &at, problems);
    }
}

fn is_of(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("type `{other}`"),
    }
}

/// The patterns that the schemas have.
fn pattern(pattern: &str, text: &str, wrong: &mut impl FnMut(String)) {
    let fits = match pattern {
        "^[a-z0-9-]{1,32}$" | "^[a-z0-9-]{1,64}$" => {
            let most = if pattern.contains("64") { 64 } else { 32 };
            let sign = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            (1..=most).contains(&text.len()) && text.chars().all(sign)
        }
        "^CONFIG_" => text.starts_with("CONFIG_"),
        "^http://" => text.starts_with("http://"),
        "^https://" => text.starts_with("https://"),
        other => panic!("pattern `{other}`"),
    };
    if !fits {
        wrong(format!("`{text}` does not match {pattern}"));
    }
}

fn length(value: &Value) -> Option<u64> {
    value.as_str().map(|text| text.chars().count() as u64)
}

fn size(value: &Value) -> Option<u64> {
    match value {
        Value::Array(elements) => Some(elements.len() as u64),
        Value::Object(members) => Some(members.len() as u64),
        _ => None,
    }
}
