//! Changes that break the full scenario, and what is said about each.

/// What is changed, to what, and the only error then (without the file's name).
pub(super) const BROKEN: &[(&str, &str, &str)] = &[
    (
        "schema = \"kbisect.scenario/1\"",
        "schema = \"kbisect.scenario/2\"",
        "1:1: schema: `kbisect.scenario/2` is not allowed here (allowed: `kbisect.scenario/1`; did you mean `kbisect.scenario/1`?)",
    ),
    (
        "schema = \"kbisect.scenario/1\"\n",
        "\n",
        "1:1: `schema` is missing: write schema = \"kbisect.scenario/1\"",
    ),
    // Nothing else is looked at without the schema, so that the slip itself must be told.
    (
        "schema = \"kbisect.scenario/1\"\n",
        "Schema = \"kbisect.scenario/1\"\n",
        "1:1: `schema` is missing: write schema = \"kbisect.scenario/1\"",
    ),
    (
        "summary = \"a gateway in a VRF\"",
        "summary = \"a gateway\\nin a VRF\"",
        "2:1: summary: must be one line without control characters",
    ),
    (
        "summary = \"a gateway in a VRF\"",
        "sumary = \"a gateway in a VRF\"",
        "2:1: sumary: unknown key (known here: `candidate`, `checks`, `description`, `expect`, `faults`, `flavours`, `image`, `links`, `nodes`, `peer`, `replay`, `requires`, `says`, `schema`, `services`, `setup`, `summary`, `warnings`, `ways`; did you mean `summary`?)",
    ),
    (
        "warnings = \"record\"",
        "warnings = \"recrod\"",
        "7:1: warnings: `recrod` is not allowed here (allowed: `bad`, `record`; did you mean `record`?)",
    ),
    ("[\"vrf\", \"nf_tables\"]", "\"vrf\"", "10:1: requires.modules: must be an array, not a text"),
    (
        "[\"vrf\", \"nf_tables\"]",
        "[\"vrf\", \"net/nf_tables\"]",
        "10:19: requires.modules[1]: `net/nf_tables` is no module name, such as `xt_connlimit`",
    ),
    (
        "CONFIG_NET_VRF",
        "NET_VRF",
        "12:11: requires.config[0]: `NET_VRF` is no configuration symbol, such as `CONFIG_NET_VRF`",
    ),
    (
        "memory_mib = 256",
        "memory_mib = 64",
        "15:1: candidate.memory_mib: must be from 128 to 65536, not 64",
    ),
    (
        "memory_mib = 256",
        "memory_mib = \"256M\"",
        "15:1: candidate.memory_mib: must be a whole number from 128 to 65536, not a text",
    ),
    (
        "cpus = 2",
        "cpu = 2",
        "16:1: candidate.cpu: unknown key (known here: `cmdline`, `cpus`, `memory_mib`; did you mean `cpus`?)",
    ),
    ("cpus = 2", "cpus = 2\ncpus = 2", "17:1: not TOML: duplicate key"),
    ("cpus = 2", "cpus =", "16:7: not TOML: string values must be quoted, expected literal string"),
    (
        "cpus = 2",
        "cpus = 99999999999999999999",
        "16:1: candidate.cpus: must be from 1 to 16, not 99999999999999999999",
    ),
    (
        "\"softlockup_panic=1\"",
        "\"softlockup_panic=1 quiet\"",
        "17:12: candidate.cmdline[0]: `softlockup_panic=1 quiet` is not one word of printable ASCII",
    ),
    (
        "[nodes.host]",
        "[nodes.Host_2]\nkernel = \"reference\"\n\n[nodes.host]",
        "35:8: nodes.Host_2: `Host_2` is no name: 1 to 32 of `a-z`, `0-9` and `-`",
    ),
    (
        "kernel = \"candidate\"",
        "kernel = \"reference\"",
        "22:2: nodes: no node runs the kernel under test: give one `kernel = \"candidate\"`",
    ),
    (
        "kernel = \"candidate\"",
        "kernel = \"candidat\"",
        "23:1: nodes.gw.kernel: `candidat` is not allowed here (allowed: `candidate`, `reference`; did you mean `candidate`?)",
    ),
    (
        "kernel = \"candidate\"\n",
        "\n",
        "22:8: nodes.gw: `kernel` is missing: `candidate` or `reference`",
    ),
    (
        "\"net.ipv4.ip_forward\" = 1",
        "\"net.ipv4..ip_forward\" = 1",
        "29:1: nodes.gw.sysctl.\"net.ipv4..ip_forward\": `net.ipv4..ip_forward` is no sysctl name, such as `net.ipv4.ip_forward`",
    ),
    (
        "\"net.ipv4.ip_forward\" = 1",
        "\"net.ipv4.ip_forward\" = true",
        "29:1: nodes.gw.sysctl.\"net.ipv4.ip_forward\": must be a whole number or a text",
    ),
    (
        "vrf-gw type vrf table 10",
        "vrf-gw table 10",
        "25:12: nodes.gw.devices[0]: `type KIND` is missing, as in `vrf-gw type vrf table 10`",
    ),
    (
        "vrf-gw type vrf table 10",
        "vrf-of-the-gateway type vrf table 10",
        "25:12: nodes.gw.devices[0]: `vrf-of-the-gateway` is no interface name: 1 to 15 bytes are needed",
    ),
    (
        "default via 192.0.2.1 dev eth0 table 10",
        "default via $GW dev eth0",
        "26:11: nodes.gw.routes[0]: `$` cannot stand in `ip` arguments: they are words between blanks, not shell text",
    ),
    (
        "default via 192.0.2.1 dev eth0 table 10",
        "default via router dev eth0",
        "26:11: nodes.gw.routes[0]: `router` is no address to route via",
    ),
    (
        "default via 192.0.2.1 dev eth0 table 10",
        "default via 192.0.2.1 dev eth2",
        "26:11: nodes.gw.routes[0]: node `gw` has no interface `eth2` (it has `lo`, `eth0`, `eth1`, `vrf-gw`)",
    ),
    (
        "name = \"eth0\", addresses = [\"192.0.2.10/24\"",
        "name = \"eth 0\", addresses = [\"192.0.2.10/24\"",
        "39:8: links.lan.gw.name: `eth 0` is no interface name: letters, digits, `.`, `_`, `-` and `@` are allowed",
    ),
    (
        "name = \"eth0\", addresses = [\"192.0.2.10/24\"",
        "addresses = [\"192.0.2.10/24\"",
        "39:1: links.lan.gw: `name` is missing: the interface's name in the node, such as `eth0`",
    ),
    (
        "\"192.0.2.10/24\"",
        "\"192.0.2.10\"",
        "39:36: links.lan.gw.addresses[0]: `192.0.2.10` is no address: the prefix length is missing, as in `192.0.2.1/24`",
    ),
    (
        "\"192.0.2.10/24\"",
        "\"192.0.2.10/33\"",
        "39:36: links.lan.gw.addresses[0]: `192.0.2.10/33` is no address: the prefix length must be from 0 to 32",
    ),
    (
        "\"192.0.2.10/24\"",
        "\"gw/24\"",
        "39:36: links.lan.gw.addresses[0]: `gw/24` is no address: an IPv4 or IPv6 address is needed before the `/`",
    ),
    (
        "\"192.0.2.10/24\"",
        "\"192.0.2.1/24\"",
        "40:40: links.lan.server.addresses[0]: 192.0.2.1 is on this link already, at node `gw`",
    ),
    (
        "master = \"vrf-gw\"",
        "master = \"vrf-wg\"",
        "39:73: links.lan.gw.master: node `gw` has no device `vrf-wg` (its devices are: `vrf-gw`; did you mean `vrf-gw`?)",
    ),
    ("mtu = 1400", "mtu = 10", "39:92: links.lan.gw.mtu: must be from 68 to 65535, not 10"),
    (
        "server = { name = \"eth0\"",
        "sever = { name = \"eth0\"",
        "40:1: links.lan.sever: no node named `sever` (nodes are: `gw`, `host`, `server`; did you mean `server`?)",
    ),
    ("host = { name = \"eth1\" }\n", "\n", "43:8: links.wan: a link needs at least two members"),
    (
        "[links.wan]",
        "[links.\"wan 1\"]",
        "43:8: links.\"wan 1\": `wan 1` is no name: 1 to 32 of `a-z`, `0-9` and `-`",
    ),
    (
        "gw = { name = \"eth1\"",
        "gw = { name = \"eth0\"",
        "44:1: links.wan.gw: node `gw` has its `eth0` on link `lan` already",
    ),
    (
        "nft = \"rules.nft\"",
        "nft = \"/etc/rules.nft\"",
        "50:1: setup[0].nft: `/etc/rules.nft` is no file of the scenario: the path must be relative to the scenario's folder",
    ),
    (
        "nft = \"rules.nft\"",
        "nft = \"../rules.nft\"",
        "50:1: setup[0].nft: `../rules.nft` is no file of the scenario: `..` would leave the scenario's folder",
    ),
    (
        "nft = \"rules.nft\"",
        "nft = \"rules.nft\"\nrun = \"true\"",
        "51:1: setup[0].run: only one of `nft`, `iptables-restore`, `ip6tables-restore`, `ip-batch`, `run` can be set here, not `nft`, `run`",
    ),
    (
        "nft = \"rules.nft\"\n",
        "\n",
        "47:1: setup[0]: one of `nft`, `iptables-restore`, `ip6tables-restore`, `ip-batch`, `run` is needed",
    ),
    (
        "nft = \"rules.nft\"",
        "ntf = \"rules.nft\"",
        "50:1: setup[0].ntf: unknown key (known here: `counted`, `early`, `fault`, `ip-batch`, `ip6tables-restore`, `iptables-restore`, `name`, `nft`, `node`, `refusal`, `repeat`, `run`, `timeout_s`, `way`; did you mean `nft`?)",
    ),
    (
        "refusal = \"accept\"",
        "refusal = \"accepted\"",
        "51:1: setup[0].refusal: `accepted` is not allowed here (allowed: `bad`, `accept`, or a table such as { accept = \"Operation not supported\" })",
    ),
    ("repeat = 3", "repeat = 0", "52:1: setup[0].repeat: must be from 1 to 10000, not 0"),
    (
        "timeout_s = 2.5",
        "timeout_s = -1",
        "53:1: setup[0].timeout_s: must be from 0.1 to 600 seconds",
    ),
    (
        "timeout_s = 2.5",
        "timeout_s = inf",
        "53:1: setup[0].timeout_s: must be from 0.1 to 600 seconds",
    ),
    (
        "timeout_s = 2.5",
        "timeout_s = nan",
        "53:1: setup[0].timeout_s: must be from 0.1 to 600 seconds",
    ),
    (
        "timeout_s = 2.5",
        "timeout_s = \"2.5 s\"",
        "53:1: setup[0].timeout_s: must be a number of seconds from 0.1 to 600, not a text",
    ),
    ("run = \"true\\n\"", "run = \"\"", "101:1: replay[0].run: must not be empty"),
    (
        "run = \"true\\n\"",
        "run = \"cat {assets}/rules.v4\"",
        "101:1: replay[0].run: a shell text finds the scenario's files under `$KBISECT_ASSETS`; `{assets}` is for the `command` of services",
    ),
    (
        "name = \"dns\"",
        "name = \"web\"",
        "76:1: services[1].name: another service is named `web` already",
    ),
    (
        "name = \"dns\"",
        "name = \"D N S\"",
        "76:1: services[1].name: `D N S` is no name: 1 to 32 of `a-z`, `0-9` and `-`",
    ),
    (
        "command = [\"dnsmasq\"]",
        "command = []",
        "78:1: services[1].command: the program's name is missing",
    ),
    (
        "command = [\"dnsmasq\"]",
        "command = \"dnsmasq\"",
        "78:1: services[1].command: must be an array, not a text",
    ),
    (
        "command = [\"dnsmasq\"]",
        "command = [\"dnsmasq\", 5]",
        "78:23: services[1].command[1]: must be a text, not a whole number",
    ),
    (
        "{assets}/nginx.conf",
        "{asset}/nginx.conf",
        "70:27: services[0].command[2]: unknown placeholder `{asset}`; did you mean `{assets}`?",
    ),
    (
        "{assets}/nginx.conf",
        "{assets}/../nginx.conf",
        "70:27: services[0].command[2]: `../nginx.conf` is no file of the scenario: `..` would leave the scenario's folder",
    ),
    (
        "ready = { tcp = 80 }",
        "ready = { tcp = 0 }",
        "71:11: services[0].ready.tcp: must be from 1 to 65535, not 0",
    ),
    (
        "ready = { tcp = 80 }",
        "ready = { tcp = 80, udp = 80 }",
        "71:21: services[0].ready.udp: only one of `tcp`, `udp`, `http`, `file`, `log` can be set here, not `tcp`, `udp`",
    ),
    (
        "ready = { tcp = 80 }",
        "ready = {}",
        "71:1: services[0].ready: one of `tcp`, `udp`, `http`, `file`, `log` is needed",
    ),
    (
        "ready = { tcp = 80 }",
        "ready = \"stated\"",
        "71:1: services[0].ready: must be `started`, or a table such as { tcp = 80 }",
    ),
    (
        "file = \"/run/x\"",
        "file = \"run/x\"",
        "85:11: services[2].ready.file: `run/x` is no absolute path in the guest",
    ),
    (
        "log = \"^up$\"",
        "log = \"(up\"",
        "91:11: services[3].ready.log: no regular expression: unclosed group",
    ),
    (
        "node = \"gw\" # alive",
        "node = \"wg\"",
        "128:1: checks[2].node: no node named `wg` (nodes are: `gw`, `host`, `server`; did you mean `gw`?)",
    ),
    (
        "node = \"gw\" # alive",
        "node = 5",
        "128:1: checks[2].node: must be a text, not a whole number",
    ),
    (
        "alive = true",
        "alive = false",
        "129:1: checks[2].alive: write `alive = true`, or leave the check out",
    ),
    (
        "alive = true",
        "alife = true",
        "129:1: checks[2].alife: unknown key (known here: `after`, `alive`, `capture`, `command`, `commands`, `conntrack`, `counter`, `dns`, `http`, `https`, `idempotent`, `ktap`, `name`, `node`, `plugin`, `record_only`, `tcp`, `timeout_s`; did you mean `alive`?)",
    ),
    (
        "name = \"plugin\"",
        "name = \"payload\"",
        "115:1: checks[1].name: another check is named `payload` already",
    ),
    (
        "record_only = true",
        "record_only = \"yes\"",
        "130:1: checks[2].record_only: must be `true` or `false`, not a text",
    ),
    (
        "http://192.0.2.1:8080/payload",
        "https://192.0.2.1/payload",
        "109:1: checks[0].http.url: `https://192.0.2.1/payload` is no URL: it must begin with `http://`",
    ),
    (
        "http://192.0.2.1:8080/payload",
        "http://server/payload",
        "109:1: checks[0].http.url: `http://server/payload` is no URL: names are not resolved, the host must be an address (`192.0.2.1`, `[2001:db8::1]`)",
    ),
    (
        "connections = 5",
        "connections = 0",
        "110:1: checks[0].http.connections: must be from 1 to 1000, not 0",
    ),
    (
        "connections = 5",
        "conections = 5",
        "110:1: checks[0].http.conections: unknown key (known here: `body`, `connections`, `status`, `url`; did you mean `connections`?)",
    ),
    (
        "status = 206",
        "status = 20",
        "111:1: checks[0].http.status: must be from 100 to 599, not 20",
    ),
    (
        "bytes = 65536",
        "bytes = -1",
        "112:10: checks[0].http.body.bytes: must be from 0 to 67108864, not -1",
    ),
    (
        "bytes = 65536",
        "length = 65536",
        "112:10: checks[0].http.body.length: unknown key (known here: `bytes`, `contains`, `equals`)",
    ),
    (
        "payload = true",
        "payload = 1",
        "123:1: checks[1].command.payload: must be `true` or `false`, not a whole number",
    ),
    (
        "connection = { udp = \"192.0.2.1:53\" }",
        "connection = { udp = \"192.0.2.1\" }",
        "124:16: checks[1].command.connection.udp: `192.0.2.1` is no address with a port, such as \
         `192.0.2.1:7` or `[2001:db8::1]:7`",
    ),
    ("[replay]]", "[replay]", "99:10: not TOML: unclosed array table, expected `]`"),
    (
        "alive = true",
        "dns = { server = \"192.0.2.1\", name = \"a..b\", answer = \"192.0.2.7\" }",
        "129:31: checks[2].dns.name: `a..b` is no domain name, such as `www.example.test`",
    ),
    (
        "alive = true",
        "dns = { server = \"ns1\", name = \"a.test\", answer = \"192.0.2.7\" }",
        "129:9: checks[2].dns.server: `ns1` is no IPv4 or IPv6 address",
    ),
    (
        "[nodes.gw]\n",
        "[nodes.gw]\naddresses = { \"eth9.7\" = [\"192.0.2.77/24\"] }\n",
        "23:1: nodes.gw.addresses.eth9.7: node `gw` has no device `eth9.7` (its devices are: `vrf-gw`)",
    ),
    (
        "repeat = 3\n",
        "repeat = 3\nearly = true\n",
        "53:1: setup[0].early: only what runs on a reference node can come before the candidate is up",
    ),
];
