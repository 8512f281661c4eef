//! The read side of a namespace: what its thread hands over is folded and told by others. The trading
//! thread only copies events and prices; it never waits for a reader.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use journal::Log;
use journal::record::JournalRecord;
use model::Timestamp;
use model::event::{Event, EventPlace};
use pipeline::tally::Counts;
use projection::{Mark, Projection};
use runtime::RuntimeError;
use runtime::namespace::{Tap, Told};
use runtime::records::JournalRecords;

use crate::narrate::{self, Narrator};

/// Events that wait to be folded, 32 MB of them. What is more is read from the journal.
const EVENTS_MAX: usize = 65_536;
/// Prices that wait with them.
const MARKS_MAX: usize = 65_536;

/// What was handed over and is not folded yet.
#[derive(Default)]
struct Pending {
    events: Vec<(Event, EventPlace)>,
    /// With how many of `events` come before each.
    marks: Vec<(usize, Mark)>,
    now: Option<Timestamp>,
    /// Events were left out, as there were too many.
    is_cut: bool,
}

impl Pending {
    fn add(&mut self, told: &Told<'_>) {
        let before = self.events.len();
        self.is_cut |= before + told.events.len() > EVENTS_MAX;
        if self.is_cut {
            return;
        }
        let marks = told.marks.iter();
        self.marks
            .extend(marks.map(|(events, mark)| (before + events, *mark)));
        let places = told.places.iter().copied();
        self.events.extend(told.events.iter().copied().zip(places));
        self.now = Some(told.now);
        if self.marks.len() > MARKS_MAX {
            self.thin();
            self.is_cut = self.marks.len() > MARKS_MAX;
        }
    }

    /// Between two events the newest price of each instrument is enough.
    fn thin(&mut self) {
        let marks = std::mem::take(&mut self.marks).into_iter();
        let newest: BTreeMap<_, _> = marks
            .map(|(before, mark)| ((before, mark.instrument), mark))
            .collect();
        let marks = newest.into_iter();
        self.marks = marks.map(|((before, _), mark)| (before, mark)).collect();
    }
}

struct Handed(Arc<Mutex<Pending>>);

impl Tap for Handed {
    fn told(&mut self, told: &Told<'_>) {
        lock(&self.0).add(told);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tells the events of a journal from behind a place on.
type Journal = dyn Fn(Option<EventPlace>, &mut dyn FnMut(&Event, EventPlace)) -> Result<(), RuntimeError>
    + Send;

struct Folded {
    projection: Projection,
    narrator: Narrator,
    journal: Box<Journal>,
    /// An empty one, which the trading thread gets for what it has handed over.
    batch: Pending,
    /// The journal could not be read when it had to be: what came since is there as well.
    is_behind: bool,
}

impl Folded {
    fn take(&mut self, event: &Event, place: EventPlace) {
        if self.projection.apply(event, place) {
            self.narrator.event(event);
        }
    }

    fn fold(&mut self, pending: &Mutex<Pending>) {
        let mut batch = std::mem::take(&mut self.batch);
        std::mem::swap(&mut batch, &mut *lock(pending));
        let mut marks = batch.marks.iter().peekable();
        // What is missing comes first.
        let events = if self.is_behind {
            &[][..]
        } else {
            &batch.events
        };
        for (at, (event, place)) in events.iter().enumerate() {
            while let Some((_, mark)) = marks.next_if(|(before, _)| *before <= at) {
                self.projection.mark(mark);
            }
            self.take(event, *place);
        }
        marks.for_each(|(_, mark)| self.projection.mark(mark));
        if batch.is_cut || self.is_behind {
            self.is_behind = !self.catch_up();
        }
        if let Some(now) = batch.now {
            self.projection.reach(now);
        }
        batch.events.clear();
        batch.marks.clear();
        (batch.now, batch.is_cut) = (None, false);
        self.batch = batch;
    }

    /// Reads what was left out: it is durable. False where it cannot be read.
    fn catch_up(&mut self) -> bool {
        let mut missed = Vec::new();
        let mut take = |event: &Event, place| missed.push((*event, place));
        let read = (self.journal)(self.projection.place(), &mut take);
        for (event, place) in &missed {
            self.take(event, *place);
        }
        if let Err(why) = &read
            && !self.is_behind
        {
            narrate::unread(self.narrator.broker(), &why.to_string());
        }
        read.is_ok()
    }
}

/// The read side of one namespace.
pub struct Reader {
    pending: Arc<Mutex<Pending>>,
    folded: Mutex<Folded>,
    /// Orders and executions before this session.
    before: (u64, u64),
}

fn done(counts: &Counts) -> (u64, u64) {
    (counts.submitted, counts.fills)
}

impl Reader {
    /// From where a namespace's projection stands; what follows is told by the narrator.
    pub(crate) fn new(
        projection: Projection,
        narrator: Narrator,
        journal: Arc<dyn Log>,
    ) -> Arc<Self> {
        let journal = move |after, take: &mut dyn FnMut(&Event, EventPlace)| {
            behind(journal.as_ref(), after, take)
        };
        Self::with(projection, narrator, Box::new(journal))
    }

    fn with(projection: Projection, narrator: Narrator, journal: Box<Journal>) -> Arc<Self> {
        Arc::new(Self {
            pending: Arc::default(),
            before: done(&projection.tally().total),
            folded: Mutex::new(Folded {
                projection,
                narrator,
                journal,
                batch: Pending::default(),
                is_behind: false,
            }),
        })
    }

    /// What the namespace is to be given.
    pub(crate) fn tap(&self) -> Box<dyn Tap> {
        Box::new(Handed(Arc::clone(&self.pending)))
    }

    /// Asks the projection, which has taken all that was handed over.
    pub fn read<T>(&self, question: impl FnOnce(&Projection) -> T) -> T {
        let mut folded = lock(&self.folded);
        folded.fold(&self.pending);
        question(&folded.projection)
    }

    /// Orders and executions since the session began.
    pub fn since_start(&self) -> (u64, u64) {
        let (submitted, fills) = self.read(|projection| done(&projection.tally().total));
        let (submitted_before, fills_before) = self.before;
        (submitted - submitted_before, fills - fills_before)
    }

    /// The namespace has ended: takes the rest, and tells what its narrator still holds.
    pub(crate) fn end(&self) {
        let mut folded = lock(&self.folded);
        folded.fold(&self.pending);
        folded.narrator.end();
    }
}

/// Tells the events of a namespace's journal that stand behind a place.
fn behind(
    journal: &dyn Log,
    after: Option<EventPlace>,
    take: &mut dyn FnMut(&Event, EventPlace),
) -> Result<(), RuntimeError> {
    let mut records = JournalRecords::open(journal)?;
    while let Some(found) = records.next()? {
        if let JournalRecord::Run(run) = &found.record {
            let placed = run.placed().filter(|(place, _)| Some(*place) > after);
            placed.for_each(|(place, event)| take(event, place));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use journal::record::Start;
    use model::event::{Cause, EventBody};
    use model::instrument::Instrument;
    use model::reason::Reason;
    use model::session::AlwaysOpen;
    use model::{CorrelationId, InputId, InstrumentIdx, Instruments, Price};
    use projection::Names;
    use settings::zone::Zone;

    use super::*;

    fn alert(step: u64) -> (Event, EventPlace) {
        let body = EventBody::Alert {
            reason: Reason::OperatorRequest,
            order: None,
            strategy: None,
        };
        let event = Event {
            ts: Timestamp(step as i64),
            correlation: CorrelationId(0),
            cause: Cause::Input(InputId(step)),
            body,
        };
        (event, EventPlace { step, ordinal: 0 })
    }

    fn tell(tap: &mut dyn Tap, steps: std::ops::Range<u64>, marks: &[(usize, Mark)]) {
        let now = Timestamp(steps.end as i64);
        let (events, places): (Vec<_>, Vec<_>) = steps.map(alert).unzip();
        tap.told(&Told {
            events: &events,
            places: &places,
            marks,
            now,
        });
    }

    fn price(raw: i64) -> (usize, Mark) {
        let mark = Mark {
            instrument: InstrumentIdx(0),
            price: Price::from_raw(raw),
            ts: Timestamp(raw),
        };
        (0, mark)
    }

    /// A reader of a namespace without a past, whose journal holds so many alerts.
    fn reader(recorded: u64) -> Arc<Reader> {
        let share = Instrument::share("NSE", "AXIS", "INR".parse().unwrap());
        let names = Names {
            instruments: Arc::new(Instruments::new(vec![share]).unwrap()),
            strategies: ["manual".to_owned()].into(),
            sessions: Arc::new(AlwaysOpen),
        };
        let start = Start {
            epoch: 1,
            at: Timestamp(0),
            build: String::new(),
            settings: String::new(),
            source: model::ids::SourceSession(0),
            live: true,
            salt: 0,
            brokers: Vec::new(),
            strategies: Vec::new(),
            instruments: Vec::new(),
            currencies: Vec::new(),
        };
        let narrator = Narrator::new("paper", &start, false, &Zone::get("UTC").unwrap());
        let journal = move |after: Option<EventPlace>, take: &mut dyn FnMut(&Event, EventPlace)| {
            let all = (0..recorded).map(alert);
            all.filter(|(_, place)| Some(*place) > after)
                .for_each(|(event, place)| take(&event, place));
            Ok(())
        };
        Reader::with(Projection::new(names, &[]), narrator, Box::new(journal))
    }

    fn alerts(reader: &Reader) -> u64 {
        reader.read(|p| p.tally().total.alerts.values().sum())
    }

    #[test]
    fn what_did_not_fit_is_read_from_the_journal_and_nothing_is_taken_twice() {
        let most = EVENTS_MAX as u64;
        let reader = reader(most + 70);
        let mut tap = reader.tap();
        tell(&mut *tap, 0..10, &[]);
        // Too many; nothing more is kept until it is folded.
        tell(&mut *tap, 10..most + 10, &[]);
        tell(&mut *tap, most + 10..most + 20, &[]);
        assert_eq!(lock(&reader.pending).events.len(), 10);
        assert_eq!(alerts(&reader), most + 70);
        // The journal was ahead of what is handed over now.
        tell(&mut *tap, most + 20..most + 71, &[]);
        assert_eq!(alerts(&reader), most + 71);
    }

    #[test]
    fn what_could_not_be_read_is_not_passed_over() {
        let most = EVENTS_MAX as u64;
        let reader = reader(most + 20);
        let read = std::mem::replace(
            &mut lock(&reader.folded).journal,
            Box::new(|_, _| {
                Err(RuntimeError::journal(
                    "east",
                    journal::JournalError::TooLarge(0),
                ))
            }),
        );
        let mut tap = reader.tap();
        tell(&mut *tap, 0..most + 10, &[]);
        let before = alerts(&reader);
        // What comes next waits behind what is missing.
        tell(&mut *tap, most + 10..most + 20, &[]);
        assert_eq!(alerts(&reader), before);
        lock(&reader.folded).journal = read;
        assert_eq!(alerts(&reader), most + 20);
    }

    #[test]
    fn prices_that_nobody_folds_do_not_pile_up() {
        let reader = reader(0);
        let mut tap = reader.tap();
        let all: Vec<_> = (1..=MARKS_MAX as i64 + 1).map(price).collect();
        tell(&mut *tap, 0..0, &all);
        assert_eq!(lock(&reader.pending).marks.len(), 1);
        let last = reader.read(|p| p.portfolio().last(InstrumentIdx(0)).price);
        assert_eq!(last, Price::from_raw(MARKS_MAX as i64 + 1));
    }
}
