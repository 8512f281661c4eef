//! Generated markets of the tests' own.

use std::fmt::Write as _;

/// A small generator of numbers (xorshift64*), so that the data of the tests depends on nothing that
/// they test.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound
    }
}

/// One row of a tick file.
#[derive(Debug, Clone)]
pub struct Tick {
    /// Seconds since midnight IST.
    pub second: u64,
    pub price: String,
    /// Since the day's start.
    pub volume: u64,
}

/// Seconds since midnight of 09:15 and 15:30.
pub const OPEN: u64 = 9 * 3600 + 15 * 60;
pub const CLOSE: u64 = 15 * 3600 + 30 * 60;

/// Hundredths as text.
pub fn price(hundredths: u64) -> String {
    let text = format!("{}.{:02}", hundredths / 100, hundredths % 100);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A day of one instrument: stamps rise by 1 to `gap` seconds, some ticks share one, every row
/// differs from the one above it, prices are multiples of 0.05.
pub fn day(random: &mut Random, ticks: usize, gap: u64) -> Vec<Tick> {
    let mut at = OPEN + random.below(5);
    let mut steps = 2_000 + random.below(20_000);
    let mut volume = 0;
    (0..ticks)
        .map(|_| {
            if random.below(8) != 0 {
                at += 1 + random.below(gap);
            }
            let step = random.below(5);
            steps = (steps + step).saturating_sub(2).max(400);
            volume += 1 + random.below(300);
            Tick {
                second: at,
                price: price(steps * 5),
                volume,
            }
        })
        .collect()
}

/// `YYYY-MM-DD HH:MM:SS`.
pub fn local(date: &str, second: u64) -> String {
    let (h, m, s) = (second / 3600, second / 60 % 60, second % 60);
    format!("{date} {h:02}:{m:02}:{s:02}")
}

/// The same instant as the program writes it: IST is five and a half hours ahead of UTC.
pub fn utc(date: &str, second: u64) -> String {
    let second = second - (5 * 3600 + 1800);
    let (h, m, s) = (second / 3600, second / 60 % 60, second % 60);
    format!("{date}T{h:02}:{m:02}:{s:02}Z")
}

/// A raw file with the columns of a recorder: local times, last price, cumulative volume.
pub fn csv(date: &str, ticks: &[Tick]) -> String {
    let mut text = String::from("timestamp,ltp,volume\n");
    for tick in ticks {
        let stamp = local(date, tick.second);
        writeln!(text, "{stamp},{},{}", tick.price, tick.volume).unwrap();
    }
    text
}

/// Instruments of `NSE` with a tick of 0.05.
pub fn instruments(symbols: &[&str]) -> String {
    let mut text =
        String::from("exchange,symbol,asset_class,currency,tick_size,lot_size,aliases\n");
    for symbol in symbols {
        let alias = if symbol.contains('&') {
            symbol.replace('&', "")
        } else {
            String::new()
        };
        writeln!(text, "NSE,{symbol},equity,INR,0.05,1,{alias}").unwrap();
    }
    text
}

/// The calendar of an exchange of the tests' own: weekdays from 09:15 to 15:30 IST.
pub fn calendar(exchange: &str) -> String {
    format!(
        "[[market]]\nexchange = \"{exchange}\"\nzone = \"Asia/Kolkata\"\nsegments = [\"cash\"]\n\
         [[coverage]]\nexchanges = [\"{exchange}\"]\nfrom = \"2021-01-01\"\nto = \"2030-12-31\"\n\
         [[session]]\nexchanges = [\"{exchange}\"]\nsegments = [\"cash\"]\nfrom = \"2021-01-01\"\n\
         phases = [{{ name = \"continuous\", from = \"09:15\", to = \"15:30\", open = true, takes = [\"all\"] }}]\n"
    )
}
