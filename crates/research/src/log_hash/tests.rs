use model::event::{Cause, Event, EventBody, OrderStep};
use model::order::OrderChange;
use model::*;

use super::*;

fn registry() -> Instruments {
    let share = |exchange: &str, symbol: &str, currency: &str| {
        Instrument::share(exchange, symbol, currency.parse().unwrap())
    };
    let all = vec![
        share("NSE", "A", "INR"),
        share("NSE", "B", "INR"),
        share("XNAS", "C", "USD"),
    ];
    Instruments::new(all).unwrap()
}

fn strategies() -> Vec<String> {
    ["manual", "one", "two"].map(str::to_owned).to_vec()
}

/// A position that is closed in another currency's instrument, a step of an order, an alert.
fn events() -> Vec<Event> {
    let square_off = EventBody::SquareOff {
        strategy: StrategyIdx(1),
        instrument: InstrumentIdx(0),
        product: model::signal::Product::Intraday,
        begins: true,
        reason: model::reason::Reason::SquareOff,
    };
    let step = EventBody::OrderChanged(OrderStep {
        order: OrderId::from_number(80),
        sequence: 81,
        change: OrderChange::Acknowledged,
    });
    let alert = EventBody::Alert {
        reason: model::reason::Reason::Overflow,
        order: None,
        strategy: Some(StrategyIdx(1)),
    };
    let event = |body| Event {
        ts: Timestamp(7),
        correlation: CorrelationId(8),
        cause: Cause::Input(InputId(1)),
        body,
    };
    [square_off, step, alert].map(event).to_vec()
}

#[test]
fn names_count_and_indices_do_not() {
    let event = events()[0];
    let names = strategies();
    let small = registry();
    // One more instrument in front moves every index.
    let mut all: Vec<Instrument> = small.iter().map(|(_, i)| i.clone()).collect();
    all.push(Instrument::share("BSE", "A", "EUR".parse().unwrap()));
    let large = Instruments::new(all).unwrap();
    let mut moved = event;
    if let EventBody::SquareOff { instrument, .. } = &mut moved.body {
        *instrument = InstrumentIdx(1);
    }
    let hash = |instruments, namespace, event: &Event| {
        let mut hasher = LogHasher::new();
        hasher.update(
            namespace,
            &Names {
                instruments,
                strategies: &names,
            },
            event,
        );
        hasher.finish()
    };
    assert_eq!(hash(&small, "paper", &event), hash(&large, "paper", &moved));
    assert_ne!(hash(&small, "paper", &event), hash(&small, "other", &event));
}

#[test]
fn a_namespace_hashes_alone_as_it_does_beside_another() {
    let (instruments, strategies) = (registry(), strategies());
    let names = Names {
        instruments: &instruments,
        strategies: &strategies,
    };
    let mut alone = LogHashes::new(&["paper"]);
    let mut both = LogHashes::new(&["paper", "second"]);
    // Long enough to pass the buffer several times.
    for event in events().iter().cycle().take(9_000) {
        alone.update(0, &names, event);
        both.update(0, &names, event);
        both.update(1, &names, event);
    }
    let (total, each) = alone.finish();
    let (total_of_both, each_of_both) = both.finish();
    assert_eq!(each["paper"], total);
    assert_eq!(each_of_both["paper"], total);
    assert_ne!(each_of_both["second"], total);
    assert_ne!(total_of_both, total);
}
