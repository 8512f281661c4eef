//! How many ticks with depth the market makes on one core.

use std::hint::black_box;
use std::time::Instant;

use exchange::Market;
use model::time::{HOUR, SECOND};
use model::{Instruments, Timestamp};

fn main() {
    let instruments = Instruments::new(exchange::instruments()).unwrap_or_default();
    for round in 0..3 {
        let mut market = Market::new(round, 100, &instruments);
        market.resume(Timestamp(0), &[]);
        let mut quotes = Vec::new();
        let (began, mut count) = (Instant::now(), 0);
        for second in 1..=HOUR / SECOND {
            market.advance(Timestamp(second * SECOND), &mut quotes);
            count += black_box(&quotes).len();
            quotes.clear();
        }
        let seconds = began.elapsed().as_secs_f64();
        println!(
            "{count} ticks in {seconds:.3} s: {:.2} million a second",
            count as f64 / seconds / 1e6
        );
    }
}
