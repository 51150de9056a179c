//! Whether a scenario is about cryptography: then the kernel is to test its own while it boots.

use super::Scenario;

/// Parts of the names of modules, config symbols and kinds of devices that encrypt, decrypt or
/// authenticate packets, or give user space the kernel's algorithms.
const PARTS: [&str; 14] = [
    "xfrm",
    "esp4",
    "esp6",
    "ah4",
    "ah6",
    "esp_offload",
    "ipcomp",
    "af_key",
    "wireguard",
    "macsec",
    "tls",
    "af_alg",
    "algif",
    "crypto",
];

impl Scenario {
    /// Whether the scenario says so, or needs something that encrypts.
    pub fn needs_crypto_tests(&self) -> bool {
        let requires = &self.requires;
        let named = [&requires.modules, &requires.optional_modules, &requires.config];
        let devices = self.nodes.values().flat_map(|node| &node.devices);
        // Of a device only its kind counts: its name is the user's.
        let kinds = devices.filter_map(|device| device.split_once("type "));
        requires.crypto_tests
            || named.into_iter().flatten().any(|name| is_crypto(name))
            || kinds.filter_map(|(_, rest)| rest.split_whitespace().next()).any(is_crypto)
    }
}

fn is_crypto(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('-', "_");
    let inet = ["inet_esp", "inet_ah", "inet6_esp", "inet6_ah"];
    PARTS.iter().chain(&inet).any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenario(requires: &str, device: &str) -> Scenario {
        let text = format!(
            "schema = \"kbisect.scenario/1\"\nsummary = \"x\"\n[requires]\n{requires}\n\
             [nodes.gw]\nkernel = \"candidate\"\ndevices = [{device}]\n\
             [[checks]]\nname = \"alive\"\nnode = \"gw\"\nalive = true\n"
        );
        Scenario::parse("test", "scenario.toml", &text).unwrap().scenario().clone()
    }

    #[test]
    fn what_encrypts_has_the_kernel_test_its_cryptography() {
        for requires in [
            "modules = [\"xfrm_user\"]",
            "modules = [\"esp4\"]",
            "modules = [\"wireguard\"]",
            "optional_modules = [\"algif_hash\"]",
            "config = [\"CONFIG_TLS\"]",
            "config = [\"CONFIG_INET_ESP\"]",
            "crypto_tests = true",
        ] {
            assert!(scenario(requires, "").needs_crypto_tests(), "{requires}");
        }
        assert!(scenario("", "\"wg0 type wireguard\"").needs_crypto_tests());
        assert!(!scenario("", "\"tls0 type dummy\"").needs_crypto_tests());
        assert!(!scenario("modules = [\"nf_tables\", \"vrf\"]", "").needs_crypto_tests());
    }
}
