//! What the threads of the runner and of a namespace do when they come round.

use super::*;

impl Simulation {
    pub(super) fn walk(&mut self) {
        for price in self.prices.values_mut() {
            *price = (*price + self.feed.within(-6, 6) * STEP).max(STEP * 400);
        }
    }

    pub(super) fn feed(&mut self) {
        self.walk();
        let mut batch = Batch::default();
        let count = self.feed.within(1, 6);
        for n in 0..count {
            let index = model::InstrumentIdx(self.feed.below(self.instruments.len() as u64) as u32);
            let id = &self.instruments.get(index).id;
            let tick = Tick {
                ts: self.clock.now(),
                exchange_ts: self.clock.now(),
                price: Price::from_raw(self.prices[id]),
                quantity: units(self.feed.within(1, 40)),
                instrument: index,
                ..Tick::default()
            };
            batch.tick(n as u64, tick, None);
        }
        let life = self.life;
        self.drive_market(&batch, Vec::new());
        if self.life != life {
            return;
        }
        self.batches += 1;
        let pause = self.feed.pick(&[2, 20, 120, 700, 1_500]) * MS;
        self.after(pause, Ev::Feed);
    }

    pub(super) fn hand_on(&mut self, packet: Packet) {
        if packet.steps.is_empty() {
            return;
        }
        let packet = Arc::new(packet);
        let mut full = Vec::new();
        for side in &mut self.sides {
            if side.driver.is_none() {
                continue;
            }
            let waiting: usize = side.packets.iter().map(|p| p.steps.len()).sum();
            if waiting > 0 && waiting + packet.steps.len() > self.config.capacity && !self.settling
            {
                full.push(side.index);
            } else {
                side.packets.push_back(Arc::clone(&packet));
            }
        }
        for index in full {
            self.detach(index);
        }
    }

    /// A round of the runner.
    pub(super) fn drive_market(&mut self, batch: &Batch, messages: Vec<MarketMessage>) {
        let now = self.now();
        let Some(market) = &mut self.market else {
            return;
        };
        market.round(batch, Feeds::Open, messages, now);
        let failed = market.host().failed().is_some() || market.status().snapshots.failed() > 0;
        let (packets, carriage) = self.out.take();
        if failed && self.dying {
            return self.crash();
        }
        if carriage.is_some() {
            self.departed = carriage;
            let after = self.runner.pick(&[0, 1, 5, 60]) * MS;
            self.after(after, Ev::Carry);
        }
        for packet in packets {
            self.hand_on(packet);
        }
    }

    /// The batch that is on its way arrives.
    pub(super) fn carry(&mut self) {
        if let Some(carriage) = self.departed.take() {
            carriage.carry();
        }
    }

    /// The runner comes round though nothing has arrived.
    pub(super) fn sync(&mut self) {
        let life = self.life;
        self.drive_market(&Batch::default(), Vec::new());
        if self.life == life {
            let after = self.runner.within(10, 600) * MS;
            self.after(after, Ev::Sync);
        }
    }

    pub(super) fn come_round(&mut self, index: usize) {
        if index == OUTSIDE && self.config.slow && !self.settling {
            let slow = match self.chance.below(12) {
                0 => self.chance.within(1, 3_000) * MS,
                1..4 => self.chance.within(1, 40) * MS,
                _ => 0,
            };
            self.storage.slow(slow as u64);
        }
        let life = self.life;
        if let Err(error) = self.work(index) {
            self.broken(index, &error);
        }
        self.storage.slow(0);
        if self.life != life {
            return;
        }
        let side = &mut self.sides[index];
        let after = side.chance.pick(&[1, 3, 20, 60, 400]) * MS;
        self.after(after, Ev::Run(index));
    }

    /// A round of a namespace, with what its thread may have found in its queue.
    pub(super) fn work(&mut self, index: usize) -> Result<(), Broken> {
        let now = self.now();
        let side = &mut self.sides[index];
        let Some(driver) = &mut side.driver else {
            return Ok(());
        };
        let count = match side.chance.below(4) {
            0 => 1,
            _ => side.packets.len(),
        }
        .min(side.packets.len());
        let mut work = Work {
            packets: side.packets.drain(..count).collect(),
            messages: std::mem::take(&mut side.messages).into(),
            closed: false,
        };
        let failed = driver.status().snapshots.failed();
        driver.round(&mut work, now)?;
        let failed = driver.status().snapshots.failed() > failed;
        if failed && self.dying {
            self.crash();
            return Ok(());
        }
        if index == OUTSIDE {
            for call in self.link.take_calls() {
                self.hand_over(call);
            }
            if let Some(number) = self.link.take_confirmed() {
                self.broker.confirmed = self.broker.confirmed.max(number);
            }
        }
        Ok(())
    }
}
