//! The first pass: rows that can be read at all, of the right day.

use model::market::BarStamp;
use model::{Date, Price, Quantity, Timestamp};

use crate::clock::Clock;
use crate::number::decimal;
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

/// Splits and reads a line; `None` when it is malformed.
#[inline]
pub(super) fn line(
    layout: &Layout,
    stamp: BarStamp,
    clock: &mut Clock,
    fields: &mut Fields,
    line: &[u8],
) -> Option<Parsed> {
    if line.len() > LINE_MAX {
        return None;
    }
    fields.split(line);
    if fields.len() != layout.width {
        return None;
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
                return None;
            }
            continue;
        }
        let value = decimal(text)?;
        let window = if prices(layout.kind) & mask != 0 {
            (Price::MIN.raw(), Price::MAX.raw())
        } else {
            (Quantity::MIN.raw(), Quantity::MAX.raw())
        };
        // Zero and less have a reason of their own.
        if value > 0 && !(window.0..=window.1).contains(&value) {
            return None;
        }
        values[bit] = value;
        present |= mask;
    }
    if layout.kind == Kind::Bars && !consistent(&values) {
        return None;
    }
    let parsed = clock.parse(fields.get(line, layout.timestamp), layout.nanoseconds)?;
    let mut day = parsed.day;
    if layout.kind == Kind::Bars && stamp == BarStamp::Close {
        // A bar that ends at midnight is of the day that ends.
        day = clock.day(parsed.ts.plus(-1))?;
    }
    Some(Parsed {
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
