//! Trading on an exchange in another process.
//!
//! In lockstep everything that the exchange says comes before the answer to a call, so the caller reads
//! it itself; else a thread reads, as reports come at any time.

use std::io;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use model::InputId;
use model::market::MarketData;
use model::order::OrderIntent;
use model::reason::Reason;
use model::trader::Capabilities;
use traders::{Answer, ClientOrderId, Found, LinkError, Modification, Reports, Trader};

use crate::local::{capabilities, report};
use crate::settings::SimSettings;
use crate::wire::{self, Frames, Got, Mode, Passed, Reply, Request};

/// The least time that the exchange has to greet: it may have many reports to send again.
const WELCOME: Duration = Duration::from_secs(5);

/// The trader.
pub struct RemoteTrader {
    capabilities: Capabilities,
    path: PathBuf,
    account: String,
    instruments: Vec<String>,
    timeout: Duration,
    sink: Option<Arc<dyn Reports>>,
    link: Option<Link>,
    call: u64,
    /// In lockstep: goes out with the next call.
    confirm: Option<u64>,
    out: Vec<u8>,
}

enum Link {
    Lockstep(Frames),
    Own {
        stream: UnixStream,
        answers: Arc<Answers>,
        thread: JoinHandle<()>,
    },
}

/// Where the reading thread puts the answer that is waited for.
#[derive(Default)]
struct Answers {
    waited: Mutex<Waited>,
    filled: Condvar,
    closing: AtomicBool,
}

#[derive(Default)]
struct Waited {
    call: u64,
    reply: Option<Reply>,
    is_dead: bool,
}

impl Answers {
    fn lock(&self) -> MutexGuard<'_, Waited> {
        self.waited.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call without an answer.
enum Trouble {
    NotSent,
    Unknown,
}

/// The call that a reply answers.
const fn call_of(reply: &Reply) -> Option<u64> {
    match reply {
        Reply::Answer { call, .. } | Reply::Found { call, .. } | Reply::Passed { call } => {
            Some(*call)
        }
        Reply::Welcome { .. } | Reply::Unwelcome(_) | Reply::Report(_) | Reply::Books(_) => None,
    }
}

impl RemoteTrader {
    /// Of the exchange behind a socket; `instruments` are the canonical ids by index.
    pub fn new(
        settings: &SimSettings,
        path: PathBuf,
        account: &str,
        instruments: Vec<String>,
    ) -> Self {
        Self {
            capabilities: capabilities(settings),
            path,
            account: account.to_owned(),
            instruments,
            timeout: settings.timeout(),
            sink: None,
            link: None,
            call: 0,
            confirm: None,
            out: Vec::with_capacity(512),
        }
    }

    fn close(&mut self) {
        match self.link.take() {
            Some(Link::Own {
                stream,
                answers,
                thread,
            }) => {
                answers.closing.store(true, Ordering::Release);
                // Ends the thread's read; where that fails the connection has ended by itself.
                let _ = stream.shutdown(Shutdown::Both);
                let _ = thread.join();
            }
            Some(Link::Lockstep(_)) | None => {}
        }
    }

    fn lose(&mut self, why: &io::Error) {
        self.close();
        if let Some(sink) = &self.sink {
            sink.lost(&why.to_string());
        }
    }

    /// Sends a call and waits for its answer.
    fn ask(&mut self, request: &Request) -> Result<Reply, Trouble> {
        let call = self.call;
        self.out.clear();
        if let Some(number) = self.confirm.take() {
            self.write(&Request::Confirm(number))?;
        }
        self.write(request)?;
        let deadline = Instant::now() + self.timeout;
        let stream = match &self.link {
            None => return Err(Trouble::NotSent),
            Some(Link::Lockstep(frames)) => frames.stream(),
            Some(Link::Own {
                stream, answers, ..
            }) => {
                let mut waited = answers.lock();
                (waited.call, waited.reply) = (call, None);
                stream
            }
        };
        if let Err((begun, error)) = wire::write_all(stream, &self.out) {
            self.lose(&error);
            return Err(if begun {
                Trouble::Unknown
            } else {
                Trouble::NotSent
            });
        }
        match &mut self.link {
            Some(Link::Lockstep(frames)) => {
                match read_until(frames, self.sink.as_ref(), deadline, &|r| {
                    call_of(r) == Some(call)
                }) {
                    Ok(reply) => reply.ok_or(Trouble::Unknown),
                    Err(error) => {
                        self.lose(&error);
                        Err(Trouble::Unknown)
                    }
                }
            }
            Some(Link::Own { answers, .. }) => {
                let none = |w: &mut Waited| w.reply.is_none() && !w.is_dead;
                let (mut waited, _) = answers
                    .filled
                    .wait_timeout_while(answers.lock(), self.timeout, none)
                    .unwrap_or_else(PoisonError::into_inner);
                waited.reply.take().ok_or(Trouble::Unknown)
            }
            None => Err(Trouble::Unknown),
        }
    }

    fn write(&mut self, request: &Request) -> Result<(), Trouble> {
        // A request of ours always fits a frame; one that did not would not be sent.
        wire::frame(request, &mut self.out).map_err(|_| Trouble::NotSent)
    }

    fn next_call(&mut self) -> u64 {
        self.call += 1;
        self.call
    }

    fn order(&mut self, request: &Request) -> Answer {
        match self.ask(request) {
            Ok(Reply::Answer { refused: None, .. }) => Answer::Accepted,
            Ok(Reply::Answer {
                refused: Some(reason),
                ..
            }) => Answer::Refused(reason),
            Ok(_) | Err(Trouble::Unknown) => Answer::Unknown,
            Err(Trouble::NotSent) => Answer::NotSent(Reason::TraderUnreachable),
        }
    }

    fn greet(&mut self, sink: &Arc<dyn Reports>) -> Result<(Frames, Mode), LinkError> {
        let unreachable =
            |e: io::Error| LinkError::Unreachable(format!("{}: {e}", self.path.display()));
        let stream = UnixStream::connect(&self.path).map_err(unreachable)?;
        let within = self.timeout.max(WELCOME);
        stream.set_read_timeout(Some(within)).map_err(unreachable)?;
        let mut hello = Vec::new();
        let request = Request::Hello {
            version: wire::VERSION,
            account: self.account.clone(),
            delivery: self.capabilities.delivery,
            totals: !self.capabilities.executes_on_tick,
            instruments: self.instruments.clone(),
        };
        wire::frame(&request, &mut hello).map_err(unreachable)?;
        wire::write_all(&stream, &hello).map_err(|(_, e)| unreachable(e))?;
        let mut frames = Frames::new(stream);
        let greeted = |r: &Reply| matches!(r, Reply::Welcome { .. } | Reply::Unwelcome(_));
        let deadline = Instant::now() + within;
        match read_until(&mut frames, Some(sink), deadline, &greeted).map_err(unreachable)? {
            Some(Reply::Welcome { mode }) => Ok((frames, mode)),
            Some(Reply::Unwelcome(why)) => Err(LinkError::Refused(why)),
            _ => Err(unreachable(io::ErrorKind::TimedOut.into())),
        }
    }
}

/// Passes reports on until a wanted reply comes; `None` when time runs out. What else comes is an answer
/// that came too late.
fn read_until(
    frames: &mut Frames,
    sink: Option<&Arc<dyn Reports>>,
    deadline: Instant,
    wanted: &dyn Fn(&Reply) -> bool,
) -> io::Result<Option<Reply>> {
    loop {
        match frames.read::<Reply>()? {
            Got::Message(Reply::Report(said)) => {
                if let Some(sink) = sink
                    && !sink.report(report(said))
                {
                    return Err(io::Error::other("the host takes no more reports"));
                }
            }
            Got::Message(reply) if wanted(&reply) => return Ok(Some(reply)),
            Got::Message(_) => {}
            Got::Nothing => {
                if Instant::now() >= deadline {
                    return Ok(None);
                }
            }
            Got::Unreadable(bytes, why) => {
                if let Some(sink) = sink {
                    sink.unreadable(&bytes, &why);
                }
            }
        }
    }
}

impl Answers {
    /// The reading thread.
    fn read(&self, mut frames: Frames, sink: &Arc<dyn Reports>) {
        let why = loop {
            match frames.read::<Reply>() {
                Ok(Got::Message(Reply::Report(said))) => {
                    if !sink.report(report(said)) {
                        break io::Error::other("the host takes no more reports");
                    }
                }
                Ok(Got::Message(reply)) => {
                    let mut waited = self.lock();
                    // Any other is an answer that came too late.
                    if call_of(&reply) == Some(waited.call) {
                        waited.reply = Some(reply);
                        self.filled.notify_all();
                    }
                }
                Ok(Got::Nothing) => {}
                Ok(Got::Unreadable(bytes, why)) => sink.unreadable(&bytes, &why),
                Err(error) => break error,
            }
        };
        self.lock().is_dead = true;
        self.filled.notify_all();
        if !self.closing.load(Ordering::Acquire) {
            sink.lost(&why.to_string());
        }
    }
}

impl Trader for RemoteTrader {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn connect(&mut self, reports: Arc<dyn Reports>) -> Result<(), LinkError> {
        self.close();
        self.sink = Some(Arc::clone(&reports));
        let (frames, mode) = self.greet(&reports)?;
        let lost = |e: io::Error| LinkError::Unreachable(e.to_string());
        self.link = Some(match mode {
            Mode::Lockstep => {
                let stream = frames.stream();
                stream.set_read_timeout(Some(self.timeout)).map_err(lost)?;
                Link::Lockstep(frames)
            }
            Mode::Own => {
                let stream = frames.stream().try_clone().map_err(lost)?;
                stream.set_read_timeout(None).map_err(lost)?;
                let answers = Arc::new(Answers::default());
                let reader = Arc::clone(&answers);
                let thread = std::thread::Builder::new()
                    .name(format!("sim-{}", self.account))
                    .spawn(move || reader.read(frames, &reports))
                    .map_err(lost)?;
                Link::Own {
                    stream,
                    answers,
                    thread,
                }
            }
        });
        Ok(())
    }

    fn submit(&mut self, id: &ClientOrderId, intent: &OrderIntent) -> Answer {
        let call = self.next_call();
        self.order(&Request::Submit {
            call,
            client: *id,
            intent: *intent,
        })
    }

    fn cancel(&mut self, id: &ClientOrderId) -> Answer {
        let call = self.next_call();
        self.order(&Request::Cancel { call, client: *id })
    }

    fn modify(&mut self, id: &ClientOrderId, change: &Modification) -> Answer {
        let call = self.next_call();
        self.order(&Request::Modify {
            call,
            client: *id,
            quantity: change.quantity,
            limit_price: change.limit_price,
            trigger_price: change.trigger_price,
        })
    }

    fn query(&mut self, id: &ClientOrderId) -> Found {
        let call = self.next_call();
        match self.ask(&Request::Query { call, client: *id }) {
            Ok(Reply::Found { said: None, .. }) => Found::Absent,
            Ok(Reply::Found {
                said: Some(said), ..
            }) => Found::Present(said.into_iter().map(report).collect()),
            Ok(_) | Err(_) => Found::Unknown,
        }
    }

    fn confirm(&mut self, number: u64) {
        self.confirm = self.confirm.max(Some(number));
        if let Some(Link::Own { stream, .. }) = &self.link {
            self.out.clear();
            if wire::frame(&Request::Confirm(number), &mut self.out).is_ok() {
                // Where it is lost the reports come again, which does no harm.
                let _ = wire::write_all(stream, &self.out);
            }
            self.confirm = None;
        }
    }

    fn pass(&mut self, id: InputId, data: &MarketData<'_>) -> Result<(), LinkError> {
        if let Some(Link::Own { .. }) = self.link {
            return Ok(());
        }
        let price = data.price();
        let (open, high, low) = match data {
            MarketData::Tick(..) => (price, price, price),
            MarketData::Bar(bar) => (bar.open, bar.high, bar.low),
        };
        let call = self.next_call();
        let passed = self.ask(&Request::Pass {
            call,
            input: id,
            data: Passed {
                instrument: data.instrument().0,
                ts: data.ts(),
                open,
                high,
                low,
            },
        });
        match passed {
            Ok(Reply::Passed { .. }) => Ok(()),
            Ok(_) | Err(Trouble::Unknown) => {
                Err(LinkError::Unreachable("no answer to a pass".to_owned()))
            }
            Err(Trouble::NotSent) => Err(LinkError::Unreachable("not connected".to_owned())),
        }
    }

    fn stop(&mut self) {
        if let (Some(number), Some(Link::Lockstep(frames))) = (self.confirm.take(), &self.link) {
            self.out.clear();
            if wire::frame(&Request::Confirm(number), &mut self.out).is_ok() {
                let _ = wire::write_all(frames.stream(), &self.out);
            }
        }
        self.close();
    }
}

impl Drop for RemoteTrader {
    fn drop(&mut self) {
        self.close();
    }
}
