//! One instrument's rows of one day, in columns.

use std::fmt;

use model::market::Timeframe;
use model::{Bar, Date, InstrumentIdx, Price, Quantity, Tick, Timestamp};

/// Ticks, or bars of one length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Series {
    /// Ticks.
    Ticks,
    /// Bars of this length.
    Bars(Timeframe),
}

impl Series {
    /// From `ticks` or `bars/1m`.
    pub fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix("bars/") {
            Some(timeframe) => Timeframe::parse(timeframe).map(Self::Bars),
            None => (text == "ticks").then_some(Self::Ticks),
        }
    }

    /// The columns beside the row's time, which is a tick's stamp and a bar's close.
    pub const fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Ticks => &["price", "quantity", "volume", "open_interest", "bid", "ask"],
            Self::Bars(_) => &[
                "open_ts",
                "open",
                "high",
                "low",
                "close",
                "volume",
                "open_interest",
            ],
        }
    }

    /// The name of the row's time.
    pub const fn time_column(self) -> &'static str {
        match self {
            Self::Ticks => "ts",
            Self::Bars(_) => "close_ts",
        }
    }
}

/// `ticks` or `bars/1m`: the directory in a catalogue.
impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ticks => f.write_str("ticks"),
            Self::Bars(timeframe) => write!(f, "bars/{timeframe}"),
        }
    }
}

/// The most columns that a series has beside the time.
pub(crate) const COLUMNS_MAX: usize = 7;

/// One instrument's rows of one day in order. A column of nothing but zeros takes no room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Ticks or bars.
    pub series: Series,
    /// Which instrument.
    pub instrument: InstrumentIdx,
    /// The local day.
    pub day: Date,
    times: Vec<i64>,
    columns: [Vec<i64>; COLUMNS_MAX],
}

impl Partition {
    /// Without rows.
    pub fn new(series: Series, instrument: InstrumentIdx, day: Date) -> Self {
        Self {
            series,
            instrument,
            day,
            times: Vec::new(),
            columns: Default::default(),
        }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.times.len()
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    /// The rows' times.
    pub fn times(&self) -> &[i64] {
        &self.times
    }

    /// A column's values; empty when all are zero.
    pub fn column(&self, column: usize) -> &[i64] {
        &self.columns[column]
    }

    /// Adds a row below the others.
    #[inline]
    pub(crate) fn push(&mut self, time: i64, values: &[i64]) {
        let rows = self.times.len();
        self.times.push(time);
        for (column, value) in self.columns.iter_mut().zip(values) {
            if *value != 0 || !column.is_empty() {
                if column.is_empty() {
                    column.resize(rows, 0);
                }
                column.push(*value);
            }
        }
    }

    /// From whole columns.
    pub(crate) fn from_columns(
        series: Series,
        instrument: InstrumentIdx,
        day: Date,
        times: Vec<i64>,
        mut columns: [Vec<i64>; COLUMNS_MAX],
    ) -> Self {
        for column in &mut columns {
            if column.iter().all(|value| *value == 0) {
                *column = Vec::new();
            }
        }
        Self {
            series,
            instrument,
            day,
            times,
            columns,
        }
    }

    /// Changes a column's values; false as soon as one has no other.
    pub(crate) fn map_column(
        &mut self,
        column: usize,
        change: impl Fn(i64) -> Option<i64>,
    ) -> bool {
        let mut values = self.columns[column].iter_mut();
        values.all(|value| change(*value).map(|changed| *value = changed).is_some())
    }

    /// Room that the rows take.
    pub(crate) fn bytes(&self) -> usize {
        let columns = self.columns.iter().map(Vec::len).sum::<usize>();
        (self.times.len() + columns) * size_of::<i64>()
    }

    /// Appends the rows in a short form: per column a byte 0 when all its values are zero, else a byte 1
    /// and the differences from row to row as varints.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        for column in std::iter::once(&self.times).chain(&self.columns) {
            out.push(u8::from(!column.is_empty()));
            let mut before = 0;
            for value in column {
                let step = value.wrapping_sub(before);
                before = *value;
                let mut rest = (step << 1 ^ step >> 63) as u64;
                while rest > 0x7f {
                    out.push(rest as u8 | 0x80);
                    rest >>= 7;
                }
                out.push(rest as u8);
            }
        }
    }

    /// A partition like this one with the rows that [`encode`](Self::encode) wrote; `None` when the
    /// bytes are not those of so many rows.
    pub(crate) fn decode(&self, bytes: &[u8], rows: usize) -> Option<Self> {
        let mut partition = Self::new(self.series, self.instrument, self.day);
        let mut bytes = bytes.iter();
        for column in std::iter::once(&mut partition.times).chain(&mut partition.columns) {
            match bytes.next()? {
                0 => continue,
                1 => column.reserve_exact(rows),
                _ => return None,
            }
            let mut before = 0i64;
            for _ in 0..rows {
                let (mut rest, mut shift) = (0u64, 0);
                loop {
                    let byte = *bytes.next()?;
                    rest |= u64::from(byte & 0x7f).checked_shl(shift)?;
                    if byte < 0x80 {
                        break;
                    }
                    shift += 7;
                }
                before = before.wrapping_add((rest >> 1) as i64 ^ -((rest & 1) as i64));
                column.push(before);
            }
        }
        (partition.times.len() == rows && bytes.next().is_none()).then_some(partition)
    }

    /// Gives back the room that growing left over.
    pub(crate) fn shrink(&mut self) {
        self.times.shrink_to_fit();
        self.columns.iter_mut().for_each(Vec::shrink_to_fit);
    }

    #[inline]
    fn at(&self, column: usize, row: usize) -> i64 {
        self.columns[column].get(row).copied().unwrap_or(0)
    }

    /// The `row`-th tick.
    #[inline]
    pub fn tick(&self, row: usize) -> Tick {
        Tick {
            ts: Timestamp(self.times[row]),
            exchange_ts: Timestamp(0),
            price: Price::from_raw(self.at(0, row)),
            quantity: Quantity::from_raw(self.at(1, row)),
            volume: Quantity::from_raw(self.at(2, row)),
            open_interest: Quantity::from_raw(self.at(3, row)),
            bid: Price::from_raw(self.at(4, row)),
            ask: Price::from_raw(self.at(5, row)),
            instrument: self.instrument,
        }
    }

    /// The `row`-th bar.
    #[inline]
    pub fn bar(&self, row: usize) -> Bar {
        Bar {
            open_ts: Timestamp(self.at(0, row)),
            close_ts: Timestamp(self.times[row]),
            open: Price::from_raw(self.at(1, row)),
            high: Price::from_raw(self.at(2, row)),
            low: Price::from_raw(self.at(3, row)),
            close: Price::from_raw(self.at(4, row)),
            volume: Quantity::from_raw(self.at(5, row)),
            open_interest: Quantity::from_raw(self.at(6, row)),
            instrument: self.instrument,
            timeframe: match self.series {
                Series::Bars(timeframe) => timeframe,
                Series::Ticks => Timeframe::MINUTE,
            },
        }
    }

    /// The rows that lie in `[from, to)`: ticks by their stamp, bars with the whole of their length.
    pub fn range(&self, from: Timestamp, to: Timestamp) -> std::ops::Range<usize> {
        match self.series {
            Series::Ticks => {
                let start = self.times.partition_point(|ts| *ts < from.0);
                start..self.times.partition_point(|ts| *ts < to.0).max(start)
            }
            Series::Bars(_) => {
                let opens = &self.columns[0];
                let start = match opens.is_empty() {
                    true if from.0 > 0 => self.times.len(),
                    true => 0,
                    false => opens.partition_point(|ts| *ts < from.0),
                };
                start..self.times.partition_point(|ts| *ts <= to.0).max(start)
            }
        }
    }

    /// BLAKE3 of the rows: the series' name, the number of rows, and every column as little-endian
    /// 64-bit integers behind a byte 1, or as a byte 0 when all its values are zero. It depends on
    /// the rows alone, not on how a file stores them.
    pub fn digest(&self) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"alpha-panda rows 1 ");
        hasher.update(self.series.to_string().as_bytes());
        hasher.update(&[0]);
        hasher.update(&(self.times.len() as u64).to_le_bytes());
        let mut bytes = Vec::with_capacity(8 * 1024);
        let mut add = |column: &[i64]| {
            hasher.update(&[u8::from(!column.is_empty())]);
            for chunk in column.chunks(1024) {
                bytes.clear();
                chunk
                    .iter()
                    .for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
                hasher.update(&bytes);
            }
        };
        add(&self.times);
        self.columns[..self.series.columns().len()]
            .iter()
            .for_each(|column| add(column));
        hasher.finalize()
    }
}
