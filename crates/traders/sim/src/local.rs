//! Trading in the books of this process's exchange.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use exchange::{AccountId, Placed, SharedExchange};
use model::AssetClass;
use model::order::OrderIntent;
use model::reason::Reason;
use model::trader::{Capabilities, ReportKind};
use traders::{
    Answer, BrokerReport, ClientOrderId, Found, LinkError, Modification, Reports, Trader,
};

use crate::settings::{Executions, SimSettings};

/// Reports that are passed on at once.
const REPORTS: usize = 256;
/// The longest that a thread waits before it looks whether it should end.
const WAIT: Duration = Duration::from_millis(50);

/// The trader.
#[derive(Debug)]
pub struct LocalTrader {
    capabilities: Capabilities,
    exchange: SharedExchange,
    account: AccountId,
    pump: Option<Pump>,
}

#[derive(Debug)]
struct Pump {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

pub(crate) fn capabilities(settings: &SimSettings) -> Capabilities {
    Capabilities {
        delivery: settings.delivery,
        asset_classes: AssetClass::ALL.to_vec(),
        native_oco: false,
        executes_on_tick: settings.executions == Executions::Each,
    }
}

pub(crate) fn report(said: exchange::Report) -> BrokerReport {
    BrokerReport {
        client_order_id: said.client_order_id,
        kind: said.kind,
        number: said.number,
        due: said.due,
    }
}

impl LocalTrader {
    /// With the account of this name.
    pub fn new(settings: &SimSettings, exchange: SharedExchange, account: &str) -> Self {
        let totals = settings.executions == Executions::Totals;
        let account = exchange.with(|e| {
            let account = e.account(account);
            e.tell_totals(account, totals);
            account
        });
        Self {
            capabilities: capabilities(settings),
            account,
            exchange,
            pump: None,
        }
    }

    fn end_pump(&mut self) {
        if let Some(pump) = self.pump.take() {
            pump.stop.store(true, Ordering::Release);
            // Whoever waits looks at the flag.
            self.exchange.with(|_| ());
            // A pump that panicked has nothing more to say.
            let _ = pump.thread.join();
        }
    }
}

const fn answer(placed: Placed) -> Answer {
    match placed {
        Placed::Accepted => Answer::Accepted,
        Placed::Refused(reason) => Answer::Refused(reason),
    }
}

impl Trader for LocalTrader {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn connect(&mut self, reports: Arc<dyn Reports>) -> Result<(), LinkError> {
        self.end_pump();
        let stop = Arc::new(AtomicBool::new(false));
        let (exchange, account, flag) = (self.exchange.clone(), self.account, Arc::clone(&stop));
        let thread = std::thread::Builder::new()
            .name("sim-reports".to_owned())
            .spawn(move || {
                let mut after = 0;
                let mut said = Vec::new();
                while !flag.load(Ordering::Acquire) {
                    exchange.wait_reports(account, after, REPORTS, WAIT, &mut said);
                    for one in said.drain(..) {
                        after = one.number;
                        if !reports.report(report(one)) {
                            return;
                        }
                    }
                }
            })
            .map_err(|e| LinkError::Unreachable(e.to_string()))?;
        self.pump = Some(Pump { stop, thread });
        Ok(())
    }

    fn submit(&mut self, id: &ClientOrderId, intent: &OrderIntent) -> Answer {
        let account = self.account;
        let is_connected = self.pump.is_some();
        self.exchange.with(|e| match e.now() {
            // Before its first instant it takes nothing.
            _ if !is_connected => Answer::NotSent(Reason::TraderUnreachable),
            None => Answer::NotSent(Reason::TraderUnreachable),
            Some(_) => answer(e.place(account, id, intent)),
        })
    }

    fn cancel(&mut self, id: &ClientOrderId) -> Answer {
        let account = self.account;
        answer(self.exchange.with(|e| e.cancel(account, id)))
    }

    fn modify(&mut self, id: &ClientOrderId, change: &Modification) -> Answer {
        let Modification {
            quantity,
            limit_price,
            trigger_price,
        } = *change;
        let account = self.account;
        answer(
            self.exchange
                .with(|e| e.modify(account, id, quantity, limit_price, trigger_price)),
        )
    }

    fn query(&mut self, id: &ClientOrderId) -> Found {
        let account = self.account;
        let (said, resumed) = self
            .exchange
            .with(|e| (e.query(account, id), e.is_resumed()));
        match said {
            Some(said) => Found::Present(said.into_iter().map(report).collect()),
            // The exchange ended with the process before, and every order with it.
            None if resumed => Found::Present(vec![BrokerReport {
                client_order_id: *id,
                kind: ReportKind::Cancelled(Reason::SessionEnd),
                number: 0,
                due: None,
            }]),
            None => Found::Absent,
        }
    }

    fn confirm(&mut self, number: u64) {
        let account = self.account;
        self.exchange.with(|e| e.confirm(account, number));
    }

    fn stop(&mut self) {
        self.end_pump();
    }
}

impl Drop for LocalTrader {
    fn drop(&mut self) {
        self.end_pump();
    }
}
