//! What passed one hop in one direction of a flow.

use std::time::Duration;

use super::frame::Segment;

/// What passed one hop in one direction of a flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// All frames.
    pub frames: u64,
    /// Frames with SYN set.
    pub syn: u64,
    /// Frames with RST set.
    pub rst: u64,
    /// Frames with payload.
    pub data: u64,
    /// Payload bytes.
    pub bytes: u64,
    /// Frames whose check sum was wrong.
    pub(super) damaged: u64,
    /// Sequence number of the first SYN.
    pub(super) isn: Option<u32>,
    /// When the first frame was seen, since the recording began.
    pub(super) first: Duration,
    pub(super) last: Duration,
    pub(super) last_syn: Option<Duration>,
    /// When the first frame with payload was.
    pub(super) first_data: Option<Duration>,
    /// Sequence number behind the last byte so far.
    end: Option<u32>,
    /// Since when something of it waits for an acknowledgement.
    pub(super) unacked: Option<Duration>,
    /// Frames with payload, sent again since then.
    pub(super) repeats: u64,
}

impl Carried {
    pub(super) fn take(&mut self, segment: &Segment, at: Duration, acked: Option<u32>) {
        if self.frames == 0 {
            self.first = at;
        }
        self.last = at;
        self.frames += 1;
        self.rst += u64::from(segment.rst);
        self.bytes += segment.bytes;
        self.damaged += u64::from(!segment.whole);
        self.isn = self.isn.or(segment.isn);
        if segment.syn {
            self.syn += 1;
            self.last_syn = Some(at);
        }
        if segment.bytes == 0 {
            return;
        }
        self.data += 1;
        self.first_data = self.first_data.or(Some(at));
        if self.end.is_none_or(|end| is_behind(segment.end, end)) {
            self.end = Some(segment.end);
            // A batch is handed over as a whole: the beginning may be acknowledged before its end.
            let early = acked.is_some_and(|ack| !is_behind(segment.end, ack));
            if self.unacked.is_none() && !early {
                self.unacked = Some(at);
                self.repeats = 0;
            }
        } else if self.unacked.is_some() {
            self.repeats += 1;
        }
    }

    /// Its receiver acknowledged everything before `ack`, which is news.
    pub(super) fn acknowledged(&mut self, ack: u32, at: Duration) {
        let open = self.end.is_some_and(|end| is_behind(end, ack));
        self.unacked = self.unacked.filter(|_| open).map(|_| at);
        self.repeats = 0;
    }

    pub(super) fn add(&mut self, other: &Self) {
        let earlier = |one: Option<Duration>, two: Option<Duration>| match (one, two) {
            (Some(one), Some(two)) => Some(one.min(two)),
            (one, two) => one.or(two),
        };
        self.first = if self.frames == 0 { other.first } else { self.first.min(other.first) };
        self.last = self.last.max(other.last);
        self.frames += other.frames;
        self.syn += other.syn;
        self.rst += other.rst;
        self.data += other.data;
        self.bytes += other.bytes;
        self.damaged += other.damaged;
        self.repeats += other.repeats;
        self.last_syn = self.last_syn.max(other.last_syn);
        self.first_data = earlier(self.first_data, other.first_data);
        self.unacked = earlier(self.unacked, other.unacked);
    }
}

/// Whether a sequence number lies behind another one (RFC 1982).
pub(super) fn is_behind(number: u32, other: u32) -> bool {
    (number.wrapping_sub(other) as i32) > 0
}
