//! Records as JSON for people and tools: names instead of interned indices, numbers as decimal text,
//! times as nanoseconds UTC beside their readable form.

use journal::record::{Entry, Host, MarketItem, MarketRecord, Run, Start};
use model::control::{Breach, Command, CommandAction, Resolution};
use model::event::{Cause, Event, EventBody, Refused, SCHEMA_VERSION};
use model::market::Depth;
use model::order::{OrderChange, OrderIntent};
use model::reason::Reason;
use model::refusal::{Measured, Refusal};
use model::signal::{Action, Decision, Signal, Trigger, Validity};
use model::trader::{ReportKind, TraderReport};
use model::{InstrumentIdx, StrategyIdx, Timestamp};
use serde_json::{Map, Value, json};

use crate::identity::{self, Identity};

/// The names behind the indices of one start.
#[derive(Debug, Clone, Copy)]
pub struct Names<'a>(pub &'a Start);

fn text(value: impl std::fmt::Display) -> Value {
    Value::String(value.to_string())
}

fn opt(value: Option<impl std::fmt::Display>) -> Value {
    value.map_or(Value::Null, text)
}

impl Names<'_> {
    /// An instrument's canonical id; empty where it is not known.
    pub fn instrument_name(&self, index: InstrumentIdx) -> &str {
        let instrument = self.0.instruments.get(index.index());
        instrument.map_or("", |i| i.id.as_str())
    }
    /// A strategy's id; empty where it is not known.
    pub fn strategy_name(&self, index: StrategyIdx) -> &str {
        let strategy = self.0.strategies.get(index.index());
        strategy.map_or("", |s| s.name.as_str())
    }
    fn instrument(&self, index: InstrumentIdx) -> Value {
        self.0
            .instruments
            .get(index.index())
            .map_or(Value::Null, |i| json!(i.id))
    }
    fn currency(&self, breach: &Breach) -> Option<&str> {
        let currency = self.0.currencies.get(breach.currency.index());
        currency.map(|c| c.code())
    }

    /// A reached loss limit in words: how much is lost, and what the limit is.
    pub fn breach(&self, breach: &Breach) -> String {
        let currency = self.currency(breach).unwrap_or("");
        let Breach { loss, limit, .. } = breach;
        format!("{loss} {currency} are lost, the limit is {limit}")
    }

    /// Why a resume, or the enabling of a strategy, was refused.
    pub fn refusal(
        &self,
        strategy: Option<StrategyIdx>,
        reason: Reason,
        breach: Option<Breach>,
    ) -> String {
        let what = match strategy {
            None => "the resume".to_owned(),
            Some(s) => format!("enabling strategy {}", self.strategy_name(s)),
        };
        let why = reason.text();
        match breach {
            None => format!("{what} is refused: {why} It would stop again at once"),
            Some(breach) => format!(
                "{what} is refused: {why} {}; --reset-loss-base counts losses from now on",
                self.breach(&breach)
            ),
        }
    }

    /// A refused signal in words: what it would have been, why not, and by what figures.
    pub fn refused(&self, refused: &Refused) -> String {
        let order = refused.order.map_or_else(String::new, |(side, quantity)| {
            format!("{} {quantity} ", side.name())
        });
        let figures = refused.refusal.measured.map_or_else(String::new, |m| {
            let (value, limit) = m.figures();
            match (refused.refusal.reason, self.unit(&m)) {
                (Reason::TickSize, _) => format!(" ({value}, the tick is {limit})"),
                (Reason::LotSize, _) => format!(" ({value}, the lot is {limit})"),
                (_, unit) => format!(" ({value} {unit}, the limit is {limit})"),
            }
        });
        format!(
            "{order}{} of {} is refused: {}{figures}",
            self.instrument_name(refused.instrument),
            self.strategy_name(refused.strategy),
            refused.refusal.reason.text(),
        )
    }

    fn unit(&self, measured: &Measured) -> &str {
        measured.unit(|currency| {
            let currency = self.0.currencies.get(currency.index());
            currency.map_or("", |c| c.code())
        })
    }

    fn measured(&self, refusal: &Refusal, put: &mut impl FnMut(&str, Value)) {
        let figures = refusal.measured.map(|m| m.figures());
        put("value", opt(figures.as_ref().map(|(value, _)| value)));
        put("limit", opt(figures.as_ref().map(|(_, limit)| limit)));
        put("unit", opt(refusal.measured.map(|m| self.unit(&m))));
    }

    fn strategy(&self, index: StrategyIdx) -> Value {
        self.0
            .strategies
            .get(index.index())
            .map_or(Value::Null, |s| json!(s.name))
    }

    /// The ids of this start's data directory.
    pub const fn identity(&self) -> Identity {
        Identity { salt: self.0.salt }
    }

    /// An event in its envelope: `causation_id` is the `id` of the event or market input that `cause`
    /// names.
    pub fn event(&self, broker: &str, event: &Event) -> Value {
        let mut body = Map::new();
        self.body(&event.body, &mut body);
        let rendered = || Value::Object(body.clone()).to_string();
        let identity = self.identity();
        let mut map = Map::new();
        map.insert("id".into(), text(identity.event(broker, event, rendered)));
        map.insert("type".into(), json!(event.kind()));
        map.insert("ts".into(), json!(event.ts.nanos()));
        map.insert("time".into(), text(event.ts));
        map.insert("correlation_id".into(), text(event.correlation));
        map.insert("causation_id".into(), text(identity.cause(broker, event)));
        map.insert("broker".into(), json!(broker));
        map.insert("channel".into(), json!(event.channel().suffix()));
        map.insert("source".into(), json!(self.0.build));
        map.insert("version".into(), json!(SCHEMA_VERSION));
        map.insert("key".into(), json!(identity::key(broker, event)));
        map.insert("cause".into(), self.cause(&event.cause));
        map.append(&mut body);
        Value::Object(map)
    }

    fn cause(&self, cause: &Cause) -> Value {
        match cause {
            Cause::Input(id) => json!({ "input": id.0 }),
            Cause::Timer(at) => json!({ "timer": at.nanos() }),
            Cause::Signal(id) => json!({ "signal": id.to_string() }),
            Cause::Order(id, sequence) => {
                json!({ "order": id.to_string(), "sequence": sequence })
            }
            Cause::Command(id) => json!({ "command": id.to_string() }),
        }
    }

    fn body(&self, body: &EventBody, map: &mut Map<String, Value>) {
        let mut put = |key: &str, value: Value| {
            map.insert(key.to_owned(), value);
        };
        match body {
            EventBody::SignalRaw(signal) | EventBody::SignalDeferred(signal) => {
                put("signal", self.signal(signal));
            }
            EventBody::SignalHeld { signal, open } => {
                put("signal", self.signal(signal));
                put("open", json!(open.nanos()));
                put("open_time", text(open));
            }
            EventBody::SignalValidated(v) => {
                put("signal_id", text(v.signal));
                put("strategy", self.strategy(v.strategy));
                put("instrument", self.instrument(v.instrument));
                put("product", json!(v.product.name()));
                put("side", json!(v.side.name()));
                put("quantity", text(v.quantity));
                put("increase", text(v.increase));
                put("target", opt(v.target));
                put("entry_refused", opt(v.entry_refused.map(|r| r.reason)));
                if let Some(refusal) = v.entry_refused {
                    self.measured(&refusal, &mut put);
                }
                put("decision", self.decision(&v.decision));
            }
            EventBody::SignalRejected(r) => {
                put("signal_id", text(r.signal));
                put("strategy", self.strategy(r.strategy));
                put("instrument", self.instrument(r.instrument));
                put("product", json!(r.product.name()));
                put("target", opt(r.target));
                put("side", opt(r.order.map(|(side, _)| side.name())));
                put("quantity", opt(r.order.map(|(_, quantity)| quantity)));
                put("reason", text(r.refusal.reason));
                put("text", json!(r.refusal.reason.text()));
                self.measured(&r.refusal, &mut put);
            }
            EventBody::OrderSubmitted(intent) => {
                put("order_id", text(intent.id));
                put(
                    "client_order_id",
                    text(intent.id.client_order_id(self.0.salt)),
                );
                put("sequence", json!(0));
                put("intent", self.intent(intent));
            }
            EventBody::OrderChanged(step) => {
                put("order_id", text(step.order));
                put("sequence", json!(step.sequence));
                self.change(&step.change, map);
            }
            EventBody::StateChanged {
                from,
                to,
                reason,
                automatic,
                resets_losses,
            } => {
                put("from", json!(from.name()));
                put("to", json!(to.name()));
                put("reason", text(reason));
                put("automatic", json!(automatic));
                put("resets_losses", json!(resets_losses));
            }
            EventBody::StrategySwitched {
                strategy,
                enabled,
                reason,
                resets_losses,
            } => {
                put("strategy", self.strategy(*strategy));
                put("enabled", json!(enabled));
                put("reason", text(reason));
                put("resets_losses", json!(resets_losses));
            }
            EventBody::LimitReached {
                strategy,
                reason,
                breach,
                squares_off,
            } => {
                put(
                    "strategy",
                    strategy.map_or(Value::Null, |s| self.strategy(s)),
                );
                put("reason", text(reason));
                put("text", json!(reason.text()));
                put("currency", opt(self.currency(breach)));
                put("loss", text(breach.loss));
                put("limit", text(breach.limit));
                put("squares_off", json!(squares_off));
            }
            EventBody::ResumeRefused {
                strategy,
                reason,
                breach,
            } => {
                put(
                    "strategy",
                    strategy.map_or(Value::Null, |s| self.strategy(s)),
                );
                put("reason", text(reason));
                put("text", json!(reason.text()));
                put("currency", opt(breach.and_then(|b| self.currency(&b))));
                put("loss", opt(breach.map(|b| b.loss)));
                put("limit", opt(breach.map(|b| b.limit)));
            }
            EventBody::SquareOff {
                strategy,
                instrument,
                product,
                begins,
                reason,
            } => {
                put("strategy", self.strategy(*strategy));
                put("instrument", self.instrument(*instrument));
                put("product", json!(product.name()));
                put("begins", json!(begins));
                put("reason", text(reason));
            }
            EventBody::ModifyRequested { order, quantity } => {
                put("order_id", text(order));
                put("quantity", text(quantity));
            }
            EventBody::TraderDetached { reason } => put("reason", text(reason)),
            EventBody::Snapshot(s) => {
                let currency = self.0.currencies.get(s.currency.index());
                put("currency", opt(currency));
                put("sequence", json!(s.sequence));
                put("cash_flow", text(s.cash_flow));
                put("realised", text(s.realised));
                put("unrealised", text(s.unrealised));
                put("charges", text(s.charges));
                put("equity", text(s.equity));
                put("peak", text(s.peak));
                put("max_drawdown", text(s.max_drawdown));
                put("loss_base", text(s.loss_base));
                put("loss_peak", text(s.loss_peak));
                put("gross_exposure", text(s.gross_exposure));
            }
            EventBody::Alert {
                reason,
                order,
                strategy,
            } => {
                put("reason", text(reason));
                put("text", json!(reason.text()));
                put("order_id", opt(*order));
                put(
                    "strategy",
                    strategy.map_or(Value::Null, |s| self.strategy(s)),
                );
            }
            EventBody::EntriesBlocked { reason, blocked } => {
                put("reason", text(reason));
                put("text", json!(reason.text()));
                put("blocked", json!(blocked));
            }
            EventBody::PositionSettled(s) => {
                put("strategy", self.strategy(s.strategy));
                put("instrument", self.instrument(s.instrument));
                put("product", json!(s.product.name()));
                put("quantity", text(s.quantity));
                put("price", text(s.price));
                put("basis", json!(s.basis.name()));
                put("charges", text(s.charges));
            }
            EventBody::ReportParked(p) => {
                put("order_id", text(p.order));
                put("strategy", self.strategy(p.strategy));
                put("instrument", self.instrument(p.instrument));
                put("trade_id", text(p.trade));
                put("side", json!(p.side.name()));
                put("quantity", text(p.quantity));
                put("price", text(p.price));
                put("doubt", json!(p.doubt.name()));
                put(
                    "text",
                    json!(format!("the execution is {}", p.doubt.text())),
                );
                put("last_price", text(p.last));
                put("confirmed", json!(p.confirmed));
            }
            EventBody::ReportDropped {
                order,
                trade,
                reason,
            } => {
                put("order_id", text(order));
                put("trade_id", text(trade));
                put("reason", text(reason));
                put("text", json!(reason.text()));
            }
            EventBody::ChargesAdjusted(a) => {
                put("currency", opt(self.0.currencies.get(a.currency.index())));
                put("note", json!(a.note.as_str()));
                put("date", text(a.date));
                put("amount", text(a.amount));
                let charged = a.charged.iter();
                let charged: Map<_, _> = charged
                    .map(|(component, amount)| (component.name().to_owned(), text(amount)))
                    .collect();
                put("charged", Value::Object(charged));
            }
        }
    }

    fn change(&self, change: &OrderChange, map: &mut Map<String, Value>) {
        let mut put = |key: &str, value: Value| {
            map.insert(key.to_owned(), value);
        };
        match change {
            OrderChange::Acknowledged
            | OrderChange::Triggered
            | OrderChange::CancelRefused
            | OrderChange::ModifyRefused
            | OrderChange::Unknown => {}
            OrderChange::Modified {
                quantity,
                limit_price,
                trigger_price,
            } => {
                put("quantity", text(quantity));
                put("limit_price", opt(*limit_price));
                put("trigger_price", opt(*trigger_price));
            }
            OrderChange::Filled(x) => {
                put("trade_id", text(x.trade));
                put("quantity", text(x.quantity));
                put("price", text(x.price));
                put("charges", text(x.charges));
                put("draws", json!(x.draws));
            }
            OrderChange::CancelRequested(reason)
            | OrderChange::Cancelled(reason)
            | OrderChange::Rejected(reason)
            | OrderChange::Expired(reason)
            | OrderChange::Failed(reason) => {
                put("reason", text(reason));
                put("text", json!(reason.text()));
            }
        }
    }

    fn intent(&self, i: &OrderIntent) -> Value {
        json!({
            "signal_id": opt(i.signal),
            "strategy": self.strategy(i.strategy),
            "instrument": self.instrument(i.instrument),
            "role": i.role.name(),
            "side": i.side.name(),
            "quantity": i.quantity.to_string(),
            "increase": i.increase.to_string(),
            "order_type": i.order_type.name(),
            "limit_price": opt(i.limit_price),
            "trigger_price": opt(i.trigger_price),
            "validity": i.validity.name(),
            "good_till": match i.validity { Validity::Gtd(at) => json!(at.nanos()), _ => Value::Null },
            "product": i.product.name(),
            "stop_loss": opt(i.bracket.stop_loss),
            "take_profit": opt(i.bracket.take_profit),
            "oco_id": opt(i.oco),
            "parent_id": opt(i.parent),
            "submitted": i.submitted.nanos(),
            "send_by": i.send_by.nanos(),
        })
    }

    fn decision(&self, d: &Decision) -> Value {
        let (side, quantity) = match d.action {
            Action::Enter { side, quantity } => (Some(side.name()), Some(quantity)),
            Action::Exit { quantity } => (None, quantity),
            Action::Target { quantity } => (None, Some(quantity)),
        };
        json!({
            "instrument": self.instrument(d.instrument),
            "action": d.action.name(),
            "side": side,
            "quantity": opt(quantity),
            "order_type": d.order_type.name(),
            "limit_price": opt(d.limit_price),
            "trigger_price": opt(d.trigger_price),
            "validity": d.validity.name(),
            "product": d.product.name(),
            "stop_loss": opt(d.bracket.stop_loss),
            "take_profit": opt(d.bracket.take_profit),
            "reason": d.reason.as_str(),
            "note": d.note.figures().map(|(name, value)| (name.to_owned(), json!(value))).collect::<Map<_, _>>(),
        })
    }

    /// A signal.
    pub fn signal(&self, s: &Signal) -> Value {
        json!({
            "signal_id": s.id.to_string(),
            "correlation_id": s.correlation.to_string(),
            "strategy": self.strategy(s.strategy),
            "input": s.input.0,
            "ordinal": s.ordinal,
            "ts": s.ts.nanos(),
            "trigger": self.trigger(&s.trigger),
            "decision": self.decision(&s.decision),
        })
    }

    /// What a signal was decided on.
    pub fn trigger(&self, trigger: &Trigger) -> Value {
        let mut value = match trigger {
            Trigger::Input => json!({}),
            Trigger::Bar(bar) => json!({ "bar": self.market(&MarketItem::Bar(*bar)) }),
            Trigger::Timer { id, due } => json!({
                "timer": id, "due": due.nanos(), "due_time": due.to_string(),
            }),
            Trigger::Session { due, .. } => json!({
                "due": due.nanos(), "due_time": due.to_string(),
            }),
            Trigger::Fill {
                side,
                quantity,
                price,
            } => json!({
                "side": side.name(), "quantity": quantity.to_string(), "price": price.to_string(),
            }),
        };
        if let Some(map) = value.as_object_mut() {
            map.insert("on".to_owned(), json!(trigger.name()));
        }
        value
    }

    /// A market input.
    pub fn market(&self, item: &MarketItem) -> Value {
        match item {
            MarketItem::Tick(tick) | MarketItem::Deep(tick, _) => {
                let mut value = json!({
                    "kind": "tick",
                    "instrument": self.instrument(tick.instrument),
                    "ts": tick.ts.nanos(),
                    "time": tick.ts.to_string(),
                    "exchange_ts": tick.exchange_ts.nanos(),
                    "price": tick.price.to_string(),
                    "quantity": tick.quantity.to_string(),
                    "volume": tick.volume.to_string(),
                    "open_interest": tick.open_interest.to_string(),
                    "bid": tick.bid.to_string(),
                    "ask": tick.ask.to_string(),
                });
                if let (MarketItem::Deep(_, depth), Some(map)) = (item, value.as_object_mut()) {
                    map.insert("depth".to_owned(), levels(depth));
                }
                value
            }
            MarketItem::Bar(bar) => json!({
                "kind": "bar",
                "instrument": self.instrument(bar.instrument),
                "open_ts": bar.open_ts.nanos(),
                "close_ts": bar.close_ts.nanos(),
                "timeframe": bar.timeframe.to_string(),
                "open": bar.open.to_string(),
                "high": bar.high.to_string(),
                "low": bar.low.to_string(),
                "close": bar.close.to_string(),
                "volume": bar.volume.to_string(),
            }),
        }
    }

    fn report(&self, r: &TraderReport) -> Value {
        let (kind, detail) = match &r.kind {
            ReportKind::Acknowledged => ("acknowledged", Value::Null),
            ReportKind::Triggered => ("triggered", Value::Null),
            ReportKind::Filled {
                trade,
                side,
                quantity,
                price,
                ..
            } => (
                "filled",
                json!({
                    "trade_id": trade.to_string(),
                    "side": side.name(),
                    "quantity": quantity.to_string(),
                    "price": price.to_string(),
                }),
            ),
            ReportKind::BookRead => ("book_read", Value::Null),
            ReportKind::Modified { quantity, .. } => {
                ("modified", json!({ "quantity": quantity.to_string() }))
            }
            ReportKind::Cancelled(reason) => ("cancelled", text(reason)),
            ReportKind::CancelRefused => ("cancel_refused", Value::Null),
            ReportKind::ModifyRefused => ("modify_refused", Value::Null),
            ReportKind::Rejected(reason) => ("rejected", text(reason)),
            ReportKind::Expired(reason) => ("expired", text(reason)),
            ReportKind::NotSent(reason) => ("not_sent", text(reason)),
            ReportKind::Unknown => ("unknown", Value::Null),
        };
        json!({ "order_id": r.order.to_string(), "ts": r.ts.nanos(), "report": kind, "detail": detail })
    }

    fn command(&self, ts: Timestamp, c: &Command) -> Value {
        let (action, detail) = match &c.action {
            CommandAction::SetState(state) => ("set_state", json!(state.name())),
            CommandAction::ResumeAnew => ("resume_anew", Value::Null),
            CommandAction::EnableStrategy(s) => ("enable_strategy", self.strategy(*s)),
            CommandAction::EnableStrategyAnew(s) => ("enable_strategy_anew", self.strategy(*s)),
            CommandAction::DisableStrategy(s, reason) => (
                "disable_strategy",
                json!({ "strategy": self.strategy(*s), "reason": reason.code() }),
            ),
            CommandAction::CancelOrder(id) => ("cancel_order", text(id)),
            CommandAction::CancelAll => ("cancel_all", Value::Null),
            CommandAction::CancelEntries => ("cancel_entries", Value::Null),
            CommandAction::SquareOff(i) => ("square_off", self.instrument(*i)),
            CommandAction::SquareOffPosition(i, s) => (
                "square_off_position",
                json!({
                    "instrument": self.instrument(*i),
                    "strategy": s.map_or(Value::Null, |s| self.strategy(s)),
                }),
            ),
            CommandAction::SquareOffAll => ("square_off_all", Value::Null),
            CommandAction::ResolveOrder(id, resolution) => {
                let as_what = match resolution {
                    Resolution::NeverReached => json!("never_reached"),
                    Resolution::Cancelled => json!("cancelled"),
                    Resolution::Filled { quantity, price } => {
                        json!({ "filled": quantity.to_string(), "price": price.to_string() })
                    }
                };
                (
                    "resolve_order",
                    json!({ "order_id": id.to_string(), "as": as_what }),
                )
            }
            CommandAction::BlockEntries(reason) => ("block_entries", text(reason)),
            CommandAction::AllowEntries(reason) => ("allow_entries", text(reason)),
        };
        json!({ "command_id": c.id.to_string(), "ts": ts.nanos(), "action": action, "detail": detail })
    }

    /// An input of a namespace.
    pub fn entry(&self, entry: &Entry) -> Value {
        match entry {
            Entry::Market { first, last } => {
                json!({ "input": "market", "first": first.0, "last": last.0 })
            }
            Entry::Full(id, item) => {
                let own = self.identity().input(*id).to_string();
                json!({ "input": "market", "n": id.0, "id": own, "data": self.market(item) })
            }
            Entry::Clock(id, due) => {
                json!({ "input": "clock", "n": id.0, "due": due.nanos(), "time": due.to_string() })
            }
            Entry::TimersMissed(until) => {
                json!({ "input": "timers_missed", "until": until.nanos(), "time": until.to_string() })
            }
            Entry::Signal(signal) => json!({ "input": "signal", "signal": self.signal(signal) }),
            Entry::Report(report) => json!({ "input": "report", "report": self.report(report) }),
            Entry::Command(ts, command) => {
                json!({ "input": "command", "command": self.command(*ts, command) })
            }
            Entry::Conflated { first, last } => {
                json!({ "input": "conflated", "first": first.0, "last": last.0 })
            }
        }
    }

    /// A record of a namespace.
    pub fn run(&self, broker: &str, run: &Run) -> Value {
        json!({
            "record": "run",
            "broker": broker,
            "step": run.step,
            "inputs": run.inputs.iter().map(|e| self.entry(e)).collect::<Vec<_>>(),
            "outputs": run.outputs.iter().map(|e| self.event(broker, e)).collect::<Vec<_>>(),
            "host": host(&run.host),
        })
    }

    /// The end of a start, in good order or not.
    pub fn stop(at: Timestamp, why: &str) -> Value {
        json!({ "record": "stop", "at": at.nanos(), "time": at.to_string(), "why": why })
    }

    /// A record of the market log.
    pub fn market_record(&self, record: &MarketRecord) -> Value {
        match record {
            MarketRecord::Start(start) => self.start(start),
            MarketRecord::Market(id, item) => {
                let own = self.identity().input(*id).to_string();
                json!({ "record": "market", "n": id.0, "id": own, "data": self.market(item) })
            }
            MarketRecord::Clock(id, due) => {
                json!({ "record": "clock", "n": id.0, "due": due.nanos(), "time": due.to_string() })
            }
            MarketRecord::TimersMissed(until) => {
                json!({ "record": "timers_missed", "until": until.nanos(), "time": until.to_string() })
            }
            MarketRecord::Switch {
                input,
                strategy,
                enabled,
                reason,
                ts,
            } => json!({
                "record": "switch", "n": input.0, "strategy": self.strategy(*strategy),
                "enabled": enabled, "reason": reason.code(), "ts": ts.nanos(),
            }),
            MarketRecord::Stop { at, why } => Self::stop(*at, why),
        }
    }

    /// A start, without its long tables.
    pub fn start(&self, start: &Start) -> Value {
        json!({
            "record": "start",
            "epoch": start.epoch,
            "at": start.at.nanos(),
            "time": start.at.to_string(),
            "build": start.build,
            "live": start.live,
            "source": format!("{:032x}", start.source.0),
            "brokers": start.brokers,
            "strategies": start.strategies.iter().map(|s| &s.name).collect::<Vec<_>>(),
            "instruments": start.instruments.len(),
        })
    }
}

fn levels(depth: &Depth) -> Value {
    let side = |levels: &[model::market::Level]| {
        levels
            .iter()
            .map(|l| json!([l.price.to_string(), l.quantity.to_string(), l.orders]))
            .collect::<Vec<_>>()
    };
    json!({ "bids": side(&depth.bids), "asks": side(&depth.asks) })
}

/// Times that are known.
pub fn host(host: &Host) -> Value {
    let mut map = Map::new();
    for (key, at) in [
        ("received", host.received),
        ("decided", host.decided),
        ("durable", host.durable),
        ("sent", host.sent),
        ("acknowledged", host.acknowledged),
    ] {
        if at != 0 {
            map.insert(key.to_owned(), json!(at));
        }
    }
    Value::Object(map)
}
