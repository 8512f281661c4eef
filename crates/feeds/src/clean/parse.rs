//! The first pass: rows that can be read at all, of the right day.

use model::market::BarStamp;
use model::{Date, Price, Quantity, Timestamp};

use crate::clock::Clock;
use crate::number::{decimal, rounded};
use crate::raw::columns::{Kind, Layout};
use crate::raw::rows::Fields;

/// The longest line that is looked at.
const LINE_MAX: usize = 1 << 16;

/// What a line says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parsed {
    pub ts: Timestamp,
    pub day: Date,
    /// As [`Layout::values`].
    pub values: [i64; 6],
    /// Bit `i`: the `i`-th value stands in the line; [`VOLUME_EXPECTED`]: the file has a column for it.
    pub present: u8,
}

/// Bit of [`Parsed::present`]: the file has a column for what was traded.
pub(super) const VOLUME_EXPECTED: u8 = 1 << 7;

/// Bit of [`Parsed::present`]: a quantity had more decimals than are kept.
pub(super) const ROUNDED: u8 = 1 << 6;

/// A line that is no row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed {
    /// The column of the cell to blame; `None` when the line has another form, or its cells contradict
    /// each other.
    pub column: Option<u16>,
}

impl Malformed {
    const LINE: Self = Self { column: None };

    fn cell(column: usize) -> Self {
        Self {
            column: u16::try_from(column).ok(),
        }
    }
}

/// Bits of the values that are prices.
const fn prices(kind: Kind) -> u8 {
    match kind {
        Kind::Ticks => 0b11_0001,
        Kind::Bars => 0b00_1111,
    }
}

/// Bits of the values that every row needs.
pub(super) const fn needed(kind: Kind) -> u8 {
    match kind {
        Kind::Ticks => 0b00_0001,
        Kind::Bars => 0b00_1111,
    }
}

/// Splits and reads a line.
#[inline]
pub(super) fn line(
    layout: &Layout,
    stamp: BarStamp,
    clock: &mut Clock,
    fields: &mut Fields,
    line: &[u8],
) -> Result<Parsed, Malformed> {
    if line.len() > LINE_MAX {
        return Err(Malformed::LINE);
    }
    fields.split(line);
    if fields.len() != layout.width {
        return Err(Malformed::LINE);
    }
    let mut values = [0; 6];
    let volume = match layout.kind {
        Kind::Ticks => layout.values[1].or(layout.values[2]),
        Kind::Bars => layout.values[4],
    };
    let mut present = if volume.is_some() { VOLUME_EXPECTED } else { 0 };
    for (bit, column) in layout.values.iter().enumerate() {
        let Some(column) = column else { continue };
        let text = fields.get(line, *column).trim_ascii();
        let mask = 1 << bit;
        if text.is_empty() {
            // An unknown quantity or quote is zero; without its price a row says nothing.
            if needed(layout.kind) & mask != 0 {
                return Err(Malformed::cell(*column));
            }
            continue;
        }
        let is_price = prices(layout.kind) & mask != 0;
        let value = match decimal(text) {
            Some(value) => value,
            // A price with too many decimals would be another price; of a quantity it is noise.
            None => {
                let noise = if is_price { None } else { rounded(text) };
                present |= ROUNDED;
                noise.ok_or(Malformed::cell(*column))?
            }
        };
        let window = if is_price {
            (Price::MIN.raw(), Price::MAX.raw())
        } else {
            (Quantity::MIN.raw(), Quantity::MAX.raw())
        };
        // Zero and less have a reason of their own.
        if value > 0 && !(window.0..=window.1).contains(&value) {
            return Err(Malformed::cell(*column));
        }
        values[bit] = value;
        present |= mask;
    }
    if layout.kind == Kind::Bars && !consistent(&values) {
        return Err(Malformed::LINE);
    }
    let stamp_cell = Malformed::cell(layout.timestamp);
    let parsed = clock
        .parse(fields.get(line, layout.timestamp), layout.nanoseconds)
        .ok_or(stamp_cell)?;
    let mut day = parsed.day;
    if layout.kind == Kind::Bars && stamp == BarStamp::Close {
        // A bar that ends at midnight is of the day that ends.
        day = clock.day(parsed.ts.plus(-1)).ok_or(stamp_cell)?;
    }
    Ok(Parsed {
        ts: parsed.ts,
        day,
        values,
        present,
    })
}

/// A bar's low is its lowest and its high its highest price.
fn consistent([open, high, low, close, ..]: &[i64; 6]) -> bool {
    let positive = [open, high, low, close].into_iter().all(|price| *price > 0);
    !positive || (low <= open && low <= close && high >= open && high >= close)
}
