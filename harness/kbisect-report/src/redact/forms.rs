//! The forms in which programs print addresses.
//!
//! Beside the usual ones: `address.port` of tcpdump, IPv4 within IPv6, hardware addresses with colons,
//! dashes or dots and as netfilter's log strings them together, and the hexadecimal words of
//! `/proc/net` and of `tc filter`. Where it is not certain, it is an address: a version of four or
//! five numbers gets a placeholder as well.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

/// What may be an address. The number of groups is bounded, so that a line of nothing but colons takes
/// no longer than another.
static CANDIDATE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?x-u)
        (?P<six>[0-9A-Fa-f]{0,4}(?: : [0-9A-Fa-f]{0,4}){2,19}(?:\.[0-9]{1,5}){0,5})
        |(?P<dashes>\b[0-9A-Fa-f]{2}(?: - [0-9A-Fa-f]{2}){5,19}\b)
        |(?P<dots>\b[0-9A-Fa-f]{4}(?: \. [0-9A-Fa-f]{4}){2}\b)
        |(?P<four>[0-9]{1,3}(?:\.[0-9]{1,5}){3,6})
        |\benx(?P<bare>[0-9A-Fa-f]{12})\b
        |\b(?:0x)?(?P<hex>[0-9A-Fa-f]{32}|[0-9A-Fa-f]{12}|[0-9A-Fa-f]{8})\b",
    )
    .expect("a fixed pattern")
});

/// Longest line of `/proc/net` that is recognised.
const LINE: usize = 256;

/// A line of `/proc/net/route`.
static ROUTE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^\s*\S+\s+[0-9A-Fa-f]{8}\s+[0-9A-Fa-f]{8}\s+[0-9A-Fa-f]{4}\s")
        .expect("a fixed pattern")
});

/// A line of `/proc/net/if_inet6` or `/proc/net/ipv6_route`.
static SIX: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^\s*[0-9A-Fa-f]{32} [0-9A-Fa-f]{2} ").expect("a fixed pattern"));

/// An address as it stands in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Address {
    Mac([u8; 6]),
    Ip(IpAddr, Option<u8>),
    /// IPv6 whose last 32 bits are written as an IPv4 address.
    Tail(Ipv6Addr, Option<u8>),
}

/// How it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// As Rust prints it; a hardware address with this between its octets.
    Usual(char),
    /// `5254.0012.3456`
    Dots,
    /// `525400123456`, `0a000001`: the octets in their order.
    Hex,
    /// Words of 32 bits as a little-endian machine prints them.
    LittleHex,
    /// A hardware address as the interface identifier that is made from it.
    Eui64,
}

/// A place in a text that holds an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hit {
    /// The address alone: neither prefix length nor port.
    pub(super) at: Range<usize>,
    pub(super) address: Address,
    pub(super) style: Style,
    /// Whether it can be nothing else. What is not sure counts where the same address was seen in
    /// another form.
    pub(super) sure: bool,
}

/// All places in the order of their beginnings. A word that can be read in two ways is there twice.
pub(super) fn hits(text: &str) -> Vec<Hit> {
    let mut hits = Vec::new();
    let mut at = 0;
    while let Some(found) = CANDIDATE.captures_at(text, at) {
        let whole = found.get(0).expect("a match has a text");
        let range = |name: &str| found.name(name).map(|part| part.range());
        let before = hits.len();
        at = whole.end();
        if let Some(part) = range("six") {
            six(text, part.clone(), &mut hits);
            if hits.len() == before {
                // `b:c:10.0.0.1`: the address can follow the colons.
                at = part.start + text[part].find(':').expect("there are two") + 1;
            }
        } else if let Some(part) = range("dashes") {
            octets(text, part, '-', &mut hits);
        } else if let Some(part) = range("four") {
            hits.extend(four(text, part));
        } else if let Some(part) = range("dots") {
            let digits = text[part.clone()].replace('.', "");
            let inside = text[..part.start].ends_with('.');
            let mac = mac(&digits).filter(|_| !inside);
            hits.extend(mac.map(|mac| Hit::sure(part, Address::Mac(mac), Style::Dots)));
        } else if let Some(part) = range("bare") {
            let mac = mac(&text[part.clone()]);
            hits.extend(mac.map(|mac| Hit::sure(part, Address::Mac(mac), Style::Hex)));
        } else if let Some(part) = range("hex") {
            word(text, part, &mut hits);
        }
    }
    hits
}

impl Hit {
    fn sure(at: Range<usize>, address: Address, style: Style) -> Self {
        Self { at, address, style, sure: true }
    }

    /// Writes another address in the form of this one.
    pub(super) fn written(&self, text: &str, new: Address) -> String {
        let old = &text[self.at.clone()];
        let written = match (new, self.style) {
            (Address::Mac(mac), Style::Usual(between)) => {
                mac.map(|byte| format!("{byte:02x}")).join(&between.to_string())
            }
            (Address::Mac([a, b, c, d, e, f]), Style::Dots) => {
                format!("{a:02x}{b:02x}.{c:02x}{d:02x}.{e:02x}{f:02x}")
            }
            (Address::Mac([a, b, c, d, e, f]), Style::Eui64) => {
                format!("{a:02x}:{b:02x}:{c:02x}:ff:fe:{d:02x}:{e:02x}:{f:02x}")
            }
            (Address::Mac(mac), Style::Hex | Style::LittleHex) => hex::encode(mac),
            (Address::Ip(IpAddr::V4(ip), _), Style::Hex) => hex::encode(ip.octets()),
            (Address::Ip(IpAddr::V4(ip), _), Style::LittleHex) => hex::encode(swapped(ip.octets())),
            (Address::Ip(IpAddr::V6(ip), _), Style::Hex) => hex::encode(ip.octets()),
            (Address::Ip(IpAddr::V6(ip), _), Style::LittleHex) => hex::encode(swapped(ip.octets())),
            (Address::Tail(ip, _), _) => dotted(ip),
            (Address::Ip(ip, _), Style::Usual(_) | Style::Dots | Style::Eui64) => ip.to_string(),
        };
        let upper = old.contains(|c: char| c.is_ascii_uppercase())
            || self.style == Style::LittleHex && !old.contains(|c: char| c.is_ascii_lowercase());
        if upper { written.to_uppercase() } else { written }
    }
}

/// Each word of four octets the other way round.
fn swapped<const N: usize>(mut octets: [u8; N]) -> [u8; N] {
    octets.chunks_exact_mut(4).for_each(<[u8]>::reverse);
    octets
}

/// IPv6 with its last 32 bits as IPv4.
fn dotted(ip: Ipv6Addr) -> String {
    let v4 = Ipv4Addr::from(u128::from(ip) as u32);
    // The two last groups of zeros would join those before them: stand-ins that cannot.
    let head = Ipv6Addr::from(u128::from(ip) & !u128::from(u32::MAX) | 0x0001_0001).to_string();
    let head = head.strip_suffix("1:1").map(str::to_owned);
    // Mapped addresses are printed in this way by themselves.
    head.map_or_else(|| ip.to_string(), |head| format!("{head}{v4}"))
}

/// Groups with colons: hardware addresses or IPv6.
fn six(text: &str, mut part: Range<usize>, hits: &mut Vec<Hit>) {
    let letter = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let (before, after) = (text[..part.start].chars().next_back(), text[part.end..].chars().next());
    // `addr:2001:db8::1` begins with a colon that belongs to the word before it.
    let led = text[part.clone()].starts_with(':') && !text[part.clone()].starts_with("::");
    if led {
        part.start += 1;
    } else if letter(before) || before == Some(':') {
        return;
    }
    if letter(after) {
        return;
    }
    // ... and tcpdump ends one with a colon.
    let shown = &text[part.clone()];
    if shown.ends_with(':') && !shown.ends_with("::") {
        part.end -= 1;
    }
    let shown = &text[part.clone()];
    let (head, tail) = shown.split_at(shown.find('.').unwrap_or(shown.len()));
    if head.split(':').count() >= 6 && head.split(':').all(|group| group.len() == 2) {
        let part = part.start..part.start + head.len();
        return octets(text, part, ':', hits);
    }
    let numbers = tail.matches('.').count();
    let ends = |count: usize| {
        tail.match_indices('.').nth(count).map_or(shown.len(), |(at, _)| head.len() + at)
    };
    // With an IPv4 address at its end, and without; a port may follow either.
    let with_tail = || {
        let end = ends(3);
        let address: Ipv6Addr = shown.get(..end)?.parse().ok()?;
        Some((end, address, true))
    };
    let without = || Some((head.len(), head.parse::<Ipv6Addr>().ok()?, false));
    let found = if numbers >= 3 { with_tail().or_else(without) } else { without() };
    let Some((length, address, with_tail)) = found else { return };
    let at = part.start..part.start + length;
    let bits = prefix(&text[at.end..], 128);
    let address =
        if with_tail { Address::Tail(address, bits) } else { Address::Ip(address.into(), bits) };
    hits.push(Hit::sure(at, address, Style::Usual(':')));
}

/// Four numbers with dots between them; a fifth is a port, and more are something else.
fn four(text: &str, part: Range<usize>) -> Option<Hit> {
    let shown = &text[part.clone()];
    let dots: Vec<usize> = shown.match_indices('.').map(|(at, _)| at).collect();
    let follows = text[part.end..].chars().next().is_some_and(|c| c.is_ascii_digit());
    // More numbers in front, as in an object identifier: this is the rest of them.
    let inside = text[..part.start].ends_with(|c: char| c.is_ascii_digit())
        || text[..part.start]
            .strip_suffix('.')
            .is_some_and(|rest| rest.ends_with(|c: char| c.is_ascii_digit()));
    let length = match dots.as_slice() {
        [_, _, _] => shown.len(),
        [_, _, _, port] if shown[port + 1..].parse::<u16>().is_ok() => *port,
        _ => return None,
    };
    let address: Ipv4Addr = shown[..length].parse().ok()?;
    let bits = prefix(&text[part.start + length..], 32);
    let at = part.start..part.start + length;
    (!inside && !follows)
        .then(|| Hit::sure(at, Address::Ip(address.into(), bits), Style::Usual('.')))
}

/// The prefix length that follows an address.
fn prefix(rest: &str, most: u8) -> Option<u8> {
    let digits = rest.strip_prefix('/')?;
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().ok().filter(|bits| *bits <= most)
}

/// Octets with a separator: one hardware address, or several that a log prints as one.
fn octets(text: &str, part: Range<usize>, between: char, hits: &mut Vec<Hit>) {
    let shown = &text[part.clone()];
    let bytes: Option<Vec<u8>> =
        shown.split(between).map(|digits| u8::from_str_radix(digits, 16).ok()).collect();
    let Some(bytes) = bytes else { return };
    if let [a, b, c, 0xff, 0xfe, d, e, f] = bytes[..] {
        let address = Address::Mac([a, b, c, d, e, f]);
        return hits.push(Hit::sure(part, address, Style::Eui64));
    }
    // DHCP and PXE put the kind of hardware before the address.
    let first = usize::from(bytes.len() == 7 && bytes[0] == 1);
    for (number, mac) in bytes[first..].chunks_exact(6).enumerate() {
        let start = part.start + (first + number * 6) * 3;
        let Ok(mac) = mac.try_into() else { continue };
        hits.push(Hit::sure(start..start + 17, Address::Mac(mac), Style::Usual(between)));
    }
}

fn mac(digits: &str) -> Option<[u8; 6]> {
    let value = u64::from_str_radix(digits, 16).ok()?;
    let [_, _, mac @ ..] = value.to_be_bytes();
    Some(mac)
}

/// A hexadecimal word: what it is says what stands around it.
fn word(text: &str, part: Range<usize>, hits: &mut Vec<Hit>) {
    let (before, rest) = (&text[..part.start], &text[part.end..]);
    let digits = &text[part.clone()];
    if digits.len() == 12 {
        let address = mac(digits).map(Address::Mac);
        let hit = |address| Hit { at: part, address, style: Style::Hex, sure: false };
        return hits.extend(address.map(hit));
    }
    let Ok(value) = u128::from_str_radix(digits, 16) else { return };
    // Both kinds of line are short, and recognised by their beginning.
    let line = || {
        let near = before.as_bytes();
        let near = &near[near.len().saturating_sub(LINE)..];
        let start = match near.iter().rposition(|byte| *byte == b'\n') {
            Some(at) => before.len() - near.len() + at + 1,
            None if near.len() == before.len() => 0,
            None => return "",
        };
        let after = &rest.as_bytes()[..rest.len().min(LINE)];
        let end = after.iter().position(|byte| *byte == b'\n').unwrap_or(after.len());
        text.get(start..part.end + end).unwrap_or_default()
    };
    let short = digits.len() == 8;
    let with_port = rest.strip_prefix(':').is_some_and(|rest| {
        rest.len() >= 4
            && rest.bytes().take(4).all(|byte| byte.is_ascii_hexdigit())
            && !rest.as_bytes().get(4).is_some_and(u8::is_ascii_hexdigit)
    });
    let (little, big) = if short {
        (with_port || ROUTE.is_match(line()), before.ends_with("match ") && rest.starts_with('/'))
    } else {
        (with_port, SIX.is_match(line()))
    };
    let address = |style: Style| {
        let ip: IpAddr = match (short, style) {
            (true, Style::LittleHex) => Ipv4Addr::from((value as u32).swap_bytes()).into(),
            (true, _) => Ipv4Addr::from(value as u32).into(),
            (false, Style::LittleHex) => Ipv6Addr::from(swapped(value.to_be_bytes())).into(),
            (false, _) => Ipv6Addr::from(value).into(),
        };
        Address::Ip(ip, None)
    };
    // Numbers are full of zeros: `00000010` is not 16.0.0.0 because that was seen somewhere.
    let telling = value.to_be_bytes().iter().filter(|byte| **byte != 0).count() > 1;
    for (style, sure) in [(Style::LittleHex, little), (Style::Hex, big)] {
        if sure || telling && !little && !big {
            hits.push(Hit { at: part.clone(), address: address(style), style, sure });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Hosts, RedactRules, Redactor, Survey};
    use super::*;

    fn redactor(text: &str) -> Redactor {
        let mut survey = Survey::new(RedactRules::default());
        survey.text(text, Hosts::WithDomain);
        survey.finish()
    }

    fn redacted(text: &str) -> String {
        redactor(text).text(text)
    }

    #[test]
    fn each_form_is_replaced_in_its_own_form() {
        for (old, new) in [
            (
                "IP 10.0.0.1.443 > 10.0.0.2.5000: Flags [S]",
                "IP 10.0.1.1.443 > 10.0.1.2.5000: Flags [S]",
            ),
            ("::ffff:10.0.0.1", "::ffff:10.0.1.1"),
            ("::ffff:a00:1", "::ffff:10.0.1.1"),
            ("64:ff9b::10.0.0.1", "64:ff9b::10.0.1.1"),
            ("64:ff9b::a00:1/128", "64:ff9b::a00:101/128"),
            ("2002:a00:1::7", "2002:a00:101::7"),
            ("2620:0:861:ed1a::10.0.0.1", "2001:db8:0:1::10.0.1.1"),
            ("IP6 2620:0:861::5.443 > fe80::1.53: x", "IP6 2001:db8:0:1::5.443 > fe80::1.53: x"),
            (
                "IP6 2620:0:861::5 > 2620:0:861::6: ICMP6",
                "IP6 2001:db8:0:1::5 > 2001:db8:0:1::6: ICMP6",
            ),
            ("inet6 addr:2620:0:861::5/64", "inet6 addr:2001:db8:0:1::5/64"),
            ("fe80::5054:ff:fe12:3456", "fe80::ff:fe00:1"),
            ("52-54-00-12-34-56", "02-00-00-00-00-01"),
            ("01-52-54-00-12-34-56", "01-02-00-00-00-00-01"),
            ("5254.0012.3456", "0200.0000.0001"),
            ("enx525400123456", "enx020000000001"),
            ("52:54:00:ff:fe:12:34:56", "02:00:00:ff:fe:00:00:01"),
            (
                "MAC=52:54:00:12:34:56:52:54:00:65:43:21:08:00 SRC=10.0.0.1",
                "MAC=02:00:00:00:00:01:02:00:00:00:00:02:08:00 SRC=10.0.1.1",
            ),
            ("  0: 0100000A:0016 0200000A:C350 0A", "  0: 0101000A:0016 0201000A:C350 0A"),
            (
                "  0: 0000000000000000FFFF00000100000A:0016 00000000000000000000000000000000:0000 0A",
                "  0: 0000000000000000FFFF00000101000A:0016 00000000000000000000000000000000:0000 0A",
            ),
            (
                "eth0\t0000000A\t0100000A\t0003\t0\t0\t0\t00FFFFFF\t0",
                "eth0\t0001000A\t0101000A\t0003\t0\t0\t0\t00FFFFFF\t0",
            ),
            ("match 0a000001/ffffffff at 12", "match 0a000101/ffffffff at 12"),
            (
                "fe80000000000000505400fffe123456 02 40 20 80 eth0",
                "fe80000000000000000000fffe000001 02 40 20 80 eth0",
            ),
            ("b:c:10.0.0.1", "b:c:10.0.1.1"),
            ("veth_10.0.0.1_x", "veth_10.0.1.1_x"),
        ] {
            assert_eq!(redacted(old), new, "{old}");
        }
    }

    #[test]
    fn what_is_no_address_stays() {
        for text in [
            "at 12:14:16.123456, kbisect_core::run and 6.12.69-1~bpo12+1",
            "1.3.6.1.4.1.2021 at 0000:00:1f.2",
            "52540012-3456-7890-abcd-ef0123456789",
            "d41d8cd98f00b204e9800998ecf8427e  file",
            "code 0100007F deadbeef 525400123456",
            "lo 127.0.0.1.53 ::ffff:127.0.0.1 0100007F:0016 ::1.80 ff02::1:ff00:1",
            ":::::::::::::::::::::::::::::::::: 1:2:3:4:5:6:7:8:9",
        ] {
            assert_eq!(redacted(text), text);
        }
    }

    /// A word that says nothing by itself is an address that was seen elsewhere.
    #[test]
    fn words_of_known_addresses_are_replaced() {
        assert_eq!(
            redacted(
                "10.0.0.1 0a000001 0x0100000A 52:54:00:12:34:56 525400123456 00000010 16.0.0.0"
            ),
            "10.0.1.1 0a000101 0x0101000A 02:00:00:00:00:01 020000000001 00000010 21.0.1.0"
        );
    }

    #[test]
    fn a_line_of_colons_takes_no_longer_than_another() {
        for unit in [":", "a:", "52:", "1.", "52-", "0a000001 ", "10.0.0.1.443.", "::1."] {
            redacted(&unit.repeat((1 << 20) / unit.len()));
        }
    }

    /// How a secret may be printed, and a program's words around it.
    fn printed(v4: Ipv4Addr, v6: Ipv6Addr, mac: [u8; 6]) -> Vec<String> {
        let mapped = v4.to_ipv6_mapped();
        let nat64 = Ipv6Addr::from(0x64_ff9b_u128 << 96 | u128::from(u32::from(v4)));
        let eui = {
            let [a, b, c, d, e, f] = mac;
            u64::from_be_bytes([a ^ 2, b, c, 0xff, 0xfe, d, e, f])
        };
        let words = |bytes: &[u8]| hex::encode(bytes).to_uppercase();
        let [a, b, c, d, e, f] = mac.map(|byte| format!("{byte:02x}"));
        vec![
            format!("inet {v4}/24 brd"),
            format!("IP {v4}.443 > {v4}.5000: Flags [S.]"),
            format!("tcp {v4}:443 -> [{v6}]:80"),
            format!("to:{v4}-{v4} (src={v4})"),
            format!("{mapped} {nat64} 64:ff9b::{v4} [::ffff:{v4}]:443"),
            format!("IP6 {v6}.443 > {v6}.5000: x; {v6} > {v6}: ICMP6"),
            format!("inet6 addr:{v6}/64 {v6}%eth0"),
            format!(
                "fe80::{:x}:{:x}:{:x}:{:x}",
                eui >> 48,
                eui >> 32 & 0xffff,
                eui >> 16 & 0xffff,
                eui & 0xffff
            ),
            format!("{a}:{b}:{c}:{d}:{e}:{f} {a}-{b}-{c}-{d}-{e}-{f} {a}{b}.{c}{d}.{e}{f}"),
            format!(
                "MAC={a}:{b}:{c}:{d}:{e}:{f}:{a}:{b}:{c}:{d}:{e}:{f}:08:00 enx{a}{b}{c}{d}{e}{f}"
            ),
            format!(
                "   0: {}:0016 {}:C350 0A",
                words(&swapped(v4.octets())),
                words(&swapped(v4.octets()))
            ),
            format!(
                "   0: {}:0016 {}:C350 0A",
                words(&swapped(v6.octets())),
                words(&swapped(mapped.octets()))
            ),
            format!(
                "eth0\t{}\t{}\t0003\t0",
                words(&swapped(v4.octets())),
                words(&swapped(v4.octets()))
            ),
            format!(
                "{} 40 {} 00 {} 00000400",
                hex::encode(v6.octets()),
                hex::encode([0; 16]),
                hex::encode(v6.octets())
            ),
            format!("match {}/ffffffff at 16", hex::encode(v4.octets())),
        ]
    }

    /// All texts in which a secret can be found again, in small letters.
    fn traces(v4: Ipv4Addr, v6: Ipv6Addr, mac: [u8; 6]) -> Vec<String> {
        let low = u32::from(v4);
        let plain = mac.map(|byte| format!("{byte:02x}"));
        vec![
            v4.to_string(),
            hex::encode(v4.octets()),
            hex::encode(swapped(v4.octets())),
            format!("{:x}:{:x}", low >> 16, low & 0xffff),
            v6.to_string(),
            hex::encode(v6.octets()),
            hex::encode(swapped(v6.octets())),
            plain.join(":"),
            plain.join("-"),
            plain.concat(),
            format!("{}{}.{}{}.{}{}", plain[0], plain[1], plain[2], plain[3], plain[4], plain[5]),
            format!(
                "{}ff:fe{}:{}{}",
                plain[2].trim_start_matches('0'),
                plain[3],
                plain[4],
                plain[5]
            ),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        /// No secret address survives in any form, alone or among others.
        #[test]
        fn no_known_address_survives(
            a in prop::sample::select(vec![10u8, 172, 192, 185, 91, 100]),
            rest in prop::array::uniform3(2u8..=254),
            low in 0x1000_0000_0000_0000u64..0xffff_fffe_0000_0000,
            vendor in prop::array::uniform5(0x11u8..=0xfe),
            picks in prop::collection::vec(0usize..15, 1..8),
            glue in prop::sample::select(vec!["\n", "\n\n", "\nlog: x\n"]),
        ) {
            let v4 = Ipv4Addr::new(a, rest[0], rest[1], rest[2]);
            let v6 = Ipv6Addr::from(0x2620_0000_0861_ed1a_u128 << 64 | u128::from(low));
            let [b, c, d, e, f] = vendor;
            let mac = [0x52, b, c, d, e, f];
            let forms = printed(v4, v6, mac);
            let text: Vec<&str> = picks.iter().map(|pick| forms[*pick].as_str()).collect();
            let new = redacted(&text.join(glue)).to_lowercase();
            // The interface identifier of an address stays (so does the host part of an IPv4 address),
            // but the whole of it does not.
            for trace in traces(v4, v6, mac) {
                prop_assert!(!new.contains(&trace), "{trace} in {new}");
            }
        }
    }
}
