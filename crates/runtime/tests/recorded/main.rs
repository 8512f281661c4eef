//! What a system has recorded, read by everything that reads it.

mod read;
mod replay;
mod retention;
mod world;
