//! The projection beside the stages: fed with their events and with the prices that they saw, of which it
//! gets only the last of each instrument between two records of events.

use std::collections::BTreeMap;

use model::event::{Event, EventBody, EventPlace};
use model::{Amount, CurrencyIdx, InstrumentIdx, OrderId, StrategyIdx};
use pipeline::{BrokerPipeline, Input};
use projection::{Mark, Names, Projection};

use crate::plan::Plan;
use crate::world::{Hours, instruments};

pub struct Projected {
    projection: Projection,
    marks: BTreeMap<InstrumentIdx, Mark>,
    step: u64,
    /// Snapshots at which both were compared.
    pub snapshots: usize,
}

impl Projected {
    pub fn new(plan: &Plan) -> Self {
        let instruments = instruments();
        let cash = vec![plan.cash; instruments.currencies().len()];
        let strategies = (0..=plan.strategies).map(|at| format!("strategy-{at}"));
        let names = Names {
            instruments,
            strategies: strategies.collect(),
            sessions: std::sync::Arc::new(Hours),
        };
        Self {
            projection: Projection::new(names, &cash),
            marks: BTreeMap::new(),
            step: 0,
            snapshots: 0,
        }
    }

    pub fn take(&mut self, input: &Input<'_>, events: &[Event], stages: &BrokerPipeline) {
        if let Input::Market(_, data) = input {
            let mark = Mark {
                instrument: data.instrument(),
                price: data.price(),
                ts: stages.now(),
            };
            self.marks.insert(mark.instrument, mark);
        }
        if events.is_empty() {
            return;
        }
        self.step += 1;
        self.mark();
        let from = events.len() / 2;
        // A reader that begins anew gives some events again.
        for again in [0, from] {
            for (ordinal, event) in events.iter().enumerate().skip(again) {
                let place = EventPlace {
                    step: self.step,
                    ordinal,
                };
                self.projection.apply(event, place);
            }
        }
        self.check(stages);
        let is_snapshot = |event: &&Event| matches!(event.body, EventBody::Snapshot(_));
        for event in events.iter().filter(is_snapshot) {
            self.snapshots += 1;
            self.same_peaks(event, stages);
            self.same_ends(stages);
            self.adds_up(stages);
        }
    }

    /// Orders that have ended are equal, as long as they are remembered.
    fn same_ends(&self, stages: &BrokerPipeline) {
        let (mine, theirs) = (self.projection.engine(), stages.engine());
        let mut ended: Vec<OrderId> = theirs.ended_ids().collect();
        ended.sort_unstable();
        for id in ended {
            assert_eq!(mine.order(id), theirs.order(id));
        }
    }

    fn mark(&mut self) {
        for mark in std::mem::take(&mut self.marks).into_values() {
            self.projection.mark(&mark);
        }
    }

    /// At a snapshot the peaks are equal as well: what the projection did not see of them is in it.
    fn same_peaks(&self, event: &Event, stages: &BrokerPipeline) {
        let EventBody::Snapshot(snapshot) = &event.body else {
            return;
        };
        let (mine, theirs) = (self.projection.portfolio(), stages.portfolio());
        let told = |p: &pipeline::portfolio::Portfolio| p.snapshot(snapshot.currency).unwrap();
        assert_eq!(told(mine), told(theirs), "at the snapshot {snapshot:?}");
    }

    /// Everything that is told equals what the stages hold.
    pub fn check(&mut self, stages: &BrokerPipeline) {
        self.mark();
        self.projection.reach(stages.now());
        let (mine, theirs) = (self.projection.portfolio(), stages.portfolio());
        assert_eq!(mine.positions(), theirs.positions());
        for (index, account) in theirs.accounts().iter().enumerate() {
            let own = &mine.accounts()[index];
            let figures = |a: &pipeline::portfolio::Account| {
                let money = [a.equity(), a.cash_flow, a.realised, a.charges, a.cost];
                (money, a.day_base, a.gross_exposure, a.starting_cash)
            };
            assert_eq!(figures(own), figures(account), "currency {index}");
            let currency = CurrencyIdx(index as u16);
            let unrealised = |p: &pipeline::portfolio::Portfolio| {
                let told = p.snapshot(currency).unwrap();
                (told.unrealised, told.sequence, told.loss_base)
            };
            assert_eq!(unrealised(mine), unrealised(theirs), "currency {index}");
        }
        let (mine, theirs) = (self.projection.engine(), stages.engine());
        let working = |e: &pipeline::engine::Engine| -> Vec<_> {
            let ids = e.working_ids().into_iter();
            ids.map(|id| e.working(id).unwrap().order.clone()).collect()
        };
        assert_eq!(working(mine), working(theirs));
        assert_eq!(mine.parked(), theirs.parked());
        assert_eq!(mine.unresolved(), theirs.unresolved());
        let (mine, theirs) = (self.projection.risk(), stages.risk());
        let state = |risk: &pipeline::risk::Risk| {
            let strategies = (0..8).map(StrategyIdx);
            let of_strategies: Vec<_> = strategies
                .map(|s| {
                    (
                        risk.is_enabled(s),
                        risk.losses_since(Some(s)),
                        risk.refusals(s),
                    )
                })
                .collect();
            let blocks = risk.blocks().to_vec();
            let stopped = (risk.state(), risk.automatic(), risk.losses_since(None));
            (stopped, blocks, *risk.counters(), of_strategies)
        };
        assert_eq!(state(mine), state(theirs));
        assert_eq!(self.projection.tally(), stages.tally());
    }

    /// What strategies have made is what the account has, of the day too; the last closed day ends where
    /// this one begins.
    fn adds_up(&self, stages: &BrokerPipeline) {
        let overview = self.projection.overview(false);
        let sum = |amounts: &mut dyn Iterator<Item = Amount>| {
            amounts.fold(Amount::ZERO, |sum, a| sum.checked_add(a).unwrap())
        };
        for account in &overview.accounts {
            let all = overview.strategies.iter();
            let strategies = || all.clone().filter(|s| s.currency == account.currency);
            assert_eq!(sum(&mut strategies().map(|s| s.realised)), account.realised);
            let unrealised = sum(&mut strategies().map(|s| s.unrealised));
            assert_eq!(Some(unrealised), account.unrealised);
            // A contract note is no strategy's.
            if sum(&mut strategies().map(|s| s.charges)) == account.charges {
                let today = sum(&mut strategies().map(|s| s.pnl_today.unwrap()));
                assert_eq!(Some(today), account.pnl_today);
            }
        }
        for (currency, account) in instruments()
            .currencies()
            .iter()
            .zip(stages.portfolio().accounts())
        {
            let mut days = overview.closed_days.iter().rev();
            if let Some(day) = days.find(|day| day.currency == currency.code()) {
                assert_eq!(day.equity, account.day_base, "{day:?}");
            }
        }
    }
}
