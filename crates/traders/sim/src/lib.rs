//! The trader of the simulated exchange, in this process or in another.
//!
//! [`server`] is the exchange as a process of its own, which can misbehave on demand: it loses requests
//! and answers, answers late or twice, reports twice and drops connections, all as a function of a seed.

mod local;
mod remote;
pub mod server;
mod settings;
pub mod wire;

use std::collections::BTreeMap;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use exchange::{Books, SharedExchange};
use model::AssetClass;
use traders::{BrokerKind, BuildContext, BuildError, Built, Trader};

pub use local::LocalTrader;
pub use remote::RemoteTrader;
pub use settings::{Executions, SETTINGS, SimSettings};

/// The kind to register; `exchange` is the one of this process, where there is one.
pub fn kind(exchange: Option<SharedExchange>) -> BrokerKind {
    BrokerKind {
        name: "sim",
        summary: "trades on the simulated exchange, in this process or in one of its own; no real money",
        asset_classes: &AssetClass::ALL,
        settings: SETTINGS,
        build: Box::new(move |context| build(context, exchange.as_ref())),
    }
}

fn build(
    context: &BuildContext<'_>,
    exchange: Option<&SharedExchange>,
) -> Result<Built, BuildError> {
    let fail = |message: String| BuildError::Setting {
        namespace: context.namespace.as_str().to_owned(),
        message,
    };
    let settings = SimSettings::from_table(context.settings).map_err(fail)?;
    let account = context.namespace.as_str();
    let trader: Box<dyn Trader> = match (settings.socket().map_err(fail)?, exchange) {
        (Some(path), _) => {
            let names = context.instruments.iter().map(|(_, i)| i.id.clone());
            Box::new(RemoteTrader::new(&settings, path, account, names.collect()))
        }
        (None, Some(exchange)) => Box::new(LocalTrader::new(&settings, exchange.clone(), account)),
        (None, None) => {
            return Err(fail(
                "`connect` is empty, and this process has no simulated exchange: set \
                 connect = \"unix:PATH\" and start `panda exchange serve --socket PATH`, or use a feed \
                 with source = \"simulated\""
                    .to_owned(),
            ));
        }
    };
    Ok(Built::Outside {
        trader,
        warnings: Vec::new(),
        effective: toml::Table::try_from(&settings).map_err(|e| fail(e.to_string()))?,
    })
}

/// The books of every account of an exchange that serves a socket.
pub fn dump(socket: &Path) -> io::Result<BTreeMap<String, Books>> {
    let stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut bytes = Vec::new();
    wire::frame(&wire::Request::Books, &mut bytes)?;
    wire::write_all(&stream, &bytes).map_err(|(_, error)| error)?;
    match wire::Frames::new(stream).read()? {
        wire::Got::Message(wire::Reply::Books(all)) => Ok(all.into_iter().collect()),
        wire::Got::Message(other) => Err(io::Error::other(format!("unexpected: {other:?}"))),
        wire::Got::Nothing => Err(io::ErrorKind::TimedOut.into()),
        wire::Got::Unreadable(_, why) => Err(io::Error::other(why)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::session::AlwaysOpen;
    use model::topic::Namespace;
    use model::{Instruments, Timestamp};

    use super::*;

    fn built(text: &str, exchange: Option<SharedExchange>) -> Result<Built, String> {
        let kind = kind(exchange);
        let context = BuildContext {
            namespace: &Namespace::new("sim").unwrap(),
            settings: &text.parse().unwrap(),
            instruments: Arc::new(Instruments::new(exchange::instruments()).unwrap()),
            sessions: Arc::new(AlwaysOpen),
        };
        (kind.build)(&context).map_err(|e| e.to_string())
    }

    #[test]
    fn a_wrong_setting_is_named_with_its_fix() {
        for (text, says) in [
            (
                "",
                "`connect` is empty, and this process has no simulated exchange",
            ),
            ("connect = \"tcp:1\"", "write unix:PATH"),
            ("conect = \"\"", "unknown key `conect`"),
            ("delivery = \"once\"", "`delivery` = \"once\""),
            ("timeout_ms = 0", "must lie between"),
        ] {
            let error = built(text, None).err().unwrap();
            assert!(
                error.starts_with("[trading_engine.sim]") && error.contains(says),
                "{error}"
            );
        }
        let all = Instruments::new(exchange::instruments()).unwrap();
        let own = SharedExchange::new(1, 20, &all);
        own.resume(Timestamp(0), &[]);
        assert!(built("", Some(own)).is_ok());
        let Ok(Built::Outside {
            trader, effective, ..
        }) = built(
            "connect = \"unix:/nowhere\"\ndelivery = \"query_only\"",
            None,
        )
        else {
            panic!("not built");
        };
        assert_eq!(
            trader.capabilities().delivery,
            model::trader::Delivery::QueryOnly
        );
        assert_eq!(effective["timeout_ms"].as_integer(), Some(1_000));
    }
}
