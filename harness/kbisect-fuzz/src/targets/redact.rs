//! Texts that are to leave the house.

use std::io::Cursor;

use kbisect_report::{Hosts, RedactRules, Survey};

pub(super) fn target(input: &[u8]) {
    let mut survey = Survey::new(RedactRules::default());
    survey.file(&mut Cursor::new(input), Hosts::All).expect("memory can be read");
    let mut redactor = survey.finish();
    let (mut first, mut second) = (Vec::new(), Vec::new());
    let one = redactor.file(&mut Cursor::new(input), &mut first).expect("memory");
    let two = redactor.file(&mut Cursor::new(input), &mut second).expect("memory");
    assert_eq!((one, first), (two, second));
}
