//! What became of every row.

use std::collections::BTreeMap;
use std::fmt;

use model::{Date, Price, Timestamp};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a row was rejected. A row counts under the first that applies, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reject {
    /// Not a row of this file's form, a number that is none, or one outside the accepted window.
    Malformed,
    /// Not of the day that the path names.
    WrongDay,
    /// Its stamp lies before that of a kept row above it.
    Backwards,
    /// All columns equal the row before it in the file.
    Repeated,
    /// A price of zero or less, or a negative quantity.
    NonPositive,
    /// Farther from the last kept price than the band allows.
    Jump,
    /// Outside the market's session.
    OutsideSession,
    /// Of a date that the calendar does not know.
    UnknownSession,
}

/// What is odd about a row that was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Doubt {
    /// The day's cumulative volume fell: quantity 0.
    FallingVolume,
    /// The column for the quantity or volume is empty in this row: quantity 0.
    MissingVolume,
    /// A quantity, volume or open interest had more than eight decimals, and was rounded.
    RoundedVolume,
    /// The bid lies above the ask.
    CrossedQuote,
    /// A price is not a multiple of the instrument's tick size.
    OffTick,
    /// The price lies outside the band, but the rows before it confirm the new level.
    NewLevel,
    /// A bar has the stamp of the bar before it.
    RepeatedStamp,
}

macro_rules! counters {
    ($(#[$doc:meta])* $name:ident of $kind:ident, $count:literal: $($variant:ident = $text:literal),*) => {
        impl $kind {
            /// All, in their order.
            pub const ALL: [Self; $count] = [$(Self::$variant),*];
            /// The name in reports and files.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }
        }

        impl fmt::Display for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.name())
            }
        }

        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct $name([u64; $count]);

        impl $name {
            /// Counts one row.
            #[inline]
            pub fn add(&mut self, kind: $kind) {
                self.0[kind as usize] += 1;
            }
            /// How many rows of a kind.
            pub fn get(&self, kind: $kind) -> u64 {
                self.0[kind as usize]
            }
            /// How many rows of all kinds.
            pub fn total(&self) -> u64 {
                self.0.iter().sum()
            }
            /// Adds another's counts.
            pub fn merge(&mut self, other: &Self) {
                for (own, other) in self.0.iter_mut().zip(other.0) {
                    *own += other;
                }
            }
            /// Every kind with its count, in order.
            pub fn iter(&self) -> impl Iterator<Item = ($kind, u64)> {
                $kind::ALL.into_iter().zip(self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut map = serializer.serialize_map(Some($count))?;
                for (kind, count) in self.iter() {
                    map.serialize_entry(kind.name(), &count)?;
                }
                map.end()
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let map = BTreeMap::<String, u64>::deserialize(deserializer)?;
                let mut counts = Self::default();
                for (name, count) in map {
                    let kind = $kind::ALL.into_iter().find(|kind| kind.name() == name);
                    let kind = kind.ok_or_else(|| serde::de::Error::custom(format!("unknown reason `{name}`")))?;
                    counts.0[kind as usize] = count;
                }
                Ok(counts)
            }
        }
    };
}

counters!(
    /// Rejected rows by reason.
    Rejected of Reject, 8:
    Malformed = "malformed", WrongDay = "wrong_day", Backwards = "backwards", Repeated = "repeated",
    NonPositive = "non_positive", Jump = "jump", OutsideSession = "outside_session",
    UnknownSession = "unknown_session"
);
counters!(
    /// Kept rows by what is odd about them; one row can count more than once.
    Doubtful of Doubt, 7:
    FallingVolume = "falling_volume", MissingVolume = "missing_volume",
    RoundedVolume = "rounded_volume", CrossedQuote = "crossed_quote",
    OffTick = "off_tick", NewLevel = "new_level", RepeatedStamp = "repeated_stamp"
);

/// What became of one file's rows. `rows_read` is always `kept` plus all rejected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileReport {
    /// The file's path below the data set.
    pub file: String,
    /// Its length.
    pub bytes: u64,
    /// BLAKE3 of its bytes, in hexadecimal.
    pub digest: String,
    /// `ticks`, or `bars/1m` and the like.
    pub series: String,
    /// The instruments of its kept rows.
    pub instruments: Vec<String>,
    /// Rows under the header that are not blank, without those of instruments not selected.
    pub rows_read: u64,
    /// Rows that passed.
    pub kept: u64,
    /// Rows that did not, by reason.
    pub rejected: Rejected,
    /// Kept rows by what is odd about them.
    pub doubtful: Doubtful,
    /// Rows of instruments that were not selected.
    pub not_selected: u64,
    /// Columns that mean nothing here.
    pub ignored_columns: Vec<String>,
    /// Stamp of the first kept row.
    pub first: Option<Timestamp>,
    /// Stamp of the last kept row.
    pub last: Option<Timestamp>,
    /// Lowest kept price.
    pub price_min: Option<Price>,
    /// Highest kept price.
    pub price_max: Option<Price>,
    /// The day that the path names.
    pub day: Option<Date>,
    /// Malformed rows by the column whose cell is to blame; those of another form are not among them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub malformed_columns: BTreeMap<String, u64>,
    /// Rows that were rejected as outside the session, of days on which the market was closed all day.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub closed_days: BTreeMap<Date, u64>,
    /// Rows that were rejected as of an unknown session, by day.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unknown_days: BTreeMap<Date, u64>,
}

impl FileReport {
    /// True when every row read is accounted for.
    pub fn balances(&self) -> bool {
        self.rows_read == self.kept + self.rejected.total()
    }
}

/// What became of a whole data set's rows.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct QualityReport {
    /// Rows read in all files.
    pub rows_read: u64,
    /// Rows that passed.
    pub kept: u64,
    /// Rows that did not, by reason.
    pub rejected: Rejected,
    /// Kept rows by what is odd about them.
    pub doubtful: Doubtful,
    /// By file, in the order of their names.
    pub files: Vec<FileReport>,
    /// Files of instruments that were not selected: not read.
    pub skipped_files: Vec<String>,
}

impl QualityReport {
    /// Sums files up.
    pub fn of(mut files: Vec<FileReport>, mut skipped_files: Vec<String>) -> Self {
        files.sort_by(|a, b| a.file.cmp(&b.file));
        skipped_files.sort();
        let mut report = Self {
            skipped_files,
            ..Self::default()
        };
        for file in &files {
            report.rows_read += file.rows_read;
            report.kept += file.kept;
            report.rejected.merge(&file.rejected);
            report.doubtful.merge(&file.doubtful);
        }
        report.files = files;
        report
    }

    /// True when every row read is accounted for.
    pub fn balances(&self) -> bool {
        self.rows_read == self.kept + self.rejected.total()
            && self.files.iter().all(FileReport::balances)
    }
}

/// A table for people: one line per file, then the totals. Columns without a count are left out.
impl fmt::Display for QualityReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reasons: Vec<Reject> = self
            .rejected
            .iter()
            .filter(|(_, n)| *n > 0)
            .map(|(r, _)| r)
            .collect();
        let doubts: Vec<Doubt> = self
            .doubtful
            .iter()
            .filter(|(_, n)| *n > 0)
            .map(|(d, _)| d)
            .collect();
        let mut head: Vec<String> = ["file", "read", "kept"].map(str::to_owned).into();
        head.extend(reasons.iter().map(ToString::to_string));
        head.extend(doubts.iter().map(|doubt| format!("({doubt})")));
        head.extend(["first", "last", "low", "high"].map(str::to_owned));
        let counts = |read: u64, kept: u64, rejected: &Rejected, doubtful: &Doubtful| {
            let mut row = vec![read.to_string(), kept.to_string()];
            row.extend(reasons.iter().map(|r| rejected.get(*r).to_string()));
            row.extend(doubts.iter().map(|d| doubtful.get(*d).to_string()));
            row
        };
        let mut rows = vec![head];
        for file in &self.files {
            let mut row = vec![file.file.clone()];
            row.extend(counts(
                file.rows_read,
                file.kept,
                &file.rejected,
                &file.doubtful,
            ));
            row.extend(
                [file.first, file.last].map(|ts| ts.map_or_else(String::new, |ts| ts.to_string())),
            );
            row.extend(
                [file.price_min, file.price_max]
                    .map(|p| p.map_or_else(String::new, |p| p.to_string())),
            );
            rows.push(row);
        }
        let mut total = vec!["total".to_owned()];
        total.extend(counts(
            self.rows_read,
            self.kept,
            &self.rejected,
            &self.doubtful,
        ));
        rows.push(total);
        write_table(f, &rows)?;
        for file in &self.skipped_files {
            writeln!(f, "skipped, instrument not selected: {file}")?;
        }
        let ignored = self
            .files
            .iter()
            .filter(|file| !file.ignored_columns.is_empty());
        for file in ignored {
            writeln!(
                f,
                "columns not used in {}: {}",
                file.file,
                file.ignored_columns.join(", ")
            )?;
        }
        for file in self
            .files
            .iter()
            .filter(|file| !file.malformed_columns.is_empty())
        {
            let columns = file.malformed_columns.iter();
            let columns: Vec<_> = columns
                .map(|(name, rows)| format!("{name} {rows}"))
                .collect();
            writeln!(
                f,
                "malformed cells in {}: {}",
                file.file,
                columns.join(", ")
            )?;
        }
        if !doubts.is_empty() {
            writeln!(f, "columns in brackets: kept, but doubtful")?;
        }
        Ok(())
    }
}

/// Writes rows in columns: the first one to the left, the others to the right.
pub fn write_table(f: &mut impl fmt::Write, rows: &[Vec<String>]) -> fmt::Result {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let pad = widths[column].saturating_sub(cell.chars().count());
            if column == 0 {
                line.push_str(cell);
                line.extend(std::iter::repeat_n(' ', pad));
            } else {
                line.push_str("  ");
                line.extend(std::iter::repeat_n(' ', pad));
                line.push_str(cell);
            }
        }
        writeln!(f, "{}", line.trim_end())?;
    }
    Ok(())
}
