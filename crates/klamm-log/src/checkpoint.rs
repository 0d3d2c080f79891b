//! The small text files.
