//! What a running session shows to those who look at it and tell it something: the control socket, the
//! monitor, the terminal. Nobody here owns a stage.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use feeds::live::FeedQueue;
use feeds::live::supervise::FeedStatus;
use journal::record::Start;
use journal::{LogName, Logs};
use model::control::{Command, CommandAction, Origin};
use model::event::Event;
use model::ids::CommandId;
use model::{Instruments, StrategyIdx};
use runtime::clock::SessionClock;
use runtime::driver::CommandReply;
use runtime::driver::{Detached, Message};
use runtime::host::link::LinkStatus;
use runtime::host::market::MarketThread;
use runtime::host::namespace::NamespaceHost;
use runtime::namespace::Known;
use runtime::records::run_at;
use settings::Settings;
use wire::EventPlace;

use super::letters::Letters;
use super::monitor::Monitor;
use super::reader::Reader;

/// The longest that a command waits for a namespace to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A namespace as it takes part in a session.
pub struct Member {
    /// Its name.
    pub name: String,
    /// The kind of its trader.
    pub kind: String,
    /// Whether orders work at a broker outside this process, also when it has ended.
    pub is_outside: bool,
    /// The thread.
    pub host: Arc<NamespaceHost>,
    /// What people ask of it.
    pub reader: Arc<Reader>,
    /// The link to the broker, where there is one.
    pub link: Option<Arc<LinkStatus>>,
}

/// A namespace that does not take part, as its journal cannot be read or written.
pub struct Excluded {
    /// Its name.
    pub name: String,
    /// The kind of its trader.
    pub kind: String,
    /// Why, with the way out.
    pub why: Detached,
}

/// A request to stop, from a signal, the control socket, or the session itself.
#[derive(Debug, Default)]
pub struct StopRequest {
    asked: Mutex<Option<String>>,
    told: Condvar,
}

impl StopRequest {
    /// Asks for a stop; the first reason stays.
    pub fn ask(&self, why: &str) {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.get_or_insert_with(|| why.to_owned());
        drop(asked);
        self.told.notify_all();
    }
    /// Waits up to `patience`. Why a stop was asked for, if it was.
    pub fn wait(&self, patience: Duration) -> Option<String> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.is_some() {
            return asked.clone();
        }
        let (asked, _) = self
            .told
            .wait_timeout(asked, patience)
            .unwrap_or_else(PoisonError::into_inner);
        asked.clone()
    }
}

/// The handles.
pub struct Handles {
    /// The settings.
    pub settings: Settings,
    /// The instruments.
    pub instruments: Arc<Instruments>,
    /// This start: names by index.
    pub start: Start,
    /// Strategies that the runner hosts.
    pub shared: Vec<StrategyIdx>,
    /// The namespaces, by index.
    pub members: Vec<Member>,
    /// Those that could not be recovered.
    pub excluded: Vec<Excluded>,
    /// The runner.
    pub market: Arc<MarketThread>,
    /// The feeds.
    pub feeds: Vec<(String, Arc<FeedStatus>)>,
    /// The hand-over from the feeds.
    pub queue: Arc<FeedQueue>,
    /// The session's clock.
    pub clock: Arc<dyn SessionClock>,
    /// What could not be taken.
    pub letters: Arc<Letters>,
    /// What is measured.
    pub monitor: Arc<Monitor>,
    /// When the session began.
    pub began: Instant,
    /// To be raised by whoever wants it to end.
    pub stop: Arc<StopRequest>,
    /// Where the logs are.
    pub logs: Arc<dyn Logs>,
    /// Held while a shared strategy is switched: the same command may come twice at once.
    pub switching: Mutex<()>,
    /// No command is taken any more.
    pub is_stopping: AtomicBool,
}

/// What a command came to.
pub struct Answer {
    /// Its events, durable, and where they stand; none where it changed nothing.
    pub events: Vec<(Event, EventPlace)>,
    /// The start whose names they have; `None`: this one.
    pub start: Option<Arc<Start>>,
}

/// A command from outside: under its key, or else drawn, as nothing causes it.
pub fn command(origin: Origin, action: CommandAction) -> Result<Command, String> {
    let id = if origin.key.is_empty() {
        super::open::random()
            .map(CommandId)
            .map_err(|e| e.to_string())?
    } else {
        CommandId::of_key(&origin.key)
    };
    Ok(Command { id, origin, action })
}

impl Handles {
    /// The namespace of a name.
    pub fn member(&self, name: &str) -> Option<(usize, &Member)> {
        self.members
            .iter()
            .enumerate()
            .find(|(_, m)| m.name == name)
    }

    /// Why the namespace of a name does not take part.
    pub fn excluded(&self, name: &str) -> Option<&Excluded> {
        self.excluded.iter().find(|out| out.name == name)
    }

    /// A strategy's index.
    pub fn strategy(&self, name: &str) -> Option<StrategyIdx> {
        self.start
            .strategies
            .iter()
            .position(|s| s.name == name)
            .map(|at| StrategyIdx(at as u32))
    }

    /// Executions of all namespaces since the session began.
    pub fn fills(&self) -> u64 {
        self.members.iter().map(|m| m.reader.since_start().1).sum()
    }

    /// Gives a namespace a command, and waits until what follows from it is durable. One that was given
    /// before under its key is answered as it was then.
    pub fn command(&self, index: usize, command: Command) -> Result<Answer, String> {
        let reply = self.tell(index, |sender| Message::Command(command, Some(sender)))?;
        match reply {
            CommandReply::Done(events) => Ok(Answer {
                events,
                start: None,
            }),
            CommandReply::Known(known) => self.answer_again(index, known),
        }
    }

    /// What a command came to that was given before under its key; `None`: it was not.
    pub fn known(&self, index: usize, command: Command) -> Result<Option<Answer>, String> {
        let known = self.tell(index, |sender| Message::Known(command, sender))?;
        known
            .map(|known| self.answer_again(index, known))
            .transpose()
    }

    fn answer_again(&self, index: usize, known: Known) -> Result<Answer, String> {
        let step = match known {
            Known::Other => return Err("the key was given with another command".to_owned()),
            Known::Done(None) => {
                return Ok(Answer {
                    events: Vec::new(),
                    start: None,
                });
            }
            Known::Done(Some(step)) => step,
        };
        let member = self.members.get(index).ok_or("there is no such broker")?;
        let journal = self.logs.log(LogName::Journal(&member.name));
        let found = run_at(journal.as_ref(), step).map_err(|e| e.to_string())?;
        let (run, start) = found.ok_or_else(|| {
            format!(
                "`{}` has carried it out, and what it led to is not kept any more",
                member.name
            )
        })?;
        Ok(Answer {
            events: run.placed().map(|(place, event)| (*event, place)).collect(),
            start,
        })
    }

    fn tell<T>(
        &self,
        index: usize,
        message: impl FnOnce(SyncSender<T>) -> Message,
    ) -> Result<T, String> {
        let member = self.members.get(index).ok_or("there is no such broker")?;
        let (sender, receiver) = sync_channel(1);
        let gone = || {
            let why = member.host.status().detached();
            let why = why.map_or_else(|| "it has stopped".to_owned(), |d| d.why);
            format!("`{}` takes no command: {why}", member.name)
        };
        if self.is_stopping.load(Ordering::Acquire) {
            return Err("the session is stopping".to_owned());
        }
        if !member.host.inbox().send(message(sender)) {
            return Err(gone());
        }
        match receiver.recv_timeout(PATIENCE) {
            Ok(reply) => Ok(reply),
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => Err(format!(
                "`{}` did not answer within {} s: the command may still take effect; `panda status` shows it",
                member.name,
                PATIENCE.as_secs()
            )),
            Err(_) => Err(gone()),
        }
    }
}
