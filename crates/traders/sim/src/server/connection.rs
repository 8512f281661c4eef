//! One connection: reads requests, lets the state answer, and spoils that where faults are asked for.

use std::io;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use exchange::{ClientOrderId, Placed};
use traders::Modification;

use super::faults::{Asked, Fault};
use super::state::{AccountSession, State};
use super::{Shared, wall};
use crate::wire::{self, Frames, Got, Mode, Reply, Request};

/// An exchange with a market of its own looks so often for what happened; one in lockstep only looks
/// whether it should end.
const LOOK_OWN: Duration = Duration::from_millis(2);
const LOOK: Duration = Duration::from_millis(100);

pub(super) struct Connection<'a> {
    shared: &'a Shared,
    frames: Frames,
    session: Option<AccountSession>,
    /// The last report that was sent.
    sent: u64,
    out: Vec<u8>,
    /// An answer that is held back until the next.
    late: Vec<u8>,
}

/// What comes after a request.
enum Then {
    GoOn,
    Close,
}

impl<'a> Connection<'a> {
    pub fn new(shared: &'a Shared, stream: UnixStream) -> io::Result<Self> {
        stream.set_read_timeout(Some(match shared.mode {
            Mode::Lockstep => LOOK,
            Mode::Own => LOOK_OWN,
        }))?;
        // A client that reads nothing for so long is gone.
        stream.set_write_timeout(Some(Duration::from_secs(10)))?;
        Ok(Self {
            shared,
            frames: Frames::new(stream),
            session: None,
            sent: 0,
            out: Vec::with_capacity(4 << 10),
            late: Vec::new(),
        })
    }

    /// Until the client is gone, is replaced, or the exchange stops.
    pub fn run(mut self) -> io::Result<()> {
        loop {
            let got = self.frames.read::<Request>()?;
            if self.shared.is_stopping() {
                return Ok(());
            }
            let shared = self.shared;
            let mut state = shared.lock();
            if let Some(session) = &self.session
                && !state.is_heard(session)
            {
                return Ok(());
            }
            if shared.mode == Mode::Own {
                state.advance(wall());
            }
            let then = match got {
                Got::Message(request) => self.handle(&mut state, request)?,
                Got::Nothing => {
                    self.reports(&state)?;
                    Then::GoOn
                }
                Got::Unreadable(_, why) => {
                    wire::frame(&Reply::Unwelcome(why), &mut self.out)?;
                    Then::Close
                }
            };
            drop(state);
            // What has come together goes out together.
            let more_comes = matches!(then, Then::GoOn) && self.frames.is_ready();
            if !self.out.is_empty() && !more_comes {
                wire::write_all(self.frames.stream(), &self.out).map_err(|(_, e)| e)?;
                self.out.clear();
            }
            if let Then::Close = then {
                return Ok(());
            }
        }
    }

    fn reports(&mut self, state: &State) -> io::Result<()> {
        if let Some(session) = &self.session {
            let (out, mut result) = (&mut self.out, Ok(()));
            self.sent = state.reports(session, self.sent, &mut |report| {
                if result.is_ok() {
                    result = wire::frame(&Reply::Report(*report), out);
                }
            });
            result?;
        }
        Ok(())
    }

    fn handle(&mut self, state: &mut State, request: Request) -> io::Result<Then> {
        if let Request::Books = request {
            wire::frame(&Reply::Books(state.books()), &mut self.out)?;
            return Ok(Then::GoOn);
        }
        if let Request::Hello {
            version,
            account,
            delivery,
            totals,
            instruments,
        } = request
        {
            return self.greet(state, version, &account, (delivery, totals), &instruments);
        }
        let Some(session) = self.session.take() else {
            let why = "the first message must be a greeting".to_owned();
            wire::frame(&Reply::Unwelcome(why), &mut self.out)?;
            return Ok(Then::Close);
        };
        let then = self.serve(state, &session, request);
        self.session = Some(session);
        then
    }

    fn greet(
        &mut self,
        state: &mut State,
        version: u32,
        account: &str,
        (delivery, totals): (model::trader::Delivery, bool),
        instruments: &[String],
    ) -> io::Result<Then> {
        let ours = wire::VERSION;
        let session = if version == ours {
            state.hello(account, delivery, totals, instruments)
        } else {
            Err(format!(
                "version {version} of the messages; here it is {ours}"
            ))
        };
        match session {
            Ok(session) => {
                self.session = Some(session);
                self.sent = 0;
                self.reports(state)?;
                let mode = self.shared.mode;
                wire::frame(&Reply::Welcome { mode }, &mut self.out)?;
                Ok(Then::GoOn)
            }
            Err(why) => {
                wire::frame(&Reply::Unwelcome(why), &mut self.out)?;
                Ok(Then::Close)
            }
        }
    }

    fn serve(
        &mut self,
        state: &mut State,
        session: &AccountSession,
        request: Request,
    ) -> io::Result<Then> {
        match request {
            Request::Submit {
                call,
                client,
                intent,
            } => {
                let fault = state.presented(&client, intent.id);
                self.spoil(state, session, fault, &mut |state| {
                    answer(call, state.submit(session, &client, intent))
                })
            }
            Request::Cancel { call, client } => {
                self.ask(state, session, Asked::Cancel, &client, &mut |state| {
                    answer(call, state.cancel(session, &client))
                })
            }
            Request::Modify {
                call,
                client,
                quantity,
                limit_price,
                trigger_price,
            } => {
                let change = Modification {
                    quantity,
                    limit_price,
                    trigger_price,
                };
                self.ask(state, session, Asked::Modify, &client, &mut |state| {
                    answer(call, state.modify(session, &client, &change))
                })
            }
            Request::Query { call, client } => {
                self.ask(state, session, Asked::Query, &client, &mut |state| {
                    let said = state.query(session, &client);
                    Reply::Found { call, said }
                })
            }
            Request::Pass { call, input, data } => {
                let drops = state.pass(session, input, &data);
                if drops {
                    return Ok(Then::Close);
                }
                self.tell(state, session)?;
                wire::frame(&Reply::Passed { call }, &mut self.out)?;
                self.release();
                Ok(Then::GoOn)
            }
            Request::Confirm(number) => {
                state.confirm(session, number);
                Ok(Then::GoOn)
            }
            Request::Hello { .. } | Request::Books => Ok(Then::GoOn),
        }
    }

    fn ask(
        &mut self,
        state: &mut State,
        session: &AccountSession,
        asked: Asked,
        id: &ClientOrderId,
        process: &mut dyn FnMut(&mut State) -> Reply,
    ) -> io::Result<Then> {
        let fault = state.fault(session, asked, id);
        self.spoil(state, session, fault, process)
    }

    fn tell(&mut self, state: &State, session: &AccountSession) -> io::Result<()> {
        let (out, mut result) = (&mut self.out, Ok(()));
        self.sent = state.reports(session, self.sent, &mut |report| {
            if result.is_ok() {
                result = wire::frame(&Reply::Report(*report), out);
            }
        });
        result
    }

    /// An answer that was held back goes out now.
    fn release(&mut self) {
        self.out.append(&mut self.late);
    }

    fn spoil(
        &mut self,
        state: &mut State,
        session: &AccountSession,
        fault: Fault,
        process: &mut dyn FnMut(&mut State) -> Reply,
    ) -> io::Result<Then> {
        match fault {
            Fault::LoseRequest => return Ok(Then::GoOn),
            Fault::DropBefore => return Ok(Then::Close),
            _ => {}
        }
        let reply = process(state);
        if fault == Fault::DropAfter {
            return Ok(Then::Close);
        }
        self.tell(state, session)?;
        match fault {
            Fault::LoseAnswer => {}
            Fault::AnswerLate => wire::frame(&reply, &mut self.late)?,
            _ => {
                wire::frame(&reply, &mut self.out)?;
                if fault == Fault::AnswerTwice {
                    wire::frame(&reply, &mut self.out)?;
                }
                self.release();
            }
        }
        Ok(Then::GoOn)
    }
}

const fn answer(call: u64, placed: Placed) -> Reply {
    Reply::Answer {
        call,
        refused: match placed {
            Placed::Accepted => None,
            Placed::Refused(reason) => Some(reason),
        },
    }
}
