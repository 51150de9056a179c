//! How errors are told: one line, what to do about it, and the class for the exit code.

use std::error::Error;
use std::io::{self, Write};

use kbisect_core::fault::ScenarioFault;
use kbisect_core::import::ImportError;
use kbisect_core::scenario::ScenarioError;
use kbisect_core::version::VersionError;
use kbisect_kernels::{
    AddError, BuildError, CatalogError, FetchError, HistoryError, NewestError, QuiltError,
    ResolveError, SeriesFileError, SettingsError, StoreError, VariantError,
};
use kbisect_report::{BundleError, DossierError, ErrorDocument, JournalError, RenderError};
use kbisect_vm::image::{DefinitionError, ImageError};
use kbisect_vm::qemu::QemuError;

use crate::exit::Class;
use crate::output;

/// An error of this binary's own.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    class: Class,
    message: String,
    hint: Option<String>,
    fault: Option<Box<ScenarioFault>>,
}

/// What was asked for makes no sense: exit code 2.
pub fn usage(message: impl Into<String>, hint: impl Into<String>) -> anyhow::Error {
    failure(Class::Usage, message.into(), Some(hint.into()))
}

/// kbisect or the host failed: exit code 69.
pub fn infrastructure(message: impl Into<String>, hint: impl Into<String>) -> anyhow::Error {
    failure(Class::Infrastructure, message.into(), Some(hint.into()))
}

/// The scenario is wrong: exit code 2, 202 of `run`.
pub fn scenario(fault: ScenarioFault) -> anyhow::Error {
    let (message, hint) = (format!("scenario error: {fault}"), fault.hint());
    let fault = Some(Box::new(fault));
    Failure { class: Class::Scenario, message, hint: Some(hint), fault }.into()
}

/// What is wrong with the scenario, if that is the error.
pub fn fault(error: &anyhow::Error) -> Option<&ScenarioFault> {
    error.chain().find_map(|error| error.downcast_ref::<Failure>()?.fault.as_deref())
}

fn failure(class: Class, message: String, hint: Option<String>) -> anyhow::Error {
    Failure { class, message, hint, fault: None }.into()
}

/// The user stopped the command: exit code 130.
pub fn interrupted(message: impl Into<String>, hint: Option<String>) -> anyhow::Error {
    failure(Class::Interrupted, message.into(), hint)
}

/// Tells an error: on standard error for people, on standard output as JSON when that was asked for.
pub fn report(error: &anyhow::Error, json: bool) {
    tell(&message(error), hint(error), json);
}

fn tell(message: &str, hint: Option<String>, json: bool) {
    let mut text = String::new();
    for line in message.lines() {
        // A scenario has one error a line; an indented line belongs to the one above.
        let label = if line.starts_with(' ') { "" } else { "error: " };
        text.push_str(&format!("{label}{}\n", output::clean(line)));
    }
    if let Some(hint) = &hint {
        text.push_str(&format!("hint: {}\n", output::clean(hint)));
    }
    // `eprint!` would panic when standard error is closed.
    let _ = std::io::stderr().write_all(text.as_bytes());
    if json {
        document(message, hint);
    }
}

/// Prints an error as the one JSON document of standard output.
pub fn document(message: &str, hint: Option<String>) {
    // Nobody is left to be told when this fails as well.
    let _ = output::json(&ErrorDocument::new(message, hint));
}

/// The error with its causes in one line; a cause that the message holds already is left out.
pub fn message(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        if text.is_empty() {
            text = cause;
        } else if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// What to do about an error: the first hint in its chain.
pub fn hint(error: &anyhow::Error) -> Option<String> {
    error.chain().find_map(hint_of)
}

fn hint_of(error: &(dyn Error + 'static)) -> Option<String> {
    if let Some(failure) = error.downcast_ref::<Failure>() {
        return failure.hint.clone();
    }
    macro_rules! ask {
        ($($type:ty),+) => {
            $(if let Some(error) = error.downcast_ref::<$type>() { return error.hint(); })+
        };
    }
    ask!(BuildError, BundleError, DossierError, HistoryError, QuiltError);
    ask!(AddError, CatalogError, FetchError, NewestError, ResolveError, SettingsError, StoreError);
    ask!(
        ImageError,
        ImportError,
        JournalError,
        QemuError,
        ScenarioError,
        SeriesFileError,
        VariantError
    );
    None
}

/// The class of an error: that of the first error in its chain that is known to have one.
pub fn class(error: &anyhow::Error) -> Class {
    // A helper program was ended at Ctrl-C, whatever that kept from being done.
    if error.chain().any(is_interruption) {
        return Class::Interrupted;
    }
    error.chain().find_map(class_of).unwrap_or(Class::Infrastructure)
}

fn is_interruption(error: &(dyn Error + 'static)) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::Interrupted)
}

fn class_of(error: &(dyn Error + 'static)) -> Option<Class> {
    if let Some(failure) = error.downcast_ref::<Failure>() {
        return Some(failure.class);
    }
    if let Some(error) = error.downcast_ref::<AddError>() {
        return Some(match error {
            AddError::Store(_) => Class::Infrastructure,
            _ => Class::Usage,
        });
    }
    if let Some(error) = error.downcast_ref::<VariantError>() {
        return Some(match error {
            VariantError::Add(AddError::Store(_)) => Class::Infrastructure,
            _ => Class::Usage,
        });
    }
    if error.downcast_ref::<CatalogError>().is_some_and(CatalogError::is_wrong_name) {
        return Some(Class::Usage);
    }
    if let Some(FetchError::Untestable { .. }) = error.downcast_ref::<FetchError>() {
        return Some(Class::Usage);
    }
    if let Some(error) = error.downcast_ref::<SettingsError>() {
        return Some(match error {
            SettingsError::NoCacheDir | SettingsError::Read { .. } => Class::Infrastructure,
            _ => Class::Usage,
        });
    }
    if let Some(error) = error.downcast_ref::<JournalError>() {
        return Some(match error {
            JournalError::Read { .. } => Class::Usage,
            _ => Class::Infrastructure,
        });
    }
    if let Some(error) = error.downcast_ref::<DossierError>() {
        return Some(match error {
            DossierError::NotBegun(_)
            | DossierError::NoRun(_)
            | DossierError::Check(_)
            | DossierError::Selftest(_)
            | DossierError::Minimize(_) => Class::Usage,
            DossierError::Journal(JournalError::Read { .. }) => Class::Usage,
            _ => Class::Infrastructure,
        });
    }
    if let Some(BundleError::Secret { .. }) = error.downcast_ref::<BundleError>() {
        return Some(Class::Usage);
    }
    if let Some(
        RenderError::NoSearch
        | RenderError::NoMap
        | RenderError::NoRange
        | RenderError::NotOfCheck(_),
    ) = error.downcast_ref::<RenderError>()
    {
        return Some(Class::Usage);
    }
    if let Some(error) = error.downcast_ref::<ImportError>() {
        return Some(match error {
            ImportError::Dumps { .. } => Class::Usage,
            ImportError::Generated(_) => Class::Infrastructure,
        });
    }
    if let Some(ImageError::Definition(_)) = error.downcast_ref::<ImageError>() {
        return Some(Class::Usage);
    }
    if let Some(error) = error.downcast_ref::<HistoryError>() {
        return Some(match error {
            HistoryError::Start(_) | HistoryError::Failed { .. } => Class::Infrastructure,
            _ => Class::Usage,
        });
    }
    if let Some(error) = error.downcast_ref::<QuiltError>() {
        return Some(match error {
            QuiltError::Build(_) | QuiltError::File(_) => Class::Infrastructure,
            QuiltError::History(HistoryError::Start(_) | HistoryError::Failed { .. }) => {
                Class::Infrastructure
            }
            _ => Class::Usage,
        });
    }
    let usage = error.is::<ResolveError>()
        || error.is::<NewestError>()
        || error.is::<ScenarioError>()
        || error.is::<SeriesFileError>()
        || error.is::<DefinitionError>()
        || error.is::<VersionError>();
    usage.then_some(Class::Usage)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_joined_and_not_repeated() {
        let error = anyhow::Error::msg("no such file").context("cannot read `x`");
        assert_eq!(message(&error), "cannot read `x`: no such file");
        let told = anyhow::Error::msg("no such file").context("cannot read `x`: no such file");
        assert_eq!(message(&told), "cannot read `x`: no such file");
    }

    #[test]
    fn an_error_keeps_its_class_and_hint_under_context() {
        let error = usage("no range", "give GOOD..BAD").context("cannot plan");
        assert_eq!(class(&error), Class::Usage);
        assert_eq!(hint(&error).as_deref(), Some("give GOOD..BAD"));
        assert_eq!(class(&anyhow::Error::msg("disk on fire")), Class::Infrastructure);
        let ended = anyhow::Error::from(io::Error::from(io::ErrorKind::Interrupted));
        assert_eq!(class(&ended.context(usage("no image", ""))), Class::Interrupted);
    }
}
