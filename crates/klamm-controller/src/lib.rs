//! Who leads, who is in sync: the controller.
//!
//! A controller answers requests by writing metadata records: a manager (one a file) works out records and an answer
//! from the image, [`Controller`] appends the records to the metadata log, folds them into the image once they are
//! committed, and then answers. Brokers learn of them by fetching that log.

mod controller;
mod settings;

pub use controller::Controller;
pub use settings::ControllerSettings;
