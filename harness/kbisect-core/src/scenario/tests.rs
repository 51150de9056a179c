//! Broken and unusual scenario files, as their authors would meet them.
