//! The configuration of Homing: one file format, every problem at once, typed settings.
//!
//! Owns the keys, their manual, their checks and their sources. Does not know what settings do, opens no sockets, reads
//! no clock and no process environment. Begin at [`load()`].

mod check;
mod diagnostic;
mod diff;
mod effective;
mod file;
mod load;
pub mod name;
mod overlay;
mod reference;
mod schema;
mod secret;
pub mod settings;
mod shape;
mod source;
mod suggest;
mod text;
mod tree;
mod validate;
pub mod verbs;
mod window;

pub use diagnostic::{Diagnostic, Label, Severity, Style, render};
pub use diff::{Change, diff};
pub use effective::Effective;
pub use load::{Input, Inputs, Loaded, Purpose, Report, load};
pub use overlay::PREFIX;
pub use reference::reference;
pub use schema::schema;
pub use secret::{Secret, redact_urls};
pub use settings::Config;
pub use shape::When;
pub use source::{Origin, Place, Source, Sources, Span};
pub use suggest::nearest;
