//! The rules that values of a kept scenario are held against.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;

use super::topology::{Links, Node};
use super::words;

/// Why a kept scenario cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeptError {
    /// It is not JSON of that shape.
    #[error("the kept scenario is damaged")]
    Shape(#[from] serde_json::Error),
    /// A value breaks a rule of scenario files.
    #[error("the kept scenario is not valid: `{key}`: {message}")]
    Invalid {
        /// Key path of the value.
        key: String,
        /// The rule.
        message: String,
    },
}

pub type Checked = Result<(), KeptError>;

/// A check of a kept scenario, and what it can refer to.
#[derive(Clone, Copy)]
pub struct KeptCheck<'a> {
    /// Key path of the check.
    pub key: &'a str,
    /// Its node, which exists.
    pub node: &'a str,
    /// Nodes by name.
    pub nodes: &'a BTreeMap<String, Node>,
    /// Links by name.
    pub links: &'a Links,
}

/// A node must exist.
pub fn known(key: &str, node: &str, nodes: &BTreeMap<String, Node>) -> Checked {
    match nodes.contains_key(node) {
        true => Ok(()),
        false => Err(invalid(key, format!("there is no node `{}`", words::shown(node)))),
    }
}

pub fn texts<T>(key: &str, list: &[String], check: impl Fn(&str) -> Result<T, String>) -> Checked {
    list.iter().try_for_each(|text| rule(key, check(text)))
}

pub fn within<T: PartialOrd + Display>(key: &str, value: T, range: RangeInclusive<T>) -> Checked {
    match range.contains(&value) {
        true => Ok(()),
        false => {
            let (least, most) = (range.start(), range.end());
            Err(invalid(key, format!("{value} is not from {least} to {most}")))
        }
    }
}

pub fn rule<T>(key: &str, checked: Result<T, String>) -> Checked {
    checked.map(drop).map_err(|message| invalid(key, message))
}

pub fn invalid(key: &str, message: impl Into<String>) -> KeptError {
    KeptError::Invalid { key: key.to_owned(), message: message.into() }
}
