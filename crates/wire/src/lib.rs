//! The one stored and spoken form of everything that is recorded: Protocol Buffers after the schema in `proto/`.
//!
//! Types are encoded through serde, and a value's place in the bytes comes from the schema: the field of the same name
//! gives its number and its encoding. So there is one description of the form, which other languages read as well, and
//! no second copy of the types. A type that the schema does not have, or has otherwise, is an error at its first use.
//!
//! References to instruments, strategies and currencies are indices in a log, whose starts have the tables, and names
//! in topics, in JSON and in the hash of a log.

mod decode;
mod encode;
mod error;
pub mod identity;
mod json;
mod names;
pub mod schema;
mod table;
mod varint;

pub use decode::{decode, member};
pub use encode::{encode, encode_named};
pub use error::WireError;
pub use identity::EventPlace;
pub use json::json;
pub use names::{Names, Registry};
pub use schema::Root;
pub use table::roots;

/// The major version of the records. It rises where an older build must not read on; what only adds to the schema
/// leaves it.
pub const MAJOR: u64 = 1;
