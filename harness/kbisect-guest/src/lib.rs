//! What the guest's program reads from servers: a library, so that the harness's fuzzers reach it too.

pub mod answers;
