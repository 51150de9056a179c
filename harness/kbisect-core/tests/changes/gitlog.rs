//! The log of a repository.

use kbisect_core::changes::read_git_log;

#[test]
fn commits_have_their_files() {
    let (a, b) = ("a".repeat(40), "b".repeat(40));
    let text = format!(
        "\u{1e}{a}\u{1f}A Person\u{1f}net: one: two\n\nnet/core/one.c\nnet/core/two.h\n\
         \u{1e}{b}\u{1f}B\u{1f}empty\n\u{1e}no id\u{1f}x\u{1f}y\n\u{1e}{a}"
    );
    let segment = read_git_log(&text);
    assert_eq!(segment.changes.len(), 2);
    let first = &segment.changes[0];
    assert_eq!((first.subject.as_str(), first.commit.as_deref()), ("net: one: two", Some(&*a)));
    assert_eq!(first.files, ["net/core/one.c", "net/core/two.h"]);
    assert_eq!(first.author.as_deref(), Some("A Person"));
    assert_eq!(segment.changes[1].files, [] as [String; 0]);
    assert_eq!(read_git_log("fatal: nothing here").changes, []);
}
