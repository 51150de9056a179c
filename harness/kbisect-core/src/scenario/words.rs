//! Rules for single values: names, addresses, `ip` arguments, URLs, asset paths.
//!
//! Each takes a text and gives the value or the message for the user.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Name of a node, link, service or scenario.
pub(crate) fn name(text: &str) -> Result<String, String> {
    name_of(text, 32)
}

/// Most bytes of the name of a check: cases of test programs have long ones.
pub(crate) const CHECK_NAME: usize = 64;

/// Name of a check.
pub(crate) fn check_name(text: &str) -> Result<String, String> {
    name_of(text, CHECK_NAME)
}

fn name_of(text: &str, most: usize) -> Result<String, String> {
    let fits = (1..=most).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if fits {
        return Ok(text.to_owned());
    }
    Err(format!("`{}` is no name: 1 to {most} of `a-z`, `0-9` and `-`", shown(text)))
}

/// A text of one line for people.
pub(super) fn line(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("must not be empty".to_owned());
    }
    if text.chars().any(char::is_control) {
        return Err("must be one line without control characters".to_owned());
    }
    Ok(text.to_owned())
}

/// A longer text for people; line breaks are fine.
pub(super) fn prose(text: &str) -> Result<String, String> {
    if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
        return Err("must not hold control characters".to_owned());
    }
    Ok(text.to_owned())
}

/// A shell script for the guest.
pub(super) fn script(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("must not be empty".to_owned());
    }
    if text.contains('\0') {
        return Err("must not hold a NUL character".to_owned());
    }
    if text.contains("{assets}") {
        return Err("a shell text finds the scenario's files under `$KBISECT_ASSETS`; `{assets}` is for the `command` of services".to_owned());
    }
    Ok(text.to_owned())
}

/// One word of a service's command.
pub(super) fn command_word(text: &str) -> Result<String, String> {
    if text.contains('\0') {
        return Err("must not hold a NUL character".to_owned());
    }
    let placeholders = text.match_indices('{').filter_map(|(at, _)| {
        let inner = &text[at + 1..];
        inner.split_once('}').map(|(word, _)| word)
    });
    for word in placeholders {
        if word != "assets" && super::suggest::nearest(word, &["assets"]).is_some() {
            return Err(format!("unknown placeholder `{{{word}}}`; did you mean `{{assets}}`?"));
        }
    }
    Ok(text.to_owned())
}

/// Name of a network interface, as the kernel accepts it (`dev_valid_name`) and `ip` can say it.
pub(crate) fn interface(text: &str) -> Result<String, String> {
    let bad = |why: &str| Err(format!("`{}` is no interface name: {why}", shown(text)));
    if text.is_empty() || text.len() > 15 {
        return bad("1 to 15 bytes are needed");
    }
    if matches!(text, "." | ".." | "lo" | "all" | "default") {
        return bad("the name is taken");
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'@');
    if !text.bytes().all(plain) || text.starts_with('-') {
        return bad("letters, digits, `.`, `_`, `-` and `@` are allowed");
    }
    Ok(text.to_owned())
}

/// An address with prefix length.
pub(super) fn address(text: &str) -> Result<(IpAddr, String), String> {
    let bad = |why: String| Err(format!("`{}` is no address: {why}", shown(text)));
    let Some((address, prefix)) = text.split_once('/') else {
        return bad("the prefix length is missing, as in `192.0.2.1/24`".to_owned());
    };
    let Ok(address) = address.parse::<IpAddr>() else {
        return bad("an IPv4 or IPv6 address is needed before the `/`".to_owned());
    };
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let digits = !prefix.is_empty() && prefix.bytes().all(|b| b.is_ascii_digit());
    match prefix.parse::<u8>().ok().filter(|prefix| digits && *prefix <= longest) {
        Some(_) => Ok((address, text.to_owned())),
        None => bad(format!("the prefix length must be from 0 to {longest}")),
    }
}

/// An address with a port.
pub(super) fn socket(text: &str) -> Result<SocketAddr, String> {
    text.parse().ok().filter(|socket: &SocketAddr| socket.port() > 0).ok_or_else(|| {
        let text = shown(text);
        format!("`{text}` is no address with a port, such as `192.0.2.1:7` or `[2001:db8::1]:7`")
    })
}

/// Name of a sysctl, with dots or slashes.
pub(super) fn sysctl_name(text: &str) -> Result<(), String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'/' | b'-');
    // An empty part is a leading, trailing or doubled separator, and so is every `..`.
    let fits = text.bytes().all(plain) && text.split(['.', '/']).all(|part| !part.is_empty());
    if fits {
        return Ok(());
    }
    Err(format!("`{}` is no sysctl name, such as `net.ipv4.ip_forward`", shown(text)))
}

/// Arguments for `ip`: words between blanks, no shell, nothing that `ip -batch` treats specially.
pub(super) fn ip_arguments(text: &str) -> Result<Vec<&str>, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || " ._:/@,=+-".contains(c);
    if let Some(other) = text.chars().find(|c| !plain(*c)) {
        return Err(format!(
            "`{}` cannot stand in `ip` arguments: they are words between blanks, not shell text",
            other.escape_default()
        ));
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    if words.is_empty() {
        return Err("must not be empty".to_owned());
    }
    Ok(words)
}

/// The name of the device that `ip link add` arguments create.
pub(super) fn device_name(words: &[&str]) -> Result<String, String> {
    let kind = words.iter().position(|word| *word == "type");
    let Some(kind) = kind.filter(|at| at + 1 < words.len()) else {
        return Err("`type KIND` is missing, as in `vrf-gw type vrf table 10`".to_owned());
    };
    // What follows the kind is the kind's own: `peer name veth1` is another device's name.
    let words = &words[..kind];
    let after =
        |key: &str| words.iter().position(|word| *word == key).and_then(|at| words.get(at + 1));
    let named = after("name").or_else(|| after("dev"));
    let first = if words.first() == Some(&"link") { words.get(2) } else { words.first() };
    interface(named.or(first).copied().unwrap_or_default())
}

/// A word of the kernel command line.
pub(super) fn cmdline_word(text: &str) -> Result<String, String> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(format!("`{}` is not one word of printable ASCII", shown(text)));
    }
    Ok(text.to_owned())
}

/// Name of a Debian package (policy 5.6.1).
pub(super) fn package(text: &str) -> Result<String, String> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let is_name = text.len() >= 2
        && text.bytes().next().is_some_and(plain)
        && text.bytes().all(|b| plain(b) || b"+-.".contains(&b));
    if is_name {
        Ok(text.to_owned())
    } else {
        Err(format!("`{}` is not the name of a package", shown(text)))
    }
}

/// Name of a kernel module.
pub(super) fn module(text: &str) -> Result<String, String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    if !text.is_empty() && text.len() <= 56 && text.bytes().all(plain) {
        return Ok(text.to_owned());
    }
    Err(format!("`{}` is no module name, such as `xt_connlimit`", shown(text)))
}

/// An address without a prefix length.
pub(super) fn host(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| format!("`{}` is no IPv4 or IPv6 address", shown(text)))
}

/// A domain name (RFC 1035 §2.3.4: labels of at most 63 bytes, 253 in all).
pub(super) fn domain(text: &str) -> Result<String, String> {
    let name = text.strip_suffix('.').unwrap_or(text);
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    let label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(plain);
    if name.len() <= 253 && name.split('.').all(label) {
        return Ok(name.to_owned());
    }
    Err(format!("`{}` is no domain name, such as `www.example.test`", shown(text)))
}

/// Name of a kernel configuration symbol.
pub(super) fn config_symbol(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("CONFIG_").unwrap_or_default();
    if !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Ok(text.to_owned());
    }
    Err(format!("`{}` is no configuration symbol, such as `CONFIG_NET_VRF`", shown(text)))
}

/// Path of a file of the scenario, relative to its folder.
pub(super) fn asset_path(text: &str) -> Result<String, String> {
    let bad = |why: &str| Err(format!("`{}` is no file of the scenario: {why}", shown(text)));
    if text.starts_with('/') {
        return bad("the path must be relative to the scenario's folder");
    }
    if text.split('/').any(|part| part == "..") {
        return bad("`..` would leave the scenario's folder");
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._/+@-".contains(&b);
    if text.split('/').any(|part| part.is_empty() || part == ".") || !text.bytes().all(plain) {
        return bad(
            "parts of letters, digits, `.`, `_`, `+`, `@` and `-`, joined by `/`, are needed",
        );
    }
    if text == "scenario.toml" {
        return bad("`scenario.toml` itself is not handed to the guest");
    }
    Ok(text.to_owned())
}

/// Absolute path in the guest.
pub(super) fn guest_path(text: &str) -> Result<String, String> {
    if text.starts_with('/') && !text.chars().any(char::is_control) {
        return Ok(text.to_owned());
    }
    Err(format!("`{}` is no absolute path in the guest", shown(text)))
}

/// A regular expression for one line.
pub(super) fn regex(text: &str) -> Result<String, String> {
    match regex::Regex::new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(regex::Error::CompiledTooBig(_)) => {
            Err("the regular expression is too large".to_owned())
        }
        // The crate draws a picture of several lines; its last line is the reason.
        Err(error) => {
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
            Err(format!("no regular expression: {reason}"))
        }
    }
}

/// The parts of an `http://` URL.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Url {
    pub(super) host: IpAddr,
    pub(super) port: u16,
    pub(super) path: String,
}

/// A URL whose host is an address: a check must not depend on a resolver.
pub(super) fn url(text: &str) -> Result<Url, String> {
    let (host, port, path) = url_parts("http", text, |host, in_brackets| {
        address_of(host, in_brackets).ok_or(
            "names are not resolved, the host must be an address (`192.0.2.1`, `[2001:db8::1]`)",
        )
    })?;
    Ok(Url { host, port: port.unwrap_or(80), path })
}

/// The address that a URL's host is; those of IPv6 stand in brackets.
pub(super) fn address_of(host: &str, in_brackets: bool) -> Option<IpAddr> {
    if in_brackets {
        host.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
    } else {
        host.parse().ok().filter(IpAddr::is_ipv4)
    }
}

/// Takes a URL apart: its host as `host` reads it (which is told whether it stood in brackets), its
/// port if it has one, path and query.
pub(super) fn url_parts<H>(
    scheme: &str,
    text: &str,
    host: impl FnOnce(&str, bool) -> Result<H, &'static str>,
) -> Result<(H, Option<u16>, String), String> {
    let bad = |why: &str| format!("`{}` is no URL: {why}", shown(text));
    let Some(rest) = text.strip_prefix(scheme).and_then(|rest| rest.strip_prefix("://")) else {
        return Err(bad(&format!("it must begin with `{scheme}://`")));
    };
    if !rest.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(bad("blanks and characters beyond ASCII must be percent-encoded"));
    }
    if rest.contains('#') {
        return Err(bad("a fragment (`#`) is never sent"));
    }
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let bracketed = authority.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let (name, port) = bracketed
        .unwrap_or_else(|| authority.split_at(authority.find(':').unwrap_or(authority.len())));
    let host = host(name, bracketed.is_some()).map_err(bad)?;
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => None,
        digits => match digits.and_then(|digits| digits.parse().ok()).filter(|port| *port > 0) {
            Some(port) => Some(port),
            None => return Err(bad("the port must be from 1 to 65535")),
        },
    };
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    Ok((host, port, path))
}

/// The text for a message: control characters escaped, long ones cut.
pub(crate) fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(60).flat_map(char::escape_debug).collect();
    if text.chars().count() > 60 {
        shown.push_str("...");
    }
    shown.replace("\\\"", "\"").replace("\\'", "'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_split() {
        let url = |text| url(text).map(|url| (url.host.to_string(), url.port, url.path));
        let ok = |host: &str, port, path: &str| Ok((host.to_owned(), port, path.to_owned()));
        assert_eq!(url("http://192.0.2.1/a?b=c"), ok("192.0.2.1", 80, "/a?b=c"));
        assert_eq!(url("http://192.0.2.1:8080"), ok("192.0.2.1", 8080, "/"));
        assert_eq!(url("http://192.0.2.1?q"), ok("192.0.2.1", 80, "/?q"));
        assert_eq!(url("http://[2001:db8::1]:81/x"), ok("2001:db8::1", 81, "/x"));
        for bad in [
            "https://192.0.2.1/",
            "http://server/",
            "http://u@192.0.2.1/",
            "http://192.0.2.1:0/",
            "http://192.0.2.1:99999/",
            "http://192.0.2.1:/",
            "http://[192.0.2.1]/",
            "http://2001:db8::1/",
            "http://192.0.2.1/a b",
            "http://192.0.2.1/#top",
            "http://",
        ] {
            assert!(url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_device_that_ip_link_add_creates_is_known() {
        for (arguments, name) in [
            ("vrf-gw type vrf table 10", "vrf-gw"),
            ("link eth1 name eth1.1107 type vlan id 1107", "eth1.1107"),
            ("link eth1 vlan1107 master vrf-gw type vlan id 1107", "vlan1107"),
            ("dev br0 type bridge", "br0"),
            ("veth0 type veth peer name veth1", "veth0"),
        ] {
            let words = ip_arguments(arguments).expect("plain words");
            assert_eq!(device_name(&words).as_deref(), Ok(name), "{arguments}");
        }
        assert!(device_name(&["dummy0"]).is_err());
        assert!(device_name(&["dummy0", "type"]).is_err());
    }

    #[test]
    fn asset_paths_stay_inside_the_folder() {
        for good in ["rules.v4", "conf/nginx.conf", "a-b_c+d@e"] {
            assert!(asset_path(good).is_ok(), "{good}");
        }
        for bad in [
            "/etc/passwd",
            "../x",
            "a/../../x",
            "a//b",
            "./a",
            "a/",
            "",
            "a\\b",
            "a b",
            "scenario.toml",
        ] {
            assert!(asset_path(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ip_arguments_are_no_shell() {
        for bad in ["", " ", "default via $(x)", "a;b", "a\nb", "a # b", "a \"b\"", "a \\"] {
            assert!(ip_arguments(bad).is_err(), "{bad}");
        }
        assert_eq!(
            ip_arguments("default via 192.0.2.1 dev eth0 onlink"),
            Ok(vec!["default", "via", "192.0.2.1", "dev", "eth0", "onlink"])
        );
    }

    #[test]
    fn sysctl_names_cannot_climb() {
        assert!(sysctl_name("net/ipv4/conf/eth0.1107/rp_filter").is_ok());
        for bad in ["", ".", "net..x", "../x", "/net/x", "net.ipv4.", "net ipv4"] {
            assert!(sysctl_name(bad).is_err(), "{bad}");
        }
    }
}
