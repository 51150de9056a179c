//! How a case of a program that reports its cases ended.

/// How a case of a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It passed.
    Passed,
    /// It failed.
    Failed,
    /// It was left out.
    Skipped,
    /// It failed, as it was known to.
    ExpectedToFail,
}
