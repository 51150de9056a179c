//! What is done to the frames of a link on purpose.

use std::borrow::Cow;
use std::time::Duration;

use kbisect_core::framing::Frames;
use kbisect_core::rewrite::{add_to_source_port, ports_of};

/// Added to a source port, to make it another one.
const OFF: u16 = 1000;

/// What is done to a link. Ports are those of the wire's plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WireFault {
    /// It carries nothing.
    Cut,
    /// Frames from a member are lost; only those from a TCP or UDP port, where one is named.
    Drop {
        /// The member.
        from: usize,
        /// The port.
        port: Option<u16>,
    },
    /// Frames from a member's port come from another one.
    SourcePort {
        /// The member.
        from: usize,
        /// The port.
        port: u16,
    },
    /// Frames arrive later.
    Delay(Duration),
    /// So many frames of a hundred are lost.
    Lose(u8),
    /// Nothing of all that.
    Restore,
}

/// What is done to a link by now.
#[derive(Debug, Default)]
pub(super) struct Broken {
    cut: bool,
    drops: Vec<(usize, Option<u16>)>,
    moved: Vec<(usize, u16)>,
    delay: Option<Duration>,
    percent: u32,
    /// Adds up the percents, so that losses are spread evenly and are the same each time.
    owed: u32,
}

impl Broken {
    pub(super) fn take(&mut self, fault: WireFault) {
        match fault {
            WireFault::Cut => self.cut = true,
            WireFault::Drop { from, port } => self.drops.push((from, port)),
            WireFault::SourcePort { from, port } => self.moved.push((from, port)),
            WireFault::Delay(delay) => self.delay = Some(delay),
            WireFault::Lose(percent) => self.percent = percent.into(),
            WireFault::Restore => *self = Self::default(),
        }
    }

    fn loses(&self) -> bool {
        self.cut || !self.drops.is_empty() || self.percent > 0
    }

    /// Whether frames are lost, late, or not as they were sent.
    pub(super) fn is_broken(&self) -> bool {
        self.loses() || !self.moved.is_empty() || self.delay.is_some()
    }

    /// What passes of a batch from a member, what does not, and how late it is.
    pub(super) fn pass<'a>(
        &mut self,
        from: usize,
        batch: &'a [u8],
    ) -> (Cow<'a, [u8]>, Vec<u8>, Option<Duration>) {
        if !self.loses() && self.moved.is_empty() {
            return (Cow::Borrowed(batch), Vec::new(), self.delay);
        }
        let (mut passes, mut refused) = (Vec::with_capacity(batch.len()), Vec::new());
        for (raw, frame) in Frames(batch) {
            if self.is_lost(from, frame) {
                refused.extend(raw);
                continue;
            }
            let at = passes.len() + raw.len() - frame.len();
            passes.extend(raw);
            let moved =
                ports_of(frame).is_some_and(|(source, _)| self.moved.contains(&(from, source)));
            if moved {
                add_to_source_port(&mut passes[at..], OFF);
            }
        }
        (Cow::Owned(passes), refused, self.delay)
    }

    fn is_lost(&mut self, from: usize, frame: &[u8]) -> bool {
        let named = |(member, port): &(usize, Option<u16>)| {
            *member == from
                && port.is_none_or(|port| ports_of(frame).is_some_and(|(source, _)| source == port))
        };
        if self.cut || self.drops.iter().any(named) {
            return true;
        }
        self.owed += self.percent;
        let lost = self.owed >= 100;
        self.owed %= 100;
        lost
    }
}
