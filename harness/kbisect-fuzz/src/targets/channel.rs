//! The guest channel: frames, and the messages in them.

use kbisect_proto::frame::{Decoder, FrameError, MAX_BODY, encode};
use kbisect_proto::{Event, Request};

use super::pieces;

pub(super) fn target(input: &[u8]) {
    // As it is: most of it fails at the check sum.
    decode(input);
    // And with a right one, so that the messages themselves are reached: one, and many of up to 255
    // bytes, each behind its length.
    decode(&frame(input));
    let mut stream = Vec::new();
    let mut rest = input;
    while let Some((length, after)) = rest.split_first() {
        let (body, after) = after.split_at(usize::from(*length).min(after.len()));
        stream.extend(frame(body));
        rest = after;
    }
    decode(&stream);
}

/// A frame with these bytes as its body.
pub(crate) fn frame(body: &[u8]) -> Vec<u8> {
    let body = &body[..body.len().min(MAX_BODY)];
    let sum = !body.iter().fold(!0u32, |sum, byte| {
        let bit = |sum: u32, _| if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 };
        (0..8).fold(sum ^ u32::from(*byte), bit)
    });
    [&(body.len() as u32).to_be_bytes()[..], &sum.to_be_bytes(), body].concat()
}

fn decode(stream: &[u8]) {
    let mut decoder = Decoder::new();
    let mut expected = Vec::new();
    decoder.push(stream);
    let end = take(&mut decoder, &mut expected);
    for event in &expected {
        let again = encode(event).expect("what came in a frame fits into one");
        let mut decoder = Decoder::new();
        decoder.push(&again);
        assert_eq!(decoder.next_message::<Event>().as_ref(), Ok(&Some(event.clone())));
    }
    let mut decoder = Decoder::new();
    let (mut events, mut failed) = (Vec::new(), None);
    pieces(stream, |piece| {
        if failed.is_none() {
            decoder.push(piece);
            failed = take(&mut decoder, &mut events);
        }
    });
    assert_eq!((events, failed), (expected, end), "the pieces in which the bytes came matter");
    // The guest reads requests with the same code.
    let mut decoder = Decoder::new();
    decoder.push(stream);
    while let Ok(Some(request)) = decoder.next_message::<Request>() {
        assert!(encode(&request).is_ok());
    }
}

/// Takes what messages there are; gives the error that ended them.
fn take(decoder: &mut Decoder, events: &mut Vec<Event>) -> Option<FrameError> {
    loop {
        match decoder.next_message::<Event>() {
            Ok(Some(event)) => events.push(event),
            Ok(None) => return None,
            Err(error) => return Some(error),
        }
    }
}
