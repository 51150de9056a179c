//! What a file can say about services: readiness over HTTP, and when they are started again.

use super::super::{Ready, Restart, Scenario, Service};
use super::{FILE, errors, warnings};

const TEXT: &str = r#"
schema = "kbisect.scenario/1"
summary = "an application"
[nodes.app]
kernel = "candidate"
[[services]]
name = "web"
node = "app"
command = ["web"]
ready = { http = { url = "http://127.0.0.1:8080/health", status = 204, body = { contains = "ok" } } }
restart = "on-failure"
restart_limit = 5
[[checks]]
name = "alive"
node = "app"
command = { run = "true", payload = true }
"#;

fn service(text: &str) -> Service {
    Scenario::parse("x", FILE, text).expect("valid").scenario().services[0].clone()
}

fn changed(from: &str, to: &str) -> String {
    assert_eq!(TEXT.matches(from).count(), 1, "`{from}` must be in the text once");
    TEXT.replace(from, to)
}

#[test]
fn readiness_over_http_and_the_restart_policy_reach_the_model() {
    let web = service(TEXT);
    let Ready::Http(http) = &web.ready else { panic!("{:?}", web.ready) };
    assert_eq!((http.host.to_string(), http.port), ("127.0.0.1".to_owned(), 8080));
    assert_eq!((http.path.as_str(), http.status, http.connections), ("/health", 204, 1));
    assert_eq!(http.body.contains.as_deref(), Some("ok"));
    assert_eq!(web.restart, Restart::OnFailure(5));
    let always = changed("restart = \"on-failure\"\nrestart_limit = 5", "restart = \"always\"");
    assert_eq!(service(&always).restart, Restart::Always(3));
    let never = changed("restart = \"on-failure\"\nrestart_limit = 5", "restart = \"no\"");
    assert_eq!(service(&never).restart, Restart::No);
    let silent = changed("restart = \"on-failure\"\nrestart_limit = 5\n", "");
    assert_eq!(service(&silent).restart, Restart::No);
    assert_eq!(warnings(TEXT, std::collections::BTreeMap::new()), Vec::<String>::new());
}

#[test]
fn what_makes_no_sense_is_refused() {
    for (from, to, expected) in [
        (
            "restart = \"on-failure\"\n",
            "",
            "11:1: services[0].restart_limit: nothing is started again: add \
             `restart = \"on-failure\"` or `\"always\"`",
        ),
        (
            "\"on-failure\"",
            "\"no\"",
            "12:1: services[0].restart_limit: nothing is started again: add \
             `restart = \"on-failure\"` or `\"always\"`",
        ),
        (
            "\"on-failure\"",
            "\"on-failures\"",
            "11:1: services[0].restart: `on-failures` is not allowed here (allowed: `no`, \
             `on-failure`, `always`; did you mean `on-failure`?)",
        ),
        ("limit = 5", "limit = 0", "12:1: services[0].restart_limit: must be from 1 to 100, not 0"),
        (
            "status = 204",
            "connections = 2",
            "10:58: services[0].ready.http.connections: unknown key (known here: `body`, \
             `status`, `url`)",
        ),
        (
            "http://127.0.0.1:8080/health",
            "http://localhost/health",
            "10:20: services[0].ready.http.url: `http://localhost/health` is no URL: names are not \
             resolved, the host must be an address (`192.0.2.1`, `[2001:db8::1]`)",
        ),
    ] {
        assert_eq!(errors(&changed(from, to)), [format!("{FILE}:{expected}")], "{from} -> {to}");
    }
}

#[test]
fn an_address_that_nobody_has_is_warned_of() {
    let text = changed("127.0.0.1:8080", "192.0.2.9:8080");
    assert_eq!(
        warnings(&text, std::collections::BTreeMap::new()),
        [format!(
            "{FILE}:10:20: services[0].ready.http.url: no interface of the scenario has the \
             address 192.0.2.9"
        )]
    );
}

/// An address that a program moves is on no interface of the file; its configuration names it.
#[test]
fn an_address_that_a_file_of_the_scenario_names_is_somebodys() {
    let text = changed("127.0.0.1:8080", "192.0.2.9:8080");
    let with = |content: &str| {
        let files = [("app.conf".to_owned(), content.as_bytes().to_vec())];
        let told = warnings(&text, files.into());
        told.iter().filter(|told| told.contains("192.0.2.9")).count()
    };
    assert_eq!(with("virtual_ipaddress { 192.0.2.9/24 }"), 0);
    assert_eq!(with("192.0.2.90 192.0.2.9.example"), 1, "as a word of its own");
}
