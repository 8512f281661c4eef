//! The CSV files of a result, one row at a time.

use std::fmt::{Display, Write as _};
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use crate::error::OutputError;

/// One CSV file that rows are appended to.
#[derive(Debug)]
pub struct Table {
    path: PathBuf,
    writer: csv::Writer<BufWriter<File>>,
    cell: String,
    /// Rows are left out: they are of before the part that is reported.
    muted: bool,
}

impl Table {
    /// Creates `name` in `dir` and writes its header.
    pub fn create(dir: &Path, name: &str, header: &[&str]) -> Result<Self, OutputError> {
        let path = dir.join(name);
        let file = File::create(&path).map_err(OutputError::io(&path))?;
        // The csv writer has a small buffer of its own; this one makes the system calls rare.
        let writer = csv::Writer::from_writer(BufWriter::with_capacity(1 << 16, file));
        let mut table = Self {
            path,
            writer,
            cell: String::new(),
            muted: false,
        };
        table
            .writer
            .write_record(header)
            .map_err(|e| failed(&table.path, e))?;
        Ok(table)
    }

    /// Leaves rows out from here on, or no longer.
    pub fn mute(&mut self, muted: bool) {
        self.muted = muted;
    }

    /// Begins a row.
    pub fn row(&mut self) -> Row<'_> {
        Row {
            table: self,
            result: Ok(()),
        }
    }

    /// Writes what is still buffered.
    pub fn finish(mut self) -> Result<(), OutputError> {
        self.writer.flush().map_err(OutputError::io(&self.path))
    }
}

/// A row under construction; the first failure is reported by [`Row::end`].
#[derive(Debug)]
pub struct Row<'t> {
    table: &'t mut Table,
    result: Result<(), csv::Error>,
}

impl Row<'_> {
    /// Adds a cell.
    pub fn put(mut self, value: impl Display) -> Self {
        if self.result.is_ok() && !self.table.muted {
            self.table.cell.clear();
            // Writing to a string fails only when the value's own Display does.
            if write!(self.table.cell, "{value}").is_ok() {
                self.result = self.table.writer.write_field(&self.table.cell);
            }
        }
        self
    }

    /// Adds a cell that is a text already.
    pub fn text(mut self, value: &str) -> Self {
        if self.result.is_ok() && !self.table.muted {
            self.result = self.table.writer.write_field(value);
        }
        self
    }

    /// Adds a cell that may be empty.
    pub fn option(self, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.put(value),
            None => self.text(""),
        }
    }

    /// Ends the row.
    pub fn end(self) -> Result<(), OutputError> {
        let Self { table, result } = self;
        if table.muted {
            return Ok(());
        }
        result
            .and_then(|()| table.writer.write_record(None::<&[u8]>))
            .map_err(|e| failed(&table.path, e))
    }
}

fn failed(path: &Path, error: csv::Error) -> OutputError {
    OutputError::Io {
        path: path.to_owned(),
        source: std::io::Error::other(error),
    }
}
