//! Where more is known of packages and CVEs: addresses that are put together here, from words that can be
//! nothing else.

use kbisect_core::kernel::Kernel;

/// A CVE.
pub(crate) fn cve(id: &str) -> Option<String> {
    let (year, number) = id.strip_prefix("CVE-")?.split_once('-')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (year.len() == 4 && digits(year) && (4..=8).contains(&number.len()) && digits(number))
        .then(|| format!("https://www.cve.org/CVERecord?id={id}"))
}

/// A package of Debian's, with all its files.
pub(crate) fn package(kernel: &Kernel) -> Option<String> {
    let is_debian = kernel.source.starts_with("debian:") || kernel.source == "snapshot";
    let version = kernel.package_version.as_str();
    let plain = |c: char| c.is_ascii_alphanumeric() || ".+~-".contains(c);
    (is_debian && !version.is_empty() && version.chars().all(plain)).then(|| {
        format!("https://snapshot.debian.org/package/linux/{}/", version.replace('+', "%2B"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_one_becomes_a_link() {
        assert!(cve("CVE-2025-40206").unwrap().ends_with("=CVE-2025-40206"));
        for wrong in
            ["CVE-2025", "CVE-25-40206", "CVE-2025-4020x", "CVE-2025-40206&x=1", "cve-2025-40206"]
        {
            assert_eq!(cve(wrong), None, "{wrong}");
        }
    }
}
