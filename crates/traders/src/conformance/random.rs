//! Sequences of commands and market data that nobody would think of.

use std::collections::BTreeMap;

use model::market::{Depth, Level};
use model::order::OrderIntent;
use model::signal::{OrderType, Side, Validity};
use model::time::{DAY, SECOND};
use model::trader::TraderReport;
use model::{OrderId, Price, Quantity};

use super::Stage;
use super::bench::{Bench, Problem, cents, quote, units};
use super::fixture::{DaySessions, Fixture};
use super::subject::Feature;

type Checked = Result<(), Problem>;

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
    fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }
    fn between(&mut self, low: i64, high: i64) -> i64 {
        low + self.below(high.abs_diff(low) + 1) as i64
    }
    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
    fn pick<T: Copy>(&mut self, of: &[T]) -> Option<T> {
        of.get(self.below(of.len() as u64) as usize).copied()
    }
}

pub fn orders_live_by_the_rules(stage: &mut Stage<'_>) -> Checked {
    play(stage, None).map(|_| ())
}

pub fn same_inputs_same_reports(stage: &mut Stage<'_>) -> Checked {
    let (first, second) = (play(stage, None)?, play(stage, None)?);
    compare(stage, &first, &second)
}

pub fn restart_changes_nothing(stage: &mut Stage<'_>) -> Checked {
    let every = 2 + stage.seed % 9;
    let (first, second) = (play(stage, None)?, play(stage, Some(every))?);
    compare(stage, &first, &second)
}

fn compare(stage: &mut Stage<'_>, first: &[TraderReport], second: &[TraderReport]) -> Checked {
    if first == second {
        return Ok(());
    }
    let length = first.len().min(second.len());
    let at = first
        .iter()
        .zip(second)
        .position(|(a, b)| a != b)
        .unwrap_or(length);
    stage.bench().wrong(
        format!("report {at} to be {:?} again", first.get(at)),
        format!("{:?}", second.get(at)),
    )
}

/// A game in progress: what has to be remembered beside the bench's books.
struct Game {
    bench: Bench,
    random: Random,
    /// Price by instrument, in hundredths.
    prices: [i64; 3],
    /// Lowest and highest trade since an order was given, the one before it included.
    range: BTreeMap<OrderId, (i64, i64)>,
    ids: Vec<OrderId>,
}

fn play(stage: &mut Stage<'_>, restart_every: Option<u64>) -> Result<Vec<TraderReport>, Problem> {
    let steps = u64::from(stage.steps);
    let mut game = Game {
        bench: stage.bench(),
        random: Random(stage.seed),
        prices: [100_00, 50_00, 200_00],
        range: BTreeMap::new(),
        ids: Vec::new(),
    };
    for step in 0..steps {
        game.step()?;
        if restart_every.is_some_and(|every| step % every == 0) {
            game.bench.restart()?;
        }
    }
    game.end()?;
    Ok(std::mem::take(&mut game.bench.log))
}

impl Game {
    fn step(&mut self) -> Checked {
        match self.random.below(10) {
            0 | 1 => self.give(),
            2 => match self.random.pick(&self.ids) {
                Some(id) => self.bench.cancel(id),
                None => self.trade(),
            },
            3 => self.change(),
            4 => {
                let nanos = self.random.between(0, 3 * SECOND);
                self.bench.wait(nanos)
            }
            _ => self.trade(),
        }
    }

    /// A new order, or both legs of a pair.
    fn give(&mut self) -> Checked {
        let has = |feature| self.bench.profile.has(feature);
        let mut types = vec![OrderType::Market];
        let mut validities = vec![Validity::Day, Validity::Day];
        for (feature, order_type) in [
            (Feature::Limit, OrderType::Limit),
            (Feature::Stop, OrderType::Stop),
            (Feature::StopLimit, OrderType::StopLimit),
        ] {
            if has(feature) {
                types.push(order_type);
            }
        }
        let until = self.bench.now.plus(10 * SECOND);
        for (feature, validity) in [
            (Feature::Ioc, Validity::Ioc),
            (Feature::Fok, Validity::Fok),
            (Feature::Gtd, Validity::Gtd(until)),
        ] {
            if has(feature) {
                validities.push(validity);
            }
        }
        let can_pair = has(Feature::NativeOco) && has(Feature::Limit) && has(Feature::Stop);
        if can_pair && self.random.one_in(4) {
            return self.give_pair();
        }
        let instrument = self
            .random
            .pick(&[Fixture::SHARE, Fixture::OTHER, Fixture::FUTURE]);
        let instrument = instrument.unwrap_or(Fixture::SHARE);
        let order_type = self.random.pick(&types).unwrap_or_default();
        let validity = self.random.pick(&validities).unwrap_or_default();
        let side = if self.random.one_in(2) {
            Side::Buy
        } else {
            Side::Sell
        };
        let lots = self.random.between(1, 5);
        let near = self.prices[instrument.index()];
        let price = |random: &mut Random| cents(near + 25 * random.between(-8, 8));
        let limit_price = order_type.has_limit().then(|| price(&mut self.random));
        let trigger_price = order_type.has_trigger().then(|| price(&mut self.random));
        let lot = self
            .bench
            .fixture
            .instruments
            .get(instrument)
            .lot_size
            .raw();
        let quantity = Quantity::from_raw(lots * lot);
        let intent = self.bench.intent(side, 1, order_type);
        self.submit(OrderIntent {
            instrument,
            quantity,
            increase: quantity,
            limit_price,
            trigger_price,
            validity,
            ..intent
        })
    }

    fn give_pair(&mut self) -> Checked {
        let side = if self.random.one_in(2) {
            Side::Buy
        } else {
            Side::Sell
        };
        let quantity = self.random.between(1, 20);
        let near = self.prices[0];
        let (gain, loss) = (
            25 * self.random.between(1, 8),
            25 * self.random.between(1, 8),
        );
        let stop = self
            .bench
            .stop_order(side, quantity, near + side.sign() * loss);
        let target = self
            .bench
            .limit_order(side, quantity, near - side.sign() * gain);
        let (stop_id, target_id) = (stop.id, target.id);
        self.submit(OrderIntent {
            oco: Some(target_id),
            ..stop
        })?;
        self.submit(OrderIntent {
            oco: Some(stop_id),
            ..target
        })
    }

    fn submit(&mut self, intent: OrderIntent) -> Checked {
        let price = self.prices[intent.instrument.index()];
        self.ids.push(intent.id);
        self.range.insert(intent.id, (price, price));
        self.bench.submit(intent)?;
        self.check(intent.id)
    }

    fn change(&mut self) -> Checked {
        let Some(id) = self.random.pick(&self.ids) else {
            return self.trade();
        };
        if !self.bench.profile.has(Feature::ModifyQuantity) || self.bench.is_done(id) {
            return self.trade();
        }
        let by = self.random.between(-3, 3);
        let lot = self
            .bench
            .orders()
            .find(|o| o.intent().id == id)
            .map_or(0, |o| {
                self.bench
                    .fixture
                    .instruments
                    .get(o.intent().instrument)
                    .lot_size
                    .raw()
            });
        let quantity = Quantity::from_raw((self.bench.quantity(id).raw() + by * lot).max(lot));
        self.bench.modify(id, quantity)
    }

    /// A tick, with quotes or depth or neither, near the last price; now and then far from it.
    fn trade(&mut self) -> Checked {
        let instrument = self.random.pick(&[
            Fixture::SHARE,
            Fixture::SHARE,
            Fixture::OTHER,
            Fixture::FUTURE,
        ]);
        let instrument = instrument.unwrap_or(Fixture::SHARE);
        let reach = if self.random.one_in(8) { 10 } else { 2 };
        let price =
            (self.prices[instrument.index()] + 25 * self.random.between(-reach, reach)).max(10_00);
        self.prices[instrument.index()] = price;
        self.bench.now = self.bench.now.plus(self.random.between(0, SECOND));
        let mut tick = quote(instrument, self.bench.now, price);
        tick.quantity = units(self.random.between(0, 200));
        let quotes = self.random.below(3);
        let spread = 25 * self.random.between(0, 2);
        (tick.bid, tick.ask) = match quotes {
            0 => (Price::ZERO, Price::ZERO),
            _ => (cents(price - spread), cents(price + spread)),
        };
        let depth = (quotes == 2).then(|| {
            let mut level = |price| {
                let quantity = units(25 * self.random.between(0, 3));
                Level {
                    price: cents(price),
                    quantity,
                    orders: 1,
                }
            };
            let mut depth = Depth::default();
            for at in 0..5 {
                depth.bids[at] = level(price - spread - 25 * at as i64);
                depth.asks[at] = level(price + spread + 25 * at as i64);
            }
            depth
        });
        let of: Vec<_> = self
            .bench
            .orders()
            .filter(|o| o.intent().instrument == instrument)
            .map(|o| o.intent().id)
            .collect();
        for id in &of {
            if let Some((low, high)) = self.range.get_mut(id) {
                (*low, *high) = ((*low).min(price), (*high).max(price));
            }
        }
        self.bench.tick(&tick, depth.as_ref())?;
        of.into_iter().try_for_each(|id| self.check(id))
    }

    /// No execution beyond the limit, or before the trigger has traded.
    fn check(&self, id: OrderId) -> Checked {
        let executions = self.bench.executions(id);
        let Some(order) = self.bench.orders().find(|o| o.intent().id == id) else {
            return Ok(());
        };
        let intent = order.intent();
        if let Some(limit) = order.limit_price()
            && let Some((_, price)) = executions.iter().find(|(_, price)| match intent.side {
                Side::Buy => *price > limit,
                Side::Sell => *price < limit,
            })
        {
            return self
                .bench
                .wrong(format!("{id} to hold its limit {limit}"), price.to_string());
        }
        if let (Some(trigger), Some((low, high))) = (intent.trigger_price, self.range.get(&id))
            && !executions.is_empty()
        {
            let reached = match intent.side {
                Side::Buy => cents(*high) >= trigger,
                Side::Sell => cents(*low) <= trigger,
            };
            if !reached {
                return self.bench.wrong(
                    format!("{id} to wait for its trigger {trigger}"),
                    "an execution",
                );
            }
        }
        Ok(())
    }

    /// After the close, or after everything was cancelled, every order has ended.
    fn end(&mut self) -> Checked {
        self.bench.settle()?;
        if self.bench.profile.has(Feature::DayExpiry) {
            let close = DaySessions::window(self.bench.now).close;
            self.bench
                .wait(close.since(self.bench.now).clamp(0, DAY) + 1)?;
        } else {
            for id in self.ids.clone() {
                if !self.bench.is_done(id) {
                    self.bench.cancel(id)?;
                }
            }
        }
        self.bench.settle()?;
        for id in &self.ids {
            self.check(*id)?;
            if !self.bench.is_done(*id) {
                return self
                    .bench
                    .wrong(format!("{id} to have ended"), self.bench.status(*id).name());
            }
        }
        Ok(())
    }
}
