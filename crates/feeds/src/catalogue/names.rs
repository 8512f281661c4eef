//! Canonical ids as file names: `NSE:M&M` is `NSE_M%26M`.

/// The id as a file name: the exchange, `_`, the symbol, with every byte that is not a letter, a digit,
/// `-` or (in the symbol) `.` or `_` as `%XX`. Two ids never have one name.
pub(crate) fn encode(id: &str) -> String {
    let (exchange, symbol) = id.split_once(':').unwrap_or(("", id));
    let mut name = String::with_capacity(id.len() + 8);
    escape(exchange, "-", &mut name);
    name.push('_');
    escape(symbol, "-._", &mut name);
    name
}

fn escape(text: &str, plain: &str, out: &mut String) {
    for byte in text.bytes() {
        let character = char::from(byte);
        if byte.is_ascii_alphanumeric() || plain.contains(character) {
            out.push(character);
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(name: &str) -> Option<String> {
        let (exchange, symbol) = name.split_once('_')?;
        let unescape = |text: &str| {
            let mut bytes = Vec::new();
            let mut rest = text.as_bytes();
            while let Some((first, tail)) = rest.split_first() {
                if *first == b'%' {
                    bytes.push(
                        u8::from_str_radix(std::str::from_utf8(tail.get(..2)?).ok()?, 16).ok()?,
                    );
                    rest = &tail[2..];
                } else {
                    bytes.push(*first);
                    rest = tail;
                }
            }
            String::from_utf8(bytes).ok()
        };
        Some(format!("{}:{}", unescape(exchange)?, unescape(symbol)?))
    }

    proptest! {
        #[test]
        fn every_id_is_found_again_in_its_name(exchange in "[^:]{1,8}", symbol in ".{1,12}") {
            let id = format!("{exchange}:{symbol}");
            prop_assert_eq!(decode(&encode(&id)), Some(id));
        }
    }

    #[test]
    fn usual_names_stay_readable() {
        assert_eq!(encode("NSE:M&M"), "NSE_M%26M");
        assert_eq!(encode("NSE:BAJAJ-AUTO"), "NSE_BAJAJ-AUTO");
        assert_eq!(encode("NSE:NIFTY 50"), "NSE_NIFTY%2050");
        assert_eq!(encode("X:../.."), "X_..%2F..");
    }
}
