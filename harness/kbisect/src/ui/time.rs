//! Times for people.

use std::time::Duration;

/// A time for people: `7 s`, `2:05 min`.
pub fn time(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..100 => format!("{seconds} s"),
        100..6000 => format!("{}:{:02} min", seconds / 60, seconds % 60),
        _ => format!("{}:{:02} h", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        assert_eq!(time(Duration::from_secs(7)), "7 s");
        assert_eq!(time(Duration::from_secs(125)), "2:05 min");
        assert_eq!(time(Duration::from_secs(7265)), "2:01 h");
    }
}
