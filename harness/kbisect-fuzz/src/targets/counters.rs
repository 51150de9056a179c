//! The kernel's counters, as a guest's files tell them. The first half of an input is read before,
//! the second after.

use kbisect_core::counters::{Counters, FILES};

pub(super) fn target(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let mut middle = text.len() / 2;
    while !text.is_char_boundary(middle) {
        middle += 1;
    }
    for file in FILES {
        let (mut before, mut after) = (Counters::default(), Counters::default());
        before.read(file, &text[..middle]);
        after.read(file, &text[middle..]);
        let moved = after.that_matter_since(&before);
        assert!(moved.len() <= 25, "{} lines", moved.len());
        assert!(after.that_matter_since(&after).is_empty(), "nothing moved");
        let mut twice = after.clone();
        twice.read("unknown", &text);
        assert_eq!(twice, after, "an unknown file is passed over");
    }
}
