//! Kernels that somebody else built.

/// What has to be known before an answer about them is believed.
#[must_use]
pub fn built_elsewhere(template: &str) -> String {
    format!(
        "the kernels were built by whoever keeps {template}, not by kbisect: that they are those of the commits \
         is not checked, and one without a .sha256 beside it is untrusted"
    )
}

/// Where a kernel came from.
#[must_use]
pub fn from_elsewhere(place: &str, sha256: &str, is_checked: bool) -> String {
    match is_checked {
        true => format!("the kernel is {place}, SHA-256 {sha256} as the file beside it says"),
        false => {
            format!("the kernel is {place}, SHA-256 {sha256}: untrusted, no checksum is beside it")
        }
    }
}
