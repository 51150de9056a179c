//! Kinds of checks that connect somewhere, against real servers: the right answer, another one, and
//! none because the kernel under test drops the frames.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::host::Host;

/// Rules of a router that pass everything on, and ones that drop what a server answers.
const PASS: &str =
    "table inet t {\n chain c {\n  type filter hook forward priority 0\n  counter\n }\n}\n";
const DROP: &str = "table inet t {\n chain c {\n  type filter hook forward priority 0\n  tcp sport 2525 drop\n }\n}\n";

/// Writes a scenario of a router under test between a client and a server, with one check.
fn write(folder: &Path, rules: &str, service: &str, check: &str) {
    fs::create_dir_all(folder).unwrap();
    let text = format!(
        r#"schema = "kbisect.scenario/1"
summary = "a server behind a router"
[requires]
modules = ["nf_tables"]
[nodes.gw]
kernel = "candidate"
sysctl = {{ "net.ipv4.ip_forward" = 1 }}
[nodes.server]
kernel = "reference"
routes = ["default via 198.51.100.1"]
[nodes.client]
kernel = "reference"
routes = ["default via 192.0.2.1"]
[links.back]
gw = {{ name = "eth1", addresses = ["198.51.100.1/24"] }}
server = {{ name = "eth0", addresses = ["198.51.100.2/24"] }}
[links.front]
gw = {{ name = "eth0", addresses = ["192.0.2.1/24"] }}
client = {{ name = "eth0", addresses = ["192.0.2.2/24"] }}
[[setup]]
name = "rules"
node = "gw"
nft = "rules.nft"
[[services]]
name = "server"
node = "server"
{service}
[[checks]]
name = "asked"
node = "client"
timeout_s = 2
{check}
"#
    );
    fs::write(folder.join("scenario.toml"), text).unwrap();
    fs::write(folder.join("rules.nft"), rules).unwrap();
}

fn run(host: &Host, name: &str, code: i32) -> Value {
    host.run(&format!("run 6.12.57 --scenario {}", host.path(name).display())).document(code)
}

fn symptom(result: &Value) -> (&str, &str) {
    let symptom = &result["symptom"];
    (symptom["kind"].as_str().unwrap(), symptom["title"].as_str().unwrap())
}

const GREETER: &str = r#"
command = ["socat", "TCP-LISTEN:2525,reuseaddr,fork", "SYSTEM:echo 220 ready; head -n 1"]
ready = { tcp = 2525 }
"#;

#[test]
fn a_tcp_check_tells_another_answer_from_frames_that_were_lost() {
    let host = Host::hold();
    let check = "tcp = { to = \"198.51.100.2:2525\", send = \"QUIT\\n\", connections = 2, \
                 expect = { equals = \"220 ready\\nQUIT\" } }";
    write(&host.path("good"), PASS, GREETER, check);
    let good = run(&host, "good", 0);
    assert_eq!(good["verdict"], "good", "{good}");
    assert_eq!(good["checks"][0]["detail"], "2 connections, 30 bytes");
    write(&host.path("other"), PASS, GREETER, &check.replace("220 ready", "554 no"));
    let other = run(&host, "other", 1);
    let title = "asked: tcp: another answer, expected `554 no\\nQUIT`";
    assert_eq!(symptom(&other), ("check-failed", title), "{other}");
    write(&host.path("lost"), DROP, GREETER, check);
    let lost = run(&host, "lost", 1);
    let title = "replies of server:2525 to client lost inside gw";
    assert_eq!(symptom(&lost), ("lost-ingress", title), "{lost}");
    assert!(!lost["hops"].as_array().unwrap().is_empty(), "the loss is told hop by hop");
    host.assert_no_machine_left();
}

/// Guards against a self-test that ended as infra: with cut wires the client's kernel finds no
/// neighbour, and says so of itself.
#[test]
fn a_self_test_sees_that_checks_fail_with_cut_wires() {
    let host = Host::hold();
    let check = "tcp = { to = \"198.51.100.2:2525\", expect = { contains = \"220\" } }";
    write(&host.path("cut"), PASS, GREETER, check);
    let folder = host.path("cut");
    let command = format!("scenario selftest {} --kernel 6.12.57", folder.display());
    let result = host.run(&command).document(0);
    let control = &result["control"];
    assert_eq!(control["checks"][0]["sight"], "sees", "{control}");
    host.assert_no_machine_left();
}

/// A server with a certificate of its own for `www.example.test`.
const NGINX: &str = r#"
user root;
daemon off;
worker_processes 1;
pid /run/nginx.pid;
events {}
http {
    access_log off;
    server {
        listen 2525 ssl;
        ssl_certificate server.pem;
        ssl_certificate_key server.key;
        location / { return 200 "over TLS\n"; }
    }
}
"#;

const TLS: &str = r#"
command = ["nginx", "-e", "stderr", "-c", "{assets}/nginx.conf"]
ready = { tcp = 2525 }
"#;

/// Writes the scenario with a server that speaks TLS.
fn write_tls(host: &Host, name: &str, rules: &str, check: &str) {
    let folder = host.path(name);
    write(&folder, rules, TLS, check);
    let tls = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real_vm/tls");
    for file in ["ca.pem", "other-ca.pem", "server.pem", "server.key"] {
        fs::copy(tls.join(file), folder.join(file)).unwrap();
    }
    fs::write(folder.join("nginx.conf"), NGINX).unwrap();
}

/// The kernel is asked nothing when curl cannot read what the scenario gives it.
#[test]
fn a_certificate_that_is_none_is_the_scenarios_fault() {
    let host = Host::hold();
    let check = "https = { url = \"https://www.example.test:2525/\", resolve = \"198.51.100.2\", \
                 ca = \"broken.pem\" }";
    write_tls(&host, "broken", PASS, check);
    let text = "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n";
    fs::write(host.path("broken").join("broken.pem"), text).unwrap();
    let result = run(&host, "broken", 202);
    assert_eq!(result["verdict"], "scenario-error", "{result}");
    let reason = result["reason"].as_str().unwrap();
    assert!(reason.starts_with("scenario.toml:") && reason.contains("broken.pem"), "{reason}");
}

#[test]
fn an_https_check_tells_answers_certificates_and_lost_frames_apart() {
    let host = Host::hold();
    let check = "https = { url = \"https://www.example.test:2525/\", resolve = \"198.51.100.2\", \
                 ca = \"ca.pem\", body = { equals = \"over TLS\" } }";
    write_tls(&host, "good", PASS, check);
    let good = run(&host, "good", 0);
    assert_eq!(good["verdict"], "good", "{good}");
    assert_eq!(good["checks"][0]["detail"], "status 200, 9 bytes");
    write_tls(&host, "body", PASS, &check.replace("over TLS", "in the clear"));
    let body = run(&host, "body", 1);
    assert_eq!(symptom(&body), ("check-failed", "asked: not the body expected"), "{body}");
    write_tls(&host, "authority", PASS, &check.replace("\"ca.pem\"", "\"other-ca.pem\""));
    let authority = run(&host, "authority", 1);
    let title = "asked: https: certificate: unable to get local issuer certificate";
    assert_eq!(symptom(&authority), ("check-failed", title), "{authority}");
    write_tls(&host, "lost", DROP, check);
    let lost = run(&host, "lost", 1);
    let title = "replies of server:2525 to client lost inside gw";
    assert_eq!(symptom(&lost), ("lost-ingress", title), "{lost}");
    host.assert_no_machine_left();
}

/// With curl not in the way of the search for programs, the scenario is what is wrong.
#[test]
fn an_image_without_curl_is_the_fault_of_the_scenario() {
    let host = Host::hold();
    let check = "https = { url = \"https://198.51.100.2:2525/\", ca = \"ca.pem\" }";
    write_tls(&host, "none", PASS, check);
    let file = host.path("none").join("scenario.toml");
    let gone = "[[setup]]\nname = \"no curl\"\nnode = \"client\"\nrun = \"rm /usr/bin/curl\"\n";
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replacen("[[services]]", &format!("{gone}[[services]]"), 1)).unwrap();
    let result = run(&host, "none", 202);
    let fault = &result["fault"];
    assert_eq!(
        (&fault["cause"], &fault["subject"]),
        (&"missing-program".into(), &"curl".into()),
        "{fault}"
    );
}

/// Files of a scenario are programs in the guest. goss itself cannot be had here: this prints what it does.
const GOSS: &str = "#!/bin/sh -e\n[ \"$1 $3 $5 $6\" = '-g validate --format tap' ] && [ -r \"$2\" ]\n\
    echo 1..2\necho 'ok 1 - Port: tcp:2525: listening: matches expectation: [true]'\n\
    echo 'not ok 2 - Process: nginx: running: does not match'\nexit 1\n";

#[test]
fn a_program_of_the_scenario_reports_in_ktap() {
    let host = Host::hold();
    let check = "ktap = { run = [\"{assets}/goss\", \"-g\", \"{assets}/goss.yaml\", \"validate\", \"--no-color\", \
                 \"--format\", \"tap\"] }";
    write(&host.path("goss"), PASS, GREETER, check);
    fs::write(host.path("goss").join("goss"), GOSS).unwrap();
    fs::write(host.path("goss").join("goss.yaml"), "port: {}\n").unwrap();
    let result = run(&host, "goss", 1);
    let title = "asked: ktap: not ok: Process: nginx: running: does not match";
    assert_eq!(symptom(&result), ("check-failed", title), "{result}");
    assert_eq!(
        result["checks"][0]["detail"],
        "1 of 2 failed: Process: nginx: running: does not match"
    );
}
