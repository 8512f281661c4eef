//! The state machines in lockstep over a replay are the kernel over the same data, event by event.

use model::InputId;
use model::event::Event;
use model::ids::SourceSession;
use model::market::MarketData;
use model::time::SECOND;
use pipeline::{EventSink, Kernel};
use runtime::packet::Packet;

use crate::rig::Rig;
use crate::world::{DESK, Plan, Tables};

#[derive(Default)]
struct Sink(Vec<Event>);

impl EventSink for Sink {
    fn events(&mut self, _: usize, events: &[Event]) {
        self.0.extend_from_slice(events);
    }
}

/// The rig's events of a replay that is killed after each of these numbers of ticks.
fn replayed(seed: u64, ticks: u64, kills: &[u64]) -> (Vec<Event>, Vec<Event>) {
    let plan = Plan::new(seed);
    let mut composed = plan.compose(SourceSession(1), Tables::default());
    let desk = composed.pipelines.remove(DESK);
    let mut kernel = Kernel::new(composed.runner, vec![desk]);
    let mut sink = Sink::default();
    let mut rig = Rig::new(plan, false);
    for n in 0..ticks {
        let (number, tick) = rig.next_tick();
        kernel.market(InputId(number), &MarketData::Tick(&tick, None), &mut sink);
        rig.tick(number, tick).unwrap();
        if kills.contains(&n) {
            rig.life().market.commit();
            rig.life().namespace.commit().unwrap();
            if n % 2 == 0 {
                rig.save();
            }
            rig.disk.power_loss();
            rig.open(Tables::default()).unwrap();
        }
    }
    let end = rig.clock.now().plus(10 * SECOND);
    kernel.finish(InputId(ticks), end, &mut sink);
    let life = rig.life();
    let mut packet = Packet {
        steps: Vec::new(),
        position: life.market.log().durable(),
        received: 0,
    };
    life.market.end(end, &mut packet);
    let again = std::mem::take(&mut life.again);
    for packet in again.iter().chain([&packet]) {
        for step in &packet.steps {
            life.namespace.take(step, packet.position, 0).unwrap();
        }
    }
    life.namespace.commit().unwrap();
    let told = rig.told.0.lock().unwrap().clone();
    (sink.0, told)
}

fn equal(seed: u64, kernel: &[Event], told: &[Event]) {
    let same = kernel.iter().zip(told).take_while(|(a, b)| a == b).count();
    assert!(
        same == kernel.len() && same == told.len(),
        "seed {seed}, event {same}:\n{:?}\n{:?}",
        kernel.get(same),
        told.get(same)
    );
}

#[test]
fn a_replay_equals_the_kernel() {
    let mut events = 0;
    for seed in 0..25 {
        let (kernel, told) = replayed(seed, 300, &[]);
        equal(seed, &kernel, &told);
        events += told.len();
    }
    assert!(events > 10_000, "{events} events: too quiet a test");
}

#[test]
fn a_replay_that_is_killed_goes_on_as_if_nothing_had_happened() {
    for seed in 0..25 {
        let (kernel, told) = replayed(seed, 200, &[0, 40, 41, 90, 150]);
        equal(seed, &kernel, &told);
    }
}
