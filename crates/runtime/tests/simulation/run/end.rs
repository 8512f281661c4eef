//! What operators do, and how a run ends: everything comes to rest and is judged.

use super::*;

impl Simulation {
    /// A command for a namespace.
    pub(super) fn tell_side(&mut self, index: usize, action: CommandAction) {
        let side = &mut self.sides[index];
        side.commands += 1;
        let id = CommandId(side.commands << 8 | index as u128);
        let command = Command::of_system(id, action);
        side.messages.push_back(Message::Command(command, None));
    }

    pub(super) fn command(&mut self, index: usize) {
        let names = ["alpha", "beta", "ema", "own"];
        let side = &mut self.sides[index];
        if let Some(driver) = &side.driver {
            let namespace = driver.namespace();
            let name = side.chance.pick(&names);
            let at = self.strategies.iter().position(|s| s == name).unwrap();
            let strategy = model::StrategyIdx(at as u32);
            let instruments = self.instruments.len() as u64;
            let instrument = model::InstrumentIdx(side.chance.below(instruments) as u32);
            let unknown: Vec<OrderId> = namespace.pipeline().unresolved().collect();
            let action = match side.chance.below(16) {
                0 => CommandAction::SetState(TradingState::Halted),
                1 => CommandAction::SetState(TradingState::ReduceOnly),
                2..6 => CommandAction::SetState(TradingState::Active),
                6 => CommandAction::DisableStrategy(strategy, Reason::OperatorRequest),
                7..9 => CommandAction::EnableStrategy(strategy),
                9 => CommandAction::CancelAll,
                10 => CommandAction::SquareOff(instrument),
                11 => CommandAction::SquareOffAll,
                12 => CommandAction::CancelEntries,
                _ if unknown.is_empty() => CommandAction::SetState(TradingState::Active),
                _ => {
                    let how = side
                        .chance
                        .pick(&[Resolution::NeverReached, Resolution::Cancelled]);
                    CommandAction::ResolveOrder(side.chance.pick(&unknown), how)
                }
            };
            self.tell_side(index, action);
        }
        let after = self.sides[index].chance.within(1, 20) * SECOND;
        self.after(after, Ev::Command(index));
    }

    /// Faults are over; everything comes to rest, and is judged.
    pub(super) fn settle(mut self) -> (Totals, Vec<Vec<Event>>) {
        self.settling = true;
        self.broker.calm = true;
        self.disk.fail_sync(0);
        if self.config.disk_faults
            || self.sides.iter().any(|s| s.driver.is_none())
            || self.config.crashes > 0
        {
            self.down(false);
            self.start();
        }
        // Nothing new is decided.
        let names = ["alpha", "beta", "ema"];
        let index = |name: &&str| self.strategies.iter().position(|s| s == name).unwrap();
        let disable = |at| {
            let strategy = model::StrategyIdx(at as u32);
            let action = CommandAction::DisableStrategy(strategy, Reason::OperatorRequest);
            MarketMessage::Switch(Command::of_system(CommandId(at as u128), action))
        };
        let messages = names.iter().map(index).map(disable).collect();
        self.drive_market(&Batch::default(), messages);
        for name in ["alpha", "beta", "ema", "own"] {
            let at = self.strategies.iter().position(|s| s == name).unwrap();
            let strategy = model::StrategyIdx(at as u32);
            self.order_all(CommandAction::DisableStrategy(
                strategy,
                Reason::OperatorRequest,
            ));
        }
        self.pass(25 * SECOND);
        self.unknown_is_absent();
        self.order_all(CommandAction::CancelAll);
        self.order_all(CommandAction::SquareOffAll);
        for _ in 0..12 {
            self.pass(15 * SECOND);
            if self.is_flat() {
                break;
            }
            self.unknown_is_absent();
            self.order_all(CommandAction::SquareOffAll);
        }
        self.judge()
    }

    pub(super) fn order_all(&mut self, action: CommandAction) {
        for index in 0..self.sides.len() {
            self.tell_side(index, action);
        }
    }

    pub(super) fn pass(&mut self, nanos: i64) {
        let until = self.now() + nanos;
        while self.now() < until {
            self.turn();
        }
    }

    pub(super) fn is_flat(&self) -> bool {
        self.sides.iter().all(|side| {
            side.driver
                .as_ref()
                .map(NamespaceDriver::namespace)
                .is_some_and(|n| {
                    n.pipeline().engine().open_orders() == 0
                        && n.pipeline()
                            .portfolio()
                            .positions()
                            .iter()
                            .all(|p| p.quantity.is_zero())
                })
        })
    }

    /// What is still unknown, the broker does not have; an operator says so.
    pub(super) fn unknown_is_absent(&mut self) {
        if self.sides.len() <= OUTSIDE {
            return;
        }
        let salt = self.salt();
        let side = &self.sides[OUTSIDE];
        let namespace = side.driver.as_ref().unwrap().namespace();
        let mut unknown = Vec::new();
        for id in namespace.pipeline().engine().working_ids() {
            let order = &namespace.pipeline().engine().working(id).unwrap().order;
            let there = self.broker.orders.get(&id.client_order_id(salt));
            match order.status() {
                OrderStatus::Unknown => {
                    assert!(there.is_none(), "{id} is unknown, and the broker has it");
                    unknown.push(id);
                }
                OrderStatus::Submitted => {}
                status => assert!(
                    there.is_some(),
                    "{id} is {status:?}, and the broker does not have it"
                ),
            }
        }
        self.totals.unknown += unknown.len();
        for id in unknown {
            let action = CommandAction::ResolveOrder(id, Resolution::NeverReached);
            self.tell_side(OUTSIDE, action);
        }
    }

    pub(super) fn judge(mut self) -> (Totals, Vec<Vec<Event>>) {
        let mut stories = Vec::new();
        let journals: Vec<_> = (0..self.sides.len())
            .map(|index| self.journal(index))
            .collect();
        // So late that all of it is made durable.
        self.clock.reach(Timestamp(self.now() + 5 * SECOND));
        for index in 0..self.sides.len() {
            self.work(index).unwrap();
        }
        for side in &self.sides {
            let namespace = side.driver.as_ref().unwrap().namespace();
            let story = Story::read(&*journals[side.index]);
            let blocks = namespace.pipeline().risk().blocks();
            assert!(blocks.is_empty(), "entries stay blocked: {blocks:?}");
            let portfolio = namespace.pipeline().portfolio();
            for (index, instrument) in self.instruments.iter() {
                assert_eq!(
                    portfolio.net(index).raw(),
                    story.net.get(&instrument.id).copied().unwrap_or_default(),
                    "{}: the position is not the sum of the fills",
                    instrument.id
                );
            }
            let open = story.open();
            assert!(
                open.is_empty(),
                "{} at {}: orders that never end: {:?}",
                NAMES[side.index],
                namespace.pipeline().now(),
                open.iter()
                    .map(|(id, s)| (s, story.orders[id].intent()))
                    .collect::<Vec<_>>()
            );
            self.totals.orders += story.orders.len();
            self.totals.fills += story
                .orders
                .values()
                .map(|o| o.executions() as usize)
                .sum::<usize>();
            stories.push(story);
        }
        if let [desk, outside] = &stories[..] {
            related(desk, outside);
            self.as_the_broker_has_it(desk, outside);
        }
        self.carry();
        self.drive_market(&Batch::default(), vec![MarketMessage::Snapshot]);
        let market = self.market.as_ref().unwrap().host();
        let market_clean = !market.is_dirty() && market.failed().is_none();
        // One start more: nothing changes.
        self.down(false);
        if market_clean {
            self.start();
        }
        let events = stories.into_iter().map(|s| s.events).collect();
        (self.totals, events)
    }

    /// The broker's books agree with ours, order by order.
    pub(super) fn as_the_broker_has_it(&self, desk: &Story, outside: &Story) {
        let salt = self.salt();
        // Nonsense about an execution bears the trade id that the book confirms; a total has none, and is told as
        // what it is where its order has ended meanwhile.
        let makes_sense = |(_, order): &&(Reason, OrderId)| {
            let garbled = &self.broker.garbled;
            let is_total = self.broker.totals && garbled.contains(&order.client_order_id(salt));
            is_total || outside.by_hand.contains(order)
        };
        let illegal: Vec<_> = outside.illegal.iter().filter(|i| !makes_sense(i)).collect();
        assert!(
            illegal.is_empty(),
            "the broker's reports make no sense: {illegal:?}"
        );
        let mut ours = BTreeSet::new();
        for (id, order) in &outside.orders {
            let client = id.client_order_id(salt);
            ours.insert(client);
            if outside.by_hand.contains(id) {
                continue;
            }
            let there = self.broker.orders.get(&client);
            let filled = there.map_or(0, |t| t.filled);
            assert_eq!(
                order.filled().raw(),
                filled,
                "{id} ({:?}): the broker has executed another quantity: {:?}",
                order.status(),
                there.map(|t| &t.history)
            );
            if let Some(there) = there {
                // An average is rounded, by less than a unit of the eighth decimal for each whole one.
                let off = (order.executed_value() - there.value).abs();
                let most = if self.broker.totals {
                    2 * i128::from(filled)
                } else {
                    0
                };
                assert!(off <= most, "{id}: the executions' value is off by {off}");
            }
            assert!(
                there.is_none_or(|t| t.done),
                "{id} is {:?} here and works at the broker",
                order.status()
            );
            if let Some(there) = there {
                assert_eq!(there.side, order.intent().side);
                assert_eq!(there.instrument, outside.instruments[id]);
            }
            assert!(
                there.is_none() || order.status() != OrderStatus::Failed,
                "{id} failed, and the broker has it"
            );
        }
        for client in self.broker.orders.keys() {
            assert!(
                ours.contains(client),
                "the broker has an order that nobody sent"
            );
        }
        for (client, (_, id)) in &self.presented {
            assert!(
                ours.contains(client) && !desk.orders.contains_key(id),
                "{id}: another namespace's"
            );
        }
    }
}
