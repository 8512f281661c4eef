//! Prices that a namespace saw, for its tap: a table write for each market input.

use projection::Mark;

/// Of each instrument the last price before each record of events, so bounded by both.
#[derive(Default)]
pub(super) struct Marks {
    /// With how many events were recorded before.
    seen: Vec<(usize, Mark)>,
    /// By instrument, where its latest stands in `seen`; an old entry points at another's or behind it.
    latest: Vec<u32>,
}

impl Marks {
    /// A price was seen when so many events were recorded.
    pub fn note(&mut self, before: usize, mark: Mark) {
        let index = mark.instrument.index();
        if self.latest.len() <= index {
            self.latest.resize(index + 1, u32::MAX);
        }
        let at = &mut self.latest[index];
        match self.seen.get_mut(*at as usize) {
            Some((events, old)) if *events == before && old.instrument == mark.instrument => {
                *old = mark;
            }
            _ => {
                *at = self.seen.len() as u32;
                self.seen.push((before, mark));
            }
        }
    }

    /// The prices, by the number of events before them.
    pub fn seen(&self) -> &[(usize, Mark)] {
        &self.seen
    }

    pub fn clear(&mut self) {
        self.seen.clear();
    }
}

#[cfg(test)]
mod tests {
    use model::{InstrumentIdx, Price, Timestamp};

    use super::*;

    #[test]
    fn the_last_price_before_each_record_is_kept() {
        let mark = |instrument, price| Mark {
            instrument: InstrumentIdx(instrument),
            price: Price::from_raw(price),
            ts: Timestamp(price),
        };
        let mut marks = Marks::default();
        for (before, instrument, price) in [
            (0, 2, 1),
            (0, 0, 2),
            (0, 2, 3),
            (4, 2, 4),
            (4, 0, 5),
            (4, 2, 6),
        ] {
            marks.note(before, mark(instrument, price));
        }
        let wanted = [
            (0, mark(2, 3)),
            (0, mark(0, 2)),
            (4, mark(2, 6)),
            (4, mark(0, 5)),
        ];
        assert_eq!(marks.seen(), wanted);
        marks.clear();
        marks.note(0, mark(0, 7));
        marks.note(0, mark(2, 8));
        assert_eq!(marks.seen(), [(0, mark(0, 7)), (0, mark(2, 8))]);
    }
}
