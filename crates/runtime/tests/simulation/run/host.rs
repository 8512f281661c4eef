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
        let now = self.clock.now();
        if let Some(market) = &mut self.market {
            let mut packet = Packet {
                steps: Vec::new(),
                position: market.log().durable(),
                received: now.nanos(),
            };
            market.take(&batch, &mut packet);
            market.idle(now, &mut packet);
            self.hand_on(packet);
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
            if side.namespace.is_none() {
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

    /// The batch that is on its way arrives.
    pub(super) fn carry(&mut self) {
        if let Some(carriage) = self.departed.take() {
            carriage.carry();
        }
    }

    pub(super) fn sync(&mut self) {
        self.carry();
        if let Some(market) = &mut self.market {
            if market.land() && self.chance.one_in(2) {
                // Now and then it is only written: without a draw, which would change every seed's story.
                self.departed = market.submit(market.next_input() % 3 != 0);
            } else {
                market.commit();
            }
            if market.failed().is_some() {
                if self.dying {
                    return self.crash();
                }
                let now = self.clock.now();
                if !self.sides.iter().all(|s| s.blocked) {
                    let command = self.make(CommandAction::BlockEntries(Reason::MarketLogFailed));
                    let step = Step::Command(now, command, pipeline::BrokerMask(u64::MAX));
                    self.sides.iter_mut().for_each(|s| s.blocked = true);
                    self.hand_on(Packet {
                        steps: vec![step],
                        position: Offset::BEGINNING,
                        received: 0,
                    });
                }
            }
        }
        let after = self.chance.within(10, 1_500) * MS;
        self.after(after, Ev::Sync);
    }

    pub(super) fn save_market(&mut self) {
        self.carry();
        if let Some(market) = &mut self.market {
            let saved = market.snapshot(false);
            if saved.is_err() && self.dying {
                return self.crash();
            }
        }
        let after = self.chance.within(1, 30) * SECOND;
        self.after(after, Ev::SaveMarket);
    }

    pub(super) fn save(&mut self, index: usize) {
        let side = &mut self.sides[index];
        if let Some(namespace) = &mut side.namespace {
            if let Err(error) = namespace.commit() {
                self.broken(index, &error);
                return;
            }
            // A snapshot alone that cannot be written takes nothing out.
            if namespace.snapshot().is_err() && self.dying {
                return self.crash();
            }
        }
        let after = self.sides[index].chance.within(1, 30) * SECOND;
        self.after(after, Ev::Save(index));
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

    pub(super) fn work(&mut self, index: usize) -> Result<(), Broken> {
        let now = self.clock.now();
        let conflate_above = self.config.conflate_above;
        let settling = self.settling;
        let side = &mut self.sides[index];
        let Some(namespace) = &mut side.namespace else {
            return Ok(());
        };
        for message in std::mem::take(&mut side.messages) {
            let mut block = None;
            match message {
                Message::Report(report) => {
                    namespace.report(&report)?;
                }
                Message::Outcome(call, outcome) => {
                    namespace.answered(&call, outcome, now.nanos(), now.nanos())?;
                }
                Message::Connected => {
                    namespace.reconnected();
                    block = Some(CommandAction::AllowEntries(Reason::TraderUnreachable));
                }
                Message::Lost => {
                    block = Some(CommandAction::BlockEntries(Reason::TraderUnreachable));
                }
                Message::Command(action) => block = Some(action),
            }
            if let Some(action) = block {
                side.commands += 1;
                let command = Command {
                    id: CommandId(side.commands << 8 | index as u128),
                    action,
                };
                let at = self.clock.now().max(namespace.pipeline().now());
                namespace.command(at, &command, now.nanos())?;
            }
        }
        let count = match side.chance.below(4) {
            0 => 1,
            _ => side.packets.len(),
        }
        .min(side.packets.len());
        let packets: Vec<SharedPacket> = side.packets.drain(..count).collect();
        let waiting: usize = packets.iter().map(|p| p.steps.len()).sum();
        if waiting > conflate_above {
            behind(namespace, &packets)?;
        } else {
            for packet in &packets {
                for step in &packet.steps {
                    namespace.take(step, packet.position, packet.received)?;
                }
            }
        }
        if !side.chance.one_in(4) {
            namespace.idle(self.clock.now())?;
        }
        if !settling && side.chance.one_in(4) {
            return Ok(());
        }
        self.settle_side(index)
    }

    pub(super) fn settle_side(&mut self, index: usize) -> Result<(), Broken> {
        loop {
            let settling = self.settling;
            let side = &mut self.sides[index];
            let Some(namespace) = &mut side.namespace else {
                return Ok(());
            };
            if namespace.is_waiting() || settling || side.chance.one_in(6) {
                if !settling && namespace.is_waiting() && side.chance.one_in(5) {
                    // Not yet.
                    return Ok(());
                }
                namespace.commit()?;
            }
            let Some(call) = namespace.next_call()? else {
                if namespace.is_waiting() {
                    continue;
                }
                break;
            };
            self.hand_over(call);
        }
        let side = &mut self.sides[index];
        let Some(namespace) = &mut side.namespace else {
            return Ok(());
        };
        if let Some(number) = namespace.to_confirm() {
            side.to_confirm = Some(number);
        }
        if !namespace.is_waiting()
            && self.connected
            && let Some(number) = side.to_confirm.take()
        {
            self.broker.confirmed = self.broker.confirmed.max(number);
        }
        Ok(())
    }
}

/// As a host does that is behind: runs of market inputs conflated, the rest as it is.
fn behind(namespace: &mut Namespace, packets: &[SharedPacket]) -> Result<(), Broken> {
    for packet in packets {
        let mut range: Vec<(InputId, journal::record::MarketItem)> = Vec::new();
        let flush = |range: &mut Vec<(InputId, journal::record::MarketItem)>,
                     namespace: &mut Namespace| {
            if let (Some((first, _)), Some((last, _))) = (range.first(), range.last()) {
                let (first, last) = (*first, *last);
                let survivors = conflate(range);
                namespace.take_conflated(
                    first,
                    last,
                    &survivors,
                    packet.position,
                    packet.received,
                )?;
                range.clear();
            }
            Ok::<(), Broken>(())
        };
        for step in &packet.steps {
            match step {
                Step::Market(id, item) if id.0 >= namespace.next_input() => {
                    range.push((*id, *item))
                }
                Step::Market(..) => {}
                step => {
                    flush(&mut range, namespace)?;
                    namespace.take(step, packet.position, packet.received)?;
                }
            }
        }
        flush(&mut range, namespace)?;
    }
    Ok(())
}
