//! `cargo bench`: the pipeline workload with and without orders, and its hot pieces alone.

use std::hint::black_box;
use std::sync::Arc;

use bench::{Costs, Workload, kernel};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use model::event::Event;
use model::ids::{InputId, NameHash, SignalId, SourceSession};
use model::market::MarketData;
use model::money::Multiplier;
use model::{Amount, CorrelationId, InstrumentIdx, Price, Quantity};
use panda::compose::BUILT_IN;
use pipeline::EventSink;
use pipeline::portfolio::Portfolio;
use strategies::indicators::Ema;

struct Discard(u64);

impl EventSink for Discard {
    fn events(&mut self, _: usize, events: &[Event]) {
        self.0 += events.len() as u64;
    }
}

const TICKS: usize = 200_000;

fn workload(c: &mut Criterion) {
    let workload = Workload::generated(TICKS, 10).expect("generated data is valid");
    let mut group = c.benchmark_group("pipeline");
    group
        .throughput(Throughput::Elements(TICKS as u64))
        .sample_size(20);
    for (name, orders) in [("without orders", false), ("one order per 21 ticks", true)] {
        group.bench_function(name, |b| {
            b.iter_batched_ref(
                || {
                    kernel(BUILT_IN, &workload, orders, Costs::None)
                        .expect("the settings are valid")
                        .0
                },
                |kernel| {
                    let mut sink = Discard(0);
                    for (n, tick) in workload.ticks.iter().enumerate() {
                        kernel.market(InputId(n as u64), &MarketData::Tick(tick, None), &mut sink);
                    }
                    black_box(sink.0)
                },
                criterion::BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

fn pieces(c: &mut Criterion) {
    let workload = Workload::generated(TICKS, 10).expect("generated data is valid");
    let mut group = c.benchmark_group("pieces");
    group.bench_function("ema update", |b| {
        let mut ema = Ema::new(20);
        let mut at = 0;
        b.iter(|| {
            at = (at + 1) % TICKS;
            black_box(ema.update(workload.ticks[at].price.to_f64()))
        });
    });
    group.bench_function("mark without a position", |b| {
        let mut portfolio = Portfolio::new(Arc::clone(&workload.instruments), &[Amount::ZERO], 0);
        let mut at = 0;
        b.iter(|| {
            at = (at + 1) % TICKS;
            let tick = &workload.ticks[at];
            portfolio.observe_price(tick.instrument, tick.price, tick.ts);
        });
        black_box(portfolio.last(InstrumentIdx(0)));
    });
    group.bench_function("exact notional", |b| {
        let (price, quantity) = (
            Price::from_raw(123_456_789_012),
            Quantity::from_raw(75 * 100_000_000),
        );
        b.iter(|| Amount::notional(black_box(price), black_box(quantity), Multiplier::ONE));
    });
    group.bench_function("signal and correlation id", |b| {
        let (name, session) = (NameHash::of("trend"), SourceSession(7));
        let mut n = 0;
        b.iter(|| {
            n += 1;
            let signal = SignalId::derive(name, session, InputId(n), 0);
            (
                signal,
                CorrelationId::of_decision(name, session, InputId(n)),
            )
        });
    });
    group.finish();
}

criterion_group!(benches, workload, pieces);
criterion_main!(benches);
