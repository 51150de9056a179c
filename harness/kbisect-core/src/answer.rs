//! What a search made of a trial. The trial's record stays as the trial left it.

use std::fmt;
use std::ops::Deref;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::run::SymptomName;
use crate::trial::{Match, Matching, Symptom, TrialRecord, VerdictKind};

/// What a record was taken for, beside its verdict.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Taken {
    /// How its symptom compares with the one that the run looks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matching: Option<Matching>,
    /// Why its failure is no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_answer: Option<NoAnswer>,
    /// The symptom that it is to lack features, where that is what the run looks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lack: Option<Box<Symptom>>,
}

/// Why a failure is no answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "why")]
pub enum NoAnswer {
    /// It failed in another way than the one that is looked for.
    OtherSymptom {
        /// `kind: title` of that one.
        target: String,
    },
    /// It failed in another way than the user named.
    NotNamed {
        /// The name.
        #[schemars(with = "String")]
        name: SymptomName,
    },
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherSymptom { target } => {
                write!(f, "other symptom than `{target}`, so no answer")
            }
            Self::NotNamed { name } => {
                write!(f, "other symptom than `{name}`, which was named, so no answer")
            }
        }
    }
}

impl Taken {
    /// Compares a symptom with the one that the run looks for, if that is known.
    pub fn compared(target: Option<&Symptom>, symptom: &Symptom) -> Self {
        let matching = target.map(|target| target.matching(symptom));
        let other = matching.as_ref().filter(|matching| matching.how == Match::Different);
        let no_answer =
            other.map(|matching| NoAnswer::OtherSymptom { target: matching.target.clone() });
        Self { matching, no_answer, lack: None }
    }

    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The symptom that a record counts with.
    pub fn symptom<'a>(&'a self, record: &'a TrialRecord) -> Option<&'a Symptom> {
        self.lack.as_deref().or(record.symptom.as_ref())
    }
}

/// A trial as its search took it: where to lack a feature is the symptom, it is bad.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Trial {
    /// What it left behind.
    #[serde(flatten)]
    pub record: TrialRecord,
    /// How its symptom compares with the one that the run looks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matching: Option<Matching>,
    /// Why its failure is no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_answer: Option<NoAnswer>,
}

impl Trial {
    /// Takes a record.
    pub fn new(record: &TrialRecord, taken: &Taken) -> Self {
        let Taken { matching, no_answer, lack } = taken.clone();
        let mut record = record.clone();
        if let Some(lack) = lack {
            (record.verdict, record.symptom) = (VerdictKind::Bad, Some(*lack));
            (record.reason, record.untestable) = (None, None);
        }
        if let Some(why) = &no_answer {
            record.reason = Some(why.to_string());
        }
        Self { record, matching, no_answer }
    }

    /// Whether it answers what the search asks: it passed, or failed with the symptom that is looked for.
    pub fn is_answer(&self) -> bool {
        match self.verdict {
            VerdictKind::Good => true,
            // Documents of before there were typed reasons have the words alone.
            VerdictKind::Bad => self.no_answer.is_none() && self.reason.is_none(),
            VerdictKind::Skip | VerdictKind::Infra | VerdictKind::ScenarioError => false,
        }
    }
}

impl From<TrialRecord> for Trial {
    fn from(record: TrialRecord) -> Self {
        Self { record, matching: None, no_answer: None }
    }
}

impl Deref for Trial {
    type Target = TrialRecord;

    fn deref(&self) -> &TrialRecord {
        &self.record
    }
}
