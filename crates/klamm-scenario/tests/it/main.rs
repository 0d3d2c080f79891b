//! Scenarios through the crate's own door: texts in, reports and diagnostics out.

mod diagnostics;
mod docs;
mod files;
mod properties;
mod reports;
