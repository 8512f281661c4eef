//! One instrument's way through a file: the last price and volume of its day, and its kept rows.

use std::collections::BTreeMap;

use model::instrument::{Instrument, InstrumentIdx};
use model::session::Sessions;
use model::{Date, Timestamp};

use super::hours::Hours;
use super::jump::{Jumps, Verdict};
use super::options::Cleaning;
use super::parse::{ROUNDED, VOLUME_EXPECTED};
use super::pass::Row;
use crate::clock::Clock;
use crate::partition::{Partition, Series};
use crate::report::{Doubt, Doubtful, Reject};

pub(super) struct Track<'a> {
    instrument: InstrumentIdx,
    tick_size: i64,
    hours: Hours<'a>,
    day: Option<Date>,
    /// The day that was looked at last, and whether it has no session.
    closed: Option<(Date, bool)>,
    jumps: Jumps,
    /// The greatest cumulative volume of the day's kept rows.
    volume: Option<i64>,
    last_bar: Option<Timestamp>,
    current: Option<Partition>,
    done: BTreeMap<Date, Partition>,
}

impl<'a> Track<'a> {
    pub fn new(
        index: InstrumentIdx,
        instrument: &Instrument,
        sessions: Option<&'a dyn Sessions>,
    ) -> Self {
        Self {
            instrument: index,
            tick_size: instrument.tick_size.raw(),
            hours: Hours::new(sessions, instrument),
            day: None,
            closed: None,
            jumps: Jumps::default(),
            volume: None,
            last_bar: None,
            current: None,
            done: BTreeMap::new(),
        }
    }

    pub fn into_partitions(mut self) -> impl Iterator<Item = Partition> {
        if let Some(current) = self.current.take() {
            self.done.insert(current.day, current);
        }
        self.done.into_values()
    }

    /// Whether a row outside the session is of a day that has none.
    pub fn is_of_closed_day(&mut self, row: &Row) -> bool {
        match self.closed {
            Some((day, closed)) if day == row.day => closed,
            _ => {
                let closed = self.hours.is_closed_day(row.ts);
                self.closed = Some((row.day, closed));
                closed
            }
        }
    }

    /// Keeps a row, or says why not.
    #[inline]
    pub fn judge(
        &mut self,
        row: &Row,
        series: Series,
        cleaning: &Cleaning<'_>,
        clock: &mut Clock,
        doubtful: &mut Doubtful,
    ) -> Result<(), Reject> {
        if self.day != Some(row.day) {
            self.day = Some(row.day);
            self.jumps = Jumps::default();
            self.volume = None;
        }
        match series {
            Series::Ticks => self.tick(row, cleaning, doubtful),
            Series::Bars(_) => self.bar(row, series, cleaning, clock, doubtful),
        }
    }

    fn tick(
        &mut self,
        row: &Row,
        cleaning: &Cleaning<'_>,
        doubtful: &mut Doubtful,
    ) -> Result<(), Reject> {
        let [price, size, volume, open_interest, bid, ask] = row.values;
        if price <= 0
            || [size, volume, open_interest, bid, ask]
                .iter()
                .any(|value| *value < 0)
        {
            return Err(Reject::NonPositive);
        }
        let verdict = self.jumps.judge(cleaning.band, price);
        if verdict == Verdict::Jump {
            return Err(Reject::Jump);
        }
        if !self.hours.admit(row.ts) {
            return Err(self.hours.refused(row.ts));
        }
        self.jumps.kept(price);

        let (has_size, has_volume) = (row.present & 0b10 != 0, row.present & 0b100 != 0);
        let mut traded = 0;
        if has_volume {
            match self.volume {
                // Trades before the first row are not of this row.
                None => {}
                Some(before) if volume < before => doubtful.add(Doubt::FallingVolume),
                Some(before) => traded = volume - before,
            }
            // The greatest so far stays the base, so that nothing is counted twice once the volume
            // has recovered.
            self.volume = Some(self.volume.map_or(volume, |before| before.max(volume)));
        }
        if has_size {
            traded = size;
        }
        if !has_size && !has_volume && row.present & VOLUME_EXPECTED != 0 {
            doubtful.add(Doubt::MissingVolume);
        }
        if row.present & ROUNDED != 0 {
            doubtful.add(Doubt::RoundedVolume);
        }
        if bid > 0 && ask > 0 && bid > ask {
            doubtful.add(Doubt::CrossedQuote);
        }
        self.doubt_price(verdict, &[price], doubtful);
        let values = [
            price,
            traded,
            self.volume.unwrap_or(0),
            open_interest,
            bid,
            ask,
        ];
        self.push(Series::Ticks, row.day, row.ts.0, &values);
        Ok(())
    }

    fn bar(
        &mut self,
        row: &Row,
        series: Series,
        cleaning: &Cleaning<'_>,
        clock: &mut Clock,
        doubtful: &mut Doubtful,
    ) -> Result<(), Reject> {
        let Series::Bars(length) = series else {
            return Err(Reject::Malformed);
        };
        let [open, high, low, close, volume, open_interest] = row.values;
        let prices = [open, high, low, close];
        if prices.iter().any(|price| *price <= 0) || volume < 0 || open_interest < 0 {
            return Err(Reject::NonPositive);
        }
        // The close tells the level; a bar whose other prices lie far from it holds a wrong print.
        let verdict = self.jumps.judge(cleaning.band, close);
        let wrong_print = verdict == Verdict::Near
            && prices
                .iter()
                .any(|price| !self.jumps.is_near(cleaning.band, *price));
        if verdict == Verdict::Jump || wrong_print {
            return Err(Reject::Jump);
        }
        let Some((open_ts, close_ts)) = self.hours.bar(row.ts, cleaning.bar_stamp, length) else {
            return Err(self.hours.refused(row.ts));
        };
        // A bar is of the day in which its last instant lies: so the days follow each other in the
        // order of delivery.
        let Some(day) = clock.day(close_ts.plus(-1)) else {
            return Err(Reject::OutsideSession);
        };
        self.jumps.kept(close);
        if row.present & 0b1_0000 == 0 && row.present & VOLUME_EXPECTED != 0 {
            doubtful.add(Doubt::MissingVolume);
        }
        if row.present & ROUNDED != 0 {
            doubtful.add(Doubt::RoundedVolume);
        }
        if self.last_bar.replace(row.ts) == Some(row.ts) {
            doubtful.add(Doubt::RepeatedStamp);
        }
        self.doubt_price(verdict, &prices, doubtful);
        let values = [open_ts.0, open, high, low, close, volume, open_interest];
        self.push(series, day, close_ts.0, &values);
        Ok(())
    }

    #[inline]
    fn doubt_price(&self, verdict: Verdict, prices: &[i64], doubtful: &mut Doubtful) {
        if verdict == Verdict::NewLevel {
            doubtful.add(Doubt::NewLevel);
        }
        if prices.iter().any(|price| price % self.tick_size != 0) {
            doubtful.add(Doubt::OffTick);
        }
    }

    #[inline]
    fn push(&mut self, series: Series, day: Date, time: i64, values: &[i64]) {
        if let Some(current) = &mut self.current
            && current.day == day
        {
            current.push(time, values);
            return;
        }
        if let Some(before) = self.current.take() {
            self.done.insert(before.day, before);
        }
        let mut next = self
            .done
            .remove(&day)
            .unwrap_or_else(|| Partition::new(series, self.instrument, day));
        next.push(time, values);
        self.current = Some(next);
    }
}
