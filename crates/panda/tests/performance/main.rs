//! What must stay true of the pipeline's speed, as counts and ratios: nothing here reads a clock.

use std::process::Command;

use model::InputId;
use model::event::Event;
use model::market::MarketData;
use panda::bench::{Workload, kernel};
use pipeline::EventSink;

/// Counts events, keeps none.
struct Count(u64);

impl EventSink for Count {
    fn events(&mut self, _: usize, events: &[Event]) {
        self.0 += events.len() as u64;
    }
}

/// Allocations of a kernel over `ticks[from..]`, and the events it produced meanwhile.
fn allocations(workload: &Workload, orders: bool, from: usize) -> (u64, u64) {
    let (mut kernel, _) = kernel(workload, orders).expect("the benchmark's settings are valid");
    let mut sink = Count(0);
    let mut deliver = |range: std::ops::Range<usize>| {
        for n in range {
            let data = MarketData::Tick(&workload.ticks[n], None);
            kernel.market(InputId(n as u64), &data, &mut sink);
        }
    };
    deliver(0..from);
    let info = allocation_counter::measure(|| deliver(from..workload.ticks.len()));
    (info.count_total, sink.0)
}

#[test]
fn a_tick_without_an_order_allocates_nothing() {
    let workload = Workload::generated(200_000, 10).expect("generated data is valid");
    let (count, events) = allocations(&workload, false, 1_000);
    assert_eq!(events, 0, "nothing trades");
    assert_eq!(count, 0, "allocations over 199,000 ticks");
}

/// An order's life takes a few allocations whatever has traded before: the cost per order is flat.
#[test]
fn the_allocations_of_an_order_do_not_grow() {
    let workload = Workload::generated(1_000_000, 10).expect("generated data is valid");
    let (all, _) = allocations(&workload, true, 0);
    let (second_half, _) = allocations(&workload, true, 500_000);
    let first_half = all - second_half;
    assert!(
        second_half <= first_half + first_half / 4,
        "{first_half} allocations in the first half of the ticks, {second_half} in the second"
    );
}

#[test]
fn memory_above_the_data_stays_bounded() {
    let output = Command::new(env!("CARGO_BIN_EXE_panda"))
        .args(["bench", "pipeline", "--passes", "1", "--json"])
        .output()
        .expect("the binary runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    let number = |key: &str| json[key].as_u64().expect("a number");
    let above = number("peak_rss_bytes") - number("data_bytes");
    assert!(number("orders") > 40_000, "{json}");
    assert!(above < 100 << 20, "{} MiB above the data", above >> 20);
}
