//! What must stay true of the pipeline's speed, as counts and ratios: nothing here reads a clock.

use std::process::Command;

use markets::charges::Profile;
use model::InputId;
use model::event::Event;
use model::market::MarketData;
use panda::bench::{Costs, Workload, kernel};
use pipeline::EventSink;

/// The market's hours, and all of its charges.
const CHARGED: Costs = Costs::Market(Profile::ContractNote);

/// Counts events, keeps none.
struct Count(u64);

impl EventSink for Count {
    fn events(&mut self, _: usize, events: &[Event]) {
        self.0 += events.len() as u64;
    }
}

/// Allocations of a kernel over `ticks[from..]`, and the events it produced meanwhile.
fn allocations(workload: &Workload, orders: bool, costs: Costs, from: usize) -> (u64, u64) {
    let (mut kernel, _) =
        kernel(workload, orders, costs).expect("the benchmark's settings are valid");
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
    let workload = Workload::on_an_exchange(200_000, 10).expect("generated data is valid");
    for costs in [Costs::None, CHARGED] {
        let (count, events) = allocations(&workload, false, costs, 1_000);
        assert_eq!(events, 0, "nothing trades");
        assert_eq!(count, 0, "allocations over 199,000 ticks, {costs:?}");
    }
}

/// An order's life takes a few allocations whatever has traded before: the cost per order is flat.
#[test]
fn the_allocations_of_an_order_do_not_grow() {
    let workload = Workload::on_an_exchange(1_000_000, 10).expect("generated data is valid");
    let mut bare = 0;
    for costs in [Costs::None, CHARGED] {
        let (all, _) = allocations(&workload, true, costs, 0);
        let (second_half, _) = allocations(&workload, true, costs, 500_000);
        let first_half = all - second_half;
        assert!(
            second_half <= first_half + first_half / 4,
            "{costs:?}: {first_half} allocations in the first half of the ticks, {second_half} in the second"
        );
        match costs {
            Costs::None => bare = second_half,
            // What a fill is charged is looked up, not made anew.
            Costs::Market(_) => assert!(
                second_half <= bare + bare / 100,
                "{bare} allocations without charges, {second_half} with them"
            ),
        }
    }
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
