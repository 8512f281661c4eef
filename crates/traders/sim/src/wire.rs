//! What travels between a trader and an exchange in another process: frames of a length (32 bits, least
//! byte first) and a message, over a Unix socket.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;

use exchange::{Books, ClientOrderId, Report};
use model::order::OrderIntent;
use model::reason::Reason;
use model::trader::Delivery;
use model::{InputId, Price, Quantity, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Raised with every change of the messages; both sides must have the same.
pub const VERSION: u32 = 3;
/// The longest message; one that claims to be longer ends the connection.
pub const MESSAGE_MAX: usize = 16 << 20;

/// Where the market comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// From the client, which passes recorded data input by input.
    Lockstep,
    /// The exchange has its own, on the wall clock.
    Own,
}

/// A market input, as far as orders care.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passed {
    /// Which instrument, as an index of the names in [`Request::Hello`].
    pub instrument: u32,
    /// When.
    pub ts: Timestamp,
    /// First price.
    pub open: Price,
    /// Highest price.
    pub high: Price,
    /// Lowest price.
    pub low: Price,
}

/// What a client says. `call` comes back in the answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(clippy::large_enum_variant, reason = "one at a time")]
pub enum Request {
    /// First of all. Reports that are not confirmed follow, then [`Reply::Welcome`].
    Hello {
        /// [`VERSION`].
        version: u32,
        /// Whose account.
        account: String,
        /// Whether the client may present an order twice.
        delivery: Delivery,
        /// Whether it is told how much has executed in all, and no single execution.
        totals: bool,
        /// Canonical ids of the instruments, by the client's index.
        instruments: Vec<String>,
    },
    /// Place an order. `intent.id` is its salt-free reference.
    Submit {
        /// Number of the call.
        call: u64,
        /// What the client calls it.
        client: ClientOrderId,
        /// The order.
        intent: OrderIntent,
    },
    /// Withdraw an order.
    Cancel {
        /// Number of the call.
        call: u64,
        /// Which.
        client: ClientOrderId,
    },
    /// Change an order.
    Modify {
        /// Number of the call.
        call: u64,
        /// Which.
        client: ClientOrderId,
        /// New total quantity.
        quantity: Quantity,
        /// New limit price, where it changes.
        limit_price: Option<Price>,
        /// New trigger price, where it changes.
        trigger_price: Option<Price>,
    },
    /// Say what you know of an order.
    Query {
        /// Number of the call.
        call: u64,
        /// Which.
        client: ClientOrderId,
    },
    /// In lockstep: this input is passed.
    Pass {
        /// Number of the call.
        call: u64,
        /// Which.
        input: InputId,
        /// What it was.
        data: Passed,
    },
    /// Reports up to this number are durable; there is no answer.
    Confirm(u64),
    /// Show all accounts; needs no [`Request::Hello`].
    Books,
}

/// What the exchange says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// The client is known now.
    Welcome {
        /// Where the market comes from.
        mode: Mode,
    },
    /// The client is not taken, for good.
    Unwelcome(String),
    /// To a submission, cancellation or change: taken, or refused for good.
    Answer {
        /// Number of the call.
        call: u64,
        /// Why it is refused.
        refused: Option<Reason>,
    },
    /// To a question.
    Found {
        /// Number of the call.
        call: u64,
        /// Everything said of the order; `None` where the books do not show it.
        said: Option<Vec<Report>>,
    },
    /// Everything due at or before the input has been reported.
    Passed {
        /// Number of the call.
        call: u64,
    },
    /// Something happened to an order.
    Report(Report),
    /// All accounts by name.
    Books(Vec<(String, Books)>),
}

/// Adds a message's frame to `out`.
pub fn frame<M: Serialize>(message: &M, out: &mut Vec<u8>) -> io::Result<()> {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    *out = postcard::to_extend(message, std::mem::take(out)).map_err(io::Error::other)?;
    let length = u32::try_from(out.len() - start - 4).map_err(io::Error::other)?;
    match out.get_mut(start..start + 4) {
        Some(head) if length as usize <= MESSAGE_MAX => head.copy_from_slice(&length.to_le_bytes()),
        _ => return Err(io::Error::other("the message is too long")),
    }
    Ok(())
}

/// A connection's incoming frames. A wait that runs out in the middle of one loses nothing.
pub struct Frames {
    stream: UnixStream,
    bytes: Vec<u8>,
    begin: usize,
    end: usize,
}

/// What reading came to.
pub enum Got<M> {
    /// A message.
    Message(M),
    /// Nothing within the stream's time-out.
    Nothing,
    /// A frame that cannot be read; what follows may be.
    Unreadable(Vec<u8>, String),
}

impl Frames {
    /// Of a stream.
    pub fn new(stream: UnixStream) -> Self {
        Self {
            stream,
            bytes: vec![0; 16 << 10],
            begin: 0,
            end: 0,
        }
    }

    /// The stream.
    pub const fn stream(&self) -> &UnixStream {
        &self.stream
    }

    /// Whether a whole frame is here already.
    pub fn is_ready(&self) -> bool {
        self.length()
            .is_ok_and(|n| n.is_some_and(|n| self.end - self.begin >= 4 + n))
    }

    fn length(&self) -> io::Result<Option<usize>> {
        let here = self.bytes.get(self.begin..self.end).unwrap_or_default();
        let Some((head, _)) = here.split_first_chunk::<4>() else {
            return Ok(None);
        };
        let length = u32::from_le_bytes(*head) as usize;
        if length > MESSAGE_MAX {
            return Err(io::Error::new(
                ErrorKind::InvalidData,
                format!("a message of {length} bytes; at most {MESSAGE_MAX}"),
            ));
        }
        Ok(Some(length))
    }

    /// The next message. An error means that the connection is of no more use.
    pub fn read<M: DeserializeOwned>(&mut self) -> io::Result<Got<M>> {
        loop {
            let length = self.length()?;
            let need = 4 + length.unwrap_or(0);
            if length.is_some() && self.end - self.begin >= need {
                let at = self.begin;
                self.begin += need;
                let bytes = self.bytes.get(at + 4..at + need).unwrap_or_default();
                return Ok(match postcard::from_bytes(bytes) {
                    Ok(message) => Got::Message(message),
                    Err(error) => Got::Unreadable(bytes.to_vec(), error.to_string()),
                });
            }
            if self.begin == self.end {
                (self.begin, self.end) = (0, 0);
            } else if self.begin + need > self.bytes.len() {
                self.bytes.copy_within(self.begin..self.end, 0);
                (self.begin, self.end) = (0, self.end - self.begin);
            }
            if self.begin + need > self.bytes.len() {
                self.bytes.resize(self.begin + need, 0);
            }
            let room = self.bytes.get_mut(self.end..).unwrap_or_default();
            match self.stream.read(room) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(n) => self.end += n,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Ok(Got::Nothing);
                }
                Err(e) => return Err(e),
            }
        }
    }
}

/// Writes all of it. The error says whether a part of it may have gone out.
pub fn write_all(mut stream: &UnixStream, mut bytes: &[u8]) -> Result<(), (bool, io::Error)> {
    let whole = bytes.len();
    while !bytes.is_empty() {
        match stream.write(bytes) {
            Ok(0) => return Err((bytes.len() < whole, ErrorKind::WriteZero.into())),
            Ok(n) => bytes = bytes.get(n..).unwrap_or_default(),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err((bytes.len() < whole, e)),
        }
    }
    Ok(())
}
