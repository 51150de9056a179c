//! Files of existing checks. The first byte says which kind the rest is.

use kbisect_core::adopt::{
    Adopted, Wanted, fragment, from_checklist, from_goss, from_plugins, from_program, scenario,
};
use kbisect_core::command::{CommandEnd, Ran};
use kbisect_core::scenario::{KtapFormat, KtapProbe, Scenario};

pub(super) fn target(input: &[u8]) {
    let Some((kind, content)) = input.split_first() else { return };
    let wanted = Wanted {
        file: "checks".to_owned(),
        node: "monitor".to_owned(),
        hosts: [("gw", "gateway"), ("10.0.0.7", "gateway")]
            .map(|(host, node)| (host.to_owned(), node.to_owned()))
            .into(),
        timeout_s: 10.0,
        ..Wanted::default()
    };
    let text = String::from_utf8_lossy(content);
    let made = match kind {
        b'l' => from_checklist(&text, &wanted),
        b'p' => from_plugins(&text, &wanted),
        b'g' => from_goss(&text, None, &wanted),
        b't' => from_program(content, &wanted),
        _ => return reported(content),
    };
    match made {
        Ok(made) => valid(&made, &wanted),
        Err(error) => assert!(!error.to_string().is_empty() && !error.hint().is_empty()),
    }
}

/// What was made is a scenario, and holds nothing that a terminal takes for an order.
fn valid(made: &Adopted, wanted: &Wanted) {
    let odd = |c: char| c.is_control() && c != '\n' && c != '\t';
    for text in [scenario(made, wanted), fragment(made, wanted)] {
        assert!(!text.contains(odd), "control characters in {text:?}");
    }
    for note in made.left_out.iter().chain(&made.remarks) {
        assert!(!note.to_string().contains(char::is_control), "{note:?}");
    }
    if made.checks.is_empty() {
        return;
    }
    // goss itself comes with the scenario.
    let mut files = made.files.clone();
    files.entry("goss".to_owned()).or_default();
    let text = scenario(made, wanted);
    let parsed = Scenario::parse("made", "scenario.toml", &text)
        .and_then(|parsed| parsed.with_assets(files));
    match parsed {
        Ok((scenario, _)) => assert_eq!(scenario.checks.len(), made.checks.len()),
        Err(error) => panic!("what was made is no scenario: {error}\n{text}"),
    }
}

/// What a program printed.
fn reported(stdout: &[u8]) {
    let probe = |case: Option<&str>, format| KtapProbe {
        run: vec!["t".to_owned()],
        format,
        case: case.map(str::to_owned),
        rest: false,
        fail_text: None,
        payload: false,
    };
    let ran = Ran { end: CommandEnd::Status(0), stdout: stdout.to_vec(), stderr: Vec::new() };
    let formats = [KtapFormat::Ktap, KtapFormat::Kselftest];
    for (case, format) in [None, Some("a/b")].into_iter().zip(formats).chain([(None, formats[1])]) {
        let detail = probe(case, format).judge(&ran, &[]).unwrap_or_else(|failure| failure.detail);
        assert!(
            detail.chars().count() < 30_000 && !detail.contains(char::is_control),
            "{detail:?}"
        );
    }
}
