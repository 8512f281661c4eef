//! The encoding's smallest parts: varints, zigzag, keys.

/// Wire types of a field's key.
pub const VARINT: u8 = 0;
/// Eight bytes.
pub const FIXED64: u8 = 1;
/// A length, and so many bytes.
pub const LENGTH: u8 = 2;
/// Four bytes.
pub const FIXED32: u8 = 5;

#[inline]
pub fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[inline]
pub fn put_key(out: &mut Vec<u8>, number: u32, wire: u8) {
    put(out, u64::from(number) << 3 | u64::from(wire));
}

#[inline]
pub const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

#[inline]
pub const fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// Takes a varint off the front; `None` where the bytes end within it or it has more than 64 bits.
#[inline]
pub fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in 0..10 {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f).checked_shl(shift * 7)?;
        if byte & 0x80 == 0 {
            // The tenth byte has room for one bit.
            return (shift < 9 || *byte <= 1).then_some(value);
        }
    }
    None
}

/// The value of a field, as it stands in the bytes.
#[derive(Debug, Clone, Copy)]
pub enum Raw<'de> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(&'de [u8]),
}

/// Takes the next field off the front: its number and value.
#[inline]
pub fn take_field<'de>(bytes: &mut &'de [u8]) -> Option<(u32, Raw<'de>)> {
    let key = take(bytes)?;
    let number = u32::try_from(key >> 3).ok().filter(|n| *n > 0)?;
    let raw = match (key & 7) as u8 {
        VARINT => Raw::Varint(take(bytes)?),
        LENGTH => {
            let length = usize::try_from(take(bytes)?).ok()?;
            let (value, rest) = bytes.split_at_checked(length)?;
            *bytes = rest;
            Raw::Bytes(value)
        }
        FIXED64 => {
            let (value, rest) = bytes.split_first_chunk::<8>()?;
            *bytes = rest;
            Raw::Fixed64(u64::from_le_bytes(*value))
        }
        FIXED32 => {
            let (value, rest) = bytes.split_first_chunk::<4>()?;
            *bytes = rest;
            Raw::Fixed32(u32::from_le_bytes(*value))
        }
        _ => return None,
    };
    Some((number, raw))
}

/// The shortest big-endian two's complement.
pub fn put_i128(out: &mut Vec<u8>, value: i128) {
    let bytes = value.to_be_bytes();
    let sign = if value < 0 { 0xff } else { 0 };
    let mut from = 0;
    while from < 16 && bytes[from] == sign {
        from += 1;
    }
    // The first bit that is kept is the sign.
    if from > 0 && (from == 16 || (bytes[from] ^ sign) & 0x80 != 0) {
        from -= 1;
    }
    if value == 0 {
        from = 16;
    }
    out.extend_from_slice(&bytes[from..]);
}

/// Reads [`put_i128`]; `None` where it has more than 16 bytes.
pub fn read_i128(bytes: &[u8]) -> Option<i128> {
    let sign = match bytes.first() {
        Some(first) if first & 0x80 != 0 => 0xff,
        _ => 0,
    };
    let mut all = [sign; 16];
    all.get_mut(16usize.checked_sub(bytes.len())?..)?
        .copy_from_slice(bytes);
    Some(i128::from_be_bytes(all))
}
